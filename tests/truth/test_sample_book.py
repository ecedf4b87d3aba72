"""The published truth of the sample book belongs to the book as it is now, not to an older one."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

TRUTH = Path(__file__).parent / "sample_book.jsonl"
EXPLICIT_ID = re.compile(r"\s*\{#([\w-]+)\}$")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in TRUTH.read_text(encoding="utf-8").splitlines()]


def test_every_file_is_published_and_nothing_else(rows: list[dict[str, Any]], sample_book: Path) -> None:
    files = {path.relative_to(sample_book.parent).as_posix() for path in sample_book.rglob("*.md")}
    pages = [row["path"] for row in rows if row["kind"] == "page"]
    assert sorted(pages) == sorted(files)
    assert len({row["url"] for row in rows if row["kind"] == "page"}) == len(pages)


def test_every_heading_stands_on_its_line(rows: list[dict[str, Any]], sample_book: Path) -> None:
    """A failure means that the book was edited: build it again, as make_truth.py says."""
    recorded = [row for row in rows if row["kind"] == "heading"]
    for path in {row["path"] for row in recorded}:
        text = (sample_book.parent / path).read_text(encoding="utf-8")
        written = list(_headings(text))
        assert [(row["line"], row["level"]) for row in recorded if row["path"] == path] == [
            (a, b) for a, b, _ in written
        ]
        for row, (_, _, source) in zip([row for row in recorded if row["path"] == path], written, strict=True):
            explicit = EXPLICIT_ID.search(source)
            assert _letters(EXPLICIT_ID.sub("", source)) == _letters(row["text"])
            if explicit and row["level"] > 1:
                assert row["anchor"] == explicit[1]


def test_anchors_are_unique_on_a_page_and_never_those_of_a_first_level_heading(rows: list[dict[str, Any]]) -> None:
    anchors = [(row["path"], row["anchor"]) for row in rows if row["kind"] == "heading" and row["anchor"]]
    assert len(anchors) == len(set(anchors)) > 200
    assert all(row["anchor"] is None for row in rows if row["kind"] == "heading" and row["level"] == 1)


def _headings(text: str) -> list[tuple[int, int, str]]:
    end = text.index("\n---\n") + 5 if text.startswith("---\n") else 0
    tokens = MarkdownIt("commonmark").parse("\n" * text[:end].count("\n") + text[end:])
    return [
        (token.map[0] + 1, int(token.tag[1]), tokens[at + 1].content)
        for at, token in enumerate(tokens)
        if token.type == "heading_open" and token.map
    ]


def _letters(text: str) -> str:
    return re.sub(r"[^\w]", "", text)
