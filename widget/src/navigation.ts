/** Where links lead, and how to get there without reloading the page when the site can do that. */

/** An http(s) URL; site-relative ones start at the root of the site. Everything else is undefined. */
export function resolveLink(url: string, siteRoot: string): URL | undefined {
  try {
    const root = new URL(siteRoot);
    const relative = /^\/(?![/\\])/.test(url);
    if (!relative && !/^https?:\/\//i.test(url)) return undefined;
    const inside = relative && !url.startsWith(root.pathname);
    return inside ? new URL(url.slice(1), root) : new URL(url, root);
  } catch {
    return undefined;
  }
}

export interface SiteNavigation {
  navigate: "auto" | "history";
  siteRoot: string;
}

/**
 * Handles a plain click on a link into the site. The page is asked first, with a cancelable
 * `askthebook:navigate` event; then the site's router is told through the history, where the
 * script tag says so; else the browser follows the link as it always does, to a heading of
 * the same page without loading anything. Returns whether the reader stays in this tab.
 */
export function follow(event: MouseEvent, link: HTMLAnchorElement, { navigate, siteRoot }: SiteNavigation): boolean {
  const { href, origin, pathname, search, hash } = new URL(link.href);
  const modified = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (event.button !== 0 || modified || origin !== location.origin) return false;
  const detail = { url: href, path: pathname + search + hash };
  const samePage = pathname + search === location.pathname + location.search;
  if (!dispatchEvent(new CustomEvent("askthebook:navigate", { cancelable: true, detail }))) event.preventDefault();
  else if (samePage && !hash) {
    event.preventDefault();
    scrollTo({ top: 0 });
  } else if (!samePage && navigate === "history" && href.startsWith(siteRoot)) {
    event.preventDefault();
    history.pushState(null, "", href);
    dispatchEvent(new PopStateEvent("popstate", { state: null }));
  }
  return true;
}
