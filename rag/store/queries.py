"""The searches, once for both engines: what is asked in each round trip and how the answers are put together.

An engine only answers batches of Ask. Pure, but for the `Engine` it is given. Points go by numbers here: a window's id
is one, and a chunk's is a UUID, whose text takes longer to make than all else that is done with a hit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from math import log
from typing import NamedTuple, Protocol
from uuid import UUID

from rag.embedding.base import Vectors
from rag.errors import IndexMismatch
from rag.store.base import IndexConfig, StoreQuery
from rag.store.chunk_cache import ChunkCache, Point
from rag.store.points import BM25, DENSE, WINDOW_BM25, chunk_id_of, chunk_of, is_chunk
from rag.types import Chunk, Hit, SparseVector

_UNSCORED = (0.0,)
_CHUNKS = ""  # the vector that the question for the chunks themselves names: none
BEAM = 200  # candidates a graph search keeps: 97 % of the best 90 among 75,000 windows
_OWNER = ("chunk", "windows")
_KNOWN_TERMS = 50_000  # IDFs kept of one published index
_WINDOWS_PER_CHUNK = 3  # over-fetched, so that enough distinct chunks stand behind the best windows


@dataclass(frozen=True, slots=True)
class Query:
    """One question to the engine: the nearest points by the vector named `using`, or with no vector the points `ids`.

    `ids` restricts; `payload` names the fields wanted; `weights` asks for the point's sparse vector as well.
    """

    limit: int
    using: str = ""
    vector: SparseVector | Vectors | None = None
    ids: Sequence[str | int] | None = None
    payload: tuple[str, ...] | bool = False
    weights: bool = False


class QueryResult(NamedTuple):
    """What an Ask found, best first, in columns. `weights` are there where they were asked for: term -> weight."""

    ids: Sequence[int]
    scores: Sequence[float]
    points: Sequence[Point]
    weights: Sequence[Mapping[int, float]] = ()


_NOTHING = QueryResult((), (), ())


class Engine(Protocol):
    async def ask(self, batch: Sequence[Query]) -> list[QueryResult]:
        """One round trip. Raises StoreUnavailable."""
        ...


async def search(
    engine: Engine, config: IndexConfig, query: StoreQuery, limit: int, include: Sequence[str], cache: ChunkCache
) -> list[Hit]:
    """See VectorStore.search; `cache` is what was read of the same index before. Raises IndexMismatch for a vector of
    another length than the index has.
    """
    if query.dense is not None and not config.dimensions:
        query = StoreQuery(query.sparse)
    if query.dense is not None and query.dense.size not in (0, config.dimensions):
        raise IndexMismatch(
            f"The index holds vectors of {config.dimensions} dimensions and the model gives {query.dense.size};"
            " ingest the book again."
        )
    candidates = await _candidates(engine, query, limit, [chunk_id for chunk_id in include if _is_id(chunk_id)], cache)
    return await _rescored(engine, query, candidates, cache) if candidates else []


async def _candidates(
    engine: Engine, query: StoreQuery, limit: int, include: Sequence[str], cache: ChunkCache
) -> dict[int, None]:
    """The numbers of the chunks, each once."""
    batch = []
    if query.sparse.indices:
        batch.append(Query(limit, BM25, query.sparse, payload=_OWNER))
    if query.dense is not None and query.dense.size:
        batch.append(Query(limit * _WINDOWS_PER_CHUNK, DENSE, query.dense, payload=_OWNER))
    if include:
        batch.append(Query(len(include), ids=include, payload=_OWNER))
    found: dict[int, None] = {}
    for ask, answer in zip(batch, await engine.ask(batch) if batch else [], strict=True):
        owners = [cache.owner(number, point) for number, point in zip(answer.ids, answer.points, strict=True)]
        chunks = dict.fromkeys(owner for owner in owners if owner is not None)
        found |= islice(chunks.items(), limit if ask.using else None)
    return found


async def _rescored(engine: Engine, query: StoreQuery, candidates: Mapping[int, None], cache: ChunkCache) -> list[Hit]:
    ids = [cache.names[number] for number in candidates]
    unread = [cache.names[number] for number in candidates if cache.chunk(number) is None]
    windows: list[str | int] = list(chain.from_iterable(cache.windows[number] for number in candidates))
    whole = [cache.names[number] for number in candidates if not cache.windows[number]]  # they carry their own vector
    embedded = [*windows, *whole] if whole else windows
    batch = [Query(len(unread), ids=unread, payload=True)] if unread else []
    if query.sparse.indices:
        batch.append(Query(len(ids), BM25, query.sparse, ids))
    if query.sparse.indices and windows:
        batch.append(Query(len(windows), WINDOW_BM25, query.sparse, windows))
    if query.dense is not None and query.dense.size:
        batch.append(Query(len(embedded), DENSE, query.dense, embedded))
    answers = await engine.ask(batch) if batch else []
    by_name = {ask.using: answer for ask, answer in zip(batch, answers, strict=True)}
    whole_bm25 = by_name.get(BM25, _NOTHING)
    bm25 = dict(zip(whole_bm25.ids, whole_bm25.scores, strict=True))
    window_bm25, cosines = (_scores(by_name.get(name, _NOTHING), cache) for name in (WINDOW_BM25, DENSE))
    chunks = by_name.get(_CHUNKS, _NOTHING)
    for number, point in zip(chunks.ids, chunks.points, strict=True):
        cache.read(number, point)
    hits = []
    for number in candidates:
        kept = cache.chunk(number)
        if kept is None:
            continue  # it went away between the two round trips
        near = cosines.get(number, _UNSCORED)
        part = max(window_bm25.get(number, _UNSCORED))
        hits.append(Hit(kept.chunk, bm25.get(number, 0.0), part, max(near), sum(near) / kept.norm, kept.terms))
    return hits


def _scores(answer: QueryResult, cache: ChunkCache) -> dict[int, list[float]]:
    """A chunk's number -> the scores of the chunk itself or of its windows."""
    scores: dict[int, list[float]] = {}
    owners = cache.owners
    for number, score in zip(answer.ids, answer.scores, strict=True):
        scores.setdefault(owners[number], []).append(score)
    return scores


