"""What was read of an index before need not be read again, and gives the same hits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rag.store.base import StoreQuery
from rag.store.chunk_cache import ChunkCache
from rag.store.edge import EdgeStore, edge_writer_for
from rag.store.points import chunk_points, number_of
from rag.store.queries import Query, QueryResult
from rag.store.shard import Shard
from tests.support.indexed import CONFIG, LEXICON, page, vector

QUESTIONS = ["Which robot balances in room 3?", "A gyroscope that measures", "the planner of page 7 plans"]


class Point:
    """As an engine returns it; `read` counts how often its payload was made."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self._payload, self.read = payload, 0

    @property
    def payload(self) -> Mapping[str, Any]:
        self.read += 1
        return self._payload


def points(number: int) -> list[tuple[int, Point]]:
    """A chunk's own point, then its windows'."""
    _, chunks = page(number, chunks=1)
    stored = chunk_points(chunks[0])
    return [(each.id if isinstance(each.id, int) else number_of(each.id), Point(each.payload)) for each in stored]


def test_a_payload_is_read_once_for_a_chunk_and_all_its_windows() -> None:
    (chunk, point), (first, window), *_ = points(1)
    cache = ChunkCache()
    assert cache.owner(first, window) == cache.owner(first, window) == chunk
    assert cache.owner(chunk, point) == chunk
    assert (window.read, point.read) == (1, 0)
    assert cache.chunk(chunk) is None
    cache.read(chunk, point)
    assert cache.chunk(chunk) is cache.chunk(chunk) is not None
    assert point.read == 1
    assert len(cache.windows[chunk]) == len(points(1)) - 1


def test_what_is_still_asked_for_is_taken_over() -> None:
    (chunk, point), (first, window), *_ = points(1)
    (other, _), *_ = points(2)
    full = ChunkCache()
    full.owner(first, window)
    full.read(chunk, point)
    cache = ChunkCache(full)
    assert cache.owner(first, window) == chunk
    assert cache.chunk(chunk) is full.chunk(chunk)
    assert (window.read, point.read) == (1, 1)
    assert cache.names[chunk] == full.names[chunk]
    assert other not in cache.windows
    assert ChunkCache(cache).owner(first, window) == chunk, "taken over, it is handed on"
    (fresh,) = {ChunkCache(ChunkCache(ChunkCache(full))).owner(first, window)}
    assert (fresh, window.read) == (chunk, 2), "what nobody asks for is forgotten"


def test_a_point_that_is_neither_has_no_owner() -> None:
    record = Point({"path": "", "record": "{}"})
    assert ChunkCache().owner(7, record) is None


class Watched:
    """The shard, counting the chunks it is asked for."""

    def __init__(self, shard: Shard) -> None:
        self.shard, self.read = shard, 0

    def ask(self, batch: Sequence[Query]) -> list[QueryResult]:
        self.read += sum(len(ask.ids or ()) for ask in batch if ask.payload is True)
        return self.shard.ask(batch)

    def close(self) -> None:
        self.shard.close()


async def test_the_engine_reads_a_chunk_once(tmp_path: Path) -> None:
    async with edge_writer_for(tmp_path)(CONFIG) as writer:
        for number in range(30):
            await writer.replace(*page(number))
        await writer.publish()
    store = EdgeStore(tmp_path)
    await store.open()
    assert store._reader is not None
    watched = Watched(store._reader.shard)
    store._reader.shard = watched  # type: ignore[assignment]
    query = StoreQuery(LEXICON.query(QUESTIONS[0]), vector(QUESTIONS[0]))
    first = await store.search(query, 10)
    assert watched.read == len(first)
    assert await store.search(query, 10) == first
    assert watched.read == len(first)
    await store.close()


async def test_the_hits_are_the_same_however_much_is_known(tmp_path: Path) -> None:
    async with edge_writer_for(tmp_path)(CONFIG) as writer:
        for number in range(30):
            await writer.replace(*page(number))
        await writer.publish()
    store, fresh = EdgeStore(tmp_path), EdgeStore(tmp_path)
    await store.open()
    for round_ in range(3):
        for question in QUESTIONS:
            query = StoreQuery(LEXICON.query(question), vector(question))
            await fresh.close()
            await fresh.open()
            assert await store.search(query, 10) == await fresh.search(query, 10)
        assert store._reader is not None
        if round_ == 1:
            store._reader.cache = ChunkCache(store._reader.cache)
    await store.close()
    await fresh.close()
