/** One question and its answer, kept in step with the data. */

import { isRunning, listedSources, type Exchange, type Rating } from "./conversation.ts";
import { h, icon, iconButton } from "./dom.ts";
import { resolveLink } from "./navigation.ts";
import { AnswerView, siteLink } from "./render.ts";
import { fill, sayProblem, type Strings } from "./strings.ts";
import type { Source } from "./wire.ts";

export interface ExchangeActions {
  strings: Strings;
  siteRoot: string;
  retry: () => void;
  rate: (exchange: Exchange, rating: Rating) => void;
}

export class ExchangeView {
  readonly element: HTMLElement;
  readonly #actions: ExchangeActions;
  readonly #answer: AnswerView;
  readonly #status = h("p", { class: "status" });
  readonly #after = h("div", { class: "after" });
  #shown: Exchange | undefined;
  #newest = false;
  #ticking: ReturnType<typeof setTimeout> | undefined;

  constructor(exchange: Exchange, actions: ExchangeActions) {
    this.#actions = actions;
    this.#answer = new AnswerView({ siteRoot: actions.siteRoot, sourceLabel: (source) => this.#label(source) });
    this.element = h("li", { class: "exchange" }, this.#question(exchange), this.#status, this.#answer.element, this.#after);
  }

  /** What came of the question, as one reads it aloud: an answer without its markers, or why there is none. */
  get spoken(): string {
    const { strings } = this.#actions;
    const { phase, problem } = this.#shown ?? {};
    if (problem) return sayProblem(strings, "error", problem.code, problem.message);
    if (phase === "stopped") return strings.stopped;
    const copy = this.#answer.element.cloneNode(true) as Element;
    for (const marker of copy.querySelectorAll(".cite")) marker.remove();
    return `${strings.answerReady} ${copy.textContent}`;
  }

  update(exchange: Exchange, newest: boolean): void {
    if (exchange === this.#shown && newest === this.#newest) return;
    this.#shown = exchange;
    this.#newest = newest;
    const running = isRunning(exchange);
    this.element.toggleAttribute("data-running", running);
    this.#answer.update(exchange.answer, exchange.sources);
    const status = (!exchange.answer && this.#actions.strings[exchange.phase]) || "";
    this.#status.hidden = !running || !status;
    this.#status.textContent = status;
    this.#showAfter(exchange, running);
  }

  remove(): void {
    clearTimeout(this.#ticking);
    this.element.remove();
  }

  #question({ question, selection }: Exchange): HTMLElement {
    const { strings } = this.#actions;
    const asked = h("h3", { class: "unseen" }, strings.youAsked);
    const bubble = h("div", { class: "question", dir: "auto" });
    if (selection) bubble.append(h("blockquote", { dir: "auto", title: selection }, selection.slice(0, 200)));
    bubble.append(h("p", {}, question));
    return h("div", { class: "asked" }, asked, bubble);
  }

  #label(source: Source): string {
    const title = source.breadcrumbs.join(" › ") || source.title;
    return fill(this.#actions.strings.source, { n: source.n, title });
  }

  #showAfter(exchange: Exchange, running: boolean): void {
    clearTimeout(this.#ticking);
    const parts: HTMLElement[] = exchange.notices.map(({ code, message }) =>
      h("p", { class: "notice", dir: "auto" }, sayProblem(this.#actions.strings, "notice", code, message)),
    );
    if (!running) {
      if (exchange.phase === "done") parts.push(...this.#sources(exchange));
      if (exchange.phase === "stopped") parts.push(h("p", { class: "notice" }, this.#actions.strings.stopped));
      if (exchange.problem) parts.push(this.#problem(exchange));
      else parts.push(this.#tools(exchange));
    }
    const buttons = (): Element[] => Array.from(this.#after.querySelectorAll("button"));
    const focused = buttons().indexOf((this.element.getRootNode() as ShadowRoot).activeElement as Element);
    this.#after.replaceChildren(...parts);
    (buttons()[focused] as HTMLElement | undefined)?.focus();
  }

  #sources(exchange: Exchange): HTMLElement[] {
    const sources = listedSources(exchange);
    if (!sources.length) return [];
    const title = this.#actions.strings[exchange.cited.length ? "sources" : "nearest"];
    const items = sources.map((source) => h("li", {}, this.#sourceLine(source)));
    return [h("div", { class: "sources" }, h("h4", {}, title), h("ol", {}, ...items))];
  }

  #sourceLine(source: Source): HTMLElement {
    const url = resolveLink(source.url, this.#actions.siteRoot);
    const path = source.breadcrumbs.slice(0, -1).join(" › ");
    const words = h("span", { dir: "auto" }, h("span", { class: "title" }, source.title || source.url));
    if (path) words.append(h("span", { class: "path" }, path));
    const number = h("span", { class: "number" }, String(source.n));
    return url ? siteLink(url, { class: "source" }, number, words) : h("span", { class: "source" }, number, words);
  }

  #problem(exchange: Exchange): HTMLElement {
    const { strings, retry } = this.#actions;
    const { code, message, retryable } = exchange.problem as NonNullable<Exchange["problem"]>;
    const box = h("div", { class: "problem" }, h("p", { dir: "auto" }, sayProblem(strings, "error", code, message)));
    if (retryable && this.#newest) {
      const button = h("button", { type: "button", class: "retry", onclick: retry });
      box.append(button);
      this.#countDown(button, exchange);
    }
    return box;
  }

  #countDown(button: HTMLButtonElement, exchange: Exchange): void {
    const { strings } = this.#actions;
    const left = Math.ceil((exchange.retryAt - Date.now()) / 1000);
    button.disabled = left > 0 && exchange.problem?.code === "rate_limited";
    button.textContent = left > 0 ? fill(strings.retryIn, { seconds: left }) : strings.retry;
    if (left > 0) this.#ticking = setTimeout(() => this.#countDown(button, exchange), 500);
  }

  #tools(exchange: Exchange): HTMLElement {
    const { strings, rate, retry } = this.#actions;
    const tools = h("div", { class: "tools" });
    if (exchange.answer) tools.append(this.#copyButton(exchange));
    if (exchange.phase === "done") {
      for (const rating of ["up", "down"] as const) {
        const name = strings[rating === "up" ? "helpful" : "notHelpful"];
        const button = iconButton("up", name, () => rate(exchange, rating));
        button.classList.add(rating);
        button.setAttribute("aria-pressed", String(exchange.rating === rating));
        tools.append(button);
      }
    }
    if (this.#newest) tools.append(iconButton("again", strings.retry, retry));
    return tools;
  }

  #copyButton(exchange: Exchange): HTMLElement {
    const { strings } = this.#actions;
    const button = iconButton("copy", strings.copy, () => {
      void copyText(exchange.answer).then((copied) => {
        if (!copied) return;
        button.replaceChildren(icon("check"));
        button.setAttribute("aria-label", strings.copied);
      });
    });
    return button;
  }
}

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
