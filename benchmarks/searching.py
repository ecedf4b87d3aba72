"""Hybrid search through `pipeline.search` against the bare engine calls it makes: how much is added, at the median.

Synthetic chunks with vectors of 384 dimensions go through the real writer. Every question is new, and both sides get
the same ones in turns: the whole search, and the same questions put straight to the engine and what comes back read.
The straight ones are those of a search that knows nothing of the index. Both sides have answered others before, as a
running application has, and so the whole search knows what it read for those.
"""

import asyncio
import random
import statistics
import tempfile
import time
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as qe

from benchmarks.figures import Figure
from rag.chat.answer_cache import MemoryAnswers, SharedAnswers
from rag.chat.budget import Unlimited
from rag.chat.chat import Chat
from rag.corpus.routes import Site
from rag.embedding.base import Vectors
from rag.embedding.local import NoEmbedder
from rag.generation.extractive import ExtractiveGenerator
from rag.health import Upstreams
from rag.markdown.chunking import CHUNKER_VERSION
from rag.memory import freeze_gc
from rag.pipeline import Book, Pipeline, Worker
from rag.resilience import CircuitBreaker
from rag.retrieval.retriever import Retriever
from rag.store.base import IndexConfig, IndexedChunk, IndexedWindow
from rag.store.chunk_cache import ChunkCache
from rag.store.edge import EdgeStore, edge_writer_for
from rag.store.queries import Query, QueryResult
from rag.store.shard import Shard, request
from rag.text.bm25 import Bm25Encoder
from rag.types import Chunk, DocumentRecord

SIZES, LARGE = (1_000, 10_000), 100_000
QUESTIONS, WARMING = 360, 120
_DIMENSIONS = 384
_PER_PAGE = 10
_WORDS = [f"{first}{second}{third}" for first in "bdfgkl" for second in ("a", "ero", "in", "osa", "u") for third in
          ("bel", "dor", "fin", "gat", "kel", "lum", "mor", "nas", "pir", "tol", "vas", "zun")]  # fmt: skip
_VOCABULARY = [*_WORDS, *(one + other for one in _WORDS[::3] for other in _WORDS[::7])]
_COMMON = [1 / (rank + 10) for rank in range(len(_VOCABULARY))]  # Zipf's law, flattened at its head


class Drawn:
    """Vectors drawn from the text's hash. It takes no time: every question is embedded once before it is timed."""

    fingerprint, dimensions = "drawn", _DIMENSIONS

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def embed_query(self, text: str) -> Vectors:
        return _vector(zlib.crc32(text.encode()))

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return np.stack([_vector(zlib.crc32(text.encode())) for text in texts])


def measure(*, quick: bool, large: bool = False) -> list[Figure]:
    return [asyncio.run(_measure(size, quick=quick)) for size in (*SIZES, *([LARGE] if large else []))]


