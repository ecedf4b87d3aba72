"""Figures over time in SQLite: counts by day always, the texts of questions only where the operator keeps them.

Whoever asks or reads never waits for the disk: what happens is queued, and one thread writes it.
"""

import asyncio
import contextlib
import logging
import math
import os
import queue
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal

from web.auth import RateLimits
from web.chat_service import Caller
from web.metrics import Metrics, QuestionOutcome
from web.problems import Problem

log = logging.getLogger(__name__)

KEPT_DAYS = 400
KEPT_QUESTIONS = 2_000
WAITING = 10_000
QUESTION_CHARACTERS = 2_000
DISLIKED = "disliked"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS asked (day TEXT, outcome TEXT, count INTEGER, PRIMARY KEY (day, outcome));
CREATE TABLE IF NOT EXISTS spent (day TEXT, kind TEXT, amount INTEGER, PRIMARY KEY (day, kind));
CREATE TABLE IF NOT EXISTS first_token (day TEXT, bucket INTEGER, count INTEGER, PRIMARY KEY (day, bucket));
CREATE TABLE IF NOT EXISTS questions (id INTEGER PRIMARY KEY, at REAL, outcome TEXT, question TEXT);
"""
_ASKED = "INSERT INTO asked VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1"
_SPENT = "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"
_FIRST = "INSERT INTO first_token VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1"
_QUESTION = "INSERT INTO questions (at, outcome, question) VALUES (?, ?, ?)"
_TRIM = "DELETE FROM questions WHERE id <= (SELECT max(id) FROM questions) - ?"

Statement = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Day:
    """One day (UTC). `first_token_ms` is the median, within a fifth; None when nothing was written."""

    day: str
    outcomes: dict[str, int]
    first_token_ms: float | None
    prompt_tokens: int
    completion_tokens: int
    liked: int
    disliked: int


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that was not answered, or not to the reader's liking. `last` is seconds since the epoch."""

    question: str
    outcome: str
    times: int
    last: float


