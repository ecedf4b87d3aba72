import "./browser-like.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { AnswerView } from "../src/render.ts";
import type { Source } from "../src/wire.ts";

const source = (n: number, url: string): Source => ({ n, url, title: `Title ${n}`, breadcrumbs: [] });
const SOURCES = [source(1, "/guide/pid#pid"), source(2, "https://elsewhere.example/x"), source(3, "javascript:alert(3)")];

function show(answer: string, sources = SOURCES): HTMLElement {
  const view = new AnswerView({ siteRoot: "https://book.example/", sourceLabel: ({ n }) => `Source ${n}` });
  view.update(answer, sources);
  return view.element;
}

const ALLOWED = "P BR STRONG EM DEL CODE PRE BLOCKQUOTE UL OL LI H3 H4 H5 H6 HR A TABLE THEAD TBODY TR TH TD DIV SPAN".split(" ");

const HOSTILE = [
  "<script>alert(1)</script>",
  "a <script>alert(1)</script> b",
  "<img src=x onerror=alert(1)>",
  "![x](https://tracker.example/p.png)",
  "![x](javascript:alert(1))",
  "<iframe src=https://evil.example></iframe>",
  "<form action=https://evil.example><input name=q><button>go</button></form>",
  "<style>*{display:none}</style>",
  "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
  "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt&#58;alert(1))",
  "[x](data:text/html;base64,PHNjcmlwdD4=)",
  "[x](vbscript:msgbox)",
  "[x](//evil.example/path)",
  "[x](/\\evil.example)",
  "[x](https://ok.example/\"onmouseover=\"alert(1))",
  '[x](https://ok.example "onmouseover=alert(1)")',
  "<javascript:alert(1)>",
  "[x][evil]\n\n[evil]: javascript:alert(1)",
  "[1](javascript:alert(1))",
  "[1]: javascript:alert(1)\n\n[1]",
  "<a href='javascript:alert(1)' id=x class=cite style='position:fixed'>y</a>",
  "`<img src=x onerror=alert(1)>`",
  "```html\n<script>alert(1)</script>\n```",
  "| <b onclick=x> | <script> |\n| --- | --- |\n| ![a](b) | <i> |",
  "- [x] <input type=checkbox autofocus onfocus=alert(1)>",
  "<!-- <script>alert(1)</script> -->",
  "<div><p id=a name=b>",
  "<details open ontoggle=alert(1)>",
];

function assertHarmless(root: HTMLElement, what: string): void {
  for (const element of root.querySelectorAll("*")) {
    assert.ok(ALLOWED.includes(element.tagName), `${what}: <${element.tagName}>`);
    for (const { name, value } of element.attributes) {
      const known = ["href", "rel", "target", "class", "aria-label", "title", "tabindex", "start", "align"];
      assert.ok(known.includes(name), `${what}: ${name}=${value}`);
      if (name === "href") assert.match(value, /^https?:\/\/[a-z]/, what);
      if (name === "class") assert.match(value, /^(?:cite|scroll)$/, what);
    }
  }
}

test("hostile answers stay text", () => {
  for (const answer of HOSTILE) assertHarmless(show(answer), answer);
});

test("hostile answers stay text however far they have arrived", () => {
  const answer = HOSTILE.join("\n\n");
  const view = new AnswerView({ siteRoot: "https://book.example/", sourceLabel: () => "Source" });
  for (let length = 0; length <= answer.length; length += 7) {
    view.update(answer.slice(0, length), SOURCES);
    assertHarmless(view.element, answer.slice(0, length));
  }
});

test("raw HTML can be read as what it is", () => {
  assert.equal(show("Use <script>alert(1)</script> never.").textContent?.trim(), "Use <script>alert(1)</script> never.");
  assert.equal(show("<form action=x>").textContent?.trim(), "<form action=x>");
  assert.equal(show("![a diagram](https://x.example/a.png)").textContent?.trim(), "a diagram");
  assert.match(show("[x](javascript:alert(1))").textContent ?? "", /javascript:alert/);
});

test("a marker is a numbered link to its source", () => {
  const link = show("True [1].").querySelector("a.cite");
  assert.equal(link?.getAttribute("href"), "https://book.example/guide/pid#pid");
  assert.equal(link?.textContent, "1");
  assert.equal(link?.getAttribute("rel"), "noopener");
  assert.equal(link?.getAttribute("aria-label"), "Source 1");
  assert.equal(link?.hasAttribute("target"), false);
});

test("a source elsewhere opens its own tab", () => {
  const link = show("True [2].").querySelector("a.cite");
  assert.equal(link?.getAttribute("target"), "_blank");
  assert.equal(link?.getAttribute("rel"), "noopener");
});

test("the definitions of a finished answer neither show nor change where markers lead", () => {
  const element = show('True [1] [2].\n\n[1]: https://evil.example/ "E"\n[2]: /guide/other "O"');
  assert.equal(element.textContent?.trim(), "True 1 2.");
  assert.deepEqual(
    Array.from(element.querySelectorAll("a"), (link) => link.getAttribute("href")),
    ["https://book.example/guide/pid#pid", "https://elsewhere.example/x"],
  );
});

test("unknown numbers, unsafe sources and markers in code are text", () => {
  assert.equal(show("True [9].").querySelector("a"), null);
  assert.equal(show("True [9].").textContent?.trim(), "True [9].");
  assert.equal(show("True [3].").querySelector("a"), null);
  assert.equal(show("`x[1]`").querySelector("a"), null);
});

test("a bare address is text", () => {
  for (const address of ["https://evil.example/x", "www.evil.example", "a@evil.example", "<https://evil.example>", "<a@evil.example>"]) {
    const element = show(`See ${address} now [1].`);
    assert.equal(element.querySelectorAll("a").length, 1, address);
    assert.ok(element.textContent?.includes(address.replace(/[<>]/g, "")), address);
  }
});

test("a link dressed as a citation is not one", () => {
  const element = show("True [1](https://evil.example/).");
  assert.equal(element.querySelector(".cite"), null);
});

test("Markdown looks like Markdown", () => {
  const element = show("# Title\n\n- *a*\n- **b**\n\n| x |\n| --- |\n| 1 |\n\n```js\nlet a;\n```\n\n- [x] done\n\nline<br>break");
  for (const selector of ["h3", "ul em", "strong", ".scroll[tabindex] table td", "pre[tabindex] code", "br"]) {
    assert.ok(element.querySelector(selector), selector);
  }
  assert.match(element.textContent ?? "", /☑ done/);
});

test("what has not changed is not built again", () => {
  const view = new AnswerView({ siteRoot: "https://book.example/", sourceLabel: () => "" });
  view.update("One.\n\nTwo", SOURCES);
  const [first, second] = view.element.querySelectorAll("p");
  view.update("One.\n\nTwo grows.\n\nThree", SOURCES);
  const paragraphs = view.element.querySelectorAll("p");
  assert.equal(paragraphs[0], first);
  assert.notEqual(paragraphs[1], second);
  assert.deepEqual(Array.from(paragraphs, (paragraph) => paragraph.textContent), ["One.", "Two grows.", "Three"]);
});
