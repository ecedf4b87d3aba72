"""Routes, headings and anchors beside a real build of MkDocs with Material, on pages made by chance."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from rag.markdown.parser import page_of
from rag.types import Document
from tests.generators import mkdocs_site
from tests.generators.compare import differences, read_anchors
from tests.generators.heading_pages import Pages

FRAMES = (
    "%", "%", "%", "% ##", "%\nText at once.", "Text\n%\nmore", "%\n%\n%", "!!! note\n\n    %\n\n    Text.",
    '??? tip "T"\n    %\n    text', '=== "A"\n\n    %\n\n=== "B"\n\n    %', "- item\n\n    %\n\n- %",
    "1. one\n\n    text\n\n    %", "- a\n    - b\n\n        %", "* %\n* item", "> %\n>\n> text",
    '!!! note\n\n    === "T"\n\n        %', "@\n===", "@\n---", "@\nmore\n---", " %", "   %", "    %", "\t%",
    "##NoSpace@", "% { #x1 }", "% {#own}", "% {: #own .cls }", '% { id="quoted" }', "% {: id='single' }",
    "% { id=bare }",
    "% {#a #b}", "% {.cls}", "```\n%\n```", "    ```\n    %\n    ```", "!!! note\n\n    ```\n    %\n    ```\n\n    %",
    "~~~\n%\n~~~", "````\n```\n%\n```\n````", "<div markdown>\n\n%\n\n</div>", "<div>\n\n%\n\n</div>",
    "<!--\n%\n-->",
    "<!-- x -->\n%", "| a | b |\n|---|---|\n| # x | y |", "Term\n\n:   %", "% :material-account: x", "% :smile:",
    "***\n%",
    "% `{#c}`", "%[^1]", "Some[^1] text.\n\n[^1]: Note", "## <b>html</b> @", "## @ <!-- c -->", '!!! note "%"',
    "text\n\n    %",
)  # fmt: skip
MARKED = (":material-account-circle:", ":smile:", "text[^1]")


def headings(text: str) -> list[tuple[int, str | None]]:
    document = Document("a.md", "T", text, "0", "/a", flavor="mkdocs", options=frozenset({"emoji"}))
    return [(heading.level, heading.anchor) for heading in page_of(document).headings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('## A { id="x" }', [(2, "x")]),
        ("## A {: id='x' }", [(2, "x")]),
        ("## A { id=x }", [(2, "x")]),
        ("## A {#a #b}", [(2, "b")]),
        ("## A {#}", [(2, "a")]),
        ("## A `{#b}`", [(2, "a-b")]),
        ("# A\n\n!!! note\n\n    # A\n\n# A", [(1, "a"), (1, "a_1"), (1, "a_2")]),
        ("??? note\n    # A\n\n# A", [(1, "a"), (1, "a_1")]),
        ('=== "Tab"\n\n    # A\n\n# A', [(1, "a"), (1, "a_1")]),
        ("- item\n\n    # A\n\n# A", [(1, "a"), (1, "a_1")]),
        ("## A ![alt](i.png)", [(2, "a")]),
        ("## A :material-check:", [(2, "a")]),
        ("##NoSpace", [(2, "nospace")]),
        ("One\ntwo\n---", []),
        ("   ## A", []),
        ("# A\n\n# A {#a}", [(1, "a_1"), (1, "a")]),
    ],
)
def test_what_a_heading_is_and_what_it_is_called(text: str, expected: list[tuple[int, str | None]]) -> None:
    assert headings(text) == expected


def test_a_draft_is_published(tmp_path: Path) -> None:
    (tmp_path / "mkdocs.yml").write_text("site_name: x\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("---\ndraft: true\n---\n# A\n")
    assert read_anchors(tmp_path / "docs") == {"/a/": [(1, "a")]}


@pytest.mark.parametrize(
    "slugify", ["", "      slugify: !!python/object/apply:pymdownx.slugs.slugify {kwds: {case: lower}}\n"]
)
def test_five_hundred_headings_are_published_as_they_are_read(tmp_path: Path, slugify: str) -> None:
    if reason := mkdocs_site.missing():
        pytest.skip(f"MkDocs cannot build here: {reason}")
    paths = [
        "index.md",
        "a/README.md",
        "a/index two.md",
        "01-numbered.md",
        "Ünï.md",
        "x.y.md",
        "b/c/_under.md",
        "UP.md",
    ]
    paths += [f"more/page{number}.md" for number in range(4)]
    pages = {path: Pages(seed, MARKED).page(FRAMES) for seed, path in enumerate(paths)}
    config = mkdocs_site.CONFIG.replace("  - toc:\n", f"  - toc:\n{slugify}")
    built = mkdocs_site.build(tmp_path, pages, config)
    published = {f"/{route}": found for route, found in built.items()}
    ours = {unquote(url): found for url, found in read_anchors(tmp_path / "docs").items()}
    for url, found in published.items():
        if found[:1] == [(1, None)] or (found and found[0][0] == 1 and found[1:] == ours.get(url)):
            del found[0]  # the title that Material puts above a page without one
    assert sum(map(len, published.values())) > 450
    assert not differences(ours, published)
    assert not [url for url in published if re.search(r"\.html$", url)]
