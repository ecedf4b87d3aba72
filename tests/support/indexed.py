"""Documents as the ingest hands them to a store: real BM25 vectors, and dense vectors drawn from the text's hash."""

import zlib
from collections.abc import Sequence
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from rag.embedding.base import Vectors
from rag.store.base import IndexConfig, IndexedChunk, IndexedWindow
from rag.text.bm25 import Bm25Encoder
from rag.types import Chunk, DocumentRecord, InnerHeading, OutlineHeading

DIMENSIONS = 16
CONFIG = IndexConfig(fingerprint="test-1", dimensions=DIMENSIONS, language="english", average_words=6.0)
LEXICON = Bm25Encoder(CONFIG.language, CONFIG.average_words)
Indexed = tuple[DocumentRecord, list[IndexedChunk]]


def vector(text: str, dimensions: int = DIMENSIONS) -> Vectors:
    """A unit vector; the same text has the same one."""
    drawn = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(dimensions).astype(np.float32)
    unit: Vectors = drawn / np.linalg.norm(drawn)
    return unit


def indexed(path: str, texts: Sequence[str], *, version: str = "1", dimensions: int = DIMENSIONS) -> Indexed:
    """A document of one chunk per text, and of one window per sentence."""
    chunks = [_chunk(path, number, text, dimensions) for number, text in enumerate(texts)]
    record = DocumentRecord(
        path=path,
        title=path.removesuffix(".md").title(),
        url=f"/docs/{path}",
        sha256=f"{path}-{version}",
        trail=("Part 1",),
        chunks=len(chunks),
        tokens=sum(item.chunk.tokens for item in chunks),
        ingested_at=1_700_000_000.25,
        headings=(OutlineHeading(1, "Títle", None), OutlineHeading(2, "Part › one", "part-one")),
        lead="What it is about.",
    )
    return record, chunks


def _chunk(path: str, number: int, text: str, dimensions: int) -> IndexedChunk:
    chunk = Chunk(
        id=str(uuid5(NAMESPACE_URL, f"{path} {text}")),
        path=path,
        heading_path=("Títle", "Part › one"),
        url=f"/docs/{path}",
        anchor="part-one" if number else None,
        ordinal=number,
        lines=(number, number + 3),
        chars=(10 * number, 10 * number + len(text)),
        text=text,
        tokens=len(text.split()),
        trail=("Part 1",),
        inner=(InnerHeading(len(text) // 2, ("Títle", "Part › two"), None if number else "part-two"),),
    )
    windows = tuple(_window(sentence, dimensions) for sentence in text.split(". "))
    dense = [window.dense for window in windows if window.dense is not None]
    mean: Vectors | None = np.mean(dense, axis=0) if dense else None
    return IndexedChunk(chunk, LEXICON.document(text), LEXICON.terms(text), mean, windows)


def _window(text: str, dimensions: int) -> IndexedWindow:
    return IndexedWindow(LEXICON.document(text), vector(text, dimensions) if dimensions else None)


SUBJECTS = ("robot", "motor", "battery", "gripper", "camera", "gyroscope", "planner", "controller")
VERBS = ("balances", "turns", "charges", "grasps", "sees", "measures", "plans", "corrects")


def page(number: int, chunks: int = 4) -> Indexed:
    """A page that shares words with others but no whole sentence."""
    texts = []
    for chunk in range(chunks):
        first, second = (number * 3 + chunk) % 8, (number + chunk * 5) % 8
        texts.append(
            f"The {SUBJECTS[first]} {VERBS[second]} in room {number}. "
            f"A {SUBJECTS[second]} of page {number} {VERBS[first]} number {chunk}. It is quiet then"
        )
    return indexed(f"page-{number:04}.md", texts)
