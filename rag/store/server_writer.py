"""Writing to a Qdrant server.

With the published fingerprint documents change one by one in the collection readers use. Otherwise a collection is
built beside it, and the alias moves when it is whole; one that was left half built goes on where it stopped.

A document changes in this order: its record loses its hash, its new points go in, its stale ones out, its record comes
back with the hash. A run that is cut short anywhere leaves a record without a hash, which the next run sees as changed.
"""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace as changed
from hashlib import sha256

from qdrant_client import AsyncQdrantClient, models

from rag.errors import IndexMismatch, StoreUnavailable
from rag.store.base import IndexConfig, IndexedChunk, WriterFactory
from rag.store.lease import Lease, acquire_lease
from rag.store.points import (
    BM25,
    DENSE,
    WINDOW_BM25,
    StoredPoint,
    chunk_points,
    document_id,
    document_point,
    info_of,
    points_of,
)
from rag.store.qdrant_connection import CollectionNotFound, QdrantConnection
from rag.store.server import CollectionReader, find, stored
from rag.types import DocumentRecord, IndexInfo

_BATCH = 128  # points in one call
_DELETED = 4096  # ids in one call


class ServerWriter:
    """The IndexWriter of a Qdrant server. `built` is False while the collection is not behind the alias.

    Every point is written and deleted through the fence of the lease.
    """

    def __init__(
        self,
        connection: QdrantConnection,
        name: str,
        index: CollectionReader,
        lease: Lease,
        *,
        built: bool,
        records: dict[str, DocumentRecord],
    ) -> None:
        self._connection = connection
        self._name = name
        self._index = index
        self._lease = lease
        self._built = built
        self._records = records
        self._untouched = built

    @property
    def rebuilding(self) -> bool:
        return not self._built

    async def manifest(self) -> dict[str, DocumentRecord]:
        return dict(self._records)

    async def replace(self, record: DocumentRecord, chunks: Sequence[IndexedChunk]) -> int:
        self._untouched = False
        points = [point for indexed in chunks for point in chunk_points(indexed)]
        await self._put([document_point(changed(record, sha256=""))])
        await self._put(points)
        stale = 0
        if record.path in self._records:
            stale = await self._clear(record.path, [point.id for point in points])
        await self._put([document_point(record)])
        self._records[record.path] = record
        return stale

    async def remove(self, path: str) -> int:
        record = self._records.get(path)
        if record is None:
            return 0
        self._untouched = False
        await self._put([document_point(changed(record, sha256=""))])
        gone = await self._clear(path, [])
        await self._delete([document_id(path)])
        del self._records[path]
        return gone

    async def publish(self) -> IndexInfo:
        if self._untouched and self._index.info is not None:
            await self._sweep()
            return self._index.info
        about_itself = 1
        points = await self._count() - about_itself
        info = info_of(self._index.config.fingerprint, self._records.values(), points)
        self._index.info = info
        await self._put([self._index.point()])
        if not self._built:
            await self._lease.publish(self._index.collection)
            self._built = True
        await self._sweep()
        return info

    async def _sweep(self) -> None:
        """Deletes the collections of earlier fingerprints."""
        ours = re.compile(rf"{re.escape(self._name)}_[0-9a-f]{{12}}(_2)?")
        collections = await self._connection.run(lambda client: client.get_collections())
        for found in collections.collections:
            if found.name != self._index.collection and ours.fullmatch(found.name):
                await _drop(self._connection, found.name, self._lease)

    async def _put(self, points: Sequence[StoredPoint]) -> None:
        for start in range(0, len(points), _BATCH):
            await _upsert(self._connection, self._lease, points[start : start + _BATCH])

    async def _clear(self, path: str, kept: Sequence[str | int]) -> int:
        """Takes the points of a document out, but for its record and those that are kept; counts chunks."""
        held = set(kept)
        chunks = self._index.scroll(path, ["windows"])
        stale = [chunk async for chunk in chunks if chunk[0] not in held]
        ids = [each for chunk in stale for each in points_of(*chunk)]
        for start in range(0, len(ids), _DELETED):
            await self._delete(ids[start : start + _DELETED])
        return len(stale)

    async def _delete(self, ids: Sequence[str | int]) -> None:
        selector = models.PointIdsList(points=[*ids])
        await self._connection.run(lambda client: client.delete(self._lease.fence, selector))

    async def _count(self) -> int:
        """All points. A server in strict mode may refuse to count exactly, and is asked for every id instead."""
        try:
            answer = await self._connection.run(lambda client: client.count(self._index.collection, exact=True))
        except StoreUnavailable:
            return sum([1 async for _ in self._index.scroll(None, False)])
        return answer.count


