import { dom } from "./browser-like.ts";
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { readConfig, readList } from "../src/config.ts";
import { resolveLink } from "../src/navigation.ts";
import { suggestedQuestions } from "../src/page.ts";
import { matches } from "../src/shortcut.ts";
import { revive, serialize } from "../src/storage.ts";
import { ask, empty } from "../src/conversation.ts";
import { english, fill, sayProblem, type Strings } from "../src/strings.ts";
import { readDirection, readTheme } from "../src/theme.ts";

const { document } = dom.window;
const SCRIPT = "https://space.example/widget.js?v=1";
const PAGE = "https://book.example/guide/intro";
const config = (data: Record<string, string>) => readConfig(SCRIPT, data, PAGE);

afterEach(() => {
  document.head.innerHTML = document.body.innerHTML = "";
  for (const element of [document.documentElement, document.body]) {
    for (const { name } of [...element.attributes]) element.removeAttribute(name);
  }
});

test("the server is where the script came from, unless the tag says otherwise", () => {
  assert.equal(config({}).server, "https://space.example");
  assert.equal(config({ server: "https://other.example/base/" }).server, "https://other.example/base");
  assert.equal(config({ server: "/here" }).server, "https://book.example/here");
  assert.throws(() => config({ server: "javascript:alert(1)" }), TypeError);
});

test("every string can be replaced, by JSON or by its short name", () => {
  const { strings } = config({
    strings: '{"send":"Senden","error.waking":"Gleich","close":7,"greeting":"Guten Tag"}',
    title: "Frag das Buch",
    greeting: "Hallo",
    placeholder: "Frage",
  });
  const { send, title, open, greeting, placeholder } = strings;
  assert.deepEqual(
    [send, title, open, greeting, placeholder],
    ["Senden", "Frag das Buch", "Frag das Buch", "Guten Tag", "Frage"],
  );
  assert.equal(strings["error.waking"], "Gleich");
  assert.equal(strings.close, english.close);
  assert.equal(config({ strings: "{broken" }).strings.send, english.send);
});

test("words for a problem: the page's, the server's, ours", () => {
  const strings: Strings = { ...english, "error.budget_exhausted": "Genug für heute." };
  assert.equal(sayProblem(strings, "error", "budget_exhausted", "Budget."), "Genug für heute.");
  assert.equal(sayProblem(strings, "error", "model_error", "The model failed."), "The model failed.");
  assert.equal(sayProblem(strings, "error", "unheard_of", ""), english["error.internal"]);
  assert.equal(fill("{n} of {m}", { n: 1 }), "1 of {m}");
});

test("lists are JSON or separated by bars", () => {
  assert.deepEqual(readList('["a|b"," c "]'), ["a|b", "c"]);
  assert.deepEqual(readList("a | b ||"), ["a", "b"]);
  assert.deepEqual(readList(undefined), []);
});

test("site-relative links start at the root of the site, and only http leads anywhere", () => {
  const root = config({ siteRoot: "/book" }).siteRoot;
  assert.equal(root, "https://book.example/book/");
  assert.equal(resolveLink("/docs/a#b", root)?.href, "https://book.example/book/docs/a#b");
  assert.equal(resolveLink("/book/docs/a", root)?.href, "https://book.example/book/docs/a");
  assert.equal(resolveLink("https://x.example/a", root)?.href, "https://x.example/a");
  for (const url of ["", "a", "#a", "../a", "//x.example", "/\\x.example", "javascript:1", "data:,x", "mailto:a@b", "http://", " https://x"]) {
    assert.equal(resolveLink(url, root), undefined, url);
  }
});

test("the theme is what the page says, then what the system wishes", () => {
  assert.equal(readTheme(document, true), "dark");
  assert.equal(readTheme(document, false), "light");
  document.documentElement.setAttribute("data-theme", "dark");
  assert.equal(readTheme(document, false), "dark");
  document.documentElement.setAttribute("data-theme", "light");
  assert.equal(readTheme(document, true), "light");
  document.documentElement.removeAttribute("data-theme");
  document.documentElement.className = "navy sidebar-visible";
  assert.equal(readTheme(document, false), "dark");
  document.documentElement.className = "";
  document.body.setAttribute("data-md-color-scheme", "default");
  assert.equal(readTheme(document, true), "light");
});

test("the direction is the page's", () => {
  assert.equal(readDirection(document), "ltr");
  document.body.style.direction = "rtl";
  assert.equal(readDirection(document), "rtl");
});

test("questions are the page's own, else made of its headings", () => {
  document.body.innerHTML = `<nav><h2>Menu</h2></nav><article><h1>Motion</h1>
    <h2>Wheels<a class="hash-link" href="#wheels">\u200b</a></h2><h2>C# ¶</h2><h2>Wheels #</h2><h2> </h2></article>`;
  assert.deepEqual(suggestedQuestions(english as Strings), ["What is “Motion” about?", "Explain “Wheels”", "Explain “C#”"]);
  document.head.innerHTML = '<meta name="askthebook:questions" content="One?|Two?|Three?|Four?">';
  assert.deepEqual(suggestedQuestions(english as Strings), ["One?", "Two?", "Three?"]);
});

test("the shortcut needs exactly its keys", () => {
  const press = (key: string, held: Partial<KeyboardEvent> = {}) =>
    ({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held }) as KeyboardEvent;
  Object.defineProperty(globalThis, "navigator", { value: { platform: "Linux" }, configurable: true });
  assert.equal(matches(press("i", { ctrlKey: true }), "mod+i"), true);
  assert.equal(matches(press("I", { ctrlKey: true, shiftKey: true }), "mod+i"), false);
  assert.equal(matches(press("i"), "mod+i"), false);
  assert.equal(matches(press("K", { altKey: true, shiftKey: true }), "alt+shift+k"), true);
  Object.defineProperty(globalThis, "navigator", { value: { platform: "MacIntel" }, configurable: true });
  assert.equal(matches(press("i", { metaKey: true }), "mod+i"), true);
});

test("what was remembered comes back, and a broken memory is none", () => {
  const conversation = ask(empty(), { question: "Q", selection: "", page: null });
  const revived = revive(JSON.parse(serialize({ conversation, open: true, draft: "d" })));
  assert.equal(revived.conversation.exchanges[0]?.phase, "stopped");
  assert.deepEqual([revived.open, revived.draft], [true, "d"]);
  assert.deepEqual(revive(null), { conversation: empty(), open: false, draft: "" });
});

test("what is remembered is bounded, and the newest is kept", () => {
  let conversation = empty();
  for (let n = 0; n < 20; n += 1) conversation = ask(conversation, { question: `Q${n}`, selection: "", page: null });
  conversation.exchanges = conversation.exchanges.map((exchange) => ({ ...exchange, answer: "x".repeat(40_000) }));
  const json = serialize({ conversation, open: false, draft: "" });
  assert.ok(json.length <= 300_000);
  assert.equal(revive(JSON.parse(json)).conversation.exchanges.at(-1)?.question, "Q19");
});
