"""Question -> the passages that answer it: fused, de-duplicated, cut where relevance ends, joined and numbered.

overview?        ->  outline -> passages
weigh history    ->  one sparse and one dense query  ->  store.search  ->  fuse + pairs + page  ->  grounded?
                 ->  passages
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rag.embedding.base import Embedder
from rag.errors import IndexEmpty, IndexMismatch, ModelUnavailable, RagError
from rag.resilience import Deadline
from rag.retrieval import fusion, grounding, outline, overview
from rag.retrieval import history as follow_ups
from rag.retrieval.fusion import FusionWeights, RankedHit, WordPairs
from rag.retrieval.grounding import CosineScale, Evidence
from rag.retrieval.history import WeightedText
from rag.retrieval.passages import CUT, QueryTerms, passages
from rag.retrieval.snapshot import IndexSnapshot
from rag.retrieval.topics import Topic, heading_terms, names, names_something, opening_of, spellings, subject
from rag.store.base import StoreQuery, VectorStore
from rag.text.scripts import ENGLISH_MODEL, is_latin, words
from rag.types import Exchange, Hit, Page, Passage, Retrieval, SparseVector

_log = logging.getLogger(__name__)

CANDIDATES = 30
PAGE_BOOST = 0.05
SELECTION_WEIGHT = 0.5
SELECTION_CHARS = 2000
MOST_KEPT = 8
COVERING = 3
TOPIC_WEIGHT = 1.6  # of a heading's likeness to a question that only names something
HEADING_WEIGHT = 0.2  # and to any other question
MOST_SCORE = 1.1  # what fusion and pairs give at most
HEADING_POWER = 3  # half alike counts an eighth
READ_AGAIN_SECONDS = 60.0
OVERVIEW_CHUNKS = 8
OUTLINE_LEADS = 3
OUTLINE_SCORE = 1.2
OWN_PROBES = 9
CALIBRATION_SECONDS = 30.0
ENGLISH = "english"


@dataclass(frozen=True, slots=True)
class RankedHits:
    """Every candidate by score, best first, and what speaks for the answer being in the book."""

    scored: list[RankedHit]
    evidence: Evidence
    grounded: bool
    query_terms: QueryTerms

    def passages(self, k: int, cut: float = CUT) -> tuple[Passage, ...]:
        """At most `k`, as `rag.retrieval.passages` makes them, each under the heading where the evidence stands."""
        return passages(self.scored, k, cut, self.query_terms)

    @property
    def relevance(self) -> float:
        return grounding.promise(self.evidence) if self.scored else 0.0


class Retriever:
    """Searches the store's published index and follows it when it is replaced.

    Every method raises IndexEmpty, IndexMismatch, StoreUnavailable and ModelError.
    """

    def __init__(self, store: VectorStore, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder
        self._snapshot: IndexSnapshot | None = None
        self._snapshot_at = 0.0
        self._scale: tuple[IndexSnapshot, CosineScale] | None = None
        self._calibrating: asyncio.Task[None] | None = None

    async def retrieve(
        self,
        question: str,
        *,
        k: int,
        history: Sequence[Exchange] = (),
        page: Page | None = None,
        selection: str | None = None,
        embed: Deadline | None = None,
    ) -> Retrieval:
        """At most `k` passages; for a question about the book as a whole, those of its outline instead.

        The question's vectors are wanted before `embed`, else this is a ModelUnavailable.
        """
        outlined = await self._outlined(question, page, alone=not history and not selection)
        if outlined:
            return Retrieval(question, outlined, grounded=True, overview=True)
        ranked = await self._search(question, history, page, selection, embed)
        named = ranked.evidence.named >= grounding.SURELY_NAMED
        found = ranked.passages(k)
        return Retrieval(question, found, ranked.grounded, named=named, relevance=ranked.relevance)

    async def calibrate(self) -> None:
        """Learn what the model's cosines mean for this index, before a question needs to know. Raises as a search."""
        if self._english_model or not self._embedder.dimensions:
            return
        snapshot = await self._current()
        calibrating = self._begin_calibrating(snapshot) if snapshot.config.dimensions else None
        if calibrating is not None:
            await asyncio.wait({calibrating})

    async def close(self) -> None:
        """Ends what is measured beside the questions. Closing twice does no harm."""
        task, self._calibrating = self._calibrating, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})

    async def rank(self, question: str, *, history: Sequence[Exchange] = (), page: Page | None = None) -> RankedHits:
        """Every candidate chunk, neither cut nor joined. Where the outline answers, its first chunks lead."""
        ranked = await self._search(question, history, page, None)
        outlined = await self._outlined(question, page, alone=not history)
        if not outlined:
            return ranked
        whole = len({passage.chunk.path for passage in outlined}) > OUTLINE_LEADS
        leads = [passage.chunk.id for passage in outlined[: 1 if whole else OUTLINE_LEADS]]
        first = [RankedHit(Hit(chunk), OUTLINE_SCORE) for chunk in await self._store.chunks(leads)]
        rest = [item for item in ranked.scored if item.hit.chunk.id not in leads]
        return RankedHits(
            [*first, *rest], ranked.evidence, grounded=True, query_terms=replace(ranked.query_terms, weights={})
        )

    async def _search(
        self,
        question: str,
        history: Sequence[Exchange],
        page: Page | None,
        selection: str | None,
        embed: Deadline | None = None,
    ) -> RankedHits:
        snapshot = await self._current()
        selected = (
            [WeightedText(selection[:SELECTION_CHARS], SELECTION_WEIGHT)] if selection and selection.strip() else []
        )
        sparse_parts, dense_parts = (
            follow_ups.sparse_queries(question, history) + selected,
            follow_ups.dense_queries(question, history) + selected,
        )
        query = await self._query(snapshot, sparse_parts, dense_parts, embed or Deadline())
        limit = CANDIDATES if query.dense is not None else 2 * CANDIDATES  # one list where else there are two
        hits = await self._store.search(
            query, limit, (*_cited_in_last_turn(history), *await self._named(snapshot, question))
        )
        foreign = snapshot.is_foreign(question)
        weights = self._weights(snapshot, query, foreign=foreign)
        named, headings = await self._headings(snapshot, question, hits)
        scored = _scored(snapshot, weights, hits, question, page, headings)
        query_terms = await self._query_terms(snapshot, query)
        evidence = await self._evidence(
            snapshot, query, query_terms.weights, scored, foreign=foreign, wait=embed is None
        )
        evidence = replace(evidence, named=named)
        if history and not selection and not follow_ups.is_follow_up(question):
            evidence = (await self._search(question, (), None, None, embed)).evidence  # the history proves nothing
        return RankedHits(scored, evidence, bool(hits) and grounding.is_grounded(evidence), query_terms)

    async def _current(self) -> IndexSnapshot:
        config = await self._store.config()
        if config is None:
            raise IndexEmpty("There is no index yet. Ingest the book first.")
        known, now = self._snapshot, time.monotonic()
        if known is not None and known.config == config and now - self._snapshot_at < READ_AGAIN_SECONDS:
            return known
        if config.dimensions and self._embedder.dimensions not in (0, config.dimensions):
            raise IndexMismatch("The index was built with another embedding model. Ingest the book again.")
        documents = await self._store.documents()
        if known is None or known.config != config or known.documents != documents:
            self._snapshot = IndexSnapshot(config, documents)
        self._snapshot_at = now
        assert self._snapshot is not None
        return self._snapshot

    def _dense(self, snapshot: IndexSnapshot, text: str) -> bool:
        """Whether the embedder can read both the index and the text."""
        if not self._embedder.dimensions or not snapshot.config.dimensions:
            return False
        return not self._english_model or (snapshot.latin and is_latin(text))

    async def _query(
        self,
        snapshot: IndexSnapshot,
        sparse_parts: Sequence[WeightedText],
        dense_parts: Sequence[WeightedText],
        embed: Deadline,
    ) -> StoreQuery:
        sparse = follow_ups.merge(
            (snapshot.encoder.query(snapshot.searched(part.text)), part.weight) for part in sparse_parts
        )
        if not self._dense(snapshot, dense_parts[0].text):
            return StoreQuery(sparse)
        texts = [snapshot.searched(part.text) if self._english_model else subject(part.text) for part in dense_parts]
        try:
            async with embed.timeout():
                vectors = await asyncio.gather(*(self._embedder.embed_query(text) for text in texts))
        except TimeoutError:
            raise ModelUnavailable("The embedding model did not answer in time.") from None
        if len(texts) == 1:
            return StoreQuery(sparse, vectors[0])
        weighted = [(vector, part.weight) for vector, part in zip(vectors, dense_parts, strict=True)]
        return StoreQuery(sparse, follow_ups.blend(weighted))

    async def _named(self, snapshot: IndexSnapshot, question: str) -> list[str]:
        """The ids of the chunks in which a section begins that has the very name of what is asked for."""
        about = snapshot.searched(question)
        if not names_something(about):
            return []
        chunks = [await self._store.chunks_of(path) for path in snapshot.names.documents(about)]
        return [opening.id for found in chunks if (opening := opening_of(about, found)) is not None]

    async def _headings(self, snapshot: IndexSnapshot, question: str, hits: Sequence[Hit]) -> tuple[float, list[float]]:
        """How much the likest heading is what the question names, and what its headings add to each hit's score."""
        about, terms = snapshot.searched(question), snapshot.encoder.terms
        asked = [await snapshot.idf(terms(spelt), self._store) for spelt in spellings(about)]
        idf = await snapshot.idf(list(heading_terms(asked, hits, terms)), self._store)
        found = Topic(names(spellings(about)), tuple(asked), terms, idf, snapshot.names.untitled).likenesses(hits)
        if not names_something(about):
            return 0.0, [HEADING_WEIGHT * likeness**HEADING_POWER for likeness in found]
        return max(found, default=0.0), [TOPIC_WEIGHT * likeness**HEADING_POWER for likeness in found]

    def _weights(self, snapshot: IndexSnapshot, query: StoreQuery, *, foreign: bool) -> FusionWeights:
        if query.dense is None:
            return fusion.LEXICAL
        dim = self._english_model and (foreign or snapshot.config.language != ENGLISH)
        return fusion.CROSS_LINGUAL if dim else fusion.HYBRID

    @property
    def _english_model(self) -> bool:
        return self._embedder.fingerprint.startswith(ENGLISH_MODEL)

    async def _query_terms(self, snapshot: IndexSnapshot, query: StoreQuery) -> QueryTerms:
        idf = await snapshot.idf(query.sparse.indices, self._store)
        terms = zip(query.sparse.indices, query.sparse.values, strict=True)
        return QueryTerms({term: value * idf[term] for term, value in terms}, snapshot.encoder.terms)

    async def _evidence(
        self,
        snapshot: IndexSnapshot,
        query: StoreQuery,
        weights: Mapping[int, float],
        scored: Sequence[RankedHit],
        *,
        foreign: bool,
        wait: bool,
    ) -> Evidence:
        hits = [item.hit for item in scored]
        best = max((hit.bm25 for hit in hits), default=0.0)
        held = grounding.coverage(weights, [hit.terms for hit in hits[:COVERING]])
        mass = sum(weights.values())
        cosine = await self._cosine(snapshot, hits, wait=wait) if query.dense is not None else None
        return Evidence(cosine, held, best / mass if mass else 0.0, foreign, polyglot=not self._english_model)

    async def _cosine(self, snapshot: IndexSnapshot, hits: Sequence[Hit], *, wait: bool) -> float | None:
        """The best window's cosine on MiniLM's scale; None while that scale is not known and nobody may `wait`."""
        best = max((hit.window_cosine or hit.chunk_cosine for hit in hits), default=0.0)
        if self._english_model:
            return best
        calibrating = self._begin_calibrating(snapshot)
        if wait and calibrating is not None:
            await asyncio.wait({calibrating})
        if self._scale is None or self._scale[0] is not snapshot:
            return None
        return grounding.rescaled(best, self._scale[1])

    def _begin_calibrating(self, snapshot: IndexSnapshot) -> asyncio.Task[None] | None:
        """None when the scale is known. Callers side by side share one measurement."""
        if self._scale is not None and self._scale[0] is snapshot:
            return None
        if self._calibrating is None or self._calibrating.done():
            self._calibrating = asyncio.create_task(self._calibrated(snapshot), name="calibrate")
        return self._calibrating

    async def _calibrated(self, snapshot: IndexSnapshot) -> None:
        """Measure the model's scale for this index. Beside the questions: a failure is tried again by a later one."""
        try:
            async with asyncio.timeout(CALIBRATION_SECONDS):
                self._scale = (snapshot, await self._calibrate(snapshot))
        except (RagError, TimeoutError) as error:
            _log.warning("the embedding model's cosines were not calibrated: %s", error or "it took too long")

    async def _calibrate(self, snapshot: IndexSnapshot) -> CosineScale:
        """Asks the index what it cannot know and what it must know."""
        own = snapshot.titles[:: max(1, len(snapshot.titles) // OWN_PROBES)][:OWN_PROBES]
        vectors = await self._embedder.embed_documents([*grounding.OFF_TOPIC, *own])
        best = []
        for vector in vectors:
            hits = await self._store.search(StoreQuery(SparseVector((), ()), np.asarray(vector)), 1)
            best.append(max((hit.window_cosine or hit.chunk_cosine for hit in hits), default=0.0))
        foreign = len(grounding.OFF_TOPIC)
        return grounding.scale_of(best[:foreign], best[foreign:])

    async def _outlined(self, question: str, page: Page | None, *, alone: bool) -> tuple[Passage, ...]:
        """The passages of an overview question; none when it is not one, or when the book has no such part."""
        wanted = overview.parse(question)
        if wanted is None or not (wanted.explicit or alone):
            return ()
        if await self._store.config() is None:
            raise IndexEmpty("There is no index yet. Ingest the book first.")
        if len(words(question)) == 1 and (await self._current()).names.documents(question):
            return ()  # "modules" of a book that has a chapter of that name
        if not wanted.explicit and page is not None and page.url:
            wanted = replace(wanted, kind="page")
        selected = outline.select(wanted, await self._store.documents(), page)
        if len(selected) == 1 and wanted.kind not in ("book", "contents"):
            chunks = outline.opening_chunks(await self._store.chunks_of(selected[0].path), OVERVIEW_CHUNKS)
            return tuple(Passage(n, chunk, 1.0, chunk.text, (chunk.id,)) for n, chunk in enumerate(chunks, 1))
        listed = outline.entries(selected)
        firsts = [await self._store.chunks_of(entry.document.path) for entry in listed]
        shown = [(entry, chunks[0]) for entry, chunks in zip(listed, firsts, strict=True) if chunks]
        return tuple(outline.overview_passage(n, entry, chunk) for n, (entry, chunk) in enumerate(shown, 1))


def _cited_in_last_turn(history: Sequence[Exchange]) -> tuple[str, ...]:
    """The chunks the last answer cited stay candidates."""
    return tuple(history[-1].cited[:MOST_KEPT]) if history else ()


def _scored(
    snapshot: IndexSnapshot,
    weights: FusionWeights,
    hits: Sequence[Hit],
    question: str,
    page: Page | None,
    headings: Sequence[float],
) -> list[RankedHit]:
    fused = fusion.fuse(hits, weights)
    pairs = WordPairs.of(snapshot.encoder.terms(subject(question)))
    bonus = {hit.chunk.id: added for hit, added in zip(hits, headings, strict=True)}
    paired = [
        RankedHit(item.hit, item.score + weights.pairs * pairs.share(item.hit.terms))
        for item in fused[: fusion.PAIR_DEPTH]
    ]
    rest = fused[fusion.PAIR_DEPTH :]
    scored = [_raised(item, bonus[item.hit.chunk.id]) for item in (*paired, *rest)]
    top = max((item.score for item in scored), default=0.0)
    if top > MOST_SCORE:  # the scale is that of every other question, for those who read scores
        scale = MOST_SCORE / top
        scored = [replace(item, score=scale * item.score, heading=scale * item.heading) for item in scored]
    return fusion.in_order(scored if page is None else _boosted(scored, page))


def _raised(item: RankedHit, heading: float) -> RankedHit:
    return replace(item, score=item.score + heading, heading=heading) if heading else item


def _boosted(scored: Iterable[RankedHit], page: Page) -> Iterable[RankedHit]:
    for item in scored:
        here = outline.same_page(item.hit.chunk.url, page.url)
        yield replace(item, score=item.score + PAGE_BOOST) if here else item
