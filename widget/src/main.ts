/** Reads the script tag, puts the widget on the page and offers it as window.AskTheBook. */

import { readConfig } from "./config.ts";
import { AskTheBookElement } from "./element.ts";

const NAME = "ask-the-book";

export interface AskTheBookApi {
  open(): void;
  close(): void;
  ask(question: string, selection?: string): void;
  pageChanged(): void;
  destroy(): void;
}

declare global {
  interface Window {
    AskTheBook?: AskTheBookApi;
  }
}

const script =
  document.currentScript instanceof HTMLScriptElement
    ? document.currentScript
    : document.querySelector<HTMLScriptElement>('script[src*="/widget"]');

function start({ src, dataset }: HTMLScriptElement): void {
  const config = readConfig(src, dataset, document.baseURI);
  if (!customElements.get(NAME)) customElements.define(NAME, AskTheBookElement);
  const element = document.createElement(NAME) as AskTheBookElement;
  element.start(config);
  window.AskTheBook = {
    open: () => element.open(),
    close: () => element.close(),
    ask: (question, selection) => element.ask(String(question), String(selection ?? "")),
    pageChanged: () => element.pageChanged(),
    destroy() {
      element.destroy();
      delete window.AskTheBook;
    },
  };
}

if (script && !window.AskTheBook) {
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", () => window.AskTheBook ?? start(script), { once: true });
  } else start(script);
}
