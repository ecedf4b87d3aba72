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
from rag.language import overview
from rag.language.asking import names_something, subject
from rag.language.scripts import ENGLISH_MODEL, is_latin, words
from rag.resilience import Deadline
from rag.search import followups, outline, relevance, scoring
from rag.search.followups import Weighted
from rag.search.locating import Sought
from rag.search.passages import CUT, passages
from rag.search.reading import Reading
from rag.search.relevance import Evidence, Scale
from rag.search.scoring import Pairs, Scored, Weights
from rag.search.topics import Topic, heading_terms, names, opening_of, spellings
from rag.store.base import StoreQuery, VectorStore
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
class Ranked:
    """Every candidate by score, best first, and what speaks for the answer being in the book."""

    scored: list[Scored]
    evidence: Evidence
    grounded: bool
    sought: Sought

    def passages(self, k: int, cut: float = CUT) -> tuple[Passage, ...]:
        """At most `k`, as `rag.search.passages` makes them, each under the heading where the evidence stands."""
        return passages(self.scored, k, cut, self.sought)

    @property
    def relevance(self) -> float:
        return relevance.promise(self.evidence) if self.scored else 0.0


class Retriever:
    """Searches the store's published index and follows it when it is replaced.

    Every method raises IndexEmpty, IndexMismatch, StoreUnavailable and ModelError.
    """

    def __init__(self, store: VectorStore, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder
        self._reading: Reading | None = None
        self._read_at = 0.0
        self._scale: tuple[Reading, Scale] | None = None
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
        named = ranked.evidence.named >= relevance.SURELY_NAMED
        found = ranked.passages(k)
        return Retrieval(question, found, ranked.grounded, named=named, relevance=ranked.relevance)

    async def calibrate(self) -> None:
        """Learn what the model's cosines mean for this index, before a question needs to know. Raises as a search."""
        if self._english_model or not self._embedder.dimensions:
            return
        reading = await self._current()
        calibrating = self._begin_calibrating(reading) if reading.config.dimensions else None
        if calibrating is not None:
            await asyncio.wait({calibrating})

    async def close(self) -> None:
        """Ends what is measured beside the questions. Closing twice does no harm."""
        task, self._calibrating = self._calibrating, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})

    async def rank(self, question: str, *, history: Sequence[Exchange] = (), page: Page | None = None) -> Ranked:
        """Every candidate chunk, neither cut nor joined. Where the outline answers, its first chunks lead."""
        ranked = await self._search(question, history, page, None)
        outlined = await self._outlined(question, page, alone=not history)
        if not outlined:
            return ranked
        whole = len({passage.chunk.path for passage in outlined}) > OUTLINE_LEADS
        leads = [passage.chunk.id for passage in outlined[: 1 if whole else OUTLINE_LEADS]]
        first = [Scored(Hit(chunk), OUTLINE_SCORE) for chunk in await self._store.chunks(leads)]
        rest = [item for item in ranked.scored if item.hit.chunk.id not in leads]
        return Ranked([*first, *rest], ranked.evidence, grounded=True, sought=replace(ranked.sought, weights={}))

    async def _search(
        self,
        question: str,
        history: Sequence[Exchange],
        page: Page | None,
        selection: str | None,
        embed: Deadline | None = None,
    ) -> Ranked:
        reading = await self._current()
        selected = [Weighted(selection[:SELECTION_CHARS], SELECTION_WEIGHT)] if selection and selection.strip() else []
        spoken, meant = followups.spoken(question, history) + selected, followups.meant(question, history) + selected
        query = await self._query(reading, spoken, meant, embed or Deadline())
        limit = CANDIDATES if query.dense is not None else 2 * CANDIDATES  # one list where else there are two
        hits = await self._store.search(query, limit, (*_kept(history), *await self._named(reading, question)))
        foreign = reading.is_foreign(question)
        weights = self._weights(reading, query, foreign=foreign)
        named, headings = await self._headings(reading, question, hits)
        scored = _scored(reading, weights, hits, question, page, headings)
        sought = await self._sought(reading, query)
        evidence = await self._evidence(reading, query, sought.weights, scored, foreign=foreign, wait=embed is None)
        evidence = replace(evidence, named=named)
        if history and not selection and not followups.depends(question):
            evidence = (await self._search(question, (), None, None, embed)).evidence  # the history proves nothing
        return Ranked(scored, evidence, bool(hits) and relevance.is_grounded(evidence), sought)

    async def _current(self) -> Reading:
        config = await self._store.config()
        if config is None:
            raise IndexEmpty("There is no index yet. Ingest the book first.")
        known, now = self._reading, time.monotonic()
        if known is not None and known.config == config and now - self._read_at < READ_AGAIN_SECONDS:
            return known
        if config.dimensions and self._embedder.dimensions not in (0, config.dimensions):
            raise IndexMismatch("The index was built with another embedding model. Ingest the book again.")
        documents = await self._store.documents()
        if known is None or known.config != config or known.documents != documents:
            self._reading = Reading(config, documents)
        self._read_at = now
        assert self._reading is not None
        return self._reading

    def _dense(self, reading: Reading, text: str) -> bool:
        """Whether the embedder can read both the index and the text."""
        if not self._embedder.dimensions or not reading.config.dimensions:
            return False
        return not self._english_model or (reading.latin and is_latin(text))

    async def _query(
        self, reading: Reading, spoken: Sequence[Weighted], meant: Sequence[Weighted], embed: Deadline
    ) -> StoreQuery:
        sparse = followups.merge((reading.lexicon.query(reading.searched(part.text)), part.weight) for part in spoken)
        if not self._dense(reading, meant[0].text):
            return StoreQuery(sparse)
        texts = [reading.searched(part.text) if self._english_model else subject(part.text) for part in meant]
        try:
            async with embed.timeout():
                vectors = await asyncio.gather(*(self._embedder.embed_query(text) for text in texts))
        except TimeoutError:
            raise ModelUnavailable("The embedding model did not answer in time.") from None
        if len(texts) == 1:
            return StoreQuery(sparse, vectors[0])
        weighted = [(vector, part.weight) for vector, part in zip(vectors, meant, strict=True)]
        return StoreQuery(sparse, followups.blend(weighted))

    async def _named(self, reading: Reading, question: str) -> list[str]:
        """The ids of the chunks in which a section begins that has the very name of what is asked for."""
        about = reading.searched(question)
        if not names_something(about):
            return []
        chunks = [await self._store.chunks_of(path) for path in reading.names.documents(about)]
        return [opening.id for found in chunks if (opening := opening_of(about, found)) is not None]

    async def _headings(self, reading: Reading, question: str, hits: Sequence[Hit]) -> tuple[float, list[float]]:
        """How much the likest heading is what the question names, and what its headings add to each hit's score."""
        about, terms = reading.searched(question), reading.lexicon.terms
        asked = [await reading.idf(terms(spelt), self._store) for spelt in spellings(about)]
        idf = await reading.idf(list(heading_terms(asked, hits, terms)), self._store)
        found = Topic(names(spellings(about)), tuple(asked), terms, idf, reading.names.untitled).likenesses(hits)
        if not names_something(about):
            return 0.0, [HEADING_WEIGHT * likeness**HEADING_POWER for likeness in found]
        return max(found, default=0.0), [TOPIC_WEIGHT * likeness**HEADING_POWER for likeness in found]

    def _weights(self, reading: Reading, query: StoreQuery, *, foreign: bool) -> Weights:
        if query.dense is None:
            return scoring.LEXICAL
        dim = self._english_model and (foreign or reading.config.language != ENGLISH)
        return scoring.DIM if dim else scoring.HYBRID

    @property
    def _english_model(self) -> bool:
        return self._embedder.fingerprint.startswith(ENGLISH_MODEL)

    async def _sought(self, reading: Reading, query: StoreQuery) -> Sought:
        idf = await reading.idf(query.sparse.indices, self._store)
        terms = zip(query.sparse.indices, query.sparse.values, strict=True)
        return Sought({term: value * idf[term] for term, value in terms}, reading.lexicon.terms)

    async def _evidence(
        self,
        reading: Reading,
        query: StoreQuery,
        weights: Mapping[int, float],
        scored: Sequence[Scored],
        *,
        foreign: bool,
        wait: bool,
    ) -> Evidence:
        hits = [item.hit for item in scored]
        best = max((hit.bm25 for hit in hits), default=0.0)
        held = relevance.coverage(weights, [hit.terms for hit in hits[:COVERING]])
        mass = sum(weights.values())
        cosine = await self._cosine(reading, hits, wait=wait) if query.dense is not None else None
        return Evidence(cosine, held, best / mass if mass else 0.0, foreign, polyglot=not self._english_model)

    async def _cosine(self, reading: Reading, hits: Sequence[Hit], *, wait: bool) -> float | None:
        """The best window's cosine on MiniLM's scale; None while that scale is not known and nobody may `wait`."""
        best = max((hit.window_cosine or hit.chunk_cosine for hit in hits), default=0.0)
        if self._english_model:
            return best
        calibrating = self._begin_calibrating(reading)
        if wait and calibrating is not None:
            await asyncio.wait({calibrating})
        if self._scale is None or self._scale[0] is not reading:
            return None
        return relevance.rescaled(best, self._scale[1])

    def _begin_calibrating(self, reading: Reading) -> asyncio.Task[None] | None:
        """None when the scale is known. Callers side by side share one measurement."""
        if self._scale is not None and self._scale[0] is reading:
            return None
        if self._calibrating is None or self._calibrating.done():
            self._calibrating = asyncio.create_task(self._calibrated(reading), name="calibrate")
        return self._calibrating

    async def _calibrated(self, reading: Reading) -> None:
        """Measure the model's scale for this index. Beside the questions: a failure is tried again by a later one."""
        try:
            async with asyncio.timeout(CALIBRATION_SECONDS):
                self._scale = (reading, await self._calibrate(reading))
        except (RagError, TimeoutError) as error:
            _log.warning("the embedding model's cosines were not calibrated: %s", error or "it took too long")

    async def _calibrate(self, reading: Reading) -> Scale:
        """Asks the index what it cannot know and what it must know."""
        own = reading.titles[:: max(1, len(reading.titles) // OWN_PROBES)][:OWN_PROBES]
        vectors = await self._embedder.embed_documents([*relevance.OFF_TOPIC, *own])
        best = []
        for vector in vectors:
            hits = await self._store.search(StoreQuery(SparseVector((), ()), np.asarray(vector)), 1)
            best.append(max((hit.window_cosine or hit.chunk_cosine for hit in hits), default=0.0))
        foreign = len(relevance.OFF_TOPIC)
        return relevance.scale_of(best[:foreign], best[foreign:])

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


def _kept(history: Sequence[Exchange]) -> tuple[str, ...]:
    """The chunks the last answer cited stay candidates."""
    return tuple(history[-1].cited[:MOST_KEPT]) if history else ()


def _scored(
    reading: Reading,
    weights: Weights,
    hits: Sequence[Hit],
    question: str,
    page: Page | None,
    headings: Sequence[float],
) -> list[Scored]:
    fused = scoring.fuse(hits, weights)
    pairs = Pairs.of(reading.lexicon.terms(subject(question)))
    bonus = {hit.chunk.id: added for hit, added in zip(hits, headings, strict=True)}
    paired = [
        Scored(item.hit, item.score + weights.pairs * pairs.share(item.hit.terms))
        for item in fused[: scoring.PAIR_DEPTH]
    ]
    rest = fused[scoring.PAIR_DEPTH :]
    scored = [_raised(item, bonus[item.hit.chunk.id]) for item in (*paired, *rest)]
    top = max((item.score for item in scored), default=0.0)
    if top > MOST_SCORE:  # the scale is that of every other question, for those who read scores
        scale = MOST_SCORE / top
        scored = [replace(item, score=scale * item.score, heading=scale * item.heading) for item in scored]
    return scoring.in_order(scored if page is None else _boosted(scored, page))


def _raised(item: Scored, heading: float) -> Scored:
    return replace(item, score=item.score + heading, heading=heading) if heading else item


def _boosted(scored: Iterable[Scored], page: Page) -> Iterable[Scored]:
    for item in scored:
        here = outline.same_page(item.hit.chunk.url, page.url)
        yield replace(item, score=item.score + PAGE_BOOST) if here else item
