"""Both stores do the same: every test here runs on the embedded engine, on the client's in-memory engine, and on a real
server over REST and over gRPC, without a key and with a key and strict mode, whenever TEST_QDRANT_BINARY or
TEST_QDRANT_URL is set (with TEST_QDRANT_API_KEY where it wants one)."""

import uuid
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient

from rag.errors import IndexEmpty, IndexMismatch, IngestRunning
from rag.store.base import IndexConfig, StoreQuery, VectorStore, WriterFactory
from rag.store.edge import EdgeStore, edge_writer_for
from rag.store.server import ServerStore
from rag.store.server_writer import server_writer_for
from rag.types import Hit, IndexInfo
from tests.support.indexed import CONFIG, LEXICON, Indexed, indexed, page, vector
from tests.support.qdrant_server import Endpoint, QdrantServers

ENGINES = ["edge", "memory", "rest", "grpc", "rest strict", "grpc strict"]


@dataclass
class Place:
    """A store and its writers over the same index."""

    store: VectorStore
    writer_for: WriterFactory

    async def write(
        self, *documents: Indexed, removed: Sequence[str] = (), config: IndexConfig = CONFIG, force: bool = False
    ) -> IndexInfo:
        async with self.writer_for(config, force=force) as writer:
            for document in documents:
                await writer.replace(*document)
            for path in removed:
                await writer.remove(path)
            info = await writer.publish()
        await self.store.refresh()
        return info


async def place_of(engine: str, folder: Path, servers: QdrantServers) -> AsyncGenerator[Place, None]:
    if engine == "edge":
        place = Place(EdgeStore(folder), edge_writer_for(folder))
        await place.store.open()
        yield place
        await place.store.close()
        return
    if engine == "memory":
        endpoint, grpc, client = Endpoint("http://memory.test"), False, AsyncQdrantClient(location=":memory:")
    else:
        endpoint, grpc, client = servers.endpoint(strict="strict" in engine), "grpc" in engine, None
    name = f"test-{uuid.uuid4().hex[:8]}"
    where = (endpoint.url, endpoint.api_key, name)
    protocol: dict[str, Any] = {"prefer_grpc": grpc, "grpc_port": endpoint.grpc_port, "client": client}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Payload indexes have no effect|Local mode performs exact|Api key is used")
        store = ServerStore(*where, **protocol)
        yield Place(store, server_writer_for(*where, **protocol))
        await store.close()
        client = client or AsyncQdrantClient(url=endpoint.url, api_key=endpoint.api_key, check_compatibility=False)
        for found in (await client.get_collections()).collections:
            if found.name.startswith(name):
                await client.delete_collection(found.name)
        await client.close()


@pytest.fixture(params=ENGINES)
async def place(request: pytest.FixtureRequest, tmp_path: Path, qdrant_servers: QdrantServers) -> AsyncIterator[Place]:
    async with aclosing(place_of(request.param, tmp_path, qdrant_servers)) as places:
        async for found in places:
            yield found


def asked(text: str, *, dense: bool = True) -> StoreQuery:
    return StoreQuery(LEXICON.query(text), vector(text) if dense else None)


def by_text(hits: Sequence[Hit]) -> dict[str, Hit]:
    return {hit.chunk.text: hit for hit in hits}


async def test_nothing_was_built_yet(place: Place) -> None:
    assert await place.store.config() is None
    assert await place.store.info() == IndexInfo()
    assert await place.store.documents() == []
    assert await place.store.chunks_of("a.md") == []
    assert await place.store.chunks([str(uuid.uuid4())]) == []
    with pytest.raises(IndexEmpty, match="not been ingested"):
        await place.store.search(asked("robot"), 5)


