"""Every link the engine can cite in the sample book exists on the site that Docusaurus built from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from rag.corpus.routes import Site
from rag.corpus.scan import read, scan
from rag.markdown.chunking import split
from rag.markdown.parser import sections

TRUTH = Path(__file__).parent / "sample_book.jsonl"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in TRUTH.read_text(encoding="utf-8").splitlines()]


def test_every_section_has_the_published_url_and_anchor(rows: list[dict[str, Any]], sample_book: Path) -> None:
    truth = rows[0]
    site = Site(truth["url"] + truth["baseUrl"], truth["docs"][0]["routeBasePath"], truth["trailingSlash"])
    published = [
        (row["url"], row["anchor"], row["line"], row["level"], row["text"]) for row in rows if row["kind"] == "heading"
    ]
    found = []
    for document in map(read, scan(sample_book, site).sources):
        found += [
            (document.url, section.anchor, section.lines[0] + 1, section.level, section.heading_path[-1])
            for section in sections(document)
            if section.level
        ]
    assert sorted(found, key=str) == sorted(published, key=str)


@pytest.mark.parametrize("limit", [500, 160])
def test_every_chunk_and_every_heading_inside_one_leads_to_the_site(
    rows: list[dict[str, Any]], sample_book: Path, limit: int
) -> None:
    """Each line of a chunk stands under the nearest published heading above it, whichever of them names it."""
    truth = rows[0]
    site = Site(truth["url"] + truth["baseUrl"], truth["docs"][0]["routeBasePath"], truth["trailingSlash"])
    headings = {(row["url"], row["line"] - 1): row for row in rows if row["kind"] == "heading"}
    tops = {(row["url"], None) for row in rows if row["kind"] == "page"}
    known = tops | {(row["url"], row["anchor"]) for row in headings.values()}
    inner = 0
    for document in map(read, scan(sample_book, site).sources):
        lines = document.text.split("\n")
        for chunk in split(document, limit=limit, overlap=0):
            assert {(chunk.url, anchor) for anchor in (chunk.anchor, *(found.anchor for found in chunk.inner))} <= known
            below = [at for at in range(*chunk.lines) if (chunk.url, at) in headings]
            first = len(below) - len(chunk.inner)
            assert not any(lines[at].strip() for at in range(chunk.lines[0], [0, *below][first]) if at not in below)
            for found, at in zip(chunk.inner, below[first:], strict=True):
                row = headings[chunk.url, at]
                assert (found.heading_path[-1], found.anchor) == (row["text"], row["anchor"])
                assert chunk.text[found.offset :].split("\n")[0] == lines[at].rstrip()
            inner += len(chunk.inner)
    assert inner >= 20


def test_every_page_has_the_published_url_and_title(rows: list[dict[str, Any]], sample_book: Path) -> None:
    truth = rows[0]
    site = Site(truth["url"] + truth["baseUrl"], truth["docs"][0]["routeBasePath"], truth["trailingSlash"])
    found = {(document.url, document.title) for document in map(read, scan(sample_book, site).sources)}
    assert found == {(row["url"], row["title"]) for row in rows if row["kind"] == "page"}
