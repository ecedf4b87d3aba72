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
from rag.ingest.chunk_worker import ChunkedDocument, ChunkOutcome, chunk_all, yield_to_loop
from rag.ingest.embedding_queue import EmbeddingQueue, indexed
from rag.ingest.fingerprint import IndexFingerprint
from rag.ingest.plan import ContentDiff, cost
from rag.ingest.prepare import Ingestion, chunker_for, prepare_ingest
from rag.ingest.progress import ProgressTracker
from rag.store.base import IndexWriter
from rag.text.scripts import legible
from rag.types import DocumentRecord

Emit = Callable[[IngestEvent], None]


async def ingest(
    parts: Ingestion, *, force: bool = False, dry_run: bool = False, path: str | None = None
) -> AsyncGenerator[IngestEvent, None]:
    """Brings the index to the state of the book, or of the part of it at `path` (below the content root).

    `force` makes everything anew, `dry_run` ends with Planned. Yields Planned once, when everything is cut, Progressed
    at most ten times a second, Finished at the end. Raises ContentError, ModelError, StoreUnavailable, IngestRunning.
    """
    tracker = ProgressTracker()
    yield tracker.progressed()
    async with prepare_ingest(parts, path, force=force, dry_run=dry_run) as ready:
        for code, sentence in ready.warnings:
            yield tracker.warn(code, sentence)
        run = _IngestRun(
            parts, ready.content_diff, tracker, ready.embedder, ready.index_fingerprint, ready.cutting, force, dry_run
        )
        async with aclosing(_events_of(run.go)) as events:
            async for event in events:
                yield event