async def test_what_goes_in_comes_out_whole(place: Place) -> None:
    record, chunks = indexed("a.md", ["Robots walk. They balance", "The motor turns"])
    info = await place.write((record, chunks))
    assert (info.fingerprint, info.documents, info.chunks, info.windows) == (CONFIG.fingerprint, 1, 2, 3)
    assert info.tokens == record.tokens
    assert info.built_at is not None
    assert await place.store.info() == info
    assert await place.store.config() == CONFIG
    assert await place.store.documents() == [record]
    assert await place.store.chunks_of("a.md") == [item.chunk for item in chunks]
    ids = [chunks[1].chunk.id, str(uuid.uuid4()), "no id at all", chunks[0].chunk.id]
    assert await place.store.chunks(ids) == [chunks[1].chunk, chunks[0].chunk]


async def test_an_empty_book_is_an_empty_index(place: Place) -> None:
    info = await place.write()
    assert (info.fingerprint, info.chunks) == (CONFIG.fingerprint, 0)
    assert await place.store.config() == CONFIG
    with pytest.raises(IndexEmpty):
        await place.store.search(asked("robot"), 5)


async def test_every_score_of_every_candidate(place: Place) -> None:
    document = indexed("a.md", ["Robots walk. They balance well", "The motor turns", "Balance is everything"])
    await place.write(document)
    question = "balance robots"
    hits = by_text(await place.store.search(asked(question), 10))
    assert len(hits) == 3
    dense = vector(question)
    for item in document[1]:
        hit = hits[item.chunk.text]
        vectors = [window.dense for window in item.windows if window.dense is not None]
        cosines = [float(window @ dense) for window in vectors]
        mean = np.mean(vectors, axis=0)
        assert hit.window_cosine == pytest.approx(max(cosines), abs=1e-4)
        assert hit.chunk_cosine == pytest.approx(float(mean @ dense / np.linalg.norm(mean)), abs=1e-4)
        assert list(hit.terms) == LEXICON.terms(item.chunk.text)
    assert hits["The motor turns"].bm25 == hits["The motor turns"].window_bm25 == 0.0
    assert hits["Robots walk. They balance well"].bm25 > hits["Balance is everything"].bm25 > 0
    assert hits["Balance is everything"].window_bm25 > 0


async def test_bm25_is_the_sum_of_idf_and_weight(place: Place) -> None:
    """And the IDF of chunks does not count windows."""
    document = indexed("a.md", ["Robots walk. They balance well", "The motor turns", "Balance is everything"])
    await place.write(document)
    terms = LEXICON.terms("balance robots unicorn balance")
    idf = await place.store.idf(terms)
    n = 3
    expected = [np.log((n - df + 0.5) / (df + 0.5) + 1) for df in (2, 1, 0, 2)]
    assert idf == pytest.approx(expected, abs=1e-4)
    assert await place.store.idf(terms) == idf
    hits = by_text(await place.store.search(asked("balance robots"), 10))
    for item in document[1]:
        weights = dict(zip(item.sparse.indices, item.sparse.values, strict=True))
        score = sum(weights.get(term, 0.0) * value for term, value in zip(terms[:2], idf, strict=False))
        assert hits[item.chunk.text].bm25 == pytest.approx(score, abs=1e-4)


async def test_candidates_are_limited_and_kept_ones_added(place: Place) -> None:
    pages = [page(number) for number in range(12)]
    await place.write(*pages)
    query = asked("robot balances room 3")
    hits = await place.store.search(query, 5)
    assert 5 <= len(hits) <= 10
    assert len({hit.chunk.id for hit in hits}) == len(hits)
    found = {hit.chunk.id for hit in hits}
    other = next(item.chunk.id for _, chunks in pages for item in chunks if item.chunk.id not in found)
    kept = await place.store.search(query, 5, include=[other, str(uuid.uuid4()), "rubbish"])
    assert {hit.chunk.id for hit in kept} == found | {other}
    assert next(hit for hit in kept if hit.chunk.id == other).window_cosine != 0.0


