"""Cut documents -> vectors -> IndexedChunks: embedding in groups, several in flight, in the order they came."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator

import numpy as np

from rag.embedding.base import Embedder, Vectors
from rag.ingest.spool import CutDocument
from rag.lexical import Lexicon
from rag.store.base import IndexedChunk, IndexedWindow

_Group = list[CutDocument]


async def embedded(
    documents: Iterable[CutDocument], embedder: Embedder, *, batch: int, in_flight: int
) -> AsyncGenerator[tuple[CutDocument, Vectors], None]:
    """Every document with one vector per text, in order. While one is used, `in_flight` groups of at least `batch`
    texts are on their way. Raises ModelError; whatever ends it ends the calls under way.
    """
    waiting: deque[tuple[_Group, asyncio.Task[Vectors]]] = deque()
    groups = _groups(documents, batch)
    try:
        while True:
            while len(waiting) < in_flight and (group := next(groups, None)) is not None:
                waiting.append((group, asyncio.create_task(_embed(group, embedder))))
            if not waiting:
                return
            group, task = waiting[0]
            vectors = await task
            waiting.popleft()
            start = 0
            for document in group:
                end = start + sum(map(len, document.texts))
                yield document, vectors[start:end]
                start = end
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)


def _groups(documents: Iterable[CutDocument], batch: int) -> Iterator[_Group]:
    group: _Group = []
    texts = 0
    for document in documents:
        group.append(document)
        texts += sum(map(len, document.texts))
        if texts >= batch:
            yield group
            group, texts = [], 0
    if group:
        yield group


async def _embed(group: _Group, embedder: Embedder) -> Vectors:
    return await embedder.embed_documents([text for document in group for texts in document.texts for text in texts])


def indexed(document: CutDocument, vectors: Vectors, lexicon: Lexicon, *, windowed: bool) -> list[IndexedChunk]:
    """`vectors` has a row for each text of the document. A chunk's own vector is the normalised mean of its texts'."""
    chunks: list[IndexedChunk] = []
    start = 0
    for chunk, texts in zip(document.chunks, document.texts, strict=True):
        rows = vectors[start : start + len(texts)]
        start += len(texts)
        windows = tuple(
            IndexedWindow(lexicon.document(text), _dense(row)) for text, row in zip(texts, rows, strict=True)
        )
        sparse = lexicon.document(chunk.embed_text)
        chunks.append(IndexedChunk(chunk, sparse, _mean(rows), windows if windowed else ()))
    return chunks


def _dense(row: Vectors) -> Vectors | None:
    return row if row.size else None


def _mean(rows: Vectors) -> Vectors | None:
    if not rows.size:
        return None
    mean: Vectors = rows.mean(axis=0, dtype=np.float32)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)
