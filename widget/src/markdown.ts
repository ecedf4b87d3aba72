/** Builds elements from marked's tokens. No HTML is made or parsed on the way, so there is none to sanitise. */

import { getDefaults, Lexer, Tokenizer, type MarkedToken, type Token, type Tokens } from "marked";
import { h } from "./dom.ts";
import type { Source } from "./wire.ts";

// Deeper nesting is shown as text: no honest answer has it, and the browser's layout recurses over elements.
const MAX_DEPTH = 50;

// The named character references of HTML 4 (marked decodes the numeric ones only). A number is the code of the
// name behind it; each further name has the next code. A browser decodes them only with the HTML parser, which a
// page with trusted types does not let us call.
const NAMED_REFERENCES =
  "34 quot 38 amp apos 60 lt 62 gt 160 nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg " +
  "macr deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave " +
  "Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve " +
  "Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde " +
  "auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde " +
  "ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml 338 OElig oelig 352 Scaron scaron 376 Yuml 402 " +
  "fnof 710 circ 732 tilde 913 Alpha Beta Gamma Delta Epsilon Zeta Eta Theta Iota Kappa Lambda Mu Nu Xi Omicron Pi " +
  "Rho 931 Sigma Tau Upsilon Phi Chi Psi Omega 945 alpha beta gamma delta epsilon zeta eta theta iota kappa lambda " +
  "mu nu xi omicron pi rho sigmaf sigma tau upsilon phi chi psi omega 977 thetasym upsih 982 piv 8194 ensp emsp " +
  "8201 thinsp 8204 zwnj zwj lrm rlm 8211 ndash mdash 8216 lsquo rsquo sbquo 8220 ldquo rdquo bdquo 8224 dagger " +
  "Dagger bull 8230 hellip 8240 permil 8242 prime Prime 8249 lsaquo rsaquo 8254 oline 8260 frasl 8364 euro 8465 " +
  "image 8472 weierp 8476 real 8482 trade 8501 alefsym 8592 larr uarr rarr darr harr 8629 crarr 8656 lArr uArr rArr " +
  "dArr hArr 8704 forall 8706 part exist 8709 empty 8711 nabla isin notin 8715 ni 8719 prod 8721 sum minus 8727 " +
  "lowast 8730 radic 8733 prop infin 8736 ang 8743 and or cap cup int 8756 there4 8764 sim 8773 cong 8776 asymp " +
  "8800 ne equiv 8804 le ge 8834 sub sup nsub 8838 sube supe 8853 oplus 8855 otimes 8869 perp 8901 sdot 8968 lceil " +
  "rceil lfloor rfloor 9674 loz 9824 spades 9827 clubs 9829 hearts diams 10216 lang rang";

const characters = new Map<string, string>();
let code = 0;
for (const word of NAMED_REFERENCES.split(" ")) {
  if (Number(word)) code = Number(word);
  else characters.set(word, String.fromCharCode(code++));
}

const decode = (text: string): string => text.replace(/&(\w+);/g, (whole, name) => characters.get(name) ?? whole);

/** Leaves addresses alone that are not written as links: the answer's only links are its citations. */
class PlainAddresses extends Tokenizer {
  override url(): undefined {}
  override autolink(): undefined {}
}

const tokenizer = new PlainAddresses();

/** The blocks of a Markdown text, in which `[n]` is a link to source n; nested too deeply to be read, one block of text. */
export function parseMarkdown(text: string, sources: Source[]): Token[] {
  const lexer = new Lexer({ ...getDefaults(), tokenizer });
  // A definition in the text does not replace one that is there already: `[n]` leads where the server says.
  for (const { n, url } of sources) lexer.tokens.links[n] = { href: url, title: null };
  try {
    return lexer.lex(text);
  } catch (error) {
    // marked recurses into quotes, lists and emphasis: thousands of them exhaust the stack. Firefox alone calls
    // that an InternalError.
    if (!(error instanceof RangeError) && (error as Error).name !== "InternalError") throw error;
    return [{ type: "paragraph", raw: text, text, tokens: [{ type: "escape", raw: text, text }] }];
  }
}

