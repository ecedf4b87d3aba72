"""The searches, once for both engines: what is asked in each round trip and how the answers are put together.

An engine only answers batches of Ask. Pure, but for the `Engine` it is given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import log
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from rag.embedding.base import Vectors
from rag.errors import IndexMismatch
from rag.store.base import IndexConfig, StoreQuery
from rag.store.points import BM25, DENSE, WINDOW_BM25, chunk_of, window_ids
from rag.types import Chunk, Hit, SparseVector

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_NO_WEIGHTS: Mapping[int, float] = MappingProxyType({})
_NO_SCORES: Mapping[str, list[float]] = MappingProxyType({})
_UNSCORED = (0.0,)
BEAM = 200  # candidates a graph search keeps: 97 % of the best 90 among 75,000 windows
_OWNER = ("chunk", "windows")
_KNOWN_TERMS = 50_000  # IDFs kept of one published index
_WINDOWS_PER_CHUNK = 3  # over-fetched, so that enough distinct chunks stand behind the best windows


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to the engine: the nearest points by the vector named `using`, or with no vector the points `ids`.

    `ids` restricts; `payload` names the fields wanted; `weights` asks for the point's sparse vector as well.
    """

    limit: int
    using: str = ""
    vector: SparseVector | Vectors | None = None
    ids: Sequence[str | int] | None = None
    payload: tuple[str, ...] | bool = False
    weights: bool = False


class Found(NamedTuple):
    """A tuple, because a search makes hundreds of them. A window's id is a number, any other a string."""

    id: str | int
    score: float
    payload: Mapping[str, Any] = _NOTHING
    weights: Mapping[int, float] = _NO_WEIGHTS


class Engine(Protocol):
    async def ask(self, batch: Sequence[Ask]) -> list[list[Found]]:
        """One round trip. Raises StoreUnavailable."""
        ...


async def search(engine: Engine, config: IndexConfig, query: StoreQuery, limit: int, keep: Sequence[str]) -> list[Hit]:
    """See VectorStore.search. Raises IndexMismatch for a vector of another length than the index has."""
    if query.dense is not None and not config.dimensions:
        query = StoreQuery(query.sparse)
    if query.dense is not None and query.dense.size not in (0, config.dimensions):
        raise IndexMismatch(
            f"The index holds vectors of {config.dimensions} dimensions and the model gives {query.dense.size};"
            " ingest the book again."
        )
    candidates = await _candidates(engine, query, limit, [chunk_id for chunk_id in keep if _is_id(chunk_id)])
    return await _rescored(engine, query, candidates) if candidates else []


async def _candidates(engine: Engine, query: StoreQuery, limit: int, keep: Sequence[str]) -> dict[str, int]:
    """Chunk id -> how many windows it has."""
    batch = []
    if query.sparse.indices:
        batch.append(Ask(limit, BM25, query.sparse, payload=_OWNER))
    if query.dense is not None and query.dense.size:
        batch.append(Ask(limit * _WINDOWS_PER_CHUNK, DENSE, query.dense, payload=_OWNER))
    if keep:
        batch.append(Ask(len(keep), ids=keep, payload=_OWNER))
    found: dict[str, int] = {}
    for ask, hits in zip(batch, await engine.ask(batch) if batch else [], strict=True):
        chunks = {
            str(hit.payload.get("chunk", hit.id)): hit.payload["windows"] for hit in hits if "windows" in hit.payload
        }
        found |= islice(chunks.items(), limit if ask.using else None)
    return found


async def _rescored(engine: Engine, query: StoreQuery, candidates: Mapping[str, int]) -> list[Hit]:
    chunk_ids = list(candidates)
    owners = {window: chunk for chunk, count in candidates.items() for window in window_ids(chunk, count)}
    windows: list[str | int] = list(owners)
    whole = [chunk for chunk, count in candidates.items() if not count]  # they carry their own vector
    embedded = [*windows, *whole] if whole else windows
    batch = [Ask(len(chunk_ids), ids=chunk_ids, payload=True)]
    if query.sparse.indices:
        batch.append(Ask(len(chunk_ids), BM25, query.sparse, chunk_ids))
    if query.sparse.indices and windows:
        batch.append(Ask(len(windows), WINDOW_BM25, query.sparse, windows))
    if query.dense is not None and query.dense.size:
        batch.append(Ask(len(embedded), DENSE, query.dense, embedded))
    answers = await engine.ask(batch)
    scores = {ask.using: _scores(hits, owners) for ask, hits in zip(batch, answers, strict=True) if ask.using}
    bm25, window_bm25, cosines = (scores.get(name, _NO_SCORES) for name in (BM25, WINDOW_BM25, DENSE))
    return [
        _hit(found, *(of.get(str(found.id), _UNSCORED) for of in (bm25, window_bm25, cosines))) for found in answers[0]
    ]


def _scores(hits: Sequence[Found], owners: Mapping[int, str]) -> dict[str, list[float]]:
    """Chunk id -> the scores of the chunk itself or of its windows."""
    scores: dict[str, list[float]] = {}
    for point_id, score, *_ in hits:
        scores.setdefault(owners[point_id] if isinstance(point_id, int) else point_id, []).append(score)
    return scores


def _hit(found: Found, bm25: Sequence[float], window_bm25: Sequence[float], cosines: Sequence[float]) -> Hit:
    return Hit(
        chunk_of(found.id, found.payload),
        bm25=max(bm25),
        window_bm25=max(window_bm25),
        window_cosine=max(cosines),
        chunk_cosine=sum(cosines) / (found.payload["norm"] or 1.0),
    )


async def idf(engine: Engine, terms: Sequence[int], chunks: int, known: dict[int, float]) -> list[float]:
    """The IDF the engine works with, read off a search for the term alone: score / weight.

    A term no chunk has gets what the formula gives for none of `chunks`. `known` is filled and kept bounded.
    """
    missing = [term for term in dict.fromkeys(terms) if term not in known]
    batch = [Ask(1, BM25, SparseVector((term,), (1.0,)), weights=True) for term in missing]
    answers = await engine.ask(batch) if batch else []
    unseen = log((chunks + 0.5) / 0.5 + 1)
    found = {term: known[term] for term in terms if term in known}
    for term, hits in zip(missing, answers, strict=True):
        found[term] = hits[0].score / hits[0].weights[term] if hits else unseen
    if len(known) + len(missing) > _KNOWN_TERMS:
        known.clear()
    known |= found
    return [found[term] for term in terms]


async def chunks(engine: Engine, ids: Sequence[str]) -> list[Chunk]:
    """See VectorStore.chunks."""
    asked = [chunk_id for chunk_id in ids if _is_id(chunk_id)]
    found = (await engine.ask([Ask(len(asked), ids=asked, payload=True)]))[0] if asked else []
    by_id = {hit.id: chunk_of(hit.id, hit.payload) for hit in found if hit.payload["kind"] == "chunk"}
    return [by_id[chunk_id] for chunk_id in ids if chunk_id in by_id]


def _is_id(text: str) -> bool:
    """Ids come from outside as well; the engines refuse a whole batch for one that is none."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
