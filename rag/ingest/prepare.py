"""What an ingest begins with: the survey, the embedder, the recipe, and sometimes the first documents.

An ingest that will cut every file in any case, a first one for instance, need not wait for its embedder: that is opened
while the files are read, and the first documents are cut until it is open.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from rag.corpus.routes import Site
from rag.embedding.cache import CachedEmbedder
from rag.errors import ModelError
from rag.ingest.chunk_worker import ChunkOutcome, DocumentChunker, chunk_all
from rag.ingest.fingerprint import IndexFingerprint, average_words
from rag.ingest.plan import ContentDiff, diff, published, sample
from rag.markdown.chunking import CHUNKER_VERSION
from rag.markdown.windows import WINDOWS_VERSION
from rag.store.base import IndexConfig, VectorStore, WriterFactory
from rag.text.bm25 import BM25_VERSION, detect_language
from rag.text.scripts import legible


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


T = TypeVar("T")
Warned = tuple[str, str]  # a code and its sentence

_AHEAD = 32  # documents
_ILLEGIBLE = (
    "words_only",
    "The local model reads Latin script only, and so this book is searched by its words alone;"
    " with OPENAI_API_KEY it is searched by meaning as well.",
)
_REBUILT = ("rebuild", "The index was made with other settings, and so the whole book is ingested.")


@dataclass(frozen=True, slots=True)
class PreparedIngest:
    """The embedder is open when it is needed. `cutting` gives every file of the scope, where that has begun."""

    content_diff: ContentDiff
    embedder: CachedEmbedder
    index_fingerprint: IndexFingerprint
    warnings: tuple[Warned, ...] = ()
    cutting: AsyncGenerator[ChunkOutcome, None] | None = None


@asynccontextmanager
async def prepare_ingest(
    parts: Ingestion, path: str | None, *, force: bool, dry_run: bool
) -> AsyncIterator[PreparedIngest]:
    """What has begun ends with the context. Raises ContentError, ModelError, StoreUnavailable."""
    index = await published(parts.store, anew=force and path is None and not dry_run)
    if index.lost:
        path = None  # an index of a part of the book would take the place of the whole one
    if dry_run or index.config is not None:
        content_diff = await diff(parts.content_dir, parts.site, index, path)
        idle = not force and content_diff.current and _like(parts, parts.embedder, index.config).matches(index.config)
        embedder, warnings = (parts.embedder, ()) if dry_run or idle else await _opened(parts)
        index_fingerprint = _fingerprint(parts, content_diff, embedder)
        if content_diff.scope is not None and index.config is not None and not index_fingerprint.matches(index.config):
            content_diff, warnings = content_diff.unscoped(), (*warnings, _REBUILT)
        yield PreparedIngest(content_diff, embedder, index_fingerprint, (*content_diff.notes, *warnings))
        return
    async with AsyncExitStack() as begun:
        opening = await begun.enter_async_context(_begun(_opened(parts)))
        content_diff = await diff(parts.content_dir, parts.site, index, path)
        text = sample(content_diff)
        language = parts.language or detect_language(text)
        cutting = await begun.enter_async_context(_ahead(chunk_all(chunker_for(parts, language), content_diff.scoped)))
        embedder, warnings = await opening
        if not legible(embedder.fingerprint, text):
            warnings = (*warnings, _ILLEGIBLE)
        index_fingerprint = replace(_like(parts, embedder, index.config), language=language)
        yield PreparedIngest(content_diff, embedder, index_fingerprint, (*content_diff.notes, *warnings), cutting)


def chunker_for(parts: Ingestion, language: str | None) -> DocumentChunker:
    return DocumentChunker(
        parts.chunk_tokens, parts.overlap_tokens, parts.windows, language, average_words(parts.chunk_tokens)
    )


async def _opened(parts: Ingestion) -> tuple[CachedEmbedder, tuple[Warned, ...]]:
    """An embedder that is ready, and a warning when it had to be the one without a model."""
    try:
        await parts.embedder.open()
    except ModelError as error:
        if parts.fallback is None:
            raise
        return parts.fallback, (("no_model", error.message),)
    return parts.embedder, ()


def _fingerprint(parts: Ingestion, content_diff: ContentDiff, embedder: CachedEmbedder) -> IndexFingerprint:
    """The language is told from the text only when the text is another, or the index was made in another way."""
    index_fingerprint = _like(parts, embedder, content_diff.index.config)
    if index_fingerprint.matches(content_diff.index.config) and (
        content_diff.current or content_diff.scope is not None
    ):
        return index_fingerprint
    return replace(index_fingerprint, language=parts.language or detect_language(sample(content_diff)))


def _like(parts: Ingestion, embedder: CachedEmbedder, config: IndexConfig | None) -> IndexFingerprint:
    """The recipe, with what only opening and reading can tell taken from the index."""
    known = config.language if config else None
    return IndexFingerprint(
        embedder=embedder.fingerprint,
        dimensions=embedder.dimensions or (config.dimensions if config else 0),
        chunker=f"{CHUNKER_VERSION}:{parts.chunk_tokens}:{parts.overlap_tokens}",
        windows=WINDOWS_VERSION if parts.windows else "off",
        encoder=BM25_VERSION,
        words=average_words(parts.chunk_tokens),
        language=parts.language or known,
        detected=parts.language is None,
    )


@asynccontextmanager
async def _begun(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """The work under way; it ends with the context."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _ahead(items: AsyncGenerator[T, None]) -> AsyncIterator[AsyncGenerator[T, None]]:
    """The same items, of which some are made before anybody asks for them."""
    matches: asyncio.Queue[T | None] = asyncio.Queue()
    room = asyncio.Semaphore(_AHEAD)

    async def make() -> None:
        async with aclosing(items):
            async for item in items:
                await room.acquire()
                matches.put_nowait(item)

    async def taken(making: asyncio.Task[None]) -> AsyncGenerator[T, None]:
        while (item := await matches.get()) is not None:
            room.release()
            yield item
        await making

    async with _begun(make()) as making:
        making.add_done_callback(lambda _: matches.put_nowait(None))
        yield taken(making)