async def _measure(chunks: int, *, quick: bool) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        await fill(Path(folder), chunks)
        whole, bare = await searches(Path(folder), QUESTIONS // 4 if quick else QUESTIONS)
    sides = f"{bare * 1e3:.2f} ms at the engine, {whole * 1e3:.2f} ms in all"
    says = f"Hybrid search ÷ the bare engine calls, p50, {chunks:,} chunks"
    return Figure(f"search {chunks:,}", says, whole / bare, 1.5, sides=sides)


async def searches(data: Path, count: int) -> tuple[float, float]:
    """Seconds of a whole search and of its engine calls, medians."""
    store, chance = EdgeStore(data), random.Random(2)
    asked = [f"How does the {' '.join(_text(chance, 6))} work in case {number}?" for number in range(count + WARMING)]
    questions, others = asked[:count], asked[count:]
    whole, bare = list[float](), list[float]()
    async with _pipeline(store, data) as first:
        batches = await _batches(first, store, questions)
        pipeline = _pipeline(store, data)  # knows nothing of what the first one was asked
        for question in others:
            await pipeline.search(question, 5)
        freeze_gc()  # as the application does before it serves
        engine = _shard(store)._shard
        for number, question in enumerate(questions):
            began = time.perf_counter()
            for batch in batches[number - count // 2]:  # another's, or the engine's memory were warm for it
                _read(engine.query_batch(request(batch)))
            answered = time.perf_counter()
            found = await pipeline.search(question, 5)
            whole.append(time.perf_counter() - answered)
            bare.append(answered - began)
            assert found.passages
    return statistics.median(whole), statistics.median(bare)


async def _batches(pipeline: Pipeline, store: EdgeStore, questions: Sequence[str]) -> list[list[Sequence[Query]]]:
    """What the engine is asked for each of the questions."""
    await pipeline.search("What is the first question?", 5)  # loads and calibrates
    assert store._reader is not None
    watched = _Watched(store._reader.shard)
    store._reader.shard = watched  # type: ignore[assignment]
    made = []
    for question in questions:
        watched.batches, store._reader.cache = [], ChunkCache()
        await pipeline.search(question, 5)
        made.append(watched.batches)
    store._reader.shard, store._reader.cache = watched.shard, ChunkCache()
    return made


def _shard(store: EdgeStore) -> Shard:
    assert store._reader is not None
    return store._reader.shard


def _read(answers: Sequence[Sequence[qe.ScoredPoint]]) -> list[list[Any]]:
    return [[(point.id, point.score, point.payload) for point in points] for points in answers]


class _Watched:
    """The shard, remembering what it was asked."""

    def __init__(self, shard: Shard) -> None:
        self.shard, self.batches = shard, list[Sequence[Query]]()

    def ask(self, batch: Sequence[Query]) -> list[QueryResult]:
        self.batches.append(batch)
        return self.shard.ask(batch)


def _pipeline(store: EdgeStore, data: Path) -> Pipeline:
    embedder = Drawn()
    extractive = ExtractiveGenerator(embedder)
    chat = Chat(
        Retriever(store, embedder),
        Retriever(store, NoEmbedder()),
        extractive,
        extractive,
        Unlimited(),
        SharedAnswers(MemoryAnswers()),
    )
    return Pipeline(
        book=Book(data, Site()),
        store=store,
        embedder=embedder,
        chat=chat,
        worker=Worker((), {}),
        data_dir=data,
        upstreams=Upstreams(chat.model, chat.embeddings, CircuitBreaker("store"), None),
        matches_settings=lambda _: True,
    )


async def fill(data: Path, chunks: int) -> None:
    config = IndexConfig(f"embedder=drawn chunker={CHUNKER_VERSION}", _DIMENSIONS, "english", 80.0)
    lexicon, chance = Bm25Encoder(config.language, config.average_words), random.Random(1)
    async with edge_writer_for(data)(config) as writer:
        for page in range(chunks // _PER_PAGE):
            made = [_chunk(page, number, lexicon, chance) for number in range(_PER_PAGE)]
            await writer.replace(_record(page, made), made)
        await writer.publish()


def _chunk(page: int, number: int, lexicon: Bm25Encoder, chance: random.Random) -> IndexedChunk:
    halves = [" ".join(_text(chance, 40)) + "." for _ in range(2)]
    text = " ".join(halves)
    chunk = Chunk(
        id=f"{page:08x}-0000-5000-8000-{number:012x}",
        path=_path(page),
        heading_path=(f"Page {page}", f"Part {number}"),
        url=f"/docs/{page}",
        anchor=f"part-{number}",
        ordinal=number,
        lines=(number, number + 1),
        chars=(0, len(text)),
        text=text,
        tokens=160,
    )
    windows = tuple(
        IndexedWindow(lexicon.document(half), _vector(page * 100 + number * 2 + place))
        for place, half in enumerate(halves)
    )
    said = chunk.embed_text
    return IndexedChunk(chunk, lexicon.document(said), lexicon.terms(said), windows[0].dense, windows)


def _record(page: int, made: Sequence[IndexedChunk]) -> DocumentRecord:
    return DocumentRecord(
        path=_path(page),
        title=f"Page {page}",
        url=f"/docs/{page}",
        sha256=str(page),
        trail=(),
        chunks=len(made),
        tokens=160 * len(made),
        ingested_at=0.0,
    )


def _path(page: int) -> str:
    return f"part-{page // 50}/page-{page}.md"


def _text(chance: random.Random, words: int) -> list[str]:
    return chance.choices(_VOCABULARY, _COMMON, k=words)


@lru_cache(maxsize=1024)
def _vector(seed: int) -> Vectors:
    drawn = np.random.default_rng(seed).standard_normal(_DIMENSIONS, dtype=np.float32)
    unit: Vectors = drawn / np.linalg.norm(drawn)
    return unit
