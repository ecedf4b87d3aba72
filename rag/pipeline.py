"""The whole engine behind one object: it is opened, asked, watched and closed. It knows protocols only."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import rag
from rag.chat import chat as chatting
from rag.chat.answer_cache import answer_key
from rag.chat.chat import Chat, ChatRequest, valid_question
from rag.chat.prompt import CONTEXT_WINDOW, prompt_version
from rag.chat.suggestions import example_questions
from rag.chat.talk import events as talk_events
from rag.chat.talk import reply, talk_of
from rag.corpus.routes import Site
from rag.corpus.scan import Scan, scan
from rag.embedding.base import Embedder
from rag.errors import ContentError, IndexEmpty, ModelError, RagError, StoreUnavailable
from rag.events import ChatEvent, Planned
from rag.health import DocumentStatus, HealthMonitor, HealthStatus, IndexState, Mode, Upstreams, document_states
from rag.ingest.job_snapshot import JobCoordinator
from rag.ingest.jobs import IngestJobs
from rag.ingest.plan import dry_run
from rag.resilience import Deadline, close_all
from rag.retrieval.outline import in_book_order
from rag.store.base import IndexConfig, VectorStore
from rag.text.languages import language_of
from rag.types import DocumentRecord, Exchange, IndexInfo, Page, Retrieval

_log = logging.getLogger(__name__)

REFRESH_EVERY = 5.0
OPEN_SECONDS = 1.5  # what an index that cannot be reached may delay the start by
LOAD_SECONDS = 6.0  # for the local model: .2 s on a quiet machine
EXAMPLES = 4
SAMPLE_CHARACTERS = 4_000
TITLE = "Ask the Book"


@dataclass(frozen=True, slots=True)
class Book:
    """The content folder and how it is published; `title` None takes the first page's."""

    content_dir: Path
    site: Site
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """How the ingest's process is started."""

    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(slots=True)
class _PublishedIndex:
    """What is worth remembering of one published index."""

    info: IndexInfo
    config: IndexConfig
    records: list[DocumentRecord]
    chapters: list[str] = field(default_factory=list)
    examples: dict[str, list[str]] = field(default_factory=dict)  # by language