def server_writer_for(
    url: str,
    api_key: str | None = None,
    collection: str = "book",
    *,
    shards: int = 1,
    replicas: int = 1,
    timeout: float = 60.0,
    prefer_grpc: bool = True,
    grpc_port: int = 6334,
    client: AsyncQdrantClient | None = None,
) -> WriterFactory:
    """The WriterFactory of a Qdrant server."""

    @asynccontextmanager
    async def writer_for(config: IndexConfig, *, force: bool = False) -> AsyncIterator[ServerWriter]:
        connection = QdrantConnection(
            url, api_key, timeout=timeout, prefer_grpc=prefer_grpc, grpc_port=grpc_port, client=client
        )
        try:
            async with acquire_lease(connection, collection, replicas=replicas) as lease:
                try:
                    yield await _writer(
                        connection, collection, config, lease, force=force, shards=shards, replicas=replicas
                    )
                except CollectionNotFound:
                    await lease.check()
                    raise
        except CollectionNotFound:
            raise StoreUnavailable(
                f"The collection of {collection} on {connection.host} went away; ingest again."
            ) from None
        finally:
            await connection.close()

    return writer_for


async def _writer(
    connection: QdrantConnection,
    name: str,
    config: IndexConfig,
    lease: Lease,
    *,
    force: bool,
    shards: int,
    replicas: int,
) -> ServerWriter:
    await _require_free_name(connection, name)
    published = await _found(connection, name)
    if published is not None and published.config.fingerprint == config.fingerprint and not force:
        await lease.point_to(published.collection)
        return ServerWriter(connection, name, published, lease, built=True, records=await _records(published))
    collection = await _beside(connection, name, config)
    half = None if force else await _found(connection, collection)
    if half is not None and half.config == config:
        await lease.point_to(collection)
        return ServerWriter(connection, name, half, lease, built=False, records=await _records(half))
    index = CollectionReader(connection, collection, config)
    await _create(index, lease, shards, replicas)
    return ServerWriter(connection, name, index, lease, built=False, records={})


async def _found(connection: QdrantConnection, name: str) -> CollectionReader | None:
    try:
        return await find(connection, name)
    except IndexMismatch:
        return None


async def _records(index: CollectionReader) -> dict[str, DocumentRecord]:
    return {record.path: record for record in await index.documents()}


async def _require_free_name(connection: QdrantConnection, name: str) -> None:
    collections = await connection.run(lambda client: client.get_collections())
    if any(found.name == name for found in collections.collections):
        raise StoreUnavailable(
            f"{connection.host} has a collection named {name}, where this index needs an alias; set QDRANT_COLLECTION."
        )


async def _beside(connection: QdrantConnection, name: str, config: IndexConfig) -> str:
    """The collection to build in: never the one readers use."""
    first = f"{name}_{sha256(config.fingerprint.encode()).hexdigest()[:12]}"
    return f"{first}_2" if await _behind(connection, name) == first else first


async def _behind(connection: QdrantConnection, name: str) -> str | None:
    """The collection behind the alias."""
    found = await connection.run(lambda client: client.get_aliases())
    return next((alias.collection_name for alias in found.aliases if alias.alias_name == name), None)


async def _create(index: CollectionReader, lease: Lease, shards: int, replicas: int) -> None:
    """An empty collection, and the point that says what it is being built with."""
    name, size, connection = index.collection, index.config.dimensions, index.connection
    sparse = models.SparseVectorParams(modifier=models.Modifier.IDF)
    dense = models.VectorParams(
        size=size, distance=models.Distance.COSINE, on_disk=True, datatype=models.Datatype.FLOAT16
    )
    with suppress(CollectionNotFound):
        await _drop(connection, name, lease)
    await connection.run(
        lambda client: client.create_collection(
            name,
            vectors_config={DENSE: dense} if size else {},
            sparse_vectors_config={BM25: sparse, WINDOW_BM25: sparse},
            shard_number=shards,
            replication_factor=replicas,
            on_disk_payload=True,
        )
    )
    keyword = models.PayloadSchemaType.KEYWORD
    await connection.run(lambda client: client.create_payload_index(name, "path", keyword))
    await lease.point_to(name)
    await _upsert(connection, lease, [index.point()])


async def _upsert(connection: QdrantConnection, lease: Lease, points: Sequence[StoredPoint]) -> None:
    batch = [stored(point) for point in points]
    await connection.run(lambda client: client.upsert(lease.fence, batch))


async def _drop(connection: QdrantConnection, collection: str, lease: Lease) -> None:
    """Raises IngestRunning, and deletes nothing, after another process has taken over."""
    await lease.check()
    await connection.run(lambda client: client.delete_collection(collection))
