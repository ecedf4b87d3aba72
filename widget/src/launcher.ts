/** The two ways in that float over the page: the button, and "Ask about this" at a selection. */

import { h, icon } from "./dom.ts";
import type { SelectedText } from "./selection.ts";
import type { Strings } from "./strings.ts";

const GAP = 8;

export function launcherButton(strings: Strings, open: () => void): HTMLButtonElement {
  const label = h("span", { dir: "auto" }, strings.open);
  return h("button", { type: "button", class: "launcher", "aria-haspopup": "dialog", onclick: open }, icon("book"), label);
}

/** A small button below the end of the selection. */
export class SelectionButton {
  readonly element: HTMLButtonElement;
  #text = "";

  constructor(strings: Strings, ask: (text: string) => void) {
    this.element = h(
      "button",
      {
        type: "button",
        class: "ask-selection",
        hidden: true,
        // Pressing must not take the selection away before it is used.
        onpointerdown: (event: PointerEvent) => event.preventDefault(),
        onclick: () => ask(this.#text),
      },
      icon("quote"),
      h("span", { dir: "auto" }, strings.askSelection),
    );
  }

  show(selected: SelectedText | null): void {
    this.#text = selected?.text ?? "";
    this.element.hidden = !selected;
    if (!selected) return;
    const { offsetWidth, offsetHeight, style } = this.element;
    const { right, bottom } = selected.rect;
    const within = (wish: number, end: number): string => `${Math.max(GAP, Math.min(wish, end - GAP))}px`;
    style.top = within(bottom + GAP, innerHeight - offsetHeight);
    style.left = within(right - offsetWidth / 2, document.documentElement.clientWidth - offsetWidth);
  }
}
