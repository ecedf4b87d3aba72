/** Shows answers. They are data: Markdown in, harmless elements out, raw HTML as the text it is. */

import { h } from "./dom.ts";
import { MarkdownBuilder, parseMarkdown } from "./markdown.ts";
import { resolveLink } from "./navigation.ts";
import type { Source } from "./wire.ts";

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
  readonly #builder = new MarkdownBuilder((href, content) => this.#link(href, content));
  #blocks: { raw: string; nodes: Node[] }[] = [];
  #sources: Source[] = [];

  constructor(context: AnswerContext) {
    this.#context = context;
  }

  update(answer: string, sources: Source[]): void {
    if (sources !== this.#sources) this.#dropFrom(0);
    this.#sources = sources;
    const tokens = parseMarkdown(answer, sources);
    let same = 0;
    while (same < tokens.length && tokens[same]?.raw === this.#blocks[same]?.raw) same += 1;
    this.#dropFrom(same);
    for (const token of tokens.slice(same)) {
      const nodes = Array.from(this.#builder.build([token]).childNodes);
      this.#blocks.push({ raw: token.raw, nodes });
      this.element.append(...nodes);
    }
  }

  #dropFrom(index: number): void {
    for (const { nodes } of this.#blocks.splice(index)) for (const node of nodes) this.element.removeChild(node);
  }

  /** A link to a source, or undefined for any other: an answer leads nowhere but where the server says. */
  #link(href: string, content: DocumentFragment): Node | undefined {
    const targets = this.#sources.filter(({ url }) => url === href);
    const url = targets.length ? resolveLink(href, this.#context.siteRoot) : undefined;
    if (!url) return undefined;
    const source = targets.find(({ n }) => String(n) === content.textContent);
    const label = source && this.#context.sourceLabel(source);
    return siteLink(url, label ? { class: "cite", "aria-label": label, title: label } : {}, content);
  }
}
