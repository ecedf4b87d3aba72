import "./browser-like.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { JSDOM } from "jsdom";
import { MarkdownBuilder } from "../src/markdown.ts";
import { AnswerView } from "../src/render.ts";
import type { Source } from "../src/wire.ts";

const source = (n: number, url: string): Source => ({ n, url, title: `Title ${n}`, breadcrumbs: [] });
const SOURCES = [source(1, "/guide/pid#pid"), source(2, "https://elsewhere.example/x"), source(3, "javascript:alert(3)")];

function show(answer: string, sources = SOURCES): HTMLElement {
  const view = new AnswerView({ siteRoot: "https://book.example/", sourceLabel: ({ n }) => `Source ${n}` });
  view.update(answer, sources);
  return view.element;
}

const TARGETS = ["https://book.example/guide/pid#pid", "https://elsewhere.example/x"];
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
  "[a ![b [1] c](javascript:alert(1)) d](/guide/pid#pid)",
  "[![x](https://tracker.example/p.png)](/guide/pid#pid)",
  "[x](/guide/pid#pid \"onmouseover=alert(1)\")",
  "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62; &#x3c;b&#x3e;",
  "&amp;lt;script&amp;gt; \\&lt;script>",
  "<pre>&lt;script&gt; *<b onclick=x>*</pre> a <pre>&lt;img src=x onerror=alert(1)&gt;</pre>",
  "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
  "<template><script>alert(1)</script></template><xmp><b onclick=x>",
  "<![CDATA[<script>alert(1)</script>]]> <?php <b onclick=x> ?> <!DOCTYPE html>",
  "| a | b |\n| :-: | --: |\n| `<b onclick=x>` | [x](javascript:alert(1)) |",
  "## <img src=x onerror=alert(1)> ##\n\n<b onclick=x>\n===",
  "```\" onload=alert(1) x=\"\n</code></pre><script>alert(1)</script>",
  "    <script>alert(1)</script>",
  "[constructor] [__proto__] [toString][] ![hasOwnProperty][valueOf]",
  "[^1]: <b onclick=x>\n\n[^1] $<b>$ ::: warning\n<b>\n:::",
  "Fact [1].\r\r[foo]: https://evil.example/\r\rRead [foo].",
  "<a\u0000href=javascript:alert(1)>\u2028<\u0000script>",
];

