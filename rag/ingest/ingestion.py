"""Documents -> chunks -> vectors -> store, straight down, saying at every step how far it is.

    look      every file is hashed and compared with what the index holds
    cut       new documents become chunks and the texts that are embedded
    embed     in groups, several in flight, while others are cut and the store takes what has come back
    publish   the new index is made durable, then visible

Running it again is always safe. Leaving the generator early, or the process, leaves the old index as it was.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from rag.book.chunking import CHUNKER_VERSION
from rag.book.routes import Site
from rag.book.windows import WINDOWS_VERSION
from rag.embedding.cache import CachedEmbedder
from rag.errors import IngestRunning, ModelError
from rag.events import FileProblem, Finished, IngestEvent, Planned
from rag.ingest.cutting import CutDocument, Cutter
from rag.ingest.cutting_process import cut_all
from rag.ingest.indexing import Embeddings, indexed
from rag.ingest.prices import cost
from rag.ingest.recipe import Recipe, average_words
from rag.ingest.survey import Survey, look, published, sample
from rag.ingest.tally import Tally
from rag.ingest.turns import others_first
from rag.lexical import LEXICON_VERSION, detect_language
from rag.store.base import IndexConfig, IndexWriter, VectorStore, WriterFactory
from rag.types import DocumentRecord

Tell = Callable[[IngestEvent], None]


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The parts an ingest is made of.

    `fallback` takes the embedder's place where its model cannot be loaded; without one that is an error. `price` is
    in US dollars for a million tokens, None when unknown. `language` overrides what the text says. One call embeds
    `batch` texts, and `in_flight` batches are under way at once; the embedder may make fewer calls than that.
    """

    content_dir: Path
    data_dir: Path
    site: Site
    store: VectorStore
    writer_for: WriterFactory
    embedder: CachedEmbedder
    fallback: CachedEmbedder | None = None
    price: float | None = None
    chunk_tokens: int = 500
    overlap_tokens: int = 50
    windows: bool = True
    language: str | None = None
    batch: int = 64
    in_flight: int = 2

    async def __aenter__(self) -> Self:
        """Opens the store; the embedder is opened when something must be embedded."""
        await self.store.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.embedder.close()
        await self.store.close()


async def ingest(
    parts: Ingestion, *, force: bool = False, dry_run: bool = False, path: str | None = None
) -> AsyncGenerator[IngestEvent, None]:
    """Brings the index to the state of the book, or of the part of it at `path` (below the content root).

    `force` makes everything anew, `dry_run` ends with Planned. Yields Planned once, when everything is cut, Progressed
    at most ten times a second, Finished at the end. Raises ContentError, ModelError, StoreUnavailable, IngestRunning.
    """
    tally = Tally()
    yield tally.progressed()
    survey, embedder, missing = await _prepared(parts, force, dry_run, path)
    if missing:
        yield tally.warn("no_model", missing)
    recipe = _recipe(parts, survey, embedder)
    if survey.scope is not None and survey.index.config is not None and not recipe.made(survey.index.config):
        yield tally.warn("rebuild", "The index was made with other settings, and so the whole book is ingested.")
        survey = survey.unscoped()
    run = _Run(parts, survey, tally, embedder, recipe, force, dry_run)
    async with aclosing(_told(run.go)) as events:
        async for event in events:
            yield event


async def _prepared(
    parts: Ingestion, force: bool, dry_run: bool, path: str | None
) -> tuple[Survey, CachedEmbedder, str]:
    """The survey, the embedder (open, when there is work for it), and a sentence when that is not the one asked for.

    A first ingest and a forced one need it for certain, and so it is opened while the files are read.
    """
    index = await published(parts.store, force=force)
    certain = (force or index.config is None) and not dry_run
    opening = asyncio.create_task(_opened(parts)) if certain else None
    try:
        survey = await look(parts.content_dir, parts.site, index, path)
        if dry_run or _idle(parts, survey, force):
            return survey, parts.embedder, ""
        return survey, *await (opening or _opened(parts))
    finally:
        if opening is not None:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)


async def _told(work: Callable[[Tell], Coroutine[None, None, None]]) -> AsyncGenerator[IngestEvent, None]:
    """What `work` tells while it goes on; what it raises. Leaving early ends it."""
    told: asyncio.Queue[IngestEvent | None] = asyncio.Queue()
    task = asyncio.create_task(work(told.put_nowait))
    task.add_done_callback(lambda _: told.put_nowait(None))
    try:
        while (event := await told.get()) is not None:
            yield event
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _recipe(parts: Ingestion, survey: Survey, embedder: CachedEmbedder) -> Recipe:
    """The language is told from the text only when the text is another, or the index was made in another way."""
    recipe = _like(parts, embedder, survey.index.config)
    if not recipe.detected or (recipe.made(survey.index.config) and (survey.current or survey.scope is not None)):
        return recipe
    return replace(recipe, language=detect_language(sample(survey)))


