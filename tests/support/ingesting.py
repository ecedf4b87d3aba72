"""The real ingest command in a process of its own, books to give it, and everything an index holds."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag.embedding.base import Embedder
from rag.events import Finished, IngestEvent, decode
from rag.settings import Settings
from rag.store.base import StoreQuery
from rag.store.edge import EdgeStore
from rag.text.bm25 import Bm25Encoder
from rag.types import Chunk, DocumentRecord

ROOT = Path(__file__).resolve().parent.parent.parent
_TEXT = (
    "actuator balance battery bearing camera controller current damping drive encoder energy error feedback filter "
    "force frame friction gait gear gravity gripper inertia joint kinematics latency leg lidar link load loop mass "
    "motor noise path pelvis phase planner pose power pressure reflex robot sensor shoulder signal skin slip software "
    "speed spring stability step stiffness support surface swing sway tendon torque tracking transform tremor vector "
    "velocity voltage walk weight wrist"
)
_WORDS = _TEXT.split()


def environment(content: Path, data: Path, **settings: str) -> dict[str, str]:
    """The machine's own, without any setting of the application, and with these."""
    ours = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return inherited | {"CONTENT_DIR": str(content), "DATA_DIR": str(data), "PYTHONPATH": str(ROOT)} | settings


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "rag", "ingest", *arguments]


def ingest(content: Path, data: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs in a folder without a `.env`."""
    return subprocess.run(
        command(*arguments),
        env=environment(content, data, **settings),
        cwd=content.parent,
        capture_output=True,
        text=True,
        timeout=280,
    )


def events(done: subprocess.CompletedProcess[str]) -> list[IngestEvent]:
    found = [decode(line) for line in done.stdout.splitlines()]
    assert None not in found, done.stdout
    return [event for event in found if event is not None]


def finished(done: subprocess.CompletedProcess[str]) -> Finished:
    last = events(done)[-1]
    assert isinstance(last, Finished), f"{last}\n{done.stderr}"
    return last


def write_book(content: Path, pages: int, *, paragraphs: int = 6, seed: int = 1) -> None:
    """Different text on every page, the same for the same numbers."""
    for number in range(pages):
        path = content / f"part-{number // 50}" / f"page-{number:05}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(number, paragraphs, seed))


def page(number: int, paragraphs: int = 6, seed: int = 1) -> str:
    chance = random.Random(f"{seed} {number}")
    parts = [f"# The {chance.choice(_WORDS)} and the {chance.choice(_WORDS)} of page {number}"]
    for place in range(paragraphs):
        if place % 2:
            parts.append(f"## On {chance.choice(_WORDS)} {number}.{place}")
        words = [chance.choice(_WORDS) for _ in range(60)]
        sentences = [" ".join(["The", *words[at : at + 12]]) + "." for at in range(0, 60, 12)]
        parts.append(" ".join(sentences))
    return "\n\n".join(parts) + "\n"


_EVERY = 10_000  # more hits than a book here has chunks: which of two equal ones a limit cuts off is left to the engine


class Contents:
    """Everything readers can get out of an index, comparable: records, chunks and the scores of some questions."""

    def __init__(
        self, records: list[DocumentRecord], chunks: list[Chunk], scores: Mapping[str, Mapping[str, Sequence[float]]]
    ) -> None:
        self.records = [replace(record, ingested_at=0.0) for record in records]
        self.chunks = chunks
        self.scores = scores

    def assert_same(self, other: "Contents", tolerance: float = 1e-4) -> None:
        assert self.records == other.records
        assert self.chunks == other.chunks
        assert self.scores.keys() == other.scores.keys()
        for question, hits in self.scores.items():
            assert hits.keys() == other.scores[question].keys(), question
            for chunk_id, scores in hits.items():
                ours = zip(scores, other.scores[question][chunk_id], strict=True)
                assert all(abs(a - b) <= tolerance for a, b in ours), (question, scores)


def contents(data: Path, questions: Sequence[str], embedder: Embedder) -> Contents:
    """`embedder` makes the questions' vectors; it must be the index's own."""
    return asyncio.run(_contents(data, questions, embedder))


async def _contents(data: Path, questions: Sequence[str], embedder: Embedder) -> Contents:
    store = EdgeStore(data)
    await store.open()
    await embedder.open()
    try:
        config = await store.config()
        assert config is not None
        lexicon = Bm25Encoder(config.language, config.average_words)
        records = await store.documents()
        chunks = [chunk for record in records for chunk in await store.chunks_of(record.path)]
        scores: dict[str, dict[str, Any]] = {}
        for question in questions:
            query = StoreQuery(lexicon.query(question), await embedder.embed_query(question))
            hits = await store.search(query, _EVERY)
            scores[question] = {
                hit.chunk.id: (hit.bm25, hit.window_bm25, hit.window_cosine, hit.chunk_cosine) for hit in hits
            }
        return Contents(records, chunks, scores)
    finally:
        await embedder.close()
        await store.close()


def children(process: int | None = None) -> set[int]:
    """The processes that one has started, this one or another."""
    pid = process or os.getpid()
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
