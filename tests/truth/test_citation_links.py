"""Every link the engine can cite in the sample book exists on the site that Docusaurus built from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from rag.corpus import read, scan
from rag.markdown import sections
from rag.routes import Site

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


def test_every_page_has_the_published_url_and_title(rows: list[dict[str, Any]], sample_book: Path) -> None:
    truth = rows[0]
    site = Site(truth["url"] + truth["baseUrl"], truth["docs"][0]["routeBasePath"], truth["trailingSlash"])
    found = {(document.url, document.title) for document in map(read, scan(sample_book, site).sources)}
    assert found == {(row["url"], row["title"]) for row in rows if row["kind"] == "page"}
