/** A document for tests of what is rendered; import it before anything that looks for one. */

import { JSDOM } from "jsdom";

export const dom = new JSDOM("<!doctype html><html><body></body></html>", { url: "https://book.example/guide/intro" });

const { window } = dom;
for (const name of ["document", "location", "getComputedStyle", "Element", "Node", "HTMLElement", "HTMLAnchorElement"]) {
  Object.defineProperty(globalThis, name, { value: window[name as keyof typeof window], configurable: true });
}
Object.defineProperty(globalThis, "window", { value: window, configurable: true });