def _like(parts: Ingestion, embedder: CachedEmbedder, config: IndexConfig | None) -> Recipe:
    """The recipe, with what only opening and reading can tell taken from the index."""
    known = config.language if config else None
    return Recipe(
        embedder=embedder.fingerprint,
        dimensions=embedder.dimensions or (config.dimensions if config else 0),
        chunker=f"{CHUNKER_VERSION}:{parts.chunk_tokens}:{parts.overlap_tokens}",
        windows=WINDOWS_VERSION if parts.windows else "off",
        lexicon=LEXICON_VERSION,
        words=average_words(parts.chunk_tokens),
        language=parts.language or known,
        detected=parts.language is None,
    )


def _idle(parts: Ingestion, survey: Survey, force: bool) -> bool:
    """True when the index is as it should be, as far as can be told without opening anything."""
    config = survey.index.config
    return not force and survey.current and _like(parts, parts.embedder, config).made(config)


async def _opened(parts: Ingestion) -> tuple[CachedEmbedder, str]:
    """An embedder that is ready, and a sentence when it had to be the one without a model."""
    try:
        await parts.embedder.open()
    except ModelError as error:
        if parts.fallback is None:
            raise
        return parts.fallback, error.message
    return parts.embedder, ""


@dataclass(slots=True)
class _Run:
    """One pass from the survey to the published index."""

    parts: Ingestion
    survey: Survey
    tally: Tally
    embedder: CachedEmbedder
    recipe: Recipe
    force: bool
    dry_run: bool
    rebuild: bool = False
    chunks_to_embed: int = 0
    tokens_to_embed: int = 0
    records: dict[str, DocumentRecord] = field(default_factory=dict)  # of what was cut

    async def go(self, tell: Tell) -> None:
        """Straight down; what cannot be indexed is told as it is met."""
        whole = self.survey.scope is None
        self.rebuild = not self.recipe.made(self.survey.index.config) or (self.force and whole)
        wanted = self._wanted()
        self._begin(wanted)
        for problem in self.survey.failing:
            tell(self.tally.fail(problem))
        if self.dry_run or not (self.rebuild or wanted or self.survey.plan.removed):
            async for _ in self._cut(wanted, tell):
                pass
        else:
            await self._store(wanted, tell)
        if not self.dry_run:
            tell(self._finished())

    def _wanted(self) -> list[str]:
        """The files that must be cut."""
        if self.rebuild or self.force:
            return [path for path in self.survey.sources if self.survey.within(path)]
        return [*self.survey.plan.added, *self.survey.plan.changed]

    def _begin(self, wanted: Sequence[str]) -> None:
        tally = self.tally
        tally.total_files = len(self.survey.files)
        tally.files_to_cut = len(wanted)
        tally.files_processed = tally.total_files - len(wanted) - len(self.survey.failing)
        tally.unchanged, tally.rebuilt = len(self.survey.plan.unchanged), self.rebuild
        if not self.rebuild:
            gone = {*wanted, *self.survey.plan.removed}
            tally.keep(sum(record.chunks for path, record in self.survey.index.records.items() if path not in gone))

    async def _cut(self, paths: Sequence[str], tell: Tell) -> AsyncGenerator[CutDocument, None]:
        """The documents at `paths`, with what embedding them will take; tells the plan when all are cut."""
        parts = self.parts
        language, words = self.recipe.language, self.recipe.words
        cutter = Cutter(parts.chunk_tokens, parts.overlap_tokens, parts.windows, language, words)
        async with aclosing(cut_all(cutter, [self.survey.sources[path] for path in paths])) as found:
            async for cut in found:
                if isinstance(cut, FileProblem):
                    self._lost(cut, tell)
                else:
                    yield await self._weighed(cut)
                if self.tally.due():
                    tell(self.tally.progressed())
        tell(self._planned())
        if paths and not self.dry_run:
            tell(self.tally.progressed())

    def _lost(self, problem: FileProblem, tell: Tell) -> None:
        """The index keeps the last version of what cannot be cut any more."""
        self.tally.cut(None)
        kept = None if self.rebuild else self.survey.index.records.get(problem.path)
        if kept is not None:
            self.tally.keep(kept.chunks)
        tell(self.tally.fail(problem))

    async def _weighed(self, document: CutDocument) -> CutDocument:
        """Without a model everything is new and nothing takes any embedding."""
        if self.embedder is self.parts.embedder:
            document = document.with_new(
                await self.parts.embedder.missing(document.every_text(), self.recipe.dimensions)
            )
        else:
            document = replace(document, new=(0,) * len(document.chunks))
        self.chunks_to_embed += sum(tokens is not None for tokens in document.new)
        self.tokens_to_embed += sum(tokens or 0 for tokens in document.new)
        self.records[document.record.path] = document.record
        self.tally.cut(document)
        if not self.dry_run and document.chunks:
            self.tally.stage = "embedding" if self.chunks_to_embed else "storing"
        return document

    def _planned(self) -> Planned:
        added, changed = self._new()
        return Planned(
            added=added,
            changed=changed,
            unchanged=len(self.survey.plan.unchanged),
            removed=self.survey.plan.removed,
            rebuild=self.rebuild,
            chunks=sum(record.chunks for record in self._index().values()),
            chunks_to_embed=self.chunks_to_embed,
            tokens=self.tokens_to_embed,
            cost_usd=cost(self.tokens_to_embed, self.parts.price),
            problems=tuple(self.tally.problems),
        )

    def _new(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What is added and what is changed, without what failed."""
        failed = {problem.path for problem in self.tally.problems}
        plan = self.survey.plan
        added = tuple(path for path in plan.added if path not in failed)
        return added, tuple(path for path in plan.changed if path not in failed)

    def _index(self) -> dict[str, DocumentRecord]:
        """What the index will hold."""
        if self.rebuild:
            return self.records
        gone = set(self.survey.plan.removed)
        kept = {path: record for path, record in self.survey.index.records.items() if path not in gone}
        return kept | self.records

    def _finished(self) -> Finished:
        tally = self.tally
        if self._nothing_indexed():
            return tally.finished("failed")
        added, changed = self._new()
        tally.added, tally.changed, tally.removed = len(added), len(changed), len(self.survey.plan.removed)
        return tally.finished("completed")

    def _nothing_indexed(self) -> bool:
        stays = self.survey.plan.unchanged and not self.rebuild
        return bool(self.tally.problems) and not (self.records or stays)

    async def _store(self, wanted: Sequence[str], tell: Tell) -> None:
        """Embeds and stores what is wanted, takes out what is gone, publishes."""
        whole = self.survey.scope is None
        async with self.parts.writer_for(self.recipe.config, force=self.force and whole) as writer:
            held = await writer.manifest()
            self._require_unmoved(writer, held)
            done = await self._replace(writer, wanted, {} if self.force else held, tell)
            if self._nothing_indexed():
                return
            for path in filter(self.survey.gone, held):
                self.tally.chunks_deleted += await writer.remove(path)
            self.tally.stage = "finishing"
            tell(self.tally.progressed())
            await writer.publish()
            await self.parts.store.refresh()  # lets go of the old index, which the writer can then remove
        if self.rebuild and whole and not done and self.embedder is self.parts.embedder:
            await self.parts.embedder.prune()

    def _require_unmoved(self, writer: IndexWriter, held: Mapping[str, DocumentRecord]) -> None:
        """The plan is for the index that was read at the beginning; nobody held the lock since then."""
        if not self.rebuild and (writer.rebuilding or _hashes(held) != _hashes(self.survey.index.records)):
            raise IngestRunning("Another ingest has changed the index in the meantime; start this one again.")

    async def _replace(
        self, writer: IndexWriter, wanted: Sequence[str], held: Mapping[str, DocumentRecord], tell: Tell
    ) -> bool:
        """True when a run that was cut short had stored something of it already."""
        parts, tally = self.parts, self.tally
        already = 0

        async def new() -> AsyncGenerator[CutDocument, None]:
            nonlocal already
            async with aclosing(self._cut(wanted, tell)) as documents:
                async for document in documents:
                    if _same(held.get(document.record.path), document.record):
                        already += 1
                        tally.had(document)
                    else:
                        yield document

        async with Embeddings(self.embedder, new(), batch=parts.batch, in_flight=parts.in_flight) as embeddings:
            async for document, vectors in embeddings.vectors():
                chunks = indexed(document, vectors)
                tally.chunks_deleted += await writer.replace(document.record, chunks)
                tally.store(document)
                if tally.due():
                    tell(tally.progressed())
                await others_first()  # the engine never waits
        return already > 0


def _same(held: DocumentRecord | None, record: DocumentRecord) -> bool:
    return held is not None and held.sha256 == record.sha256


def _hashes(records: Mapping[str, DocumentRecord]) -> dict[str, str]:
    return {path: record.sha256 for path, record in records.items()}
