// The smallest router that follows the history: it shows where it is and never loads a page.
const show = () => {
  document.getElementById("route").textContent = location.pathname + location.hash;
  document.title = `Route ${location.pathname}`;
};
addEventListener("popstate", show);
addEventListener("askthebook:navigate", (event) => {
  if (document.documentElement.dataset.router !== "event") return;
  event.preventDefault();
  history.pushState(null, "", event.detail.path);
  show();
  window.AskTheBook.pageChanged();
});
