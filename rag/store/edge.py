"""The embedded engine: EdgeStore reads the published generation, EdgeWriter makes the next one.

Both only arrange shards: what the engine is asked and how stands in `search` and `shard`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import monotonic, perf_counter

from rag.errors import IndexEmpty, IndexMismatch, IngestRunning, StoreUnavailable
from rag.store import queries
from rag.store.base import IndexConfig, IndexedChunk, StoreQuery, WriterFactory
from rag.store.chunk_cache import ChunkCache
from rag.store.generations import GenerationLease, Generations, IndexManifest
from rag.store.page_warmer import PageWarmer
from rag.store.points import (
    RECORDS,
    chunk_of,
    chunk_points,
    document_id,
    document_point,
    info_of,
    points_of,
    record_of,
)
from rag.store.queries import Query, QueryResult
from rag.store.shard import Shard, segment_files
from rag.types import Chunk, DocumentRecord, Hit, IndexInfo

_log = logging.getLogger(__name__)
_NOTICED = 0.001  # seconds
_REFUSED_SECONDS = 5.0
_LOCK_SECONDS = 3.0  # a writer that has just been killed may need a moment to let go of its lock
ENGINE = f"qdrant-edge {version('qdrant-edge-py')}"


@dataclass
class _Reader:
    """A published generation, open. It is closed when it has been replaced and nobody uses it."""

    lease: GenerationLease
    shard: Shard
    page_warmer: PageWarmer | None = None
    users: int = 0
    retired: bool = False
    records: list[DocumentRecord] | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    idf: dict[int, float] = field(default_factory=dict)
    cache: ChunkCache = field(default_factory=ChunkCache)

    async def ask(self, batch: Sequence[Query]) -> list[QueryResult]:
        began = perf_counter()
        answers = self.shard.ask(batch)
        if perf_counter() - began > _NOTICED:  # the engine has kept everybody waiting: others first
            await asyncio.sleep(0)
        return answers

    async def documents(self) -> list[DocumentRecord]:
        """Read once, with others in between: a book of 20,000 pages takes a second."""
        async with self.reading:
            if self.records is None:
                found = list[DocumentRecord]()
                for page in self.shard.scroll(RECORDS):
                    found += [record_of(payload) for _, payload in page]
                    await asyncio.sleep(0)
                self.records = _by_path(found)
        return list(self.records)

    def retire(self) -> None:
        self.retired = True
        self.close_when_idle()

    def close_when_idle(self) -> None:
        if self.retired and not self.users:
            if self.page_warmer is not None:
                self.page_warmer.close()
            with suppress(StoreUnavailable):
                self.shard.close()
            self.lease.release()


@dataclass(frozen=True)
class _Refused:
    """An index that could not be opened: it is not read again for every question."""

    error: StoreUnavailable | IndexMismatch
    stamp: tuple[int, int] | None
    until: float


class EdgeStore:
    """The VectorStore over DATA_DIR/index. Any number of processes may have it open.

    With `page_warmer` what a search jumps about in is mapped beforehand: for who answers many questions.
    """

    def __init__(self, data_dir: Path, *, page_warmer: bool = False) -> None:
        self._generations = Generations(data_dir, ENGINE)
        self._warm_pages = page_warmer
        self._reader: _Reader | None = None
        self._stamp: tuple[int, int] | None = None
        self._refused: _Refused | None = None
        self._refreshing: asyncio.Task[bool] | None = None

    async def open(self) -> None:
        """Opens the published index; one that cannot be used is reported by whoever asks it."""
        with suppress(StoreUnavailable, IndexMismatch):
            await self.refresh()
        self._generations.drop_replaced()

    async def close(self) -> None:
        if self._refreshing is not None:
            await asyncio.wait({self._refreshing})
        reader, self._reader, self._stamp = self._reader, None, None
        if reader is not None:
            reader.retire()

    async def hashes(self) -> Mapping[str, str]:
        return await asyncio.to_thread(self._generations.documents)

    async def refresh(self) -> bool:
        """See VectorStore. Checking a large index takes a second: one check serves all who wait, and outlasts them."""
        if self._refreshing is None:
            stamp = self._generations.stamp()
            if self._reader is not None and stamp == self._stamp:
                return False
            self._refreshing = asyncio.create_task(self._refresh(stamp), name="open the index")
            self._refreshing.add_done_callback(self._refreshed)
        return await asyncio.shield(self._refreshing)

    def _refreshed(self, task: asyncio.Task[bool]) -> None:
        self._refreshing = None
        if not task.cancelled():
            task.exception()  # is raised to whoever still waits

    async def _refresh(self, stamp: tuple[int, int] | None) -> bool:
        refused = self._refused
        if refused is not None and refused.stamp == stamp and monotonic() < refused.until:
            raise refused.error
        old = self._reader
        try:
            lease = await asyncio.to_thread(self._generations.hold)
            self._reader = self._opened(lease) if lease is not None else None
        except (StoreUnavailable, IndexMismatch) as error:
            if old is None:
                self._refused = _Refused(error.with_traceback(None), stamp, monotonic() + _REFUSED_SECONDS)
                raise
            _log.warning("The new index is not taken up, the old one answers on. %s", error)
            self._stamp = stamp
            return False
        self._stamp, self._refused = stamp, None
        if old is not None:
            old.retire()
        return self._reader is not None or old is not None

    def _opened(self, lease: GenerationLease) -> _Reader:
        try:
            shard = Shard.load(lease.shard, self._generations.root)
            return _Reader(lease, shard, PageWarmer(segment_files(lease.shard)) if self._warm_pages else None)
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
            return reader.lease.manifest.config if reader else None

    async def info(self) -> IndexInfo:
        async with self._using() as reader:
            return reader.lease.manifest.info if reader else IndexInfo()

    async def search(self, query: StoreQuery, limit: int, include: Sequence[str] = ()) -> list[Hit]:
        async with self._using() as reader:
            if reader is None or not reader.lease.manifest.info.chunks:
                raise IndexEmpty("The book has not been ingested yet.")
            if reader.cache.full:
                reader.cache = ChunkCache(reader.cache)
            return await queries.search(reader, reader.lease.manifest.config, query, limit, include, reader.cache)

    async def idf(self, indices: Sequence[int]) -> list[float]:
        async with self._using() as reader:
            if reader is None:
                return [0.0] * len(indices)
            return await queries.idf(reader, indices, reader.lease.manifest.info.chunks, reader.idf)

    async def chunks(self, ids: Sequence[str]) -> list[Chunk]:
        async with self._using() as reader:
            return await queries.chunks(reader, ids) if reader else []

    async def chunks_of(self, path: str) -> list[Chunk]:
        async with self._using() as reader:
            if reader is None:
                return []
            pages = reader.shard.scroll(path)
            found = [chunk_of(*record) for page in pages for record in page]
            return sorted(found, key=lambda chunk: chunk.ordinal)

    async def documents(self) -> list[DocumentRecord]:
        async with self._using() as reader:
            return await reader.documents() if reader else []


class EdgeWriter:
    """The IndexWriter of the embedded engine. Nothing is copied or created before the first change."""

    def __init__(self, generations: Generations, config: IndexConfig, base: GenerationLease | None) -> None:
        self._generations = generations
        self._config = config
        self._base = base
        self._path: Path | None = None
        self._open: Shard | None = None
        self._records = _base_records(base, generations.root) if base is not None else {}

    @property
    def rebuilding(self) -> bool:
        return self._base is None

    async def manifest(self) -> dict[str, DocumentRecord]:
        return dict(self._records)

    async def replace(self, record: DocumentRecord, chunks: Sequence[IndexedChunk]) -> int:
        self._generations.require_room()
        stale = self._take_out(record.path) - {indexed.chunk.id for indexed in chunks}
        points = (point for indexed in chunks for point in chunk_points(indexed))
        self._shard().upsert([*points, document_point(record)])
        self._records[record.path] = record
        return len(stale)

    async def remove(self, path: str) -> int:
        return len(self._take_out(path))

    async def publish(self) -> IndexInfo:
        if self._base is not None and self._path is None:
            return self._base.manifest.info
        shard = self._shard()
        info = info_of(self._config.fingerprint, self._records.values(), shard.count())
        self._open = None
        shard.finish(self._config.dimensions, info.windows or info.chunks)
        assert self._path is not None
        documents = {path: record.sha256 for path, record in self._records.items()}
        self._generations.publish(self._path, IndexManifest(self._config, info, ENGINE), documents)
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

    def _shard(self) -> Shard:
        """The generation being written, begun by the first change."""
        if self._open is None:
            root = self._generations.root
            self._path = self._generations.begin(self._base)
            if self._base is not None:
                self._open = Shard.load(self._path / "shard", root)
            else:
                self._open = Shard.create(self._path / "shard", root, self._config.dimensions)
        return self._open

    def _take_out(self, path: str) -> set[str]:
        """Every point of a document; the ids of its chunks."""
        if self._records.pop(path, None) is None:
            return set()
        shard = self._shard()
        chunks = [chunk for page in shard.scroll(path, ("windows",)) for chunk in page]
        shard.delete([document_id(path), *(point for chunk in chunks for point in points_of(*chunk))])
        return {chunk_id for chunk_id, _ in chunks}


def edge_writer_for(data_dir: Path) -> WriterFactory:
    """The WriterFactory of the embedded engine."""
    generations = Generations(data_dir, ENGINE)

    @asynccontextmanager
    async def writer_for(config: IndexConfig, *, force: bool = False) -> AsyncIterator[EdgeWriter]:
        with ExitStack() as lock:
            await _lock(lock, generations)
            base = None if force else _usable(generations, config)
            generations.sweep()
            writer: EdgeWriter | None = None
            try:
                writer = _writer(generations, config, base)
                yield writer
            finally:
                if writer is not None:
                    writer.abandon()
                if base is not None:
                    base.release()
                generations.sweep()

    return writer_for


async def _lock(held: ExitStack, generations: Generations) -> None:
    """Waits a moment for another writer to end. Raises IngestRunning, StoreUnavailable."""
    until = monotonic() + _LOCK_SECONDS
    while True:
        try:
            held.enter_context(generations.acquire_lease())
        except IngestRunning:
            if monotonic() >= until:
                raise
        else:
            return
        await asyncio.sleep(0.1)


def _writer(generations: Generations, config: IndexConfig, base: GenerationLease | None) -> EdgeWriter:
    """Upon the base, or from nothing where the engine cannot use it though its files are whole."""
    try:
        return EdgeWriter(generations, config, base)
    except IndexMismatch as error:
        _log.warning("%s", error.message)
        return EdgeWriter(generations, config, None)


def _usable(generations: Generations, config: IndexConfig) -> GenerationLease | None:
    """The published generation when it can be built upon; one that cannot be read is built anew."""
    try:
        lease = generations.hold()
    except IndexMismatch:
        return None
    if lease is not None and lease.manifest.config.fingerprint == config.fingerprint:
        return lease
    if lease is not None:
        lease.release()
    return None


def _base_records(base: GenerationLease, where: Path) -> dict[str, DocumentRecord]:
    shard = Shard.load(base.shard, where)
    try:
        found = [record_of(payload) for page in shard.scroll(RECORDS) for _, payload in page]
        return {record.path: record for record in _by_path(found)}
    finally:
        shard.close()


def _by_path(records: Iterable[DocumentRecord]) -> list[DocumentRecord]:
    return sorted(records, key=lambda record: record.path)
