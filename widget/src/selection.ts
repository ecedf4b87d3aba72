/** Notices text the reader has selected on the page. Nothing leaves the page from here. */

import { clip, MAX_SELECTION } from "./conversation.ts";

export interface SelectedText {
  text: string;
  /** Where the selection ends, in viewport pixels. */
  rect: DOMRect;
}

const SETTLE_MS = 200;
const MIN_CHARACTERS = 3;

const tidy = (text: string): string => clip(text.replace(/\u200b|[ \t]+$/gm, "").trim(), MAX_SELECTION);

const isEditable = (element: Element | null): boolean =>
  element?.closest("input, textarea, select, [contenteditable]:not([contenteditable=false])") != null;

/** The selected text of the page, or null when there is none worth asking about. */
export function selectedText(within: string): SelectedText | null {
  const selection = getSelection();
  if (!selection || selection.isCollapsed || !selection.rangeCount) return null;
  const range = selection.getRangeAt(0);
  const container = range.commonAncestorContainer;
  const element = container instanceof Element ? container : container.parentElement;
  if (!element || isEditable(element) || isEditable(document.activeElement)) return null;
  if (within && !element.closest(within)) return null;
  const text = tidy(selection.toString());
  const rect = Array.from(range.getClientRects()).at(-1);
  return text.length >= MIN_CHARACTERS && rect ? { text, rect } : null;
}

/** Calls back when the selection, or what is seen of it, has settled. */
export function watchSelection(within: string, signal: AbortSignal, changed: (selected: SelectedText | null) => void): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const settle = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => signal.aborted || changed(selectedText(within)), SETTLE_MS);
  };
  document.addEventListener("selectionchange", settle, { signal });
  for (const type of ["scroll", "resize"]) addEventListener(type, settle, { signal });
}
