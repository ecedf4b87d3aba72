// Tells the widget of every change of page, and the site's router where a citation leads.

import siteConfig from "@generated/docusaurus.config";

export function onRouteDidUpdate({ location, previousLocation }) {
  if (previousLocation && location.pathname !== previousLocation.pathname) {
    window.AskTheBook?.pageChanged();
  }
}

// The router follows the browser's history: a new entry and one event, and it shows the page.
function navigate(event) {
  const { path } = event.detail;
  if (!path.startsWith(siteConfig.baseUrl)) return;
  event.preventDefault();
  window.history.pushState(null, "", path);
  window.dispatchEvent(new PopStateEvent("popstate", { state: null }));
}

if (typeof window !== "undefined") window.addEventListener("askthebook:navigate", navigate);