async def test_search_without_vectors_and_without_words(place: Place) -> None:
    await place.write(*(page(number) for number in range(4)))
    lexical = await place.store.search(asked("robot", dense=False), 3)
    assert len(lexical) == 3
    assert all(hit.bm25 > 0 and hit.window_cosine == hit.chunk_cosine == 0.0 for hit in lexical)
    semantic = await place.store.search(asked("the of and"), 3)
    assert len(semantic) == 3
    assert all(hit.bm25 == 0.0 and hit.window_cosine != 0.0 for hit in semantic)
    assert await place.store.search(asked("the of and", dense=False), 3) == []


async def test_an_index_without_a_model(place: Place) -> None:
    config = replace(CONFIG, dimensions=0, fingerprint="words alone")
    await place.write(indexed("a.md", ["Robots walk. They balance", "The motor turns"], dimensions=0), config=config)
    hits = await place.store.search(asked("robots"), 5)
    assert [hit.chunk.text for hit in hits] == ["Robots walk. They balance"]
    assert hits[0].window_bm25 > 0
    assert hits[0].window_cosine == 0.0


async def test_chunks_without_windows_are_searched_by_their_own_vector(place: Place) -> None:
    record, chunks = indexed("a.md", ["Robots walk. They balance", "The motor turns"])
    bare = [replace(item, windows=(), dense=vector(item.chunk.text)) for item in chunks]
    await place.write((record, bare))
    hits = by_text(await place.store.search(StoreQuery(LEXICON.query("the"), vector("The motor turns")), 1))
    assert hits["The motor turns"].window_cosine == pytest.approx(1.0, abs=1e-4)
    assert hits["The motor turns"].chunk_cosine == pytest.approx(1.0, abs=1e-4)


async def test_a_vector_of_another_length_is_refused_in_words(place: Place) -> None:
    await place.write(page(1))
    with pytest.raises(IndexMismatch, match=r"16 dimensions .* 8;"):
        await place.store.search(StoreQuery(LEXICON.query("robot"), vector("robot", 8)), 5)


async def test_replacing_takes_stale_chunks_out(place: Place) -> None:
    await place.write(indexed("a.md", ["Robots walk", "The motor turns"]), indexed("b.md", ["Batteries last"]))
    async with place.writer_for(CONFIG) as writer:
        assert not writer.rebuilding
        assert sorted(await writer.manifest()) == ["a.md", "b.md"]
        changed = indexed("a.md", ["Robots walk", "A camera sees", "It sees all"], version="2")
        assert await writer.replace(*changed) == 1
        assert await writer.remove("b.md") == 1
        assert await writer.remove("never-there.md") == 0
        info = await writer.publish()
    assert (info.documents, info.chunks, info.windows) == (1, 3, 3)
    assert await place.store.refresh()
    assert not await place.store.refresh()
    assert [chunk.text for chunk in await place.store.chunks_of("a.md")] == [
        "Robots walk",
        "A camera sees",
        "It sees all",
    ]
    assert await place.store.chunks_of("b.md") == []
    assert await place.store.documents() == [changed[0]]
    assert "The motor turns" not in by_text(await place.store.search(asked("motor batteries"), 10))


async def test_the_same_again_changes_nothing(place: Place) -> None:
    pages = [page(number) for number in range(3)]
    first = await place.write(*pages)
    before = await place.store.search(asked("robot plans"), 20)
    again = await place.write(*pages)
    assert replace(again, built_at=None) == replace(first, built_at=None)
    after = await place.store.search(asked("robot plans"), 20)
    assert_same(after, before)


async def test_a_run_without_changes_publishes_nothing(place: Place) -> None:
    first = await place.write(page(1))
    assert await place.write() == first
    assert not await place.store.refresh()


async def test_a_writer_left_without_publish_leaves_the_index(place: Place) -> None:
    info = await place.write(page(1))
    other = replace(CONFIG, fingerprint="test-2")
    async with place.writer_for(other) as writer:
        assert writer.rebuilding
        await writer.replace(*page(2))
    await place.store.refresh()
    assert await place.store.info() == info
    assert await place.store.config() == CONFIG
    assert await place.store.documents() == [page(1)[0]]


