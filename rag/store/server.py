"""A Qdrant server or Cloud: ServerStore reads the collection behind the alias.

    <name>                      an alias, what readers ask
    <name>_<fingerprint>[_2]    a collection; one point in it says what it was built with and what it holds

What is read of an index as a whole is kept until `refresh` sees that another one was published.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar, cast

from qdrant_client import AsyncQdrantClient, models

from rag.embedding.base import Vectors
from rag.errors import IndexEmpty, IndexMismatch
from rag.resilience import CircuitBreaker
from rag.store import queries
from rag.store.base import IndexConfig, StoreQuery
from rag.store.chunk_cache import ChunkCache
from rag.store.points import BM25, DENSE, INDEX_ID, RECORDS, StoredPoint, chunk_of, number_of, record_of
from rag.store.qdrant_connection import CollectionNotFound, QdrantConnection
from rag.store.queries import BEAM, Query, QueryResult
from rag.types import Chunk, DocumentRecord, Hit, IndexInfo, SparseVector

FORMAT = 6
_PAGE = 256  # points read at once
_Answer = TypeVar("_Answer")


@dataclass
class CollectionReader:
    """One collection, and what it says of itself. `info` is None while it is being built."""

    connection: QdrantConnection
    collection: str
    config: IndexConfig
    info: IndexInfo | None = None
    records: list[DocumentRecord] | None = None
    idf: dict[int, float] = field(default_factory=dict)

    async def ask(self, batch: Sequence[Query]) -> list[QueryResult]:
        requests = [_request(ask) for ask in batch]
        answers = await self.connection.run(lambda client: client.query_batch_points(self.collection, requests))
        return [_answer(answer.points) for answer in answers]

    async def scroll(
        self, path: str | None, payload: list[str] | bool = True
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Id and payload, or the fields of it that are named, of every point with that path; None: of all points."""
        offset: Any = None
        while True:
            records, offset = await self.connection.run(self._page(path, offset, payload))
            for record in records:
                yield str(record.id), record.payload or {}
            if offset is None:
                return

    def _page(
        self, path: str | None, offset: models.ExtendedPointId | None, payload: list[str] | bool
    ) -> Callable[[AsyncQdrantClient], Awaitable[tuple[list[models.Record], models.ExtendedPointId | None]]]:
        here = None
        if path is not None:
            here = models.Filter(must=[models.FieldCondition(key="path", match=models.MatchValue(value=path))])
        return lambda client: client.scroll(self.collection, here, limit=_PAGE, offset=offset, with_payload=payload)

    async def documents(self) -> list[DocumentRecord]:
        found = [record_of(payload) async for _, payload in self.scroll(RECORDS)]
        return sorted(found, key=lambda record: record.path)

    def point(self) -> StoredPoint:
        """What the collection says of itself, as it is stored."""
        about = {"config": asdict(self.config), "info": asdict(self.info) if self.info else None}
        return StoredPoint(INDEX_ID, {"format": FORMAT, "collection": self.collection} | about, {})


async def find(connection: QdrantConnection, name: str) -> CollectionReader | None:
    """The index in a collection or behind an alias. Raises IndexMismatch where something else is."""
    try:
        records = await connection.run(lambda client: client.retrieve(name, [INDEX_ID]))
    except CollectionNotFound:
        return None
    try:
        payload = records[0].payload or {}
        if payload["format"] != FORMAT:
            raise KeyError(payload["format"])
        info = IndexInfo(**payload["info"]) if payload["info"] else None
        return CollectionReader(connection, payload["collection"], IndexConfig(**payload["config"]), info)
    except (LookupError, TypeError, ValueError):
        raise IndexMismatch(
            f"The collection {name} on {connection.host} is not an index of this version; ingest again to rebuild it."
        ) from None


