"""Cut documents -> vectors -> IndexedChunks: embedding in batches, several in flight, in the order they came."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Self

import numpy as np

from rag.embedding.base import Vectors
from rag.embedding.cache import CachedEmbedder
from rag.ingest.chunk_worker import ChunkedDocument
from rag.store.base import IndexedChunk, IndexedWindow

MOST_AHEAD = 8192  # texts whose vectors may wait to be used: 50 MB of 1,536 dimensions


class EmbeddingQueue:
    """Documents with their vectors, in the order they came, embedded while others are still cut.

    Batches of `batch` texts, whatever documents they are of, `in_flight` of them under way at once; about `most` texts
    are embedded ahead of their use, and then no further document is asked for. The first failure ends what is
    under way, as leaving the context does, and no further batch is begun.
    """

    def __init__(
        self,
        embedder: CachedEmbedder,
        documents: AsyncGenerator[ChunkedDocument, None],
        *,
        batch: int,
        in_flight: int,
        most: int = MOST_AHEAD,
    ) -> None:
        self._embedder, self._documents = embedder, documents
        self._batch, self._most = batch, max(most, batch)
        self._gate = asyncio.Semaphore(in_flight)
        self._cut: asyncio.Queue[ChunkedDocument | None] = asyncio.Queue()
        self._sent: asyncio.Queue[asyncio.Task[Vectors] | None] = asyncio.Queue()
        self._under_way: set[asyncio.Task[Vectors]] = set()
        self._ahead = 0
        self._used = asyncio.Event()
        self._failed: Exception | None = None

    async def __aenter__(self) -> Self:
        self._asking = asyncio.create_task(self._ask(), name="cut and embed")
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [self._asking, *self._under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._documents.aclose()

    async def vectors(self) -> AsyncGenerator[tuple[ChunkedDocument, Vectors], None]:
        """Every document with one vector per text. Raises ModelError, and whatever ended the documents."""
        rows: Vectors = np.empty((0, self._embedder.dimensions), np.float32)
        while (document := await self._cut.get()) is not None:
            texts = sum(map(len, document.texts))
            while len(rows) < texts and (task := await self._sent.get()) is not None:
                more = await self._result(task)
                self._ahead -= len(more)
                self._used.set()
                rows = np.concatenate([rows, more]) if len(rows) else more
            if len(rows) < texts:
                break
            yield document, rows[:texts]
            rows = rows[texts:]
        await self._asking

    async def _result(self, task: asyncio.Task[Vectors]) -> Vectors:
        try:
            vectors = await task
        except asyncio.CancelledError:
            if self._failed is not None:  # another batch failed, and ended this one
                raise self._failed from None
            raise
        self._under_way.discard(task)
        return vectors

    async def _ask(self) -> None:
        waiting: list[str] = []
        try:
            async for document in self._documents:
                self._cut.put_nowait(document)
                waiting += document.every_text()
                while len(waiting) >= self._batch:
                    self._send(waiting[: self._batch])
                    del waiting[: self._batch]
                while self._ahead >= self._most:
                    self._used.clear()
                    await self._used.wait()
            if waiting:
                self._send(waiting)
        finally:
            self._cut.put_nowait(None)
            self._sent.put_nowait(None)

    def _send(self, texts: list[str]) -> None:
        self._ahead += len(texts)
        task = asyncio.create_task(self._embedded(texts))
        self._under_way.add(task)
        self._sent.put_nowait(task)

    async def _embedded(self, texts: list[str]) -> Vectors:
        async with self._gate:
            if self._failed is not None:
                raise self._failed
            try:
                return await self._embedder.embed_documents(texts)
            except Exception as error:
                self._failed = error
                for other in self._under_way - {asyncio.current_task()}:
                    other.cancel()  # one that waits for a text of this batch would ask for it again
                raise


def indexed(document: ChunkedDocument, vectors: Vectors) -> list[IndexedChunk]:
    """`vectors` has a row for each text of the document."""
    rows = iter(vectors)
    chunks: list[IndexedChunk] = []
    for chunk, sparse, terms, texts, windows in zip(
        document.chunks, document.sparse, document.terms, document.texts, document.text_sparse, strict=True
    ):
        dense = [_dense(next(rows)) for _ in texts]
        if windows:
            made = tuple(map(IndexedWindow, windows, dense))
            chunks.append(IndexedChunk(chunk, sparse, terms, None, made))
        else:
            chunks.append(IndexedChunk(chunk, sparse, terms, dense[0]))
    return chunks


def _dense(row: Vectors) -> Vectors | None:
    """None for a text without a vector: there is no model, or it cannot read the text."""
    return row if row.any() else None
