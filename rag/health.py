"""How the index and the model are, and every document's state, put together from what the parts say. Pure."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rag.corpus.scan import Source
from rag.errors import ModelError, RagError, StoreUnavailable
from rag.events import FileProblem
from rag.resilience import CircuitBreaker
from rag.store.base import IndexConfig, VectorStore
from rag.types import DocumentRecord, IndexInfo

_log = logging.getLogger(__name__)

Mode = Literal["openai", "offline"]
IndexState = Literal["ready", "building", "stale", "empty"]
Health = Literal["healthy", "degraded", "unhealthy"]
Part = Literal["chat", "embeddings", "store"]
DocumentState = Literal["indexed", "changed", "new", "removed", "failed"]


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """`model_connected` is False in offline mode, where no model is asked for. `down` names what does not answer of
    chat, embeddings and store.
    """

    store_connected: bool
    model_connected: bool
    mode: Mode
    index_state: IndexState
    fingerprint: str = ""
    documents: int = 0
    chunks: int = 0
    down: tuple[Part, ...] = ()

    @property
    def health(self) -> Health:
        """Unhealthy only when questions cannot be answered for a reason that no ingest heals."""
        if not self.store_connected:
            return "unhealthy"
        at_its_best = self.index_state in ("ready", "building") and self.documents > 0 and not self.down
        return "healthy" if at_its_best and (self.model_connected or self.mode == "offline") else "degraded"


@dataclass(frozen=True, slots=True)
class DocumentStatus:
    """A document as index and content folder together know it. `ingested_at` is seconds since the epoch."""

    path: str
    title: str
    url: str
    chunks: int
    tokens: int
    status: DocumentState
    ingested_at: float | None = None
    error: str | None = None


def document_states(
    records: Sequence[DocumentRecord], sources: Sequence[Source], problems: Mapping[str, FileProblem]
) -> list[DocumentStatus]:
    """By path. A file that failed keeps the counts of its last good version."""
    held = {record.path: record for record in records}
    found = {source.path: source for source in sources}
    return [
        _state(path, held.get(path), found.get(path), problems.get(path))
        for path in sorted(held.keys() | found.keys() | problems.keys())
    ]


def _state(
    path: str, record: DocumentRecord | None, source: Source | None, problem: FileProblem | None
) -> DocumentStatus:
    current = record is not None and source is not None and record.sha256 == source.sha256
    state: DocumentState
    if current:
        state = "indexed"
    elif problem is not None:
        state = "failed"
    elif record is None:
        state = "new"
    else:
        state = "removed" if source is None else "changed"
    error = problem.message if problem is not None and state == "failed" else None
    if record is None:
        title = path.rpartition("/")[2]
        return DocumentStatus(path, title, "", 0, 0, state, error=error)
    return DocumentStatus(
        path, record.title, record.url, record.chunks, record.tokens, state, record.ingested_at, error
    )


CHECK_KEPT = 1.0
CHECK_SECONDS = 1.5
CHECK_DISTRUSTED = 600.0  # seconds, after the check failed and the real calls went through


class Upstreams:
    """`check` asks the model server for something that costs nothing; None where there is no model server.

    A breaker without a probe belongs to what runs on this machine.
    """

    def __init__(
        self,
        chat: CircuitBreaker,
        embeddings: CircuitBreaker,
        store: CircuitBreaker,
        check: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self.chat, self.embeddings, self.store = chat, embeddings, store
        self._check = check
        self._distrusted_until = 0.0
        self._background: set[asyncio.Task[None]] = set()

    @property
    def has_models(self) -> bool:
        return self._check is not None

    def down(self, *, models_answer: bool = True, store_answers: bool = True) -> tuple[Part, ...]:
        """The names of what cannot be called, by the breakers and by what a check of this moment says."""
        answers: dict[Part, bool] = {
            "chat": not self.chat.is_open and (models_answer or self.chat.probe is None),
            "embeddings": not self.embeddings.is_open and (models_answer or self.embeddings.probe is None),
            "store": not self.store.is_open and store_answers,
        }
        return tuple(part for part, answering in answers.items() if not answering)

    async def check_models(self) -> bool:
        """Whether the model server answers a free call. Where it does not, the breakers' own probes judge."""
        models = self._models
        if self._check is None or time.monotonic() < self._distrusted_until or all(one.is_open for one in models):
            return True
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._check()
        except (ModelError, TimeoutError):
            for breaker in models:
                breaker.suspect()
            self.run(self._weigh_check())
            return False
        return True

    def record_silent_store(self) -> None:
        """A server that did not answer in time. An index of this machine is only slow."""
        if self.store.probe is not None:
            self.store.record_failure()

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Runs work beside the questions until `close`."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        for task in self._background:
            task.cancel()
        for breaker in (self.chat, self.embeddings, self.store):
            await breaker.close()

    @property
    def _models(self) -> list[CircuitBreaker]:
        return [breaker for breaker in (self.chat, self.embeddings) if breaker.probe is not None]

    async def _weigh_check(self) -> None:
        """A server may lack the free call, or be slow at it, and serve readers well."""
        if all([await breaker.settled() for breaker in self._models]):
            self._distrusted_until = time.monotonic() + CHECK_DISTRUSTED


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What a look at the store and at the model server found; `at` is monotonic."""

    at: float
    store: bool
    model: bool
    info: IndexInfo
    config: IndexConfig | None


class HealthMonitor:
    """Looks at the store and the model server, at most once in CHECK_KEPT seconds, however many ask."""

    def __init__(self, store: VectorStore, upstreams: Upstreams) -> None:
        self._store, self._upstreams = store, upstreams
        self._last: HealthCheck | None = None
        self._checking = asyncio.Lock()

    async def check(self) -> HealthCheck:
        """What was found now, or a moment ago."""
        async with self._checking:
            if self._last is None or time.monotonic() - self._last.at >= CHECK_KEPT:
                (store, info, config), model = await asyncio.gather(self._look(), self._upstreams.check_models())
                self._last = HealthCheck(time.monotonic(), store, model, info, config)
            return self._last

    def forget(self) -> None:
        """The next `check` looks again."""
        self._last = None

    async def _look(self) -> tuple[bool, IndexInfo, IndexConfig | None]:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._store.refresh()
                info = await self._store.info()
                return True, info, await self._store.config() if info.chunks else None
        except StoreUnavailable as error:
            _log.warning("%s", error.message)
        except TimeoutError:
            self._upstreams.record_silent_store()
        except RagError:  # it is there, and holds an index that cannot be used
            return True, IndexInfo(), None
        return False, IndexInfo(), None