class ServerStore:
    """The VectorStore over a Qdrant server. `timeout` is seconds for one call.

    `breaker` keeps readers from a server that does not answer: it gets this store's probe, and `timeout` then includes
    the repetitions of a call.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        collection: str = "book",
        *,
        timeout: float = 5.0,
        prefer_grpc: bool = True,
        grpc_port: int = 6334,
        client: AsyncQdrantClient | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        if breaker is not None:
            breaker.probe = self._probe
        self._connection = QdrantConnection(
            url,
            api_key,
            timeout=timeout,
            prefer_grpc=prefer_grpc,
            grpc_port=grpc_port,
            client=client,
            breaker=breaker,
        )
        self._name = collection
        self._index: CollectionReader | None = None

    async def open(self) -> None:
        """Nothing to do: the first question connects, and says so when it cannot."""

    async def _probe(self) -> None:
        """Raises StoreUnavailable while the server is of no use."""
        await self._connection.probe(lambda client: client.get_aliases())

    async def close(self) -> None:
        self._index = None
        await self._connection.close()

    async def refresh(self) -> bool:
        found = await find(self._connection, self._name)
        if found is not None and self._index is not None and _same(found, self._index):
            return False
        changed = found is not None or self._index is not None
        self._index = found
        return changed

    async def config(self) -> IndexConfig | None:
        index = await self._current()
        return index.config if index else None

    async def info(self) -> IndexInfo:
        """Asks the server every time: whether it answers is part of what is asked."""
        await self.refresh()
        return self._index.info if self._index and self._index.info else IndexInfo()

    async def search(self, query: StoreQuery, limit: int, include: Sequence[str] = ()) -> list[Hit]:
        async def found(index: CollectionReader) -> list[Hit]:
            cache = ChunkCache()  # for this search alone: documents change one by one
            return await queries.search(index, index.config, query, limit, include, cache)

        hits = await self._on_index(found)
        if hits is None or (self._index and self._index.info and not self._index.info.chunks):
            raise IndexEmpty("The book has not been ingested yet.")
        return hits

    async def idf(self, indices: Sequence[int]) -> list[float]:
        async def found(index: CollectionReader) -> list[float]:
            return await queries.idf(index, indices, index.info.chunks if index.info else 0, index.idf)

        return await self._on_index(found) or [0.0] * len(indices)

    async def chunks(self, ids: Sequence[str]) -> list[Chunk]:
        async def found(index: CollectionReader) -> list[Chunk]:
            return await queries.chunks(index, ids)

        return await self._on_index(found) or []

    async def chunks_of(self, path: str) -> list[Chunk]:
        async def found(index: CollectionReader) -> list[Chunk]:
            chunks = [chunk_of(*point) async for point in index.scroll(path)]
            return sorted(chunks, key=lambda chunk: chunk.ordinal)

        return await self._on_index(found) or []

    async def documents(self) -> list[DocumentRecord]:
        async def found(index: CollectionReader) -> list[DocumentRecord]:
            if index.records is None:
                index.records = await index.documents()
            return list(index.records)

        return await self._on_index(found) or []

    async def hashes(self) -> dict[str, str]:
        return {record.path: record.sha256 for record in await self.documents()}

    async def _current(self) -> CollectionReader | None:
        if self._index is None:
            await self.refresh()
        return self._index

    async def _on_index(self, ask: Callable[[CollectionReader], Awaitable[_Answer]]) -> _Answer | None:
        """None without an index. A collection that was replaced and deleted meanwhile is looked up once more."""
        index = await self._current()
        if index is None:
            return None
        try:
            return await ask(index)
        except CollectionNotFound:
            await self.refresh()
        try:
            return await ask(self._index) if self._index else None
        except CollectionNotFound:
            return None


def _same(one: CollectionReader, other: CollectionReader) -> bool:
    return (one.collection, one.config, one.info) == (other.collection, other.config, other.info)


def stored(point: StoredPoint) -> models.PointStruct:
    vectors = {name: _vector(vector) for name, vector in point.vectors.items()}
    return models.PointStruct(id=point.id, vector=cast(models.VectorStruct, vectors), payload=point.payload)


def _request(ask: Query) -> models.QueryRequest:
    return models.QueryRequest(
        limit=ask.limit,
        query=None if ask.vector is None else _vector(ask.vector),
        using=ask.using or None,
        filter=None if ask.ids is None else models.Filter(must=[models.HasIdCondition(has_id=list(ask.ids))]),
        with_payload=list(ask.payload) if isinstance(ask.payload, tuple) else ask.payload,
        with_vector=[ask.using] if ask.weights else False,
        params=models.SearchParams(hnsw_ef=BEAM) if ask.using == DENSE and ask.ids is None else None,
    )


def _answer(points: Sequence[models.ScoredPoint]) -> QueryResult:
    return QueryResult(
        list(map(_number, points)), [point.score for point in points], points, list(map(_weights, points))
    )


def _number(point: models.ScoredPoint) -> int:
    return point.id if isinstance(point.id, int) else number_of(str(point.id))


def _weights(point: models.ScoredPoint) -> dict[int, float]:
    if not isinstance(point.vector, dict) or BM25 not in point.vector:
        return {}
    sparse = cast(models.SparseVector, point.vector[BM25])
    return dict(zip(sparse.indices, sparse.values, strict=True))


def _vector(vector: SparseVector | Vectors) -> models.SparseVector | list[float]:
    if isinstance(vector, SparseVector):
        return models.SparseVector(indices=list(vector.indices), values=list(vector.values))
    return cast(list[float], vector.tolist())
