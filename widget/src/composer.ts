/** Where the question is written, with what it is about. */

import { MAX_QUESTION } from "./conversation.ts";
import { h, icon, iconButton } from "./dom.ts";
import type { Strings } from "./strings.ts";

export interface ComposerActions {
  strings: Strings;
  ask: (question: string, selection: string) => void;
  stop: () => void;
}

export class Composer {
  readonly element: HTMLFormElement;
  readonly #actions: ComposerActions;
  readonly #input: HTMLTextAreaElement;
  readonly #button: HTMLButtonElement;
  readonly #chip = h("div", { class: "chip", hidden: true });
  #selection = "";
  #busy = false;

  constructor(actions: ComposerActions) {
    const { strings } = actions;
    this.#actions = actions;
    this.#input = h("textarea", {
      rows: "1",
      dir: "auto",
      maxlength: String(MAX_QUESTION),
      placeholder: strings.placeholder,
      "aria-label": strings.questionLabel,
      enterkeyhint: "send",
      oninput: () => this.#grow(),
      onkeydown: (event: KeyboardEvent) => this.#typed(event),
    });
    this.#button = h("button", { type: "submit", class: "send" });
    const submit = (event: Event): void => {
      event.preventDefault();
      if (this.#busy) actions.stop();
      else this.#send();
    };
    this.element = h("form", { class: "composer", onsubmit: submit }, this.#chip, h("div", { class: "field" }, this.#input, this.#button));
    this.setBusy(false);
  }

  get draft(): string {
    return this.#input.value;
  }

  set draft(text: string) {
    this.#input.value = text;
    this.#grow();
  }

  focus(): void {
    this.#input.focus();
    this.#grow();
  }

  setBusy(busy: boolean): void {
    this.#busy = busy;
    const label = this.#actions.strings[busy ? "stop" : "send"];
    this.#button.setAttribute("aria-label", label);
    this.#button.title = label;
    this.#button.replaceChildren(icon(busy ? "stop" : "send"));
    this.#enable();
  }

  setSelection(selection: string): void {
    const { strings } = this.#actions;
    this.#selection = selection;
    this.#chip.hidden = !selection;
    const remove = iconButton("close", strings.removeSelection, () => {
      this.setSelection("");
      this.focus();
    });
    const quote = h("q", { dir: "auto", title: selection.slice(0, 1000) }, selection.slice(0, 160));
    this.#chip.replaceChildren(icon("quote"), h("span", { class: "unseen" }, strings.selectionLabel), quote, remove);
  }

  /** Enter asks; while a character is being composed it only ends that (229 says so where isComposing is late). */
  #typed(event: KeyboardEvent): void {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!this.#busy) this.#send();
  }

  #send(): void {
    const question = this.#input.value.trim();
    if (!question) return;
    const selection = this.#selection;
    this.draft = "";
    this.setSelection("");
    this.#actions.ask(question, selection);
  }

  #enable(): void {
    this.#button.disabled = !this.#busy && !this.#input.value.trim();
  }

  #grow(): void {
    const { style } = this.#input;
    style.height = "";
    // Nothing has a height while the panel is closed.
    if (this.#input.scrollHeight) style.height = `${this.#input.scrollHeight}px`;
    this.#enable();
  }
}
