"""One shard of the embedded engine: its layout, and its answers to Ask.

The engine raises bare Exception for everything and, where its Rust code panics, PyO3's PanicException, which is a
BaseException: exactly its calls are wrapped. It holds the interpreter lock in every one of them, so a thread would
free nothing: they stand inline.
"""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import numpy as np
import qdrant_edge as qe

from rag.embedding.base import Vectors
from rag.errors import IndexMismatch, RagError, StoreUnavailable
from rag.store.files import FULL, is_full
from rag.store.points import BM25, DENSE, WINDOW_BM25, StoredPoint
from rag.store.queries import BEAM, Query, QueryResult
from rag.types import SparseVector

_BATCH = 256  # points in one call to the engine
_PAGE = 250  # points read at once
_COMPACT_EVERY = 25_000  # points after which what was written leaves the memory, 1.3 kB each
_GRAPH_FROM = 64 * 2**20  # bytes of dense vectors as stored; comparing them all takes 12 ms, building a graph minutes
_NUMBER_BYTES = 2  # of a dense vector: float16
_PASSING = {errno.EACCES, errno.EAGAIN, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EPERM}
_PANIC = "pyo3_runtime"
_SEGMENT_KB = 200_000  # bounds the memory that compacting takes


@contextmanager
def _engine_call(where: Path) -> Iterator[None]:
    """Around one call of the engine, which raises bare Exception for everything, and panics."""
    try:
        yield
    except (MemoryError, RagError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__module__ != _PANIC:
            raise  # a cancel, an interrupt
        raise _failure(where, str(error)) from error


def _failure(where: Path, said: str) -> StoreUnavailable | IndexMismatch:
    """What the disk, the system or a permission explains may pass; else nothing but another index helps."""
    known = re.search(r"os error (\d+)", said)
    number = int(known[1]) if known else 0
    if is_full(where) or number in FULL:
        reason = "the disk is full"
    elif _read_only(where):
        reason = "the folder is read-only"
    elif number in _PASSING:
        reason = os.strerror(number)
    else:
        return IndexMismatch(f"The index in {where} cannot be used; it is built anew by the next ingest.")
    return StoreUnavailable(f"The index in {where} cannot be used: {reason}.")


def _read_only(where: Path) -> bool:
    """The engine opens its files for writing, even to read them."""
    return bool(os.statvfs(where).f_flag & os.ST_RDONLY) or not os.access(where, os.W_OK)


class Shard:
    """One open shard and its answers to Ask. `where` is named in errors."""

    def __init__(self, shard: qe.EdgeShard, path: Path, where: Path) -> None:
        self._shard = shard
        self._path = path
        self._where = where
        self._loose = 0

    @classmethod
    def load(cls, path: Path, where: Path) -> "Shard":
        with _engine_call(where):
            return cls(qe.EdgeShard.load(str(path)), path, where)

    @classmethod
    def create(cls, path: Path, where: Path, dimensions: int) -> "Shard":
        with _engine_call(where):
            made = cls(qe.EdgeShard.create(str(path), _config(dimensions)), path, where)
            schema = qe.KeywordIndexParams(memory=qe.Memory.Cold, enable_hnsw=False)
            made._shard.update(qe.UpdateOperation.create_field_index("path", schema))
        return made

    def upsert(self, points: Sequence[StoredPoint]) -> None:
        for start in range(0, len(points), _BATCH):
            batch = [_point(point) for point in points[start : start + _BATCH]]
            with _engine_call(self._where):
                self._shard.update(qe.UpdateOperation.upsert_points(batch))
        self._loose += len(points)
        if self._loose >= _COMPACT_EVERY:
            self._loose = 0
            with _engine_call(self._where):
                self._shard.optimize()
                self._reload()

    def delete(self, ids: Sequence[str | int]) -> None:
        with _engine_call(self._where):
            self._shard.update(qe.UpdateOperation.delete_points([*ids]))

    def ask(self, batch: Sequence[Query]) -> list[QueryResult]:
        with _engine_call(self._where):
            answers = self._shard.query_batch(request(batch))
        return [_answer(ask, points) for ask, points in zip(batch, answers, strict=True)]

    def scroll(self, path: str, payload: tuple[str, ...] | bool = True) -> Iterator[list[tuple[str, dict[str, Any]]]]:
        """Id and payload of every point with that path, page by page."""
        here = qe.Filter(must=[qe.FieldCondition(key="path", match=qe.MatchValue(path))])
        offset: Any = None
        while True:
            wanted = list(payload) if isinstance(payload, tuple) else payload
            request = qe.ScrollRequest(offset=offset, limit=_PAGE, filter=here, with_payload=wanted)
            with _engine_call(self._where):
                records, offset = self._shard.scroll(request)
            yield [(str(record.id), record.payload or {}) for record in records]
            if offset is None:
                return

    def count(self) -> int:
        """All its points."""
        with _engine_call(self._where):
            return self._shard.count(qe.CountRequest(exact=True))

    def finish(self, dimensions: int, vectors: int) -> None:
        """Makes the shard compact, quick to load and durable, and closes it. `vectors` is the number of dense ones."""
        large = vectors * dimensions * _NUMBER_BYTES >= _GRAPH_FROM
        with _engine_call(self._where):
            if large:
                self._reload(_config(dimensions, graph=True))
            self._shard.optimize()
            self._reload()  # which applies and removes what is left of the engine's journals: its files change no more
        self.close()

    def _reload(self, config: qe.EdgeConfig | None = None) -> None:
        """What was compacted stays in memory until it is loaded from its files."""
        self._shard.flush()
        self._shard.close()
        self._shard = qe.EdgeShard.load(str(self._path), config)

    def close(self) -> None:
        with _engine_call(self._where):
            self._shard.close()


def segment_files(path: Path) -> list[Path]:
    """All that a shard at `path` keeps of its points."""
    return sorted(file for file in path.glob("segments/**/*") if file.is_file())


def _config(dimensions: int, *, graph: bool = False) -> qe.EdgeConfig:
    """Everything stays in mapped files. Without a graph the nearest are exact, and take 2 ms of 15,000 windows.

    Sixteen bits a number find the same as thirty-two, in half the room.
    """
    sparse = qe.EdgeSparseVectorParams(modifier=qe.Modifier.Idf, memory=qe.Memory.Cold)
    dense = qe.EdgeVectorParams(
        dimensions, qe.Distance.Cosine, memory=qe.Memory.Cold, datatype=qe.VectorStorageDatatype.Float16
    )
    return qe.EdgeConfig(
        vectors={DENSE: dense} if dimensions else None,
        sparse_vectors={BM25: sparse, WINDOW_BM25: sparse},
        hnsw_config=qe.HnswIndexConfig(
            m=16 if graph else 0, ef_construct=100, full_scan_threshold=10_000, payload_m=0, memory=qe.Memory.Cold
        ),
        optimizers=qe.EdgeOptimizersConfig(indexing_threshold=10_000 if graph else 1000, max_segment_size=_SEGMENT_KB),
        payload_memory=qe.Memory.Cold,
        id_tracker_memory=qe.Memory.Cold,
        wal_enabled=False,
    )


def request(batch: Sequence[Query]) -> qe.QueryBatchRequest:
    """What is asked among the same ids shares one filter."""
    filters = {id(ask.ids): _among(ask.ids) for ask in batch if ask.ids is not None}
    return qe.QueryBatchRequest([_request(ask, filters.get(id(ask.ids))) for ask in batch])


def _among(ids: Sequence[str | int]) -> qe.Filter:
    return qe.Filter(must=[qe.HasIdCondition(cast(set[int | UUID | str], set(ids)))])


def _request(ask: Query, among: qe.Filter | None) -> qe.QueryRequest:
    return qe.QueryRequest(
        limit=ask.limit,
        query=None if ask.vector is None else qe.Query.Nearest(_vector(ask.vector), using=ask.using),
        filter=among,
        with_payload=list(ask.payload) if isinstance(ask.payload, tuple) else ask.payload,
        with_vector=[ask.using] if ask.weights else False,
        params=qe.SearchParams(hnsw_ef=BEAM) if ask.using == DENSE and among is None else None,
    )


def _answer(ask: Query, points: Sequence[qe.ScoredPoint]) -> QueryResult:
    """Reads only what was asked for: each attribute is made anew by the engine."""
    weights = [_weights(point, ask.using) for point in points] if ask.weights else ()
    return QueryResult([_number(point.id) for point in points], [point.score for point in points], points, weights)


def _number(given: str | int | UUID) -> int:
    if isinstance(given, int):
        return given
    return given.int if isinstance(given, UUID) else UUID(given).int


def _weights(point: qe.ScoredPoint, name: str) -> dict[int, float]:
    sparse = cast(dict[str, qe.SparseVector], point.vector)[name]
    return dict(zip(sparse.indices, sparse.values, strict=True))


def _vector(vector: SparseVector | Vectors) -> Any:  # noqa: ANN401
    """A memoryview, which the engine reads three times as fast as the array itself."""
    if isinstance(vector, SparseVector):
        return qe.SparseVector(list(vector.indices), list(vector.values))
    return memoryview(np.ascontiguousarray(vector, dtype=np.float32))  # type: ignore[arg-type]


def _point(point: StoredPoint) -> qe.Point:
    return qe.Point(point.id, {name: _vector(vector) for name, vector in point.vectors.items()}, point.payload)
