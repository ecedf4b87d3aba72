// Reads JSON strings, a line each, and writes for each what `marked`, as it comes, finds in it that a reader could follow.
import { createInterface } from "node:readline";
import { Marked, Lexer } from "../../widget/node_modules/marked/lib/marked.esm.js";

const marked = new Marked();

function found(text) {
  const lexer = new Lexer(marked.defaults);
  const tokens = lexer.lex(text);
  const all = { links: [], images: [], html: [], code: [], definitions: lexer.tokens.links };
  marked.walkTokens(tokens, (token) => {
    if (token.type === "link") all.links.push(token.href);
    if (token.type === "image") all.images.push(token.href);
    if (token.type === "html") all.html.push(token.text);
    if (token.type === "code" || token.type === "codespan") all.code.push(token.text);
  });
  return { ...all, definitions: Object.values(all.definitions).map((definition) => definition.href) };
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(found(JSON.parse(line)))}\n`);
}