function assertHarmless(root: HTMLElement, what: string): void {
  for (const element of root.querySelectorAll("*")) {
    assert.ok(ALLOWED.includes(element.tagName), `${what}: <${element.tagName}>`);
    for (const { name, value } of element.attributes) {
      const known = ["href", "rel", "target", "class", "aria-label", "title", "tabindex", "start", "align"];
      assert.ok(known.includes(name), `${what}: ${name}=${value}`);
      if (name === "href") assert.ok(TARGETS.includes(value), `${what}: ${value}`);
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

// Starts and ends of blocks and of inline elements, and what stands between them.
const PIECES = [
  ..."\n|\n\n|\r|\r\n|    |\t|> |- |1. |# |---\n|===\n|```|~~~|`|``|*|**|_|~~|\\|<|>|</|<!--|-->|<b onclick=x>|</b>".split("|"),
  ..."<script>|</script>|<pre>|</pre>|<svg/onload=x>|<br>|[|]|(|)|![|](|]: |[1]|[2]|[3]|[x]|/guide/pid#pid|//evil.example".split("|"),
  ..."https://evil.example/|javascript:alert(1)|data:text/html,x|a@evil.example|&lt;|&amp;|&#60;|&#x6a;|\"|'|=|on|a|b ".split("|"),
  ..."[x]: https://evil.example/\n|[1]: javascript:x\n|- [x] ".split("|"),
  "| a | b |\n|:-:|---|\n| ",
  " | ",
];

test("whatever is put together, nothing but text and links to sources comes of it", () => {
  let seed = 7;
  const below = (limit: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * limit);
  };
  for (let round = 0; round < 1000; round += 1) {
    const answer = Array.from({ length: 1 + below(14) }, () => PIECES[below(PIECES.length)]).join("");
    assertHarmless(show(answer), JSON.stringify(answer));
  }
});

test("a link that is none of the sources is shown as it is written", () => {
  for (const link of ["[x](https://evil.example/)", "[x](/guide/other)", "[*x*](/guide/pid#pid-2)", "[x](https://book.example/guide/pid#pid)"]) {
    const element = show(`See ${link} now.`);
    assert.equal(element.querySelector("a"), null, link);
    assert.equal(element.textContent?.trim(), `See ${link} now.`);
  }
  const link = show("See [the *chapter*](/guide/pid#pid).").querySelector("a");
  assert.equal(link?.outerHTML, '<a href="https://book.example/guide/pid#pid" rel="noopener">the <em>chapter</em></a>');
});

test("a token of an unknown type is its source text, also inside another", () => {
  const builder = new MarkdownBuilder(() => undefined);
  const unknown = { type: "script", raw: "<script>alert(1)</script>", text: "alert(1)", tokens: [] };
  const built = builder.build([unknown, { type: "strong", raw: "", text: "", tokens: [unknown] }, { type: "constructor", raw: "!" }]);
  assert.deepEqual(
    Array.from(built.childNodes, (node) => [node.nodeName, node.textContent]),
    [["#text", unknown.raw], ["STRONG", unknown.raw], ["#text", "!"]],
  );
});

test("character references are the characters they name, but in code and in raw HTML", () => {
  const text = (answer: string): string => show(answer).textContent?.trim() ?? "";
  assert.equal(text("a &lt;b&gt; &amp; c&nbsp;d &theta; &rarr; &apos; &#65; &#x42;"), "a <b> & c\u00a0d θ → ' A B");
  assert.equal(text("&amp;lt; &#38;lt; \\&lt; &unknown; &constructor; & &"), "&lt; &lt; &lt; &unknown; &constructor; & &");
  assert.equal(text("`&lt;`"), "&lt;");
  assert.equal(text("```\n&lt;\n```"), "&lt;");
  assert.equal(text("x <i title=&quot;> y"), "x <i title=&quot;> y");
});

test("every named reference is what a browser makes of it", () => {
  const names = "quot amp apos lt gt nbsp yuml fnof circ tilde Alpha Rho Sigma Omega alpha sigmaf omega thetasym piv ensp zwj rlm";
  const more = "ndash mdash lsquo bdquo dagger hellip permil prime oline frasl euro image trade larr harr crarr lArr hArr forall";
  const last = "isin ni prod minus radic prop infin ang and int there4 sim cong asymp ne equiv le ge sub oplus perp sdot lceil";
  const all = `${names} ${more} ${last} rfloor lang rang loz spades hearts diams szlig times divide`.split(" ");
  const markdown = all.map((name) => `${name} x&${name};x`).join(" ");
  assert.equal(show(markdown).textContent?.trim(), new JSDOM(`<p>${markdown}</p>`).window.document.body.textContent);
});

// A list has two elements a level, itself and its item.
test("an answer nested without end is text, not an error", () => {
  for (const answer of [">".repeat(20_000) + "a", "- ".repeat(200) + "a", "> ".repeat(200) + "a"]) {
    const element = show(answer);
    let depth = 0;
    for (let inner = element.querySelector(":scope > *"); inner; inner = inner.querySelector(":scope > *")) depth += 1;
    assert.ok(depth <= 101, `${answer.slice(0, 4)}: ${depth} deep`);
    assert.ok(element.textContent?.includes("a"));
  }
});

test("lists, tables and headings keep their numbers, sides and levels", () => {
  assert.equal(show("3. a\n4. b").querySelector("ol")?.getAttribute("start"), "3");
  assert.equal(show("1. a").querySelector("ol")?.hasAttribute("start"), false);
  assert.equal(show("- a\n\n- b").querySelectorAll("li > p").length, 2);
  assert.equal(show("- a\n- b").querySelector("li > p"), null);
  const cells = show("| a | b | c |\n|:-:|--:|---|\n| 1 | 2 |").querySelectorAll("td");
  assert.deepEqual(Array.from(cells, (cell) => [cell.getAttribute("align"), cell.textContent]), [["center", "1"], ["right", "2"], [null, ""]]);
  const levels = show("# a\n\n## b\n\n##### c").querySelectorAll("h3, h4, h6");
  assert.deepEqual(Array.from(levels, ({ tagName }) => tagName), ["H3", "H4", "H6"]);
});

test("the words of two blocks stay apart where only the text is read", () => {
  const words = show("One.\n\nTwo.\n\n- a\n- b\n\n| c | d |\n|---|---|\n| e | f |").textContent ?? "";
  assert.deepEqual(words.split(/\s+/).filter(Boolean), ["One.", "Two.", "a", "b", "c", "d", "e", "f"]);
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

test("a selection in a block that has not changed outlives the redraws", () => {
  const view = new AnswerView({ siteRoot: "https://book.example/", sourceLabel: () => "" });
  document.body.append(view.element);
  view.update("A selected word.\n\n- one", SOURCES);
  const selection = document.getSelection() as Selection;
  selection.setBaseAndExtent(view.element.querySelector("p")?.firstChild as Node, 2, view.element.querySelector("p")?.firstChild as Node, 10);
  for (const grown of ["A selected word.\n\n- one [1]", "A selected word.\n\n- one [1]\n- two\n\n```\nx"]) view.update(grown, SOURCES);
  assert.equal(selection.toString(), "selected");
  assert.ok(view.element.querySelector("p")?.contains(selection.anchorNode));
  view.element.remove();
});