/** Decides what a link becomes: an element around its content, or undefined to show the link as it is written. */
export type LinkBuilder = (href: string, content: DocumentFragment) => Node | undefined;

/** Builds the nodes of tokens. Only the types named here become elements; any other is shown as its source text. */
export class MarkdownBuilder {
  readonly #link: LinkBuilder;

  constructor(link: LinkBuilder) {
    this.#link = link;
  }

  build(tokens: Token[], depth = 0): DocumentFragment {
    const fragment = document.createDocumentFragment();
    for (const token of tokens) fragment.append(...this.#nodes(token as MarkedToken, depth + 1));
    return fragment;
  }

  #nodes(token: MarkedToken, depth: number): (Node | string)[] {
    if (depth > MAX_DEPTH) return [token.raw];
    const content = (tokens: Token[]): DocumentFragment => this.build(tokens, depth);
    switch (token.type) {
      case "space":
      case "def":
        return [];
      case "text":
        if (token.tokens) return [content(token.tokens)];
        return [token.escaped ? token.text : decode(token.text)];
      case "escape":
        return [token.text];
      case "strong":
      case "em":
      case "del":
        return [h(token.type, {}, content(token.tokens))];
      case "codespan":
        return [h("code", {}, token.text)];
      case "br":
        return [h("br")];
      case "checkbox":
        return [token.checked ? "☑ " : "☐ "];
      case "link":
        return [this.#link(token.href, content(token.tokens)) ?? token.raw];
      case "image":
        return [decode(token.text)];
      case "html":
        return htmlAsText(token);
      // The line end behind a block keeps its words apart from the next one's where the text alone is read.
      case "paragraph":
        return [h("p", {}, content(token.tokens)), "\n"];
      case "heading":
        return [h(HEADINGS[token.depth - 1] ?? "h6", {}, content(token.tokens)), "\n"];
      case "blockquote":
        return [h("blockquote", {}, content(token.tokens)), "\n"];
      case "hr":
        return [h("hr"), "\n"];
      case "code":
        return [h("pre", { tabindex: "0" }, h("code", {}, `${token.text.replace(/\n$/, "")}\n`)), "\n"];
      case "list":
        return [list(token, content), "\n"];
      case "table":
        return [table(token, content), "\n"];
      default:
        return [(token as Token).raw];
    }
  }
}

// The panel has its own h2 and h3: an answer starts at the third level.
const HEADINGS = ["h3", "h4", "h5", "h6"] as const;

type Content = (tokens: Token[]) => DocumentFragment;

function htmlAsText({ text, block }: Tokens.HTML | Tokens.Tag): (Node | string)[] {
  // The one tag that models write where Markdown has nothing for it: a line's end inside a table's cell.
  if (/^<br\s*\/?>$/i.test(text.trim())) return [h("br")];
  return block ? [h("p", {}, text), "\n"] : [text];
}

function list({ ordered, start, items }: Tokens.List, content: Content): HTMLElement {
  const entries = items.flatMap((item) => [h("li", {}, content(item.tokens)), "\n"]);
  return h(ordered ? "ol" : "ul", { start: ordered && start !== 1 && String(start) }, ...entries);
}

/** A table in a frame that can be scrolled, by keyboard too, where it is wider than the panel. */
function table({ header, rows }: Tokens.Table, content: Content): HTMLElement {
  const cell = ({ header, align, tokens }: Tokens.TableCell): (Node | string)[] => [
    h(header ? "th" : "td", { align: align ?? undefined }, content(tokens)),
    "\n",
  ];
  const row = (cells: Tokens.TableCell[]): HTMLElement => h("tr", {}, ...cells.flatMap(cell));
  const body = rows.length ? [h("tbody", {}, ...rows.map(row))] : [];
  return h("div", { class: "scroll", tabindex: "0" }, h("table", {}, h("thead", {}, row(header)), ...body));
}
