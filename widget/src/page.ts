/** What the widget knows of the page it is on: its address, its title, what one could ask about it. */

import { readList } from "./config.ts";
import { clip } from "./conversation.ts";
import { fill, type Strings } from "./strings.ts";
import type { PageReference } from "./wire.ts";

const MAX_SUGGESTIONS = 3;
const MAX_HEADING = 80;

/** The page's address, without a query or a fragment, and its title. */
export function currentPage(): PageReference {
  const url = location.origin + location.pathname;
  return { url: clip(url, 2000), title: clip(document.title, 300) };
}

/** A heading's words, without the permalink that site generators put at its end. */
const headingText = (heading: Element): string =>
  (heading.textContent ?? "").replace(/[¶§\s\u200b]+$|\s#$/, "").replace(/\s+/g, " ").trim();

function headings(selector: string): string[] {
  const root = document.querySelector("article, main, [role=main]") ?? document.body;
  const texts = Array.from(root.querySelectorAll(selector), headingText);
  return [...new Set(texts)].filter((heading) => heading && heading.length <= MAX_HEADING);
}

/** The page's own questions (`<meta name="askthebook:questions">`), else some made of its headings. */
export function suggestedQuestions(strings: Strings): string[] {
  const meta = document.querySelector<HTMLMetaElement>('meta[name="askthebook:questions"]');
  const own = readList(meta?.content);
  if (own.length) return own.slice(0, MAX_SUGGESTIONS);
  const title = headings("h1")[0];
  const about = title ? [fill(strings.suggestPage, { title })] : [];
  const explain = headings("h2").map((heading) => fill(strings.suggestHeading, { heading }));
  return [...about, ...explain].slice(0, MAX_SUGGESTIONS);
}