async def idf(engine: Engine, terms: Sequence[int], chunks: int, cache: dict[int, float]) -> list[float]:
    """The IDF the engine works with, read off a search for the term alone: score / weight.

    A term no chunk has gets what the formula gives for none of `chunks`. `cache` is filled and kept bounded.
    """
    missing = [term for term in dict.fromkeys(terms) if term not in cache]
    batch = [Query(1, BM25, SparseVector((term,), (1.0,)), weights=True) for term in missing]
    answers = await engine.ask(batch) if batch else []
    unseen = log((chunks + 0.5) / 0.5 + 1)
    found = {term: cache[term] for term in terms if term in cache}
    for term, answer in zip(missing, answers, strict=True):
        found[term] = answer.scores[0] / answer.weights[0][term] if answer.ids else unseen
    if len(cache) + len(missing) > _KNOWN_TERMS:
        cache.clear()
    cache |= found
    return [found[term] for term in terms]


async def chunks(engine: Engine, ids: Sequence[str]) -> list[Chunk]:
    """See VectorStore.chunks."""
    asked = [chunk_id for chunk_id in ids if _is_id(chunk_id)]
    found = (await engine.ask([Query(len(asked), ids=asked, payload=True)]))[0] if asked else _NOTHING
    read = [(chunk_id_of(number), point.payload or {}) for number, point in zip(found.ids, found.points, strict=True)]
    by_id = {chunk_id: chunk_of(chunk_id, payload) for chunk_id, payload in read if is_chunk(payload)}
    return [by_id[chunk_id] for chunk_id in ids if chunk_id in by_id]


def _is_id(text: str) -> bool:
    """Ids come from outside as well; the engines refuse a whole batch for one that is none."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
