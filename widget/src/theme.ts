/** Light or dark, left-to-right or right-to-left: read from the page, and followed live. */

export type Theme = "light" | "dark";
export type Direction = "ltr" | "rtl";

const NAMED_DARK = /\b(?:dark|slate|coal|navy|ayu)\b/;
const NAMED_LIGHT = /\b(?:light|rust|default)\b/;
const MARKS = ["data-theme", "data-md-color-scheme", "data-color-mode", "class"];

/** What the page says about itself, in the words of common site generators; else the system's wish. */
export function readTheme(page: Document, systemIsDark: boolean): Theme {
  for (const element of [page.documentElement, page.body]) {
    for (const mark of MARKS) {
      const value = element?.getAttribute(mark) ?? "";
      if (NAMED_DARK.test(value)) return "dark";
      if (NAMED_LIGHT.test(value)) return "light";
    }
  }
  return systemIsDark ? "dark" : "light";
}

export const readDirection = (page: Document): Direction =>
  getComputedStyle(page.body).direction === "rtl" ? "rtl" : "ltr";

/** Calls back now and whenever the page or the system changes its mind. */
export function followPage(
  wish: { theme: string; dir: string },
  signal: AbortSignal,
  use: (theme: Theme, dir: Direction) => void,
): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const read = (): void =>
    use(
      wish.theme === "dark" || wish.theme === "light" ? wish.theme : readTheme(document, system.matches),
      wish.dir === "rtl" || wish.dir === "ltr" ? wish.dir : readDirection(document),
    );
  const observer = new MutationObserver(read);
  const options = { attributes: true, attributeFilter: [...MARKS, "dir"] };
  observer.observe(document.documentElement, options);
  observer.observe(document.body, options);
  system.addEventListener("change", read, { signal });
  signal.addEventListener("abort", () => observer.disconnect());
  read();
}
