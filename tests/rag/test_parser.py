"""The structure of a page: headings and anchors against what real Docusaurus builds published, and the traps."""

import json
from pathlib import Path

import pytest

from rag.corpus.routes import Site
from rag.corpus.scan import read, scan
from rag.markdown.parser import outline, page_of, sections
from rag.types import Document, GeneratorName

# Code by its indentation in CommonMark, a heading in MDX.
KNOWN = {("headings/forms.mdx", 19)}


def page(text: str, flavor: GeneratorName = "docusaurus", path: str = "a.md", title: str = "Title") -> Document:
    return Document(path, title, text, "0", "/a", flavor=flavor)


def headings(text: str, flavor: GeneratorName = "docusaurus") -> list[tuple[int, str, str | None]]:
    return [(h.level, h.text, h.anchor) for h in page_of(page(text, flavor)).headings]


@pytest.mark.parametrize("name", ["edge", "edge_noslash", "redux"])
def test_every_heading_and_anchor_of_a_real_build(shared: Path, name: str) -> None:
    corpora = shared / "corpora"
    root = corpora / ("redux" if name == "redux" else "docusaurus-edge") / "docs"
    rows = [json.loads(line) for line in (corpora / "truth" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    truth = {
        (row["path"].removeprefix("docs/"), row["line"]): (row["level"], row["anchor"] or None)
        for row in rows
        if row["kind"] == "heading" and row["path"] == row["src"] and row["in_html"] is not False
    }
    titles = {row["path"].removeprefix("docs/"): row["title"] for row in rows if row["kind"] == "page"}
    wrong, found = [], set()
    for source in scan(root, Site(flavor="docusaurus")).sources:
        document = read(source)
        assert document.title == titles[document.path]
        parsed = page_of(document)
        for heading in parsed.headings:
            place = (document.path, parsed.numbers[heading.line] + 1)
            found.add(place)
            if place in truth and truth[place] != (heading.level, heading.anchor):
                wrong.append((place, heading, truth[place]))
    assert wrong == []
    assert set(truth) - found <= KNOWN


def test_an_h1_has_no_anchor_but_uses_its_slug() -> None:
    assert headings("# Intro\n\n## Intro\n\n# Late\n") == [
        (1, "Intro", None),
        (2, "Intro", "intro-1"),
        (1, "Late", None),
    ]


def test_other_generators_give_an_h1_an_id() -> None:
    assert headings("# Intro\n\n## Intro\n", "mdbook") == [(1, "Intro", "intro"), (2, "Intro", "intro-1")]
    assert headings("# Intro\n\n## Intro\n", "mkdocs") == [(1, "Intro", "intro"), (2, "Intro", "intro_1")]


def test_ids_that_authors_write() -> None:
    assert headings("## A b {#own}\n\n## A b\n") == [(2, "A b", "own"), (2, "A b", "a-b")]
    assert headings("## A {/* #own */}\n") == [(2, "A", "own")]
    assert headings("## A {#own .class}\n", "mdbook") == [(2, "A", "own")]
    assert headings("## A {: #own }\n", "mkdocs") == [(2, "A", "own")]
    assert headings("## A {#own}\n", "github") == [(2, "A {#own}", "a-own")]


def test_headings_in_code_and_comments_are_none() -> None:
    text = (
        "```sh\n# not\n```\n\n~~~\n## not\n```\n## not\n~~~\n\n<!-- \n## not\n-->\n\n{/* ## not */}\n\n"
        "| a |\n|---|\n| ## not |\n\n> ## Quoted\n\n- ## Listed\n\n:::note\n## Boxed\n:::\n\n"
        "<details>\n\n## Inside\n\n</details>\n"
    )
    assert [text for _, text, _ in headings(text)] == ["Quoted", "Listed", "Boxed", "Inside"]


def test_a_heading_is_named_as_its_reader_sees_it() -> None:
    text = "## `code()` **bold** [link](x) ![alt](y) <kbd>K</kbd> &amp; note[^1]\n\n[^1]: A note.\n"
    assert headings(text) == [(2, "code() bold link alt K & note", "code-bold-link-alt-k--note")]


def test_sections_cover_the_page() -> None:
    found = sections(page("---\ntitle: T\n---\nBefore.\n\n# One\n\nText.\n\n## Two\n\nMore.\n"))
    assert [(s.heading_path, s.anchor, s.level, s.text) for s in found] == [
        (("Title",), None, 0, "Before."),
        (("Title", "One"), None, 1, "# One\n\nText."),
        (("Title", "One", "Two"), "two", 2, "## Two\n\nMore."),
    ]
    assert [s.lines for s in found][1:] == [(5, 9), (9, 13)]


def test_the_page_title_is_not_said_twice() -> None:
    assert page_of(page("# *Title*!\n\n## Two\n")).path_at(2)[0] == ("Title!", "Two")


def test_the_outline_holds_headings_and_the_first_paragraph() -> None:
    shape = outline(page("# Title\n\n![logo](a.png)\n\nA **robot** that\n[walks](x).\n\n## Two {#t}\n"))
    assert [(h.level, h.text, h.anchor) for h in shape.headings] == [(1, "Title", None), (2, "Two", "t")]
    assert shape.lead == "A robot that walks."
    described = Document("a.md", "T", "Text.", "0", "/a", description="What it is about.")
    assert outline(described).lead == "What it is about."


def test_the_table_of_contents_of_an_mdbook_has_no_anchors() -> None:
    document = page("# Summary\n\n## Part\n\n- [A](a.md)\n", "mdbook", "SUMMARY.md")
    assert {heading.anchor for heading in page_of(document).headings} == {None}


def test_a_long_heading_does_not_swell_the_path() -> None:
    document = page("## " + "word " * 10_000 + "\n\ntext\n")
    path, anchor = page_of(document).path_at(2)
    assert len(path[-1]) <= 600
    assert anchor is None
