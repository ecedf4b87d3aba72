/** <ask-the-book>: everything put together inside one shadow root. */

import { sendFeedback } from "./client.ts";
import type { Config } from "./config.ts";
import { clip, MAX_QUESTION, MAX_SELECTION, type Exchange, type Rating } from "./conversation.ts";
import { Dialogue } from "./dialogue.ts";
import { h } from "./dom.ts";
import { launcherButton, SelectionButton } from "./launcher.ts";
import { follow } from "./navigation.ts";
import { currentPage, suggestedQuestions } from "./page.ts";
import { Panel } from "./panel.ts";
import { selectedText, watchSelection } from "./selection.ts";
import { matches } from "./shortcut.ts";
import { ConversationStorage } from "./storage.ts";
import css from "./widget.css";
import { followPage } from "./theme.ts";

const PHONE = "(max-width: 600px)";
const REDRAW_MS = 50;

export class AskTheBookElement extends HTMLElement {
  #config!: Config;
  #dialogue!: Dialogue;
  #storage!: ConversationStorage;
  #panel!: Panel;
  #launcher!: HTMLButtonElement;
  #bubble!: SelectionButton;
  #frame = h("div", { class: "frame" });
  #returnTo: Element | null = null;
  #redraw: ReturnType<typeof setTimeout> | undefined;
  #wantsFeedback = true;
  readonly #life = new AbortController();

  /** Builds everything; called once, before the element is put on the page. */
  start(config: Config): void {
    this.#config = config;
    this.#storage = new ConversationStorage(config.server);
    const remembered = this.#storage.load();
    this.#dialogue = new Dialogue(config.server, remembered.conversation, () => this.#changed());
    this.#build(config);
    this.#panel.composer.draft = remembered.draft;
    document.body.append(this);
    this.#listen();
    this.#draw();
    if (remembered.open && !matchMedia(PHONE).matches) this.#show();
  }

  open(): void {
    if (!this.isOpen) {
      this.#returnTo = document.activeElement;
      this.#show();
      this.#panel.scrollToEnd();
      this.#save();
    }
    this.#focusInside();
  }

  close(): void {
    if (!this.isOpen) return;
    const hadFocus = this.shadowRoot?.activeElement != null;
    this.#panel.element.hidden = true;
    this.#launcher.hidden = !this.#config.launcher;
    if (hadFocus) this.#restoreFocus();
    this.#save();
  }

  ask(question: string, selection = ""): void {
    const asked = clip(question.trim(), MAX_QUESTION);
    if (!asked) return;
    this.open();
    this.#dialogue.ask({ question: asked, selection: clip(selection.trim(), MAX_SELECTION), page: currentPage() });
    this.#panel.scrollToEnd();
  }

  /** The site has shown another page without reloading. */
  pageChanged(): void {
    if (!this.isConnected) document.body.append(this);
    this.#bubble.show(null);
    this.#showStart();
  }

