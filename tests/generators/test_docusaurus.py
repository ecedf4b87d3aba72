"""Anchors beside a real build of Docusaurus, on pages made by chance, and the smallest texts of what was wrong."""

from pathlib import Path
from urllib.parse import unquote

import pytest

from rag.corpus.routes import Site
from rag.markdown.parser import page_of
from rag.types import Document
from tests.generators.built_html import anchors
from tests.generators.compare import carried, differences, read_anchors
from tests.generators.heading_pages import Pages
from tests.widget import docusaurus_site

FRAMES = (
    "%", "%", "%", "%", "% ##", "%\nText at once.", "Text\n%\nmore", ":::note\n\n%\n\n:::", ":::tip[Title]\n%\n:::",
    "- item\n\n  %\n\n- %", "> %\n>\n> text", "@\n===", "@\n---", "@\nmore\n---", " %", "   %", "\n    %", "##NoSpace",
    "% {#own}", "% {/* #own */}", "% \\{#own}", "```\n%\n```", "~~~\n%\n~~~", "````md\n```\n%\n```\n````",
    "```mdx-code-block\n%\n```", "<div>\n%\n</div>", "<div>\n\n%\n\n</div>",
    "<details>\n<summary>S</summary>\n\n%\n\n</details>",
    "{/*\n%\n*/}", "<!-- x -->\n\n%", "| a | b |\n|---|---|\n| # x | y |", "***\n\n%", "% `{#c}`", "# Title @",
)  # fmt: skip
MARKED = (
    "Prompt 1:Tool", "a:b", "10:30", ":name", ":name[label *x*]", ":b_", "std::vec", ":smile:", "a\\:b", "`x:y`",
    ":a-b.c", "(a:b)", "[in:side](https://example.org)", ":name[x]{k=v}", "**a:b**", "text[^1]", "<b>html</b>",
)  # fmt: skip
CONFIG = """\
export default {
  title: "A book",
  url: "https://book.example",
  baseUrl: "/",
  onBrokenLinks: "ignore",
  themes: ["MODULES/@docusaurus/theme-classic"],
  plugins: [["MODULES/@docusaurus/plugin-content-docs", { path: process.env.BOOK_CONTENT }]],
};
"""
UNFIT = ("`<T>`", "&lt;tag&gt;", "![](https://example.org/i.png)")


def headings(text: str) -> list[tuple[int, str | None]]:
    document = Document("a.md", "T", text, "0", "/a", flavor="docusaurus")
    return [(heading.level, heading.anchor) for heading in page_of(document).headings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## Prompt 1:Tool", ["prompt-1"]),
        ("## a :b c", ["a--c"]),
        ("## x :name[lab *e*]{a=b} y", ["x-lab-e-y"]),
        ("## :smile: x", ["smile-x"]),
        ("## std::vec::Vec", ["stdvecvec"]),
        ("## 10:30", ["1030"]),
        ("## a:b-c.d", ["ad"]),
        ("## a:b_ c", ["ab_-c"]),
        ("## a\\:b `c:d`", ["ab-cd"]),
        ("## x :b{#id}", ["id"]),
        ("```mdx-code-block\n## In\n```\n\n## Out", ["in", "out"]),
        ("Text\n\n    ## Indented\n\n## B", ["indented", "b"]),
        ("[^1]: ## Foot\n\n## C[^1]", ["foot", "c"]),
        ("| a `b`\n---\n\n| a\n|---\n\n## C", ["-a-b", "c"]),
        ("| a\n:-\n\n- | b\n  ---", ["-b"]),
        ("[^1]: Text of it\n\n    ## Foot\n\n## C[^1]", ["foot", "c"]),
    ],
)
def test_what_a_heading_is_and_what_it_is_called(text: str, expected: list[str]) -> None:
    assert [anchor for _, anchor in headings(text)] == expected


def test_a_text_directive_stays_in_the_text_of_its_heading() -> None:
    (heading,) = page_of(Document("a.md", "T", "## Prompt 1:Tool", "0", "/a")).headings
    assert heading.text == "Prompt 1:Tool"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The content and the site that was built from it."""
    if not docusaurus_site.is_installed():
        pytest.skip("Docusaurus is not installed: npm install in widget/examples/docusaurus")
    content, out = tmp_path_factory.mktemp("content"), tmp_path_factory.mktemp("site")
    paths = ["index.md", "a/README.md", "01-one.md", "a/02-two.mdx", "b/b.md", "c/x.test.md", "Ünï.md", "03-p/04-q.md"]
    paths += [f"more/page{number}.md" for number in range(5)]
    for seed, path in enumerate(paths):
        file = content / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(Pages(seed, MARKED, without=UNFIT).page(FRAMES) + "\n[^1]: Note\n", encoding="utf-8")
    hidden = {
        ".hidden.md": "# H",
        "UPPER.MD": "# U",
        "z.markdown": "# Z",
        "_part.md": "# P",
        "d.md": "---\ndraft: true\n---\n",
    }
    written = {
        "slugged.md": "---\nslug: 010\n---\n## A",
        "id.md": "---\nid: 02-kept\n---\n## A",
        "no.md": "---\nslug: no\n---\n",
    }
    for name, text in (hidden | written).items():
        (content / name).write_text(text, encoding="utf-8")
    config = tmp_path_factory.mktemp("config") / "docusaurus.config.mjs"
    config.write_text(CONFIG.replace("MODULES", str(docusaurus_site.EXAMPLE / "node_modules")), encoding="utf-8")
    docusaurus_site.build(content, out, "--config", str(config))
    return content, out


def test_five_hundred_headings_are_published_as_they_are_read(built: tuple[Path, Path]) -> None:
    content, out = built
    published = {}
    for file in out.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        if "docs-doc-page" in text:
            route = file.relative_to(out).as_posix().removesuffix("index.html").removesuffix(".html").rstrip("/")
            found = [item for item in anchors(text, "article") if item[1] != "footnote-label"]
            published[f"/{route}"] = carried(
                [(level, "" if id_ is None and level > 1 else id_) for level, id_ in found]
            )
    ours = {unquote(url).rstrip("/"): found for url, found in read_anchors(content, Site(flavor="docusaurus")).items()}
    for url, found in published.items():
        if len(found) == len(ours.get(url, ())) + 1 and found[0][0] == 1:
            del found[0]  # the title that Docusaurus puts above a page without one
    assert sum(map(len, published.values())) >= 500
    assert not differences(ours, published)
