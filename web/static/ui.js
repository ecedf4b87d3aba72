// What the page does by itself: the list of earlier conversations, which never leaves the browser, and clean copies.
const askTheBook = (() => {
  const MOST = 30;
  const MOST_CHARACTERS = 2_000_000;
  let wanted = null;

  const escaped = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
  const kept = (shelf) => (Array.isArray(shelf) ? shelf : []).filter((chat) => chat?.id && chat.turns?.length);

  function shelve(shelf, chat) {
    const others = kept(shelf).filter((other) => other.id !== chat?.id);
    let all = chat?.turns?.length ? [chat, ...others].slice(0, MOST) : kept(shelf);
    while (all.length > 1 && JSON.stringify(all).length > MOST_CHARACTERS) all = all.slice(0, -1);
    return [all]; // one output, which is a list
  }

  function entry(chat, open) {
    const title = escaped(chat.turns[0].question.slice(0, 80));
    const current = chat.id === open?.id ? ' aria-current="true"' : "";
    return `<li><button type="button" class="open" data-open="${escaped(chat.id)}"${current} dir="auto">${title}</button>`
      + `<button type="button" class="drop" data-drop="${escaped(chat.id)}" aria-label="Delete: ${title}">×</button></li>`;
  }

  function list(shelf, chat) {
    const all = kept(shelf);
    if (!all.length) return "";
    return `<details class="history"><summary>Earlier chats <span class="count">${all.length}</span></summary>`
      + `<ul>${all.map((one) => entry(one, chat)).join("")}</ul></details>`;
  }

  function listen(element, trigger) {
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-open], button[data-drop]");
      if (!button) return;
      wanted = button.dataset.open ?? button.dataset.drop;
      trigger(button.dataset.open ? "select" : "delete", {});
    });
    const shut = () => element.querySelector("details")?.removeAttribute("open");
    document.addEventListener("click", (event) => element.contains(event.target) || shut());
    element.addEventListener("keydown", (event) => event.key === "Escape" && shut());
  }

  const chosen = (shelf) => [kept(shelf).find((chat) => chat.id === wanted) ?? null];
  const without = (shelf) => [kept(shelf).filter((chat) => chat.id !== wanted)];

  function titled() {
    const title = document.getElementById("book-title")?.textContent;
    if (title) document.title = title;
  }

  // Answers hold links and entities that are there for the screen; what is copied is plain Markdown.
  function asMarkdown(text) {
    const shown = text
      .replace(/^[^\n]*\n\s*<ol class="sources">.*?<\/ol>\s*/s, "")
      .replace(/<a class="cite" href="([^"]*)"[^>]*>(\d+)<\/a>/g, "[$2]($1)")
      .replace(/<pre><code>(.*?)<\/code><\/pre>/g, "\n```\n$1\n```\n")
      .replace(/<code>(.*?)<\/code>/g, "`$1`")
      .replace(/\\\(\{\}(.*?)\{\}\\\)/g, "$$$1$$")
      .replace(/\\\[\{\}(.*?)\{\}\\\]/g, "$$$$$1$$$$")
      .replace(/<div dir="rtl">\n\n|\n\n<\/div>/g, "");
    return decoded(shown);
  }

  function decoded(text) {
    const decoder = document.createElement("textarea");
    decoder.innerHTML = text;
    return decoder.value;
  }

  // What Gradio leaves without a name, or names by its source text, gets the name a screen reader should say.
  const NAMES = {
    "#question .submit-button": "Ask",
    "#question .stop-button": "Stop the answer",
    "#conversation .edit-textarea": "Your question, to be edited",
  };
  let planned = false;

  // A question is shown escaped, and edited as it was written.
  function plain(editor) {
    editor.dataset.plain = "yes";
    editor.value = decoded(editor.value);
    editor.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function name() {
    planned = false;
    for (const [selector, label] of Object.entries(NAMES)) {
      document.querySelectorAll(selector).forEach((element) => element.setAttribute("aria-label", label));
    }
    document.querySelectorAll("#conversation .edit-textarea:not([data-plain])").forEach(plain);
    document.querySelectorAll("#conversation [data-testid][aria-label]").forEach((it) => it.removeAttribute("aria-label"));
    for (const link of document.querySelectorAll("#conversation a.cite:not([aria-label])")) {
      link.setAttribute("aria-label", `Source ${link.textContent}: ${link.title}`);
    }
    document.querySelectorAll("#conversation .examples[role=list]").forEach((it) => it.setAttribute("role", "group"));
    for (const title of document.querySelectorAll("#conversation .thought-group > [role=button]")) {
      title.querySelector("button")?.setAttribute("inert", ""); // a button within a button
      title.setAttribute("aria-expanded", String(title.nextElementSibling !== null));
    }
  }

  new MutationObserver(() => {
    if (!planned) requestAnimationFrame(name);
    planned = true;
  }).observe(document.documentElement, { childList: true, subtree: true });

  if (navigator.clipboard) {
    const write = navigator.clipboard.writeText.bind(navigator.clipboard);
    navigator.clipboard.writeText = (text) => write(asMarkdown(text));
  }

  return { shelve, list, listen, chosen, without, titled, asMarkdown };
})();