class UsageStore:
    """`open` and `close` bracket its life. A disk that fails is logged; nobody is told and nothing else stops."""

    def __init__(self, path: Path, *, keep_questions: bool = False) -> None:
        self._path, self.keeps_questions = path, keep_questions
        self._waiting: queue.Queue[list[Statement] | None] = queue.Queue(WAITING)
        self._writer: threading.Thread | None = None

    def open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            log.warning("figures are not kept: %s cannot be used (%s)", self._path.name, type(error).__name__)
            return
        self._writer = threading.Thread(target=self._write, name="figures", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Writes what is waiting. Closing twice does no harm."""
        if self._writer is not None:
            self._waiting.put(None)
            self._writer.join(10)
            self._writer = None

    # What happens

    def asked(self, asked: QuestionOutcome, question: str) -> None:
        now = datetime.now(UTC)
        day, outcome = now.date().isoformat(), asked.outcome.partition(":")[0]
        statements: list[Statement] = [(_ASKED, (day, outcome))]
        if asked.first_token_ms is not None:
            statements.append((_FIRST, (day, _bucket(asked.first_token_ms))))
        for kind, amount in (("prompt", asked.prompt_tokens), ("completion", asked.completion_tokens)):
            if amount:
                statements.append((_SPENT, (day, kind, amount)))
        if outcome == "not_found":
            statements += self._kept(now, outcome, question)
        self._put(statements)

    def rated(self, liked: bool | None, before: bool | None, question: str) -> None:
        """A reader's thumb; None takes it back. The text is kept of disliked answers only, if at all."""
        now = datetime.now(UTC)
        day = now.date().isoformat()
        names = {True: "liked", False: "disliked"}
        statements: list[Statement] = []
        if before is not None:
            statements.append((_SPENT, (day, names[before], -1)))
        if liked is not None:
            statements.append((_SPENT, (day, names[liked], 1)))
        if liked is False and before is not False:
            statements += self._kept(now, DISLIKED, question)
        self._put(statements)

    def _kept(self, now: datetime, outcome: str, question: str) -> list[Statement]:
        if not self.keeps_questions or not question.strip():
            return []
        text = " ".join(question.split())[:QUESTION_CHARACTERS]
        return [(_QUESTION, (now.timestamp(), outcome, text)), (_TRIM, (KEPT_QUESTIONS,))]

    def _put(self, statements: list[Statement]) -> None:
        if self._writer is not None and statements:
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(statements)

    # What is read

    async def days(self, count: int = 30) -> list[Day]:
        """The last days, oldest first, those without a question included."""
        return await asyncio.to_thread(self._days, count)

    async def open_questions(self, count: int = 500) -> list[OpenQuestion]:
        """What the book could not answer, the most asked first; none unless questions are kept."""
        return await asyncio.to_thread(self._open_questions, count) if self.keeps_questions else []

    def _days(self, count: int) -> list[Day]:
        today = datetime.now(UTC).date()
        names = [(today - timedelta(days=back)).isoformat() for back in reversed(range(count))]
        with self._reading() as database:
            asked = _by_day(database, "SELECT day, outcome, count FROM asked WHERE day >= ?", names[0])
            spent = _by_day(database, "SELECT day, kind, amount FROM spent WHERE day >= ?", names[0])
            first = _by_day(database, "SELECT day, bucket, count FROM first_token WHERE day >= ?", names[0])
        return [_day(name, asked.get(name, {}), spent.get(name, {}), first.get(name, {})) for name in names]

    def _open_questions(self, count: int) -> list[OpenQuestion]:
        query = (
            "SELECT question, outcome, count(*) AS times, max(at) FROM questions "
            "GROUP BY lower(question), outcome ORDER BY times DESC, max(at) DESC LIMIT ?"
        )
        with self._reading() as database:
            return [OpenQuestion(*row) for row in database.execute(query, (count,))]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Beside the writer: with a write-ahead log readers never wait. An empty database where there is none."""
        here = self._writer is not None
        database = sqlite3.connect(self._path if here else ":memory:", timeout=2)
        try:
            if not here:
                database.executescript(_SCHEMA)
            yield database
        finally:
            database.close()

    # Writing

    def _prepare(self) -> None:
        """A file that is no database any more is put aside, and a new one begun."""
        try:
            self._make()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            log.warning("%s is damaged: it is put aside and begun anew", self._path.name)
            self._path.replace(self._path.with_suffix(".damaged"))
            self._make()

    def _make(self) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its log files the same mode
        with contextlib.closing(sqlite3.connect(self._path, timeout=5)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(_SCHEMA)
            first = (datetime.now(UTC).date() - timedelta(days=KEPT_DAYS)).isoformat()
            for table in ("asked", "spent", "first_token"):
                database.execute(f"DELETE FROM {table} WHERE day < ?", (first,))  # noqa: S608 - names of our own
            if not self.keeps_questions:
                database.execute("DELETE FROM questions")
            database.commit()

    def _write(self) -> None:
        with contextlib.closing(sqlite3.connect(self._path, timeout=5)) as database:
            database.execute("PRAGMA synchronous=NORMAL")
            while (statements := self._waiting.get()) is not None:
                try:
                    with database:
                        for statement, values in statements:
                            database.execute(statement, values)
                except sqlite3.Error as error:
                    log.warning("a figure was lost: %s", type(error).__name__)


def _by_day(database: sqlite3.Connection, query: str, first: str) -> dict[str, dict[object, int]]:
    found: dict[str, dict[object, int]] = {}
    for day, key, amount in database.execute(query, (first,)):
        found.setdefault(day, {})[key] = amount
    return found


def _day(day: str, asked: dict[object, int], spent: dict[object, int], first: dict[object, int]) -> Day:
    return Day(
        day,
        {str(outcome): count for outcome, count in asked.items()},
        _median({int(str(bucket)): count for bucket, count in first.items()}),
        spent.get("prompt", 0),
        spent.get("completion", 0),
        max(0, spent.get("liked", 0)),
        max(0, spent.get("disliked", 0)),
    )


def _bucket(milliseconds: float) -> int:
    """Four buckets to every doubling: bounded in number, and a fifth apart."""
    return math.floor(4 * math.log2(max(milliseconds, 1.0)))


def _median(buckets: dict[int, int]) -> float | None:
    half = sum(buckets.values()) / 2
    for bucket in sorted(buckets):
        half -= buckets[bucket]
        if half <= 0:
            return round(math.exp2((bucket + 0.5) / 4), 1)
    return None


Rating = Literal["up", "down"]
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that has been given. Of its question there is a digest, to know it again."""

    question: bytes
    liked: bool | None = None


class Ratings:
    """Remembers the latest answers that have been given, and how each was rated. No other answer can be rated.

    The id of an answer is random and told to nobody but its reader.
    """

    def __init__(self, limits: RateLimits, metrics: Metrics, usage: UsageStore, remembered: int = REMEMBERED) -> None:
        self._limits, self._metrics, self._usage = limits, metrics, usage
        self._given: OrderedDict[str, Given] = OrderedDict()
        self._remembered = remembered

    def given(self, message_id: str, question: str) -> None:
        """An answer of this id is on its way. The oldest is forgotten for a new one."""
        self._given[message_id] = Given(_digest(question))
        if len(self._given) > self._remembered:
            self._given.popitem(last=False)

    async def rate(self, client: Caller, message_id: str, rating: Rating) -> None:
        """The last rating of an answer wins; an answer that is not remembered is not counted. Raises Problem 429."""
        await self._change(client, message_id, liked=rating == "up", question="")

    async def change(self, client: Caller, message_id: str, liked: bool | None, question: str) -> None:
        """As `rate`, for a surface that knows the answer's question; `liked` None takes a rating back.

        What is said to be the question is kept only where it is that of the answer.
        """
        await self._change(client, message_id, liked=liked, question=question)

    async def _change(self, client: Caller, message_id: str, *, liked: bool | None, question: str) -> None:
        await self._admit(client)
        given = self._given.get(message_id)
        if given is None:
            self._metrics.ratings.labels("unknown", client.surface).inc()
            return
        self._given[message_id] = replace(given, liked=liked)
        if liked is not given.liked:
            self._count(client, liked, given.liked, question if _digest(question) == given.question else "")

    def _count(self, client: Caller, liked: bool | None, before: bool | None, question: str) -> None:
        name = {True: "up", False: "down", None: "taken_back"}[liked]
        self._metrics.ratings.labels(name, client.surface).inc()
        self._usage.rated(liked, before, question)

    async def _admit(self, client: Caller) -> None:
        try:
            await self._limits.admit_rating(client.host)
        except Problem:
            self._metrics.limited.labels(client.surface).inc()
            raise


def _digest(question: str) -> bytes:
    return sha256(question.encode("utf-8", "replace")).digest()[:16]
