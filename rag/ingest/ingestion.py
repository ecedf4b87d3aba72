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
from functools import partial

from rag.embedding.cache import CachedEmbedder
from rag.errors import IngestRunning
from rag.events import FileProblem, Finished, IngestEvent, Planned
from rag.ingest.cutting import CutDocument
from rag.ingest.cutting_process import Cut, cut_all
from rag.ingest.indexing import Embeddings, indexed
from rag.ingest.parts import Ingestion
from rag.ingest.preparing import cutter_for, prepared
from rag.ingest.prices import cost
from rag.ingest.recipe import Recipe
from rag.ingest.survey import Survey
from rag.ingest.tally import Tally
from rag.ingest.turns import others_first
from rag.language.scripts import legible
from rag.store.base import IndexWriter
from rag.types import DocumentRecord

Tell = Callable[[IngestEvent], None]


async def ingest(
    parts: Ingestion, *, force: bool = False, dry_run: bool = False, path: str | None = None
) -> AsyncGenerator[IngestEvent, None]:
    """Brings the index to the state of the book, or of the part of it at `path` (below the content root).

    `force` makes everything anew, `dry_run` ends with Planned. Yields Planned once, when everything is cut, Progressed
    at most ten times a second, Finished at the end. Raises ContentError, ModelError, StoreUnavailable, IngestRunning.
    """
    tally = Tally()
    yield tally.progressed()
    async with prepared(parts, path, force=force, dry_run=dry_run) as ready:
        for code, sentence in ready.warnings:
            yield tally.warn(code, sentence)
        run = _Run(parts, ready.survey, tally, ready.embedder, ready.recipe, ready.cutting, force, dry_run)
        async with aclosing(_told(run.go)) as events:
            async for event in events:
                yield event


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


@dataclass(slots=True)
class _Run:
    """One pass from the survey to the published index."""

    parts: Ingestion
    survey: Survey
    tally: Tally
    embedder: CachedEmbedder
    recipe: Recipe
    cutting: AsyncGenerator[Cut, None] | None  # of all that is wanted, when it has begun already
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
            return [source.path for source in self.survey.scoped]
        return [*self.survey.plan.added, *self.survey.plan.changed]

    def _begin(self, wanted: Sequence[str]) -> None:
        tally = self.tally
        tally.total_files = len(self.survey.files)
        tally.files_to_cut = len(wanted)
        tally.files_processed = tally.total_files - len(wanted) - len(self.survey.failing)
        tally.unchanged, tally.rebuilt = len(self.survey.plan.unchanged), self.rebuild
        tally.notices = self.survey.notices
        if not self.rebuild:
            gone = {*wanted, *self.survey.plan.removed}
            tally.keep(sum(record.chunks for path, record in self.survey.index.records.items() if path not in gone))

    async def _cut(self, paths: Sequence[str], tell: Tell) -> AsyncGenerator[CutDocument, None]:
        """The documents at `paths`, with what embedding them will take; tells the plan when all are cut."""
        cutting = self.cutting
        if cutting is None:
            cutter = cutter_for(self.parts, self.recipe.language)
            cutting = cut_all(cutter, [self.survey.sources[path] for path in paths])
        async with aclosing(cutting):
            async for cut in cutting:
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
            unknown = await self.embedder.missing(document.every_text(), self.recipe.dimensions)
            document = document.with_new(unknown, partial(legible, self.embedder.fingerprint))
        else:
            document = replace(document, new=(0,) * len(document.chunks))
        self.chunks_to_embed += sum(bool(tokens) for tokens in document.new)
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
            problems=(*self.tally.problems, *self.tally.notices),
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
