"""Figures over time: counted, bounded, there after a restart, and never in anybody's way."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from web.analytics import KEPT_DAYS, KEPT_QUESTIONS, UsageStore
from web.metrics import QuestionOutcome

ANSWERED = QuestionOutcome("answered", 4.0, 400.0, 900.0, 800, 120)
NOT_FOUND = QuestionOutcome("not_found", 4.0, 100.0, 200.0, 50, 5)


@contextmanager
def opened(folder: Path, *, keep: bool = False) -> Iterator[UsageStore]:
    usage = UsageStore(folder / "figures.sqlite3", keep_questions=keep)
    usage.open()
    try:
        yield usage
    finally:
        usage.close()


async def test_what_was_asked_is_counted_by_day_and_survives_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as usage:
        for milliseconds in (100.0, 400.0, 420.0, 440.0, 9000.0):
            usage.asked(QuestionOutcome("answered", 4.0, milliseconds, 900.0, 800, 120), "How often?")
        usage.asked(QuestionOutcome("refused:rate_limited", None, None, 1.0), "How often?")
        usage.asked(NOT_FOUND, "Who is the emperor?")
    with opened(tmp_path) as usage:
        usage.asked(ANSWERED, "How often?")
        usage.close()
        usage.open()
        days = await usage.days(30)
    assert len(days) == 30
    assert [day.day for day in days] == sorted(day.day for day in days)
    today = days[-1]
    assert today.outcomes == {"answered": 6, "refused": 1, "not_found": 1}
    assert (today.prompt_tokens, today.completion_tokens) == (6 * 800 + 50, 6 * 120 + 5)
    assert today.first_token_ms == pytest.approx(400, rel=0.2)
    assert all(not day.outcomes and day.first_token_ms is None for day in days[:-1])


async def test_thumbs_are_counted_and_can_be_taken_back(tmp_path: Path) -> None:
    with opened(tmp_path) as usage:
        usage.rated(True, None, "a")
        usage.rated(True, None, "b")
        usage.rated(False, True, "b")
        usage.rated(None, True, "a")
    with opened(tmp_path) as usage:
        today = (await usage.days(1))[0]
    assert (today.liked, today.disliked) == (0, 1)


async def test_no_text_is_kept_unless_wished_and_what_was_kept_goes_when_the_wish_ends(tmp_path: Path) -> None:
    with opened(tmp_path) as usage:
        usage.asked(NOT_FOUND, "secret words of a reader")
        usage.rated(False, None, "secret words of a reader")
        assert await usage.open_questions() == []
    assert b"secret words" not in everything(tmp_path)
    with opened(tmp_path, keep=True) as usage:
        usage.asked(NOT_FOUND, "kept  words\n of a reader")
        usage.asked(NOT_FOUND, "Kept words of a reader")
        usage.asked(ANSWERED, "an answered question")
        usage.rated(False, None, "a disliked answer")
    with opened(tmp_path, keep=True) as usage:
        found = await usage.open_questions()
    assert [(q.question.lower(), q.outcome, q.times) for q in found] == [
        ("kept words of a reader", "not_found", 2),
        ("a disliked answer", "disliked", 1),
    ]
    assert b"an answered question" not in everything(tmp_path)
    with opened(tmp_path):
        pass
    with opened(tmp_path, keep=True) as usage:
        assert await usage.open_questions() == []


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_it_stays_small(tmp_path: Path) -> None:
    with opened(tmp_path, keep=True) as usage:
        for number in range(KEPT_QUESTIONS + 50):
            usage.asked(NOT_FOUND, f"question {number} " + "x" * 5000)
    with opened(tmp_path, keep=True) as usage:
        found = await usage.open_questions(10_000)
    assert len(found) == KEPT_QUESTIONS
    assert max(len(question.question) for question in found) <= 2_000
    assert "question 49 " not in {question.question[:12] for question in found}
    old = (datetime.now(UTC).date() - timedelta(days=KEPT_DAYS + 1)).isoformat()
    with closing(sqlite3.connect(tmp_path / "figures.sqlite3")) as database:
        database.execute("INSERT INTO asked VALUES (?, 'answered', 5)", (old,))
        database.commit()
    with opened(tmp_path), closing(sqlite3.connect(tmp_path / "figures.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM asked WHERE day = ?", (old,)).fetchone() == (0,)


@pytest.mark.alone
async def test_a_locked_file_holds_nobody_up(tmp_path: Path) -> None:
    with opened(tmp_path) as usage, closing(sqlite3.connect(tmp_path / "figures.sqlite3")) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.perf_counter()
        for _ in range(200):
            usage.asked(ANSWERED, "How often?")
        days = await usage.days(1)
        assert time.perf_counter() - began < 1
        assert days[0].outcomes == {}
        other.rollback()
    with opened(tmp_path) as usage:
        assert (await usage.days(1))[0].outcomes == {"answered": 200}


async def test_a_damaged_file_is_put_aside_and_a_folder_that_cannot_be_written_is_survived(tmp_path: Path) -> None:
    (tmp_path / "figures.sqlite3").write_bytes(b"this is no database at all" * 100)
    with opened(tmp_path) as usage:
        usage.asked(ANSWERED, "How often?")
    with opened(tmp_path) as usage:
        assert (await usage.days(1))[0].outcomes == {"answered": 1}
    assert (tmp_path / "figures.damaged").is_file()
    (tmp_path / "file").write_text("not a folder")
    with opened(tmp_path / "file") as usage:
        usage.asked(ANSWERED, "How often?")
        assert (await usage.days(1))[0].outcomes == {}
        assert await usage.open_questions() == []
