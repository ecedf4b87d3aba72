/** The panel's frame: header, scrolling conversation, composer; focus stays inside while it is used. */

import { Composer } from "./composer.ts";
import { isRunning, type Conversation, type Exchange } from "./conversation.ts";
import { focusable, h, iconButton } from "./dom.ts";
import { ExchangeView, type ExchangeActions } from "./exchange-view.ts";

export interface PanelActions extends ExchangeActions {
  ask: (question: string, selection: string) => void;
  stop: () => void;
  clear: () => void;
  close: () => void;
  clicked: (event: MouseEvent, link: HTMLAnchorElement) => void;
}

const NEAR_THE_END = 60;

export class Panel {
  readonly element: HTMLElement;
  readonly composer: Composer;
  readonly #actions: PanelActions;
  readonly #views = new Map<number, ExchangeView>();
  readonly #list = h("ol", { class: "exchanges" });
  readonly #start = h("div", { class: "start" });
  readonly #scroller = h("div", { class: "conversation", tabindex: "0", role: "region" });
  readonly #live = h("div", { class: "unseen", role: "status", "aria-live": "polite" });
  readonly #fresh: HTMLButtonElement;
  #awaiting = false;

  constructor(actions: PanelActions) {
    const { strings } = actions;
    this.#actions = actions;
    this.composer = new Composer(actions);
    this.#fresh = iconButton("fresh", strings.newConversation, actions.clear);
    const title = h("h2", { id: "title", dir: "auto" }, strings.title);
    const header = h("header", {}, title, this.#fresh, iconButton("close", strings.close, actions.close));
    this.#scroller.setAttribute("aria-labelledby", "title");
    this.#scroller.append(this.#start, this.#list);
    const disclaimer = h("p", { class: "disclaimer", dir: "auto" }, strings.disclaimer);
    this.element = h(
      "section",
      {
        class: "panel",
        role: "dialog",
        tabindex: "-1",
        "aria-labelledby": "title",
        hidden: true,
        onkeydown: (event: KeyboardEvent) => this.#keyed(event),
        onclick: (event: MouseEvent) => this.#clicked(event),
      },
      header,
      this.#scroller,
      this.composer.element,
      disclaimer,
      this.#live,
    );
  }

  show({ exchanges }: Conversation): void {
    const atEnd = this.#isAtEnd();
    const known = this.#views.size;
    this.#forget(new Set(exchanges.map(({ id }) => id)));
    for (const exchange of exchanges) this.#view(exchange).update(exchange, exchange === exchanges.at(-1));
    const last = exchanges.at(-1);
    this.#start.hidden = this.#list.hidden = false;
    (last ? this.#start : this.#list).hidden = true;
    this.#fresh.hidden = !last;
    this.composer.setBusy(last !== undefined && isRunning(last));
    if (last) this.#announce(last);
    if (atEnd || this.#views.size > known) this.scrollToEnd();
  }

  showStart(groups: { title: string; questions: string[] }[]): void {
    const { strings, ask } = this.#actions;
    const parts = groups
      .filter(({ questions }) => questions.length)
      .map(({ title, questions }) =>
        h(
          "div",
          { class: "suggestions" },
          h("h3", {}, title),
          ...questions.map((question) => h("button", { type: "button", dir: "auto", onclick: () => ask(question, "") }, question)),
        ),
      );
    this.#start.replaceChildren(h("p", { class: "greeting", dir: "auto" }, strings.greeting), ...parts);
  }

  scrollToEnd(): void {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  announce(words: string): void {
    this.#live.textContent = words;
  }

  #isAtEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_THE_END;
  }

  #view(exchange: Exchange): ExchangeView {
    let view = this.#views.get(exchange.id);
    if (!view) {
      view = new ExchangeView(exchange, this.#actions);
      this.#views.set(exchange.id, view);
      this.#list.append(view.element);
    }
    return view;
  }

  #forget(kept: Set<number>): void {
    for (const [id, view] of this.#views) {
      if (kept.has(id)) continue;
      view.remove();
      this.#views.delete(id);
    }
  }

  /** What is happening, and the whole answer once: never each piece of it. */
  #announce(exchange: Exchange): void {
    const { strings } = this.#actions;
    const running = isRunning(exchange);
    if (running !== this.#awaiting) {
      this.#awaiting = running;
      this.announce(running ? strings.searching : (this.#views.get(exchange.id)?.spoken ?? ""));
    }
  }

  #clicked(event: MouseEvent): void {
    const link = event.composedPath().find((target) => target instanceof HTMLAnchorElement);
    if (link) this.#actions.clicked(event, link as HTMLAnchorElement);
  }

  #keyed(event: KeyboardEvent): void {
    if (event.key === "Escape" && !event.isComposing) {
      event.stopPropagation();
      this.#actions.close();
    }
    if (event.key !== "Tab") return;
    const stops = focusable(this.element);
    const [from, to] = event.shiftKey ? [stops[0], stops.at(-1)] : [stops.at(-1), stops[0]];
    if ((this.element.getRootNode() as ShadowRoot).activeElement !== from) return;
    event.preventDefault();
    to?.focus();
  }
}
