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
from rag.store import search as searching
from rag.store.base import IndexConfig, StoreQuery
from rag.store.known import Known
from rag.store.link import Link, Missing
from rag.store.points import BM25, DENSE, INDEX_ID, RECORDS, StoredPoint, chunk_of, number_of, record_of
from rag.store.search import BEAM, Answer, Ask
from rag.types import Chunk, DocumentRecord, Hit, IndexInfo, SparseVector

FORMAT = 6
_PAGE = 256  # points read at once
_Answer = TypeVar("_Answer")


@dataclass
class Index:
    """One collection, and what it says of itself. `info` is None while it is being built."""

    link: Link
    collection: str
    config: IndexConfig
    info: IndexInfo | None = None
    records: list[DocumentRecord] | None = None
    idf: dict[int, float] = field(default_factory=dict)

    async def ask(self, batch: Sequence[Ask]) -> list[Answer]:
        requests = [_request(ask) for ask in batch]
        answers = await self.link.run(lambda client: client.query_batch_points(self.collection, requests))
        return [_answer(answer.points) for answer in answers]

    async def scroll(self, path: str, payload: list[str] | bool = True) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Id and payload, or the fields of it that are named, of every point with that path."""
        offset: Any = None
        while True:
            records, offset = await self.link.run(self._page(path, offset, payload))
            for record in records:
                yield str(record.id), record.payload or {}
            if offset is None:
                return

    def _page(
        self, path: str, offset: models.ExtendedPointId | None, payload: list[str] | bool
    ) -> Callable[[AsyncQdrantClient], Awaitable[tuple[list[models.Record], models.ExtendedPointId | None]]]:
        here = models.Filter(must=[models.FieldCondition(key="path", match=models.MatchValue(value=path))])
        return lambda client: client.scroll(self.collection, here, limit=_PAGE, offset=offset, with_payload=payload)

    async def documents(self) -> list[DocumentRecord]:
        found = [record_of(payload) async for _, payload in self.scroll(RECORDS)]
        return sorted(found, key=lambda record: record.path)

    def point(self) -> StoredPoint:
        """What the collection says of itself, as it is stored."""
        about = {"config": asdict(self.config), "info": asdict(self.info) if self.info else None}
        return StoredPoint(INDEX_ID, {"format": FORMAT, "collection": self.collection} | about, {})


async def find(link: Link, name: str) -> Index | None:
    """The index in a collection or behind an alias. Raises IndexMismatch where something else is."""
    try:
        records = await link.run(lambda client: client.retrieve(name, [INDEX_ID]))
    except Missing:
        return None
    try:
        payload = records[0].payload or {}
        if payload["format"] != FORMAT:
            raise KeyError(payload["format"])
        info = IndexInfo(**payload["info"]) if payload["info"] else None
        return Index(link, payload["collection"], IndexConfig(**payload["config"]), info)
    except (LookupError, TypeError, ValueError):
        raise IndexMismatch(
            f"The collection {name} on {link.host} is not an index of this version; ingest again to rebuild it."
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
        client: AsyncQdrantClient | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        if breaker is not None:
            breaker.probe = self._probe
        self._link = Link(url, api_key, timeout=timeout, prefer_grpc=prefer_grpc, client=client, breaker=breaker)
        self._name = collection
        self._index: Index | None = None

    async def open(self) -> None:
        """Nothing to do: the first question connects, and says so when it cannot."""

    async def _probe(self) -> None:
        """Raises StoreUnavailable while the server is of no use."""
        await self._link.probe(lambda client: client.get_aliases())

    async def close(self) -> None:
        self._index = None
        await self._link.close()

    async def refresh(self) -> bool:
        found = await find(self._link, self._name)
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

    async def search(self, query: StoreQuery, limit: int, keep: Sequence[str] = ()) -> list[Hit]:
        async def found(index: Index) -> list[Hit]:
            known = Known()  # for this search alone: documents change one by one
            return await searching.search(index, index.config, query, limit, keep, known)

        hits = await self._on_index(found)
        if hits is None or (self._index and self._index.info and not self._index.info.chunks):
            raise IndexEmpty("The book has not been ingested yet.")
        return hits

    async def idf(self, indices: Sequence[int]) -> list[float]:
        async def found(index: Index) -> list[float]:
            return await searching.idf(index, indices, index.info.chunks if index.info else 0, index.idf)

        return await self._on_index(found) or [0.0] * len(indices)

    async def chunks(self, ids: Sequence[str]) -> list[Chunk]:
        async def found(index: Index) -> list[Chunk]:
            return await searching.chunks(index, ids)

        return await self._on_index(found) or []

    async def chunks_of(self, path: str) -> list[Chunk]:
        async def found(index: Index) -> list[Chunk]:
            chunks = [chunk_of(*point) async for point in index.scroll(path)]
            return sorted(chunks, key=lambda chunk: chunk.ordinal)

        return await self._on_index(found) or []

    async def documents(self) -> list[DocumentRecord]:
        async def found(index: Index) -> list[DocumentRecord]:
            if index.records is None:
                index.records = await index.documents()
            return list(index.records)

        return await self._on_index(found) or []

    async def hashes(self) -> dict[str, str]:
        return {record.path: record.sha256 for record in await self.documents()}

    async def _current(self) -> Index | None:
        if self._index is None:
            await self.refresh()
        return self._index

    async def _on_index(self, ask: Callable[[Index], Awaitable[_Answer]]) -> _Answer | None:
        """None without an index. A collection that was replaced and deleted meanwhile is looked up once more."""
        index = await self._current()
        if index is None:
            return None
        try:
            return await ask(index)
        except Missing:
            await self.refresh()
        try:
            return await ask(self._index) if self._index else None
        except Missing:
            return None


def _same(one: Index, other: Index) -> bool:
    return (one.collection, one.config, one.info) == (other.collection, other.config, other.info)


def stored(point: StoredPoint) -> models.PointStruct:
    vectors = {name: _vector(vector) for name, vector in point.vectors.items()}
    return models.PointStruct(id=point.id, vector=cast(models.VectorStruct, vectors), payload=point.payload)


def _request(ask: Ask) -> models.QueryRequest:
    return models.QueryRequest(
        limit=ask.limit,
        query=None if ask.vector is None else _vector(ask.vector),
        using=ask.using or None,
        filter=None if ask.ids is None else models.Filter(must=[models.HasIdCondition(has_id=list(ask.ids))]),
        with_payload=list(ask.payload) if isinstance(ask.payload, tuple) else ask.payload,
        with_vector=[ask.using] if ask.weights else False,
        params=models.SearchParams(hnsw_ef=BEAM) if ask.using == DENSE and ask.ids is None else None,
    )


def _answer(points: Sequence[models.ScoredPoint]) -> Answer:
    return Answer(list(map(_number, points)), [point.score for point in points], points, list(map(_weights, points)))


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