class Pipeline:
    """`matches_settings` says whether an index was made with today's settings. `worker` starts an ingest that tells its
    events.
    """

    def __init__(
        self,
        *,
        book: Book,
        store: VectorStore,
        embedder: Embedder,
        chat: Chat,
        worker: Worker,
        data_dir: Path,
        upstreams: Upstreams,
        matches_settings: Callable[[IndexConfig], bool],
        top_k: int = 5,
        coordinator: JobCoordinator | None = None,
    ) -> None:
        self._book, self._store, self._embedder, self._chat = book, store, embedder, chat
        self._worker = worker
        self._upstreams, self._matches_settings, self._top_k = upstreams, matches_settings, top_k
        self.jobs = IngestJobs(
            worker.command, data_dir, environment=worker.environment, on_published=self.refresh, coordinator=coordinator
        )
        self.mode: Mode = "offline" if chat.generator is chat.extractive else "openai"
        self._published: _PublishedIndex | None = None
        self._refreshed = 0.0
        self._monitor = HealthMonitor(store, upstreams)
        self._opening: asyncio.Task[None] | None = None
        if (probe := upstreams.embeddings.probe) is not None:
            upstreams.embeddings.probe = lambda: self._probe_embeddings(probe)

    @property
    def title(self) -> str:
        if self._book.title:
            return self._book.title
        return self._published.chapters[0] if self._published and self._published.chapters else TITLE

    async def open(self) -> None:
        """Opens what is there, and reads what the first question would wait for. A store or a model that is down is
        found again when it is back.
        """
        try:
            async with asyncio.timeout(OPEN_SECONDS if self._upstreams.store.probe else None):
                await self._store.open()
                self._published = await self._load()
        except RagError as error:
            _log.warning("%s", error.message)
        except TimeoutError:
            self._upstreams.record_silent_store()
        if self._upstreams.has_models:
            self._upstreams.run(self._look_ahead())
        await self.jobs.open()

    async def _look_ahead(self) -> None:
        """Asks the model server before the first reader does, so that a failure is known and the client is loaded."""
        await self.status()
        await self.warm_up()

    async def warm_up(self) -> None:
        """Learns of a hosted embedding model what every question needs. What fails is learnt beside a question."""
        if self._upstreams.embeddings.probe is not None and self._published is not None:
            with suppress(RagError):
                if await self._has_vectors(self._published.config, Deadline()):
                    await self._chat.retriever.calibrate()

    async def close(self) -> None:
        """Ends every answer and the ingest under way. What cannot be closed keeps nothing else open; closing twice does
        no harm.
        """
        if self._opening is not None:
            self._opening.cancel()
        await close_all(
            self._upstreams.close,
            self._chat.answers.close,
            self._chat.retriever.close,
            self.jobs.close,
            self._chat.generator.close,
            self._chat.extractive.close,
            self._embedder.close,
            self._store.close,
        )

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Asking

    async def chat(
        self,
        question: str,
        history: Sequence[Exchange] = (),
        *,
        selection: str | None = None,
        page: Page | None = None,
        top_k: int | None = None,
        context_window: int | None = None,
        fresh: bool = False,
    ) -> AsyncGenerator[ChatEvent, None]:
        """Awaiting refuses what can be refused (InvalidQuestion, IndexEmpty, IndexMismatch, StoreUnavailable); what it
        returns tells the answer, never raises those, and must be closed. `fresh` asks the model again where an earlier
        answer could be repeated.
        """
        deadline = Deadline(self._chat.timeouts.question)
        asked_for = valid_question(question)
        published = await self._read_in_time(deadline)
        talk = talk_of(asked_for)
        if talk is not None and not selection:
            return talk_events(
                reply(talk, self.title, await self._examples(published, talk.language) or await self.examples())
            )
        k, window = top_k or self._top_k, context_window or CONTEXT_WINDOW
        own = bool(history or selection or page)
        index = (published.info.fingerprint, published.info.built_at)
        state = (*index, self._chat.generator.name, prompt_version(), rag.__version__, self.title, k, window)
        asked = ChatRequest(
            question=asked_for,
            title=self.title,
            history=tuple(history),
            selection=selection,
            page=page,
            k=k,
            context_window=window,
            outline=published.chapters,
            vectors=await self._has_vectors(published.config, deadline),
            deadline=deadline,
            key=None if own or fresh or self.mode == "offline" else answer_key(asked_for, *state),
        )
        return chatting.answer(self._chat, asked)

    async def search(self, query: str, k: int) -> Retrieval:
        """The retrieval alone. Raises as `chat` does."""
        deadline = Deadline(self._chat.timeouts.question)
        published = await self._read_in_time(deadline)
        vectors = await self._has_vectors(published.config, deadline)
        asked = ChatRequest(valid_question(query), self.title, k=k, vectors=vectors, deadline=deadline)
        return await chatting.search(self._chat, asked)

    async def examples(self) -> list[str]:
        """Questions to begin with, from the book's own headings, that find something; none without an index."""
        try:
            published = await self._read()
        except RagError:
            return []
        sample = " ".join(f"{record.title} {record.lead}" for record in published.records)[:SAMPLE_CHARACTERS]
        return await self._examples(published, language_of(sample) or "en")

    async def _examples(self, published: _PublishedIndex, language: str) -> list[str]:
        if not published.examples.get(language):
            likely = example_questions(published.records, language, EXAMPLES * 3, EXAMPLES)
            published.examples[language] = [question for question in likely if await self._finds(question)][:EXAMPLES]
        return published.examples[language]

    async def _finds(self, question: str) -> bool:
        try:
            return (await self.search(question, 1)).grounded
        except RagError:
            return False

    async def _read_in_time(self, deadline: Deadline) -> _PublishedIndex:
        """As `_read`; a server that takes longer than a search may is StoreUnavailable. An index of this machine is
        waited for, however large.
        """
        if self._upstreams.store.probe is None:
            return await self._read()
        try:
            async with deadline.share(self._chat.timeouts.search).timeout():
                return await self._read()
        except TimeoutError:
            self._upstreams.record_silent_store()
            raise StoreUnavailable("The index did not answer in time.") from None

    async def _read(self) -> _PublishedIndex:
        """The published index; a newer one is taken up. Raises IndexEmpty, IndexMismatch, StoreUnavailable."""
        now = time.monotonic()
        if self._published is None or now - self._refreshed >= REFRESH_EVERY:
            changed = await self._store.refresh()
            self._refreshed = now
            if changed or self._published is None or self._is_stale(await self._store.info()):
                self._published = await self._load()
        if self._published is None:
            raise IndexEmpty(self._why_empty())
        return self._published

    def _is_stale(self, info: IndexInfo) -> bool:
        """On a server the index changes without being replaced."""
        return self._published is None or self._published.info != info

    async def _load(self) -> _PublishedIndex | None:
        config = await self._store.config()
        if config is None:
            return None
        info, records = await self._store.info(), await self._store.documents()
        chapters = [record.title for record in in_book_order(records)]
        return _PublishedIndex(info, config, records, chapters) if info.chunks else None

    def _why_empty(self) -> str:
        running, latest = self.jobs.running(), self.jobs.latest()
        if running is not None:
            return (
                f"The book is being read for the first time ({running.progress.percent:.0f} %); ask again in a moment."
            )
        if latest is not None and latest.status == "failed":
            return f"The book has not been ingested yet, and the last try failed: {latest.message}"
        return "The book has not been ingested yet. Start an ingest first."

    async def _has_vectors(self, config: IndexConfig, deadline: Deadline) -> bool:
        """True when the index can be searched by meaning, or has nothing for that."""
        if not config.dimensions:
            return True
        breaker = self._upstreams.embeddings
        if f"embedder={self._embedder.fingerprint} " not in f"{config.fingerprint} " or not breaker.allow():
            return False
        if self._opening is None or (self._opening.done() and not _succeeded(self._opening)):
            self._opening = asyncio.create_task(self._embedder.open(), name="open the embedder")
        share = deadline.share(self._chat.timeouts.embed) if breaker.probe else Deadline(LOAD_SECONDS)
        try:
            async with share.timeout():
                await asyncio.shield(self._opening)
        except ModelError as error:
            breaker.record_failure(error)
        except TimeoutError:
            breaker.record_failure()
        return breaker.allow()

    async def _probe_embeddings(self, probe: Callable[[], Awaitable[None]]) -> None:
        """Vectors of another length than the index has are of no use. Raises ModelError."""
        await probe()
        config = self._published.config if self._published else None
        same = config is not None and f"embedder={self._embedder.fingerprint} " in f"{config.fingerprint} "
        if config is not None and same and self._embedder.dimensions not in (0, config.dimensions):
            raise ModelError(
                f"The embeddings have {self._embedder.dimensions} dimensions where the index has {config.dimensions}."
            )

    # Ingesting

    async def refresh(self) -> None:
        """Takes up a newly published index at once; one that cannot be read leaves the one before."""
        await self._store.refresh()
        self._monitor.forget()
        self._published = await self._load()
        self._upstreams.run(self.warm_up())

    async def plan(self, *, force: bool = False, path: str | None = None) -> Planned:
        """What an ingest would do and cost. Raises ContentError, StoreUnavailable."""
        self.check_path(path)
        with suppress(RagError):
            await self._store.refresh()
        await self._store.info()
        return await dry_run(self._worker.command, self._worker.environment, force=force, path=path)

    def check_path(self, path: str | None) -> None:
        """Raises ContentError for a path that leaves the content folder."""
        if path is None:
            return
        root = self._book.content_dir.resolve()
        inside = "\0" not in path and not Path(path).is_absolute() and (root / path).resolve().is_relative_to(root)
        if not inside:
            raise ContentError("The path must be a file or folder below the content folder.")

    async def needs_ingest(self) -> bool:
        """True when the index is empty, was made with other settings, or does not hold what is in the folder."""
        if self.jobs.running() is not None:
            return False
        try:
            published = await self._read()
        except StoreUnavailable:
            raise
        except RagError:
            return True
        changed = [item for item in await self.documents() if item.status in ("new", "changed", "removed")]
        return bool(changed) or not self._matches_settings(published.config)

    async def documents(self) -> list[DocumentStatus]:
        """Every document that is in the index or in the folder. Raises StoreUnavailable, ContentError."""
        found = await self._scan()
        await self._store.refresh()
        records = await self._store.documents() if await self._store.config() else []
        latest = self.jobs.latest()
        problems = {problem.path: problem for problem in latest.progress.errors} if latest else {}
        problems |= {problem.path: problem for problem in found.problems}
        return document_states(records, found.sources, problems)

    async def count_files(self) -> int:
        """The Markdown files in the content folder; 0 without one."""
        try:
            return len((await self._scan()).sources)
        except ContentError:
            return 0

    async def _scan(self) -> Scan:
        return await asyncio.to_thread(scan, self._book.content_dir, self._book.site)

    # Watching

    async def status(self) -> HealthStatus:
        """Really checked, within two seconds; what was found is kept for one."""
        checked = await self._monitor.check()
        down = self._upstreams.down(models_answer=checked.model, store_answers=checked.store)
        return HealthStatus(
            store_connected="store" not in down,
            model_connected=self._upstreams.has_models and not {"chat", "embeddings"} & set(down),
            down=down,
            mode=self.mode,
            index_state=self._index_state(checked.config),
            fingerprint=checked.info.fingerprint,
            documents=checked.info.documents,
            chunks=checked.info.chunks,
        )

    def _index_state(self, config: IndexConfig | None) -> IndexState:
        if self.jobs.running() is not None:
            return "building"
        if config is None:
            return "empty"
        return "ready" if self._matches_settings(config) else "stale"


def _succeeded(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
