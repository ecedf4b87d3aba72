/** A keyboard shortcut written as `mod+i`, `alt+shift+k`; `mod` is Command on a Mac, else Control. */

const isMac = (): boolean => /Mac|iP(?:hone|ad)/.test(navigator.platform);

export function matches(event: KeyboardEvent, shortcut: string): boolean {
  const parts = shortcut.toLowerCase().split("+");
  const key = parts.pop();
  const mod = parts.includes("mod");
  return (
    event.key.toLowerCase() === key &&
    event.ctrlKey === (parts.includes("ctrl") || (mod && !isMac())) &&
    event.metaKey === (parts.includes("meta") || (mod && isMac())) &&
    event.altKey === parts.includes("alt") &&
    event.shiftKey === parts.includes("shift")
  );
}