async def test_another_fingerprint_is_built_beside(place: Place) -> None:
    await place.write(page(1), page(2))
    other = replace(CONFIG, fingerprint="test-2", dimensions=8)
    async with place.writer_for(other) as writer:
        assert writer.rebuilding
        assert await writer.manifest() == {}
        await writer.replace(*indexed("c.md", ["Robots walk. They fall"], dimensions=8))
        await place.store.refresh()
        assert len(await place.store.documents()) == 2
        assert await place.store.search(asked("robot"), 3)
        await writer.publish()
    assert await place.store.refresh()
    assert [record.path for record in await place.store.documents()] == ["c.md"]
    assert await place.store.config() == other
    assert len(await place.store.search(StoreQuery(LEXICON.query("robot"), vector("robot", 8)), 3)) == 1


async def test_force_starts_from_nothing(place: Place) -> None:
    await place.write(page(1), page(2))
    info = await place.write(page(3), force=True)
    assert (info.documents, info.fingerprint) == (1, CONFIG.fingerprint)
    assert [record.path for record in await place.store.documents()] == ["page-0003.md"]
    await place.write(page(4), force=True)
    assert [record.path for record in await place.store.documents()] == ["page-0004.md"]
    await place.write(page(5))
    assert [record.path for record in await place.store.documents()] == ["page-0004.md", "page-0005.md"]


async def test_one_writer_at_a_time(place: Place) -> None:
    async with place.writer_for(CONFIG) as writer:
        with pytest.raises(IngestRunning, match="already"):
            async with place.writer_for(CONFIG):
                pass
        await writer.replace(*page(1))
        await writer.publish()
    async with place.writer_for(CONFIG) as writer:
        assert await writer.manifest()


async def test_a_document_of_no_chunks(place: Place) -> None:
    await place.write(indexed("empty.md", []), indexed("stop.md", ["the of and"]))
    assert [record.chunks for record in await place.store.documents()] == [0, 1]
    assert [chunk.text for chunk in await place.store.chunks_of("stop.md")] == ["the of and"]


QUESTIONS = ["robot balances", "which camera sees room 3?", "battery", "planner controller gyroscope plans"]


@pytest.mark.parametrize("engine", ENGINES[1:])
async def test_both_engines_give_the_same_scores(engine: str, tmp_path: Path, qdrant_servers: QdrantServers) -> None:
    pages = [page(number) for number in range(30)]
    changed = indexed("page-0003.md", ["The robot sees the battery. It charges then"], version="2")
    hits: list[list[list[Hit]]] = []
    idf: list[list[float]] = []
    for name in ("edge", engine):
        async with aclosing(place_of(name, tmp_path, qdrant_servers)) as places:
            async for place in places:
                await place.write(*pages)
                if engine == "memory":  # right after deletions a real server's IDF differs from the others' by percents
                    await place.write(changed, removed=["page-0007.md"])
                hits.append([await place.store.search(asked(text), 120) for text in QUESTIONS])
                idf.append(await place.store.idf(LEXICON.terms("robot sees room unicorn")))
    for ours, theirs in zip(*hits, strict=True):
        assert len(ours) > 100
        assert_same(ours, theirs)
    assert idf[0] == pytest.approx(idf[1], abs=1e-4)


def assert_same(ours: Sequence[Hit], theirs: Sequence[Hit]) -> None:
    """The same chunks with the same scores, in any order."""
    one, other = ({hit.chunk.id: hit for hit in hits} for hits in (ours, theirs))
    assert one.keys() == other.keys()
    for key, hit in one.items():
        assert hit.chunk == other[key].chunk
        assert scores(hit) == pytest.approx(scores(other[key]), abs=1e-3)  # dense numbers have sixteen bits


def scores(hit: Hit) -> list[float]:
    return [hit.bm25, hit.window_bm25, hit.window_cosine, hit.chunk_cosine]
