/** The script tag's attributes, read once. */

import { english, type Strings } from "./strings.ts";
import { fields, list, parseJson, text } from "./wire.ts";

export interface Config {
  /** The server's base URL, without a slash at its end. */
  server: string;
  strings: Strings;
  examples: string[];
  theme: string;
  dir: string;
  side: "start" | "end";
  shortcut: string;
  selection: boolean;
  /** A CSS selector: only text within it is offered. Empty: the whole page. */
  selectionWithin: string;
  suggestions: boolean;
  launcher: boolean;
  navigate: "auto" | "history";
  /** The root of the site, ending in a slash: where site-relative links start. */
  siteRoot: string;
  accent: string;
  accentInk: string;
}

type Attributes = Readonly<Record<string, string | undefined>>;

const MAX_EXAMPLES = 6;

/** @throws TypeError when neither `data-server` nor the script's address is an http(s) URL. */
export function readConfig(scriptUrl: string, data: Attributes, pageUrl: string): Config {
  return {
    server: readServer(scriptUrl, data.server, pageUrl),
    strings: readStrings(data),
    examples: readList(data.examples).slice(0, MAX_EXAMPLES),
    theme: data.theme ?? "auto",
    dir: data.dir ?? "auto",
    side: data.side === "start" ? "start" : "end",
    shortcut: data.shortcut ?? "mod+i",
    selection: data.selection !== "off",
    selectionWithin: data.selectionWithin ?? "",
    suggestions: data.suggestions !== "off",
    launcher: data.launcher !== "off",
    navigate: data.navigate === "history" ? "history" : "auto",
    siteRoot: new URL(`${data.siteRoot ?? "/"}/`.replace(/\/+$/, "/"), pageUrl).href,
    accent: data.accent ?? "",
    accentInk: data.accentInk ?? "",
  };
}

function readServer(scriptUrl: string, server: string | undefined, pageUrl: string): string {
  const url = server ? new URL(server, pageUrl) : new URL("/", scriptUrl);
  if (!/^https?:$/.test(url.protocol)) throw new TypeError(`no server at ${url.href}`);
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

/** The common strings have attributes of their own; `data-strings` has the last word. */
function readStrings({ title, greeting, placeholder, strings }: Attributes): Strings {
  const given = { title, open: title, greeting, placeholder, ...fields(parseJson(strings ?? "")) };
  const words = Object.entries(given).filter(([, word]) => typeof word === "string");
  return { ...english, ...(Object.fromEntries(words) as Strings) };
}

/** A JSON list of strings, or strings separated by `|`. */
export function readList(value: string | undefined): string[] {
  const parsed = parseJson(value ?? "");
  const items = Array.isArray(parsed) ? list(parsed).map(text) : (value ?? "").split("|");
  return items.map((item) => item.trim()).filter(Boolean);
}
