"""Cut documents -> vectors -> IndexedChunks: embedding in groups, several in flight, in the order they came."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from typing import Self

import numpy as np

from rag.embedding.base import Embedder, Vectors
from rag.ingest.spool import CutDocument
from rag.lexical import Lexicon
from rag.store.base import IndexedChunk, IndexedWindow

MOST_AHEAD = 8192  # texts whose vectors may wait to be used: 50 MB of 1,536 dimensions

_Group = list[CutDocument]


class Embeddings:
    """Documents with their vectors, in the order they came, embedded from the moment they are offered.

    Groups of at least `batch` texts, `in_flight` of them under way at once; about `most` texts are embedded ahead of
    their use. After the first failure no other is asked for. Leaving the context ends what is under way.
    """

    def __init__(self, embedder: Embedder, *, batch: int, in_flight: int, most: int = MOST_AHEAD) -> None:
        self._embedder, self._batch, self._most = embedder, batch, most
        self._gate = asyncio.Semaphore(in_flight)
        self._filling: _Group = []
        self._groups: deque[tuple[_Group, asyncio.Task[Vectors]]] = deque()
        self._ahead = 0
        self._failed: Exception | None = None
        self._refused = False
        self.taken = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [task for _, task in self._groups]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def offer(self, document: CutDocument) -> None:
        """Takes it, unless too much is waiting; what comes after the first that was not taken is not taken either.
        `taken` counts them.
        """
        self._refused = self._refused or self._ahead >= self._most
        if not self._refused:
            self._add(document)
            self.taken += 1

    async def vectors(self, rest: Iterator[CutDocument]) -> AsyncGenerator[tuple[CutDocument, Vectors], None]:
        """Every document that was taken, and then `rest`, each with one vector per text. Raises ModelError."""
        while True:
            while self._ahead < self._most and (document := next(rest, None)) is not None:
                self._add(document)
            if self._ahead < self._most:
                self._send()
            if not self._groups:
                return
            group, task = self._groups[0]
            vectors = await task
            self._groups.popleft()
            self._ahead -= len(vectors)
            start = 0
            for document in group:
                end = start + sum(map(len, document.texts))
                yield document, vectors[start:end]
                start = end

    def _add(self, document: CutDocument) -> None:
        self._filling.append(document)
        self._ahead += sum(map(len, document.texts))
        if sum(len(texts) for waiting in self._filling for texts in waiting.texts) >= self._batch:
            self._send()

    def _send(self) -> None:
        group, self._filling = self._filling, []
        if group:
            self._groups.append((group, asyncio.create_task(self._embed(group))))

    async def _embed(self, group: _Group) -> Vectors:
        async with self._gate:
            if self._failed is not None:
                raise self._failed
            try:
                return await self._embedder.embed_documents([text for each in group for text in each.every_text()])
            except Exception as error:
                self._failed = error
                raise


def indexed(document: CutDocument, vectors: Vectors, lexicon: Lexicon, *, windowed: bool) -> list[IndexedChunk]:
    """`vectors` has a row for each text of the document. A chunk's own vector is the normalised mean of its texts'."""
    chunks: list[IndexedChunk] = []
    start = 0
    for chunk, texts, mean in zip(document.chunks, document.texts, _means(document, vectors), strict=True):
        rows = vectors[start : start + len(texts)]
        start += len(texts)
        windows = (IndexedWindow(lexicon.document(text), _dense(row)) for text, row in zip(texts, rows, strict=True))
        sparse = lexicon.document(chunk.embed_text)
        chunks.append(IndexedChunk(chunk, sparse, _dense(mean), tuple(windows) if windowed else ()))
    return chunks


def _means(document: CutDocument, vectors: Vectors) -> Vectors:
    """For each chunk the normalised mean of its texts' vectors."""
    counts = [len(texts) for texts in document.texts]
    if not counts:
        return vectors
    starts = np.cumsum([0, *counts[:-1]])
    sums: Vectors = np.add.reduceat(vectors, starts, axis=0)
    sums /= np.maximum(np.sqrt(np.einsum("ij,ij->i", sums, sums)), 1e-12)[:, None]
    return sums


def _dense(row: Vectors) -> Vectors | None:
    return row if row.size else None
