"""The embedded engine: EdgeStore reads the published generation, EdgeWriter makes the next one.

The engine holds the interpreter lock in every call, so calling it from a thread would free nothing: its calls stand
inline. It raises bare Exception for everything, which is why exactly its calls are wrapped.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import time
from typing import Any, cast
from uuid import UUID

import qdrant_edge as qe

from rag.embedding.base import Vectors
from rag.errors import IndexEmpty, IndexMismatch, StoreUnavailable
from rag.store import search as searching
from rag.store.base import IndexConfig, IndexedChunk, StoreQuery, WriterFactory
from rag.store.generations import About, Generations, Lease
from rag.store.points import (
    BM25,
    DENSE,
    INDEXED_FIELDS,
    WINDOW_BM25,
    StoredPoint,
    chunk_of,
    chunk_points,
    document_point,
    record_of,
)
from rag.store.search import Ask, Found
from rag.types import Chunk, DocumentRecord, Hit, IndexInfo, SparseVector

ENGINE = f"qdrant-edge {version('qdrant-edge-py')}"
_BATCH = 256  # points in one call to the engine
_PAGE = 1000  # points read at once


@contextmanager
def _engine_call(where: Path) -> Iterator[None]:
    """Around one call of the engine, which raises bare Exception for everything."""
    try:
        yield
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise StoreUnavailable(
            f"The index in {where} does not answer; ingest again with --force to rebuild it."
        ) from error


class _Shard:
    """One open shard and its answers to Ask. `where` is named in errors."""

    def __init__(self, shard: qe.EdgeShard, where: Path) -> None:
        self._shard = shard
        self._where = where

    @classmethod
    def load(cls, path: Path, where: Path) -> "_Shard":
        with _engine_call(where):
            return cls(qe.EdgeShard.load(str(path)), where)

    @classmethod
    def create(cls, path: Path, where: Path, dimensions: int) -> "_Shard":
        with _engine_call(where):
            made = cls(qe.EdgeShard.create(str(path), _shard_config(dimensions)), where)
        for name in INDEXED_FIELDS:
            schema = qe.KeywordIndexParams(memory=qe.Memory.Cold, enable_hnsw=False)
            made.update(qe.UpdateOperation.create_field_index(name, schema))
        return made

    def update(self, operation: qe.UpdateOperation) -> None:
        with _engine_call(self._where):
            self._shard.update(operation)

    def ask(self, batch: Sequence[Ask]) -> list[list[Found]]:
        request = qe.QueryBatchRequest([_request(ask) for ask in batch])
        with _engine_call(self._where):
            answers = self._shard.query_batch(request)
        return [[_found(point) for point in points] for points in answers]

    def scroll(self, condition: qe.Filter, *, payload: bool) -> Iterator[list[qe.Record]]:
        """Every point under the condition, page by page."""
        offset: Any = None
        while True:
            request = qe.ScrollRequest(offset=offset, limit=_PAGE, filter=condition, with_payload=payload)
            with _engine_call(self._where):
                records, offset = self._shard.scroll(request)
            yield records
            if offset is None:
                return

    def count(self, condition: qe.Filter) -> int:
        with _engine_call(self._where):
            return self._shard.count(qe.CountRequest(filter=condition, exact=True))

    def finish(self) -> None:
        """Makes the shard compact, quick to load and durable, and closes it."""
        with _engine_call(self._where):
            self._shard.flush()
            self._shard.optimize()
            self._shard.flush()
        self.close()

    def close(self) -> None:
        with _engine_call(self._where):
            self._shard.close()


@dataclass
class _Reader:
    """A published generation, open. It is closed when it has been replaced and nobody uses it."""

    lease: Lease
    shard: _Shard
    users: int = 0
    retired: bool = False
    records: list[DocumentRecord] | None = None
    idf: dict[int, float] = field(default_factory=dict)

    async def ask(self, batch: Sequence[Ask]) -> list[list[Found]]:
        return self.shard.ask(batch)

    def retire(self) -> None:
        self.retired = True
        self.close_when_idle()

    def close_when_idle(self) -> None:
        if self.retired and not self.users:
            with suppress(StoreUnavailable):
                self.shard.close()
            self.lease.release()


class EdgeStore:
    """The VectorStore over DATA_DIR/index. Any number of processes may have it open."""

    def __init__(self, data_dir: Path) -> None:
        self._generations = Generations(data_dir, ENGINE)
        self._reader: _Reader | None = None
        self._stamp: tuple[int, int] | None = None

    async def open(self) -> None:
        """Opens the published index; one that cannot be used is reported by whoever asks it."""
        with suppress(StoreUnavailable, IndexMismatch):
            await self.refresh()

    async def close(self) -> None:
        reader, self._reader, self._stamp = self._reader, None, None
        if reader is not None:
            reader.retire()

    async def refresh(self) -> bool:
        stamp = self._generations.stamp()
        if stamp == self._stamp:
            return False
        lease = self._generations.hold()
        old, self._reader = self._reader, self._opened(lease) if lease is not None else None
        self._stamp = stamp
        if old is not None:
            old.retire()
        return True

    def _opened(self, lease: Lease) -> _Reader:
        try:
            return _Reader(lease, _Shard.load(lease.shard, self._generations.root))
        except BaseException:
            lease.release()
            raise

    @asynccontextmanager
    async def _using(self) -> AsyncIterator[_Reader | None]:
        """The current generation, kept open for the block. Tries again to open what could not be opened."""
        if self._reader is None:
            await self.refresh()
        reader = self._reader
        if reader is None:
            yield None
            return
        reader.users += 1
        try:
            yield reader
        finally:
            reader.users -= 1
            reader.close_when_idle()

    async def config(self) -> IndexConfig | None:
        async with self._using() as reader:
            return reader.lease.about.config if reader else None

    async def info(self) -> IndexInfo:
        async with self._using() as reader:
            return reader.lease.about.info if reader else IndexInfo()

    async def search(self, query: StoreQuery, limit: int, keep: Sequence[str] = ()) -> list[Hit]:
        async with self._using() as reader:
            if reader is None or not reader.lease.about.info.chunks:
                raise IndexEmpty("The book has not been ingested yet.")
            return await searching.search(reader, query, limit, keep)

    async def idf(self, indices: Sequence[int]) -> list[float]:
        async with self._using() as reader:
            if reader is None:
                return [0.0] * len(indices)
            return await searching.idf(reader, indices, reader.lease.about.info.chunks, reader.idf)

    async def chunks(self, ids: Sequence[str]) -> list[Chunk]:
        async with self._using() as reader:
            return await searching.chunks(reader, ids) if reader else []

    async def chunks_of(self, path: str) -> list[Chunk]:
        async with self._using() as reader:
            if reader is None:
                return []
            pages = reader.shard.scroll(_where(kind="chunk", path=path), payload=True)
            found = [chunk_of(str(record.id), record.payload or {}) for page in pages for record in page]
            return sorted(found, key=lambda chunk: chunk.ordinal)

    async def documents(self) -> list[DocumentRecord]:
        async with self._using() as reader:
            if reader is None:
                return []
            if reader.records is None:
                reader.records = _records(reader.shard)
            return list(reader.records)


class EdgeWriter:
    """The IndexWriter of the embedded engine. Nothing is copied or created before the first change."""

    def __init__(self, generations: Generations, config: IndexConfig, base: Lease | None) -> None:
        self._generations = generations
        self._config = config
        self._base = base
        self._path: Path | None = None
        self._open: _Shard | None = None
        self._records = _base_records(base, generations.root) if base is not None else {}

    @property
    def rebuilding(self) -> bool:
        return self._base is None

    async def manifest(self) -> dict[str, DocumentRecord]:
        return dict(self._records)

    async def replace(self, record: DocumentRecord, chunks: Sequence[IndexedChunk]) -> int:
        self._generations.require_room()
        shard = self._shard()
        new = {indexed.chunk.id for indexed in chunks}
        stale = self._chunk_ids(record.path) - new
        if record.path in self._records:
            self._delete(shard, record.path)
        points = [point for indexed in chunks for point in chunk_points(indexed)]
        for batch in _batches([*points, document_point(record)]):
            shard.update(qe.UpdateOperation.upsert_points([_point(point) for point in batch]))
        self._records[record.path] = record
        return len(stale)

    async def remove(self, path: str) -> int:
        gone = self._chunk_ids(path)
        if path in self._records:
            self._delete(self._shard(), path)
            del self._records[path]
        return len(gone)

    async def publish(self) -> IndexInfo:
        if self._base is not None and self._path is None:
            return self._base.about.info
        shard = self._shard()
        info = IndexInfo(
            fingerprint=self._config.fingerprint,
            documents=len(self._records),
            chunks=shard.count(_where(kind="chunk")),
            windows=shard.count(_where(kind="window")),
            tokens=sum(record.tokens for record in self._records.values()),
            built_at=time(),
        )
        self._open = None
        shard.finish()
        assert self._path is not None
        self._generations.publish(self._path, About(self._config, info, ENGINE))
        self._path = None
        return info

    def abandon(self) -> None:
        """Closes and removes what was not published."""
        if self._open is not None:
            with suppress(StoreUnavailable):
                self._open.close()
            self._open = None
        if self._path is not None:
            self._generations.discard(self._path)

    def _shard(self) -> _Shard:
        """The generation being written, begun by the first change."""
        if self._open is None:
            root = self._generations.root
            self._path = self._generations.begin(self._base)
            if self._base is not None:
                self._open = _Shard.load(self._path / "shard", root)
            else:
                self._open = _Shard.create(self._path / "shard", root, self._config.dimensions)
        return self._open

    def _chunk_ids(self, path: str) -> set[str]:
        if path not in self._records:
            return set()
        pages = self._shard().scroll(_where(kind="chunk", path=path), payload=False)
        return {str(record.id) for page in pages for record in page}

    def _delete(self, shard: _Shard, path: str) -> None:
        shard.update(qe.UpdateOperation.delete_points_by_filter(_where(path=path)))


def edge_writer_for(data_dir: Path) -> WriterFactory:
    """The WriterFactory of the embedded engine."""
    generations = Generations(data_dir, ENGINE)

    @asynccontextmanager
    async def writer_for(config: IndexConfig, *, force: bool = False) -> AsyncIterator[EdgeWriter]:
        with generations.writing():
            base = None if force else _usable(generations, config)
            writer: EdgeWriter | None = None
            try:
                writer = EdgeWriter(generations, config, base)
                yield writer
            finally:
                if writer is not None:
                    writer.abandon()
                if base is not None:
                    base.release()
                generations.sweep()

    return writer_for


def _usable(generations: Generations, config: IndexConfig) -> Lease | None:
    """The published generation when it can be built upon; one that cannot be read is built anew."""
    try:
        lease = generations.hold()
    except IndexMismatch:
        return None
    if lease is not None and lease.about.config.fingerprint == config.fingerprint:
        return lease
    if lease is not None:
        lease.release()
    return None


def _base_records(base: Lease, where: Path) -> dict[str, DocumentRecord]:
    shard = _Shard.load(base.shard, where)
    try:
        return {record.path: record for record in _records(shard)}
    finally:
        shard.close()


def _records(shard: _Shard) -> list[DocumentRecord]:
    pages = shard.scroll(_where(kind="document"), payload=True)
    records = [record_of(record.payload or {}) for page in pages for record in page]
    return sorted(records, key=lambda record: record.path)


def _shard_config(dimensions: int) -> qe.EdgeConfig:
    sparse = qe.EdgeSparseVectorParams(modifier=qe.Modifier.Idf, memory=qe.Memory.Cold)
    dense = qe.EdgeVectorParams(dimensions, qe.Distance.Cosine, memory=qe.Memory.Cold)
    return qe.EdgeConfig(
        vectors={DENSE: dense} if dimensions else None,
        sparse_vectors={BM25: sparse, WINDOW_BM25: sparse},
        hnsw_config=qe.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000),
        optimizers=qe.EdgeOptimizersConfig(indexing_threshold=1000),
        payload_memory=qe.Memory.Cold,
        id_tracker_memory=qe.Memory.Cold,
        wal_enabled=False,
    )


def _where(**fields: str) -> qe.Filter:
    return qe.Filter(must=[qe.FieldCondition(key=key, match=qe.MatchValue(value)) for key, value in fields.items()])


def _request(ask: Ask) -> qe.QueryRequest:
    ids = None if ask.ids is None else cast(set[int | UUID | str], set(ask.ids))
    return qe.QueryRequest(
        limit=ask.limit,
        query=None if ask.vector is None else qe.Query.Nearest(_vector(ask.vector), using=ask.using),
        filter=None if ids is None else qe.Filter(must=[qe.HasIdCondition(ids)]),
        with_payload=list(ask.payload) if isinstance(ask.payload, tuple) else ask.payload,
        with_vector=[ask.using] if ask.weights else False,
    )


def _found(point: qe.ScoredPoint) -> Found:
    weights: dict[int, float] = {}
    if isinstance(point.vector, dict):
        sparse = cast(qe.SparseVector, point.vector[BM25])
        weights = dict(zip(sparse.indices, sparse.values, strict=True))
    return Found(str(point.id), point.score, point.payload or {}, weights)


def _vector(vector: SparseVector | Vectors) -> Any:  # noqa: ANN401
    """The engine takes arrays as they are, whatever its stub says."""
    if isinstance(vector, SparseVector):
        return qe.SparseVector(list(vector.indices), list(vector.values))
    return vector


def _point(point: StoredPoint) -> qe.Point:
    return qe.Point(point.id, {name: _vector(vector) for name, vector in point.vectors.items()}, point.payload)


def _batches(points: Sequence[StoredPoint]) -> Iterable[Sequence[StoredPoint]]:
    return (points[start : start + _BATCH] for start in range(0, len(points), _BATCH))
