"""The seam of the stores: VectorStore reads one published index, IndexWriter builds the next one.

An index holds three kinds of points: chunks (with their BM25 vector), windows (short texts of a chunk, each with a
BM25 vector and a dense one) and documents (the manifest and the outline, without vectors). "Point", "payload" and
"collection" do not leave this package.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from rag.embedding.base import Vectors
from rag.types import Chunk, DocumentRecord, Hit, IndexInfo, SparseVector


@dataclass(frozen=True, slots=True)
class StoreQuery:
    """A question as the store searches it. `dense` has the index's dimensions, or is None: lexical scores alone."""

    sparse: SparseVector
    dense: Vectors | None = None


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """What an index is built with; `fingerprint` names all of it and more (chunker, windows)."""

    fingerprint: str
    dimensions: int
    language: str | None
    average_words: float


@dataclass(frozen=True, slots=True)
class IndexedWindow:
    sparse: SparseVector
    dense: Vectors | None


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk ready to be stored: its BM25 vector, its windows, and its own dense vector where it has no windows.

    Dense vectors are unit vectors. `terms` are those of the text that BM25 took, in its order, of 32 bits each.
    """

    chunk: Chunk
    sparse: SparseVector
    terms: Sequence[int]
    dense: Vectors | None
    windows: tuple[IndexedWindow, ...] = ()


class VectorStore(Protocol):
    """Reads the published index. Every method raises StoreUnavailable, and IndexMismatch for an index that is there
    but must be built anew; `search` raises IndexEmpty without an index.
    """

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def refresh(self) -> bool:
        """Switches to a newer published index, if there is one, without disturbing searches under way."""
        ...

    async def config(self) -> IndexConfig | None:
        """What the published index was built with; None when there is none."""
        ...

    async def info(self) -> IndexInfo: ...

    async def search(self, query: StoreQuery, limit: int, include: Sequence[str] = ()) -> list[Hit]:
        """The union of the best `limit` chunks by BM25, the best `limit` by best window and the chunks `include`,
        every one with all four scores. Two round trips. Unordered.
        """
        ...

    async def idf(self, indices: Sequence[int]) -> list[float]:
        """The engine's own IDF of each term over the chunks; unseen terms get the maximum."""
        ...

    async def chunks(self, ids: Sequence[str]) -> list[Chunk]:
        """In the order of `ids`; ids that are not in the index are left out."""
        ...

    async def chunks_of(self, path: str) -> list[Chunk]:
        """The chunks of one document by ordinal."""
        ...

    async def documents(self) -> list[DocumentRecord]:
        """The manifest and outline, by path, without reading any chunk."""
        ...

    async def hashes(self) -> Mapping[str, str]:
        """The SHA-256 of every document by its path, as far as it can be told without opening the index."""
        ...


class IndexWriter(Protocol):
    """Builds the next index. Nothing a reader sees changes before `publish`, except on a server with an unchanged
    fingerprint, where documents change one by one. A writer left without `publish` leaves the old index as it was.
    """

    @property
    def rebuilding(self) -> bool:
        """True when this writer started from nothing (no index yet, or another fingerprint, or forced)."""
        ...

    async def manifest(self) -> dict[str, DocumentRecord]:
        """What the index being written already holds, by path."""
        ...

    async def replace(self, record: DocumentRecord, chunks: Sequence[IndexedChunk]) -> int:
        """Puts the document's chunks in and its stale ones out; returns how many chunks went out. Safe to repeat."""
        ...

    async def remove(self, path: str) -> int:
        """Takes a document out; returns how many chunks went."""
        ...

    async def publish(self) -> IndexInfo:
        """Makes what was written durable and visible."""
        ...


class WriterFactory(Protocol):
    """`async with writer_for(config, force=False) as writer`: one writer at a time, else IngestRunning."""

    def __call__(self, config: IndexConfig, *, force: bool = False) -> AbstractAsyncContextManager[IndexWriter]: ...
