"""The golden questions of the sample book: well-formed, exact, and of every kind a reader asks."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rag.evaluation.questions import load

SET = Path(__file__).parent / "sample_book"
MINIMA = {"fact": 40, "howto": 15, "code": 12, "table": 12, "overview": 8, "followup": 10, "unanswerable": 15}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SET / "questions.jsonl").read_text(encoding="utf-8").splitlines()]


def test_every_row_has_the_fields(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert set(row) - {"history", "distance"} == {
            "id", "question", "answerable", "gold_doc", "gold", "kind", "language"
        }  # fmt: skip
        assert row["kind"] in MINIMA
        assert row["answerable"] is (row["kind"] != "unanswerable")
        assert ("history" in row) is (row["kind"] == "followup")
        assert ("distance" in row) is (row["kind"] == "unanswerable")
        for at, turn in enumerate(row.get("history", [])):
            assert turn["role"] == ("user", "assistant")[at % 2]
            assert turn["content"].strip()
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({row["question"] for row in rows}) == len(rows)


def test_every_gold_piece_is_in_the_book(rows: list[dict[str, Any]], sample_book: Path) -> None:
    for row in rows:
        assert bool(row["gold_doc"]) is row["answerable"], row["id"]
        pages = {path: (sample_book / path).read_text(encoding="utf-8") for path in row["gold_doc"]}
        for piece in row["gold"]:
            assert len(re.findall(r"\w+", piece)) >= 4, row["id"]
            holding = [path for path, text in pages.items() if piece in text]
            assert holding, f"{row['id']}: {piece!r} is in none of {sorted(pages)}"


def test_questions_are_not_copied_from_the_text(rows: list[dict[str, Any]]) -> None:
    """At most one in twenty stands in its page word for word, as a heading that asks it does."""
    book = SET.parent.parent.parent / "content"
    copied = [
        row["id"]
        for row in rows
        if any(row["question"].lower() in (book / path).read_text(encoding="utf-8").lower() for path in row["gold_doc"])
    ]
    assert len(copied) <= len(rows) / 20, copied


def test_the_set_is_wide_enough(rows: list[dict[str, Any]]) -> None:
    kinds = Counter(row["kind"] for row in rows)
    languages = Counter(row["language"] for row in rows if row["answerable"])
    distances = Counter(row["distance"] for row in rows if not row["answerable"])
    assert len(rows) >= 100
    assert all(kinds[kind] >= least for kind, least in MINIMA.items()), kinds
    assert languages["es"] >= 8
    assert languages["de"] >= 8
    assert languages["ur"] >= 3
    assert distances["far"] >= 7
    assert distances["near"] >= 7


def test_every_page_is_asked_about(rows: list[dict[str, Any]], sample_book: Path) -> None:
    asked = {path for row in rows for path in row["gold_doc"]}
    assert asked == {path.relative_to(sample_book).as_posix() for path in sample_book.rglob("*.md")}


def test_the_engine_reads_every_row(rows: list[dict[str, Any]]) -> None:
    questions = load(SET)
    assert [question.id for question in questions] == [row["id"] for row in rows]
    for question, row in zip(questions, rows, strict=True):
        assert (question.answerable, question.kind, question.language) == (
            row["answerable"],
            row["kind"],
            row["language"],
        )
        assert len(question.history) == len(row.get("history", [])) // 2
        assert question.gold == tuple(row["gold"])
