/** Answers are data: Markdown in, harmless elements out. Raw HTML is shown as the text it is. */

import DOMPurify from "dompurify";
import { getDefaults, Lexer, Parser, Renderer, Tokenizer, type Token, type Tokens } from "marked";
import { h } from "./dom.ts";
import { resolveLink } from "./navigation.ts";
import type { Source } from "./wire.ts";

const SAFE_LINK = /^(?:https?:\/\/|\/(?![/\\]))/i;

const SAFE = {
  ALLOWED_TAGS: "p br strong em del code pre blockquote ul ol li h3 h4 h5 h6 hr a table thead tbody tr th td".split(" "),
  ALLOWED_ATTR: ["href", "start", "align"],
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  ALLOWED_URI_REGEXP: SAFE_LINK,
  RETURN_DOM_FRAGMENT: true as const,
};

const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

class HarmlessRenderer extends Renderer {
  override html({ text, block }: Tokens.HTML | Tokens.Tag): string {
    if (/^<br\s*\/?>$/i.test(text)) return "<br>";
    return block ? `<p>${escape(text)}</p>` : escape(text);
  }

  override image({ text }: Tokens.Image): string {
    return escape(text);
  }

  override checkbox({ checked }: Tokens.Checkbox): string {
    return checked ? "☑ " : "☐ ";
  }

  override heading({ tokens, depth }: Tokens.Heading): string {
    const level = Math.min(depth + 2, 6);
    return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
  }

  override link({ href, raw, tokens }: Tokens.Link): string {
    return SAFE_LINK.test(href) ? `<a href="${escape(href)}">${this.parser.parseInline(tokens)}</a>` : escape(raw);
  }
}

/** Leaves addresses alone that are not written as links: the answer's only links are its citations. */
class PlainAddresses extends Tokenizer {
  override url(): undefined {}
  override autolink(): undefined {}
}

const renderer = new HarmlessRenderer();
const tokenizer = new PlainAddresses();

/** The blocks of a Markdown text, in which `[n]` is a link to source n. */
function blocks(text: string, sources: Source[]): Token[] {
  const lexer = new Lexer({ ...getDefaults(), tokenizer });
  for (const { n, url } of sources) lexer.tokens.links[n] = { href: url, title: null };
  return lexer.lex(text);
}

export interface AnswerContext {
  siteRoot: string;
  sourceLabel: (source: Source) => string;
}

/** A link of the widget: on the site it stays in this tab, elsewhere it opens its own. */
export function siteLink(url: URL, properties: Record<string, string>, ...children: (Node | string)[]): HTMLAnchorElement {
  const away = url.origin !== location.origin;
  return h("a", { href: url.href, rel: "noopener", ...(away && { target: "_blank" }), ...properties }, ...children);
}

/**
 * Shows an answer while it grows: only the blocks that changed are built again, so that what
 * the reader has selected or scrolled stays as it is.
 */
export class AnswerView {
  readonly element = h("div", { class: "answer", dir: "auto" });
  readonly #context: AnswerContext;
  #blocks: { raw: string; nodes: Node[] }[] = [];
  #sources: Source[] = [];

  constructor(context: AnswerContext) {
    this.#context = context;
  }

  update(answer: string, sources: Source[]): void {
    if (sources !== this.#sources) this.#dropFrom(0);
    this.#sources = sources;
    const tokens = blocks(answer, sources);
    let same = 0;
    while (same < tokens.length && tokens[same]?.raw === this.#blocks[same]?.raw) same += 1;
    this.#dropFrom(same);
    for (const token of tokens.slice(same)) {
      const nodes = Array.from(this.#build(token).childNodes);
      this.#blocks.push({ raw: token.raw, nodes });
      this.element.append(...nodes);
    }
  }

  #dropFrom(index: number): void {
    for (const { nodes } of this.#blocks.splice(index)) for (const node of nodes) this.element.removeChild(node);
  }

  #build(token: Token): DocumentFragment {
    const fragment = DOMPurify.sanitize(Parser.parse([token], { renderer }), SAFE);
    for (const link of fragment.querySelectorAll("a")) this.#finishLink(link);
    for (const table of fragment.querySelectorAll("table")) {
      const frame = h("div", { class: "scroll", tabindex: "0" });
      table.replaceWith(frame);
      frame.append(table);
    }
    for (const code of fragment.querySelectorAll("pre")) code.tabIndex = 0;
    return fragment;
  }

  /** A link to a source by its number becomes a citation; one into nowhere becomes text. */
  #finishLink(link: HTMLAnchorElement): void {
    const href = link.getAttribute("href") ?? "";
    const url = resolveLink(href, this.#context.siteRoot);
    const source = this.#sources.find(({ n, url }) => url === href && String(n) === link.textContent);
    const label = source && this.#context.sourceLabel(source);
    const marks = label ? { class: "cite", "aria-label": label, title: label } : {};
    link.replaceWith(url ? siteLink(url, marks, ...link.childNodes) : (link.textContent ?? ""));
  }
}
