"""Documents -> chunks -> vectors -> store, straight down, saying at every step how far it is.

    look      every file is hashed and compared with what the index holds
    cut       new documents become chunks and the texts that are embedded, kept in a file until they are needed
    embed     in groups, several in flight, while others are cut and the store takes what has come back
    publish   the new index is made durable, then visible

Running it again is always safe. Leaving the generator early, or the process, leaves the old index as it was.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Container, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Self

from rag.book.chunking import CHUNKER_VERSION
from rag.book.corpus import Source
from rag.book.routes import Site
from rag.book.windows import WINDOWS_VERSION
from rag.embedding.base import Embedder
from rag.embedding.cache import CachedEmbedder
from rag.errors import ContentError, IngestRunning, ModelError
from rag.events import FileProblem, IngestEvent, Planned
from rag.ingest.cutting import Cutter
from rag.ingest.indexing import Embeddings, indexed
from rag.ingest.prices import cost
from rag.ingest.recipe import Recipe, average_words
from rag.ingest.spool import CutDocument, Spool
from rag.ingest.survey import Survey, look, sample
from rag.ingest.tally import Tally
from rag.lexical import LEXICON_VERSION, Lexicon, detect_language
from rag.store.base import IndexConfig, IndexWriter, VectorStore, WriterFactory
from rag.types import DocumentRecord

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The parts an ingest is made of.

    `fallback` takes the embedder's place where its model cannot be loaded; without one that is an error. `price` is
    in US dollars for a million tokens, None when unknown. `language` overrides what the text says. One call embeds
    `batch` texts or a little more, and `in_flight` calls are waited for at once.
    """

    content_dir: Path
    data_dir: Path
    site: Site
    store: VectorStore
    writer_for: WriterFactory
    embedder: CachedEmbedder
    fallback: Embedder | None = None
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

    `force` makes everything anew, `dry_run` ends after Planned. Yields Planned once, Progressed at most ten times a
    second, Finished at the end. Raises ContentError, ModelError, StoreUnavailable, IngestRunning.
    """
    tally = Tally()
    yield tally.progressed()
    survey = await look(parts.content_dir, parts.site, parts.store, path, force=force)
    embedder: Embedder = parts.embedder
    recipe = _recipe(parts, survey, embedder)
    if not dry_run and not _idle(survey, recipe, force):
        embedder, missing = await _opened(parts)
        recipe = _recipe(parts, survey, embedder)
        if missing:
            yield tally.warn("no_model", missing)
    if survey.scope is not None and survey.index.config is not None and not recipe.made(survey.index.config):
        yield tally.warn("rebuild", "The index was made with other settings, and so the whole book is ingested.")
        survey = survey.unscoped()
    ahead = Embeddings(embedder, batch=parts.batch, in_flight=parts.in_flight)
    with Spool(parts.data_dir) as spool:
        run = _Run(parts, survey, tally, spool, embedder, ahead, recipe, force, dry_run)
        async with ahead, aclosing(run.events()) as events:
            async for event in events:
                yield event


def _like(parts: Ingestion, embedder: Embedder, config: IndexConfig | None) -> Recipe:
    """The recipe, with what only opening and reading can tell taken from the index."""
    known = config.language if config else None
    return Recipe(
        embedder=embedder.fingerprint,
        dimensions=embedder.dimensions or (config.dimensions if config else 0),
        chunker=f"{CHUNKER_VERSION}:{parts.chunk_tokens}:{parts.overlap_tokens}",
        windows=WINDOWS_VERSION if parts.windows else "off",
        lexicon=LEXICON_VERSION,
        language=parts.language or known,
        detected=parts.language is None,
    )


def _recipe(parts: Ingestion, survey: Survey, embedder: Embedder) -> Recipe:
    """The language is told from the text only when the text is another, or the index was made in another way."""
    recipe = _like(parts, embedder, survey.index.config)
    if not recipe.detected or (recipe.made(survey.index.config) and (survey.current or survey.scope is not None)):
        return recipe
    return replace(recipe, language=detect_language(sample(survey)))


def _idle(survey: Survey, recipe: Recipe, force: bool) -> bool:
    """True when the index is as it should be, as far as can be told without opening anything."""
    config = survey.index.config
    if force or config is None or not survey.current or not recipe.made(config):
        return False
    return survey.scope is not None or average(survey.index.records.values()) == config.average_words


def average(records: Iterable[DocumentRecord]) -> float:
    totals = [(record.words, record.chunks) for record in records]
    return average_words(sum(words for words, _ in totals), sum(chunks for _, chunks in totals))


async def _opened(parts: Ingestion) -> tuple[Embedder, str]:
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
    spool: Spool
    embedder: Embedder
    ahead: Embeddings
    recipe: Recipe
    force: bool
    dry_run: bool
    rebuild: bool = False
    chunks_to_embed: int = 0
    tokens_to_embed: int = 0

    async def events(self) -> AsyncGenerator[IngestEvent, None]:
        """Straight down; what cannot be indexed is told as it is met."""
        self.rebuild = not self.recipe.made(self.survey.index.config) or (self.force and self.survey.scope is None)
        self.tally.total_files = len(self.survey.files)
        for problem in self.survey.failing:
            yield self.tally.fail(problem)
        async for event in self._cut(self._wanted()):
            yield event
        if self._outgrown():
            self.rebuild = True
            async for event in self._cut(self._not_tried()):
                yield event
        planned = self._planned()
        yield planned
        if self.dry_run:
            return
        self._count(planned)
        if self.tally.problems and not (self.spool.records or (planned.unchanged and not self.rebuild)):
            yield self.tally.finished("failed")
            return
        if self.rebuild or self.spool.records or self.survey.plan.removed:
            async with aclosing(self._store()) as events:
                async for event in events:
                    yield event
        yield self.tally.finished("completed")

    def _wanted(self) -> list[str]:
        """The files that must be cut."""
        if self.rebuild or self.force:
            return [path for path in self.survey.sources if self.survey.within(path)]
        return [*self.survey.plan.added, *self.survey.plan.changed]

    def _not_tried(self) -> list[str]:
        failed = {problem.path for problem in self.tally.problems}
        return [path for path in self.survey.sources if path not in self.spool.records and path not in failed]

    async def _cut(self, paths: Sequence[str]) -> AsyncGenerator[IngestEvent, None]:
        if not paths:
            return
        parts = self.parts
        cutter = Cutter(Lexicon(self.recipe.language, 1.0), parts.chunk_tokens, parts.overlap_tokens, parts.windows)
        for number, path in enumerate(paths, start=1):
            problem = await self._cut_one(cutter, self.survey.sources[path])
            if problem is not None:
                yield self.tally.fail(problem)
            self.tally.cut(number, len(paths))
            if self.tally.due():
                yield self.tally.progressed()
            await asyncio.sleep(0)  # parsing never waits: this is where it can be cancelled

    async def _cut_one(self, cutter: Cutter, source: Source) -> FileProblem | None:
        try:
            document = cutter.cut(source)
        except ContentError as error:
            return FileProblem(source.path, error.code, error.message)
        except Exception:  # noqa: BLE001 - one page must not cost the author the whole book
            _log.exception("%s could not be cut", source.path)
            return FileProblem(source.path, "internal", f"{source.path} could not be read: it broke the parser.")
        document = await self._weighed(document)
        self.chunks_to_embed += sum(tokens is not None for tokens in document.new)
        self.tokens_to_embed += sum(tokens or 0 for tokens in document.new)
        self.spool.write(document)
        if not self.dry_run:
            self.ahead.offer(document)
        return None

    async def _weighed(self, document: CutDocument) -> CutDocument:
        """With what embedding it will take. Without a model everything is new and nothing takes any."""
        if self.embedder is not self.parts.embedder:
            return replace(document, new=(0,) * len(document.chunks))
        missing = await self.parts.embedder.missing(document.every_text(), self.recipe.dimensions)
        return document.with_new(missing)

    def _outgrown(self) -> bool:
        """True when the mean length has left its step of the grid, so that every vector must be made with another.

        Not while a file fails whose last version only the old index has, and not for a part of the book.
        """
        return not self.rebuild and self._words() != self._old_words()

    def _words(self) -> float:
        """The mean length, on the grid, of the chunks that the index will hold."""
        kept = any(problem.path in self.survey.index.records for problem in self.tally.problems)
        if not self.rebuild and (kept or self.survey.scope is not None):
            return self._old_words()
        return average(self._records().values())

    def _old_words(self) -> float:
        config = self.survey.index.config
        return config.average_words if config is not None else 0.0

    def _records(self) -> dict[str, DocumentRecord]:
        """What the index will hold."""
        if self.rebuild:
            return self.spool.records
        gone = set(self.survey.plan.removed)
        kept = {path: record for path, record in self.survey.index.records.items() if path not in gone}
        return kept | self.spool.records

    def _planned(self) -> Planned:
        failed = {problem.path for problem in self.tally.problems}
        return Planned(
            added=tuple(path for path in self.survey.plan.added if path not in failed),
            changed=tuple(path for path in self.survey.plan.changed if path not in failed),
            unchanged=len(self.survey.plan.unchanged),
            removed=self.survey.plan.removed,
            rebuild=self.rebuild,
            chunks=sum(record.chunks for record in self._records().values()),
            chunks_to_embed=self.chunks_to_embed,
            tokens=self.tokens_to_embed,
            cost_usd=cost(self.tokens_to_embed, self.parts.price),
            problems=tuple(self.tally.problems),
        )

    def _count(self, planned: Planned) -> None:
        """What stays as it is, and what will have changed when all is done."""
        tally = self.tally
        tally.added, tally.changed = len(planned.added), len(planned.changed)
        tally.unchanged, tally.removed = planned.unchanged, len(planned.removed)
        tally.rebuilt = planned.rebuild
        tally.chunks_reused = planned.chunks - sum(record.chunks for record in self.spool.records.values())
        tally.files_processed = tally.total_files - len(self.spool.records)

    async def _store(self) -> AsyncGenerator[IngestEvent, None]:
        """Embeds and stores what was cut, takes out what is gone, publishes."""
        config = self.recipe.config(self._words())
        whole = self.survey.scope is None
        async with self.parts.writer_for(config, force=self.force and whole) as writer:
            held = await writer.manifest()
            self._require_unmoved(writer, held)
            for path in filter(self.survey.gone, held):
                self.tally.chunks_deleted += await writer.remove(path)
            done = set() if self.force else self._done(held)
            async with aclosing(self._replace(writer, config, done)) as events:
                async for event in events:
                    yield event
            self.tally.stage = "finishing"
            yield self.tally.progressed()
            await writer.publish()
            await self.parts.store.refresh()  # lets go of the old index, which the writer can then remove
        if self.rebuild and whole and not done and self.embedder is self.parts.embedder:
            await self.parts.embedder.prune()

    def _require_unmoved(self, writer: IndexWriter, held: Mapping[str, DocumentRecord]) -> None:
        """The plan is for the index that was read at the beginning; nobody held the lock since then."""
        if not self.rebuild and (writer.rebuilding or _hashes(held) != _hashes(self.survey.index.records)):
            raise IngestRunning("Another ingest has changed the index in the meantime; start this one again.")

    def _done(self, held: Mapping[str, DocumentRecord]) -> set[str]:
        """What a run that was cut short has stored already."""
        return {
            path for path, record in self.spool.records.items() if path in held and held[path].sha256 == record.sha256
        }

    async def _replace(
        self, writer: IndexWriter, config: IndexConfig, done: Container[str]
    ) -> AsyncGenerator[IngestEvent, None]:
        tally = self.tally
        lexicon = Lexicon(config.language, config.average_words)
        total = sum(record.chunks for record in self.spool.records.values())
        stored = 0
        tally.stage = "embedding" if self.chunks_to_embed else "storing"
        yield tally.progressed()
        rest = islice(self.spool.read(), self.ahead.taken, None)
        waiting = (document for document in rest if document.record.path not in done)
        async with aclosing(self.ahead.vectors(waiting)) as ready:
            async for document, vectors in ready:
                if document.record.path in done:
                    continue
                chunks = indexed(document, vectors, lexicon, windowed=self.parts.windows)
                tally.chunks_deleted += await writer.replace(document.record, chunks)
                stored += len(chunks)
                tally.store(document, stored, total)
                if tally.due():
                    yield tally.progressed()
                await asyncio.sleep(0)  # the engine never waits: this is where the calls under way get on


def _hashes(records: Mapping[str, DocumentRecord]) -> dict[str, str]:
    return {path: record.sha256 for path, record in records.items()}
