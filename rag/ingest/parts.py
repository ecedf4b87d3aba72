"""The parts an ingest is made of; `rag.build` puts them together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rag.book.routes import Site
from rag.embedding.cache import CachedEmbedder
from rag.store.base import VectorStore, WriterFactory


@dataclass(frozen=True, slots=True)
class Ingestion:
    """`fallback` takes the embedder's place where its model cannot be loaded; without one that is an error. `price` is
    in US dollars for a million tokens, None when unknown. `language` overrides what the text says. One call embeds
    `batch` texts, and `in_flight` batches are under way at once; the embedder may make fewer calls than that.
    """

    content_dir: Path
    data_dir: Path
    site: Site
    store: VectorStore
    writer_for: WriterFactory
    embedder: CachedEmbedder
    fallback: CachedEmbedder | None = None
    price: float | None = None
    chunk_tokens: int = 500
    overlap_tokens: int = 50
    windows: bool = True
    language: str | None = None
    batch: int = 64
    in_flight: int = 2

    async def __aenter__(self) -> Self:
        """Opens nothing: the store is opened by who reads it, the embedder when something must be embedded."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.embedder.close()
        await self.store.close()