async def _events_of(work: Callable[[Emit], Coroutine[None, None, None]]) -> AsyncGenerator[IngestEvent, None]:
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
class _IngestRun:
    """One pass from the survey to the published index."""

    parts: Ingestion
    content_diff: ContentDiff
    tracker: ProgressTracker
    embedder: CachedEmbedder
    index_fingerprint: IndexFingerprint
    cutting: AsyncGenerator[ChunkOutcome, None] | None  # of all that is wanted, when it has begun already
    force: bool
    dry_run: bool
    rebuild: bool = False
    chunks_to_embed: int = 0
    tokens_to_embed: int = 0
    records: dict[str, DocumentRecord] = field(default_factory=dict)  # of what was cut

    async def go(self, tell: Emit) -> None:
        """Straight down; what cannot be indexed is told as it is met."""
        whole = self.content_diff.scope is None
        self.rebuild = not self.index_fingerprint.matches(self.content_diff.index.config) or (self.force and whole)
        wanted = self._wanted()
        self._begin(wanted)
        for problem in self.content_diff.failing:
            tell(self.tracker.fail(problem))
        if self.dry_run or not (self.rebuild or wanted or self.content_diff.plan.removed):
            async for _ in self._cut(wanted, tell):
                pass
        else:
            await self._store(wanted, tell)
        if not self.dry_run:
            tell(self._finished())

    def _wanted(self) -> list[str]:
        """The files that must be cut."""
        if self.rebuild or self.force:
            return [source.path for source in self.content_diff.scoped]
        return [*self.content_diff.plan.added, *self.content_diff.plan.changed]

    def _begin(self, wanted: Sequence[str]) -> None:
        tracker = self.tracker
        tracker.total_files = len(self.content_diff.files)
        tracker.files_to_cut = len(wanted)
        tracker.files_processed = tracker.total_files - len(wanted) - len(self.content_diff.failing)
        tracker.unchanged, tracker.rebuilt = len(self.content_diff.plan.unchanged), self.rebuild
        tracker.notices = self.content_diff.notices
        if not self.rebuild:
            gone = {*wanted, *self.content_diff.plan.removed}
            tracker.keep(
                sum(record.chunks for path, record in self.content_diff.index.records.items() if path not in gone)
            )

    async def _cut(self, paths: Sequence[str], tell: Emit) -> AsyncGenerator[ChunkedDocument, None]:
        """The documents at `paths`, with what embedding them will take; tells the plan when all are cut."""
        cutting = self.cutting
        if cutting is None:
            chunker = chunker_for(self.parts, self.index_fingerprint.language)
            cutting = chunk_all(chunker, [self.content_diff.sources[path] for path in paths])
        async with aclosing(cutting):
            async for cut in cutting:
                if isinstance(cut, FileProblem):
                    self._lost(cut, tell)
                else:
                    yield await self._weighed(cut)
                if self.tracker.due():
                    tell(self.tracker.progressed())
        tell(self._planned())
        if paths and not self.dry_run:
            tell(self.tracker.progressed())

    def _lost(self, problem: FileProblem, tell: Emit) -> None:
        """The index keeps the last version of what cannot be cut any more."""
        self.tracker.cut(None)
        kept = None if self.rebuild else self.content_diff.index.records.get(problem.path)
        if kept is not None:
            self.tracker.keep(kept.chunks)
        tell(self.tracker.fail(problem))

    async def _weighed(self, document: ChunkedDocument) -> ChunkedDocument:
        """Without a model everything is new and nothing takes any embedding."""
        if self.embedder is self.parts.embedder:
            unknown = await self.embedder.missing(document.every_text(), self.index_fingerprint.dimensions)
            document = document.with_new(unknown, partial(legible, self.embedder.fingerprint))
        else:
            document = replace(document, new=(0,) * len(document.chunks))
        self.chunks_to_embed += sum(bool(tokens) for tokens in document.new)
        self.tokens_to_embed += sum(tokens or 0 for tokens in document.new)
        self.records[document.record.path] = document.record
        self.tracker.cut(document)
        if not self.dry_run and document.chunks:
            self.tracker.stage = "embedding" if self.chunks_to_embed else "storing"
        return document

    def _planned(self) -> Planned:
        added, changed = self._new()
        return Planned(
            added=added,
            changed=changed,
            unchanged=len(self.content_diff.plan.unchanged),
            removed=self.content_diff.plan.removed,
            rebuild=self.rebuild,
            chunks=sum(record.chunks for record in self._index().values()),
            chunks_to_embed=self.chunks_to_embed,
            tokens=self.tokens_to_embed,
            cost_usd=cost(self.tokens_to_embed, self.parts.price),
            problems=(*self.tracker.problems, *self.tracker.notices),
        )

    def _new(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What is added and what is changed, without what failed."""
        failed = {problem.path for problem in self.tracker.problems}
        plan = self.content_diff.plan
        added = tuple(path for path in plan.added if path not in failed)
        return added, tuple(path for path in plan.changed if path not in failed)

    def _index(self) -> dict[str, DocumentRecord]:
        """What the index will hold."""
        if self.rebuild:
            return self.records
        gone = set(self.content_diff.plan.removed)
        kept = {path: record for path, record in self.content_diff.index.records.items() if path not in gone}
        return kept | self.records

    def _finished(self) -> Finished:
        tracker = self.tracker
        if self._nothing_indexed():
            return tracker.finished("failed")
        added, changed = self._new()
        tracker.added, tracker.changed, tracker.removed = len(added), len(changed), len(self.content_diff.plan.removed)
        return tracker.finished("completed")

    def _nothing_indexed(self) -> bool:
        stays = self.content_diff.plan.unchanged and not self.rebuild
        return bool(self.tracker.problems) and not (self.records or stays)

    async def _store(self, wanted: Sequence[str], tell: Emit) -> None:
        """Embeds and stores what is wanted, takes out what is gone, publishes."""
        whole = self.content_diff.scope is None
        async with self.parts.writer_for(self.index_fingerprint.config, force=self.force and whole) as writer:
            held = await writer.manifest()
            self._require_unmoved(writer, held)
            done = await self._replace(writer, wanted, {} if self.force else held, tell)
            if self._nothing_indexed():
                return
            for path in filter(self.content_diff.gone, held):
                self.tracker.chunks_deleted += await writer.remove(path)
            self.tracker.stage = "finishing"
            tell(self.tracker.progressed())
            await writer.publish()
            await self.parts.store.refresh()  # lets go of the old index, which the writer can then remove
        if self.rebuild and whole and not done and self.embedder is self.parts.embedder:
            await self.parts.embedder.prune()

    def _require_unmoved(self, writer: IndexWriter, held: Mapping[str, DocumentRecord]) -> None:
        """The plan is for the index that was read at the beginning; nobody held the lock since then."""
        if not self.rebuild and (writer.rebuilding or _hashes(held) != _hashes(self.content_diff.index.records)):
            raise IngestRunning("Another ingest has changed the index in the meantime; start this one again.")

    async def _replace(
        self, writer: IndexWriter, wanted: Sequence[str], held: Mapping[str, DocumentRecord], tell: Emit
    ) -> bool:
        """True when a run that was cut short had stored something of it already."""
        parts, tracker = self.parts, self.tracker
        already = 0

        async def new() -> AsyncGenerator[ChunkedDocument, None]:
            nonlocal already
            async with aclosing(self._cut(wanted, tell)) as documents:
                async for document in documents:
                    if _same(held.get(document.record.path), document.record):
                        already += 1
                        tracker.had(document)
                    else:
                        yield document

        async with EmbeddingQueue(self.embedder, new(), batch=parts.batch, in_flight=parts.in_flight) as embeddings:
            async for document, vectors in embeddings.vectors():
                chunks = indexed(document, vectors)
                tracker.chunks_deleted += await writer.replace(document.record, chunks)
                tracker.store(document)
                if tracker.due():
                    tell(tracker.progressed())
                await yield_to_loop()  # the engine never waits
        return already > 0


def _same(held: DocumentRecord | None, record: DocumentRecord) -> bool:
    return held is not None and held.sha256 == record.sha256


def _hashes(records: Mapping[str, DocumentRecord]) -> dict[str, str]:
    return {path: record.sha256 for path, record in records.items()}