  destroy(): void {
    this.#save();
    clearTimeout(this.#redraw);
    this.#dialogue.stop();
    this.#life.abort();
    this.remove();
  }

  get isOpen(): boolean {
    return !this.#panel.element.hidden;
  }

  #build(config: Config): void {
    const { strings } = config;
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [sheet];
    if (config.accent) this.style.setProperty("--atb-accent", config.accent);
    if (config.accentInk) this.style.setProperty("--atb-accent-ink", config.accentInk);
    this.#panel = new Panel({
      strings,
      siteRoot: config.siteRoot,
      ask: (question, selection) => this.ask(question, selection),
      stop: () => {
        this.#dialogue.stop();
        this.#focusInside();
      },
      retry: () => {
        this.#dialogue.retry();
        this.#focusInside();
      },
      rate: (exchange, rating) => void this.#rate(exchange, rating),
      clear: () => this.#clear(),
      close: () => this.close(),
      clicked: (event, link) => this.#clicked(event, link),
    });
    this.#launcher = launcherButton(strings, () => this.open());
    this.#launcher.hidden = !config.launcher;
    this.#bubble = new SelectionButton(strings, (text) => this.#askAbout(text));
    this.#frame.dataset.side = config.side;
    this.#frame.append(this.#launcher, this.#bubble.element, this.#panel.element);
    root.append(this.#frame);
  }

  #listen(): void {
    const config = this.#config;
    const { signal } = this.#life;
    followPage(config, signal, (theme, dir) => {
      this.#frame.dataset.theme = theme;
      this.#frame.dir = dir;
    });
    if (config.selection) watchSelection(config.selectionWithin, signal, (selected) => this.#bubble.show(selected));
    document.addEventListener("keydown", (event) => this.#keyed(event), { signal });
    addEventListener("online", () => this.#dialogue.online(), { signal });
    addEventListener("pagehide", () => this.#save(), { signal });
    addEventListener("popstate", () => this.pageChanged(), { signal });
    const phone = matchMedia(PHONE);
    const fit = (): void => this.#fit(phone.matches);
    phone.addEventListener("change", fit, { signal });
    for (const type of ["resize", "scroll"]) visualViewport?.addEventListener(type, fit, { signal });
    fit();
  }

  /** On a phone the panel is a sheet over the page, as tall as the keyboard leaves it. */
  #fit(phone: boolean): void {
    const { element } = this.#panel;
    if (phone) element.setAttribute("aria-modal", "true");
    else element.removeAttribute("aria-modal");
    const { height, offsetTop } = visualViewport ?? { height: innerHeight, offsetTop: 0 };
    this.#frame.style.setProperty("--height", `${height}px`);
    this.#frame.style.setProperty("--top", `${offsetTop}px`);
  }

  #show(): void {
    this.#showStart();
    this.#bubble.show(null);
    this.#panel.element.hidden = false;
    this.#launcher.hidden = true;
  }

  /** On a phone the field would bring up the keyboard, in front of what there is to read. */
  #focusInside(): void {
    if (matchMedia(PHONE).matches) this.#panel.element.focus();
    else this.#panel.composer.focus();
  }

  #showStart(): void {
    const { strings, examples, suggestions } = this.#config;
    this.#panel.showStart([
      { title: strings.tryAsking, questions: examples },
      { title: strings.onThisPage, questions: suggestions ? suggestedQuestions(strings) : [] },
    ]);
  }

  #changed(): void {
    if (!this.#dialogue.busy) {
      this.#draw();
      this.#save();
    } else this.#redraw ??= setTimeout(() => this.#draw(), REDRAW_MS);
  }

  #draw(): void {
    clearTimeout(this.#redraw);
    this.#redraw = undefined;
    this.#panel.show(this.#dialogue.state);
  }

  #save(): void {
    this.#storage.save({ conversation: this.#dialogue.state, open: this.isOpen, draft: this.#panel.composer.draft });
  }

  #clear(): void {
    this.#dialogue.clear();
    this.#showStart();
    this.#focusInside();
  }

  #askAbout(text: string): void {
    this.#bubble.show(null);
    this.#panel.composer.setSelection(text);
    this.open();
    this.#panel.composer.focus();
  }

  #keyed(event: KeyboardEvent): void {
    const { shortcut, selectionWithin, selection } = this.#config;
    if (event.key === "Escape") this.#bubble.show(null);
    if (shortcut === "off" || event.isComposing || !matches(event, shortcut)) return;
    event.preventDefault();
    if (this.isOpen && this.shadowRoot?.activeElement) return this.close();
    const selected = selection ? selectedText(selectionWithin) : null;
    if (selected) this.#askAbout(selected.text);
    else this.open();
  }

  #clicked(event: MouseEvent, link: HTMLAnchorElement): void {
    if (follow(event, link, this.#config) && matchMedia(PHONE).matches) this.close();
    this.#save();
  }

  #restoreFocus(): void {
    const back = this.#returnTo instanceof HTMLElement && this.#returnTo.isConnected ? this.#returnTo : null;
    if (back && back !== document.body && back !== this) back.focus({ preventScroll: true });
    else this.#launcher.focus();
  }

  async #rate(exchange: Exchange, wish: Rating): Promise<void> {
    const rating = exchange.rating === wish ? null : wish;
    this.#dialogue.rate(exchange.id, rating);
    if (!rating) return;
    const { messageId, question } = exchange;
    const { sessionId } = this.#dialogue.state;
    dispatchEvent(new CustomEvent("askthebook:feedback", { detail: { rating, messageId, sessionId, question } }));
    this.#panel.announce(this.#config.strings.thanks);
    if (!this.#wantsFeedback) return;
    const feedback = { message_id: messageId, session_id: sessionId, rating };
    this.#wantsFeedback = await sendFeedback(this.#config.server, feedback);
  }
}
