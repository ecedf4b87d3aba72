"""What the routes and the interface share: the pipeline, the limits, the tokens, the figures."""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from rag.chat.sessions import Sessions
from rag.errors import IngestRunning, RagError
from rag.ingest.job_snapshot import JobSnapshot
from rag.ingest.jobs import Job
from rag.pipeline import Pipeline
from rag.resilience import close_all
from rag.settings import Settings
from web.analytics import Ratings, UsageStore
from web.auth import AdminToken, RateLimits
from web.chat_service import ChatService
from web.metrics import Metrics, QuestionOutcome
from web.problems import Problem

log = logging.getLogger(__name__)

INGEST_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)  # seconds: longer than the lock of a writer that was killed


class Services:
    """One per application. `open` and `close` bracket its life; nothing is read or written before `open`."""

    def __init__(self, settings: Settings, pipeline: Pipeline, conversations: Sessions) -> None:
        self.settings, self.pipeline, self.conversations = settings, pipeline, conversations
        self.began = time.monotonic()
        self.metrics = Metrics()
        self.limits = RateLimits(
            settings.rate_limit,
            settings.rate_limit_api_key,
            [key.get_secret_value() for key in settings.api_keys],
            settings.redis_url.get_secret_value() if settings.redis_url else None,
            searches=settings.rate_limit_search,
        )
        self.admin = AdminToken(
            settings.admin_token.get_secret_value() if settings.admin_token else None, settings.data_dir
        )
        self.usage = UsageStore(settings.data_dir / "figures.sqlite3", keep_questions=settings.keep_questions)
        self.gradio_dir = settings.data_dir.resolve() / "gradio"
        self.ratings = Ratings(self.limits, self.metrics, self.usage)
        self.chat_service = ChatService(pipeline, self.limits, self.metrics, self.ratings.given, self._asked)
        self.on_asked: list[Callable[[QuestionOutcome, str], None]] = [self.usage.asked]
        self._background: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        await asyncio.to_thread(close_to_others, self.settings.data_dir, self.gradio_dir)
        self.admin.open()
        self.usage.open()
        await self.pipeline.open()
        if self.settings.ingest_on_start:
            self._run(self._ingest_when_needed())

    async def close(self) -> None:
        """What cannot be closed is logged, and keeps nothing else open."""
        self.begin_shutdown()
        for task in self._background:
            task.cancel()
        await close_all(
            self.pipeline.close,
            self.conversations.close,
            self.limits.close,
            lambda: asyncio.to_thread(self.usage.close),
        )

    def begin_shutdown(self) -> None:
        """Ends every answer under way with its terminal event, and every one that begins from now on."""
        self.chat_service.shutting_down.set()

    def check_path(self, path: str | None) -> None:
        """Raises ContentError for a path outside the content folder, Problem 404 for one that is not there."""
        self.pipeline.check_path(path)
        if path is not None and not _exists(self.settings.content_dir / path):
            raise Problem(404, "no_such_path", "There is no such file or folder in the content folder.")

    async def start_ingest(self, *, force: bool = False, path: str | None = None) -> Job:
        """Starts the job or joins the running one. The caller has checked the path."""
        job = await self.pipeline.jobs.start(force=force, path=path)
        if not job.joined:
            self._run(self._measure_ingest(job.snapshot.task_id))
        return job

    async def measured(self) -> bytes:
        """The text of /metrics."""
        status = await self.pipeline.status()
        self.metrics.documents.set(status.documents)
        self.metrics.chunks.set(status.chunks)
        return self.metrics.text()

    def _asked(self, asked: QuestionOutcome, question: str) -> None:
        if self.settings.log_questions:
            log.info("asked: %s", question, extra={"fields": {"outcome": asked.outcome}})
        for listener in self.on_asked:
            listener(asked, question)

    async def _ingest_when_needed(self) -> None:
        """An empty or stale index is built while the service already answers from the old one.

        What another process is just ingesting, or was when it was killed, is waited for, and then looked at again.
        """
        for pause in INGEST_PAUSES:
            try:
                if self.pipeline.jobs.running() is None and not await self.pipeline.needs_ingest():
                    return
                job = await self.start_ingest()
                last = await self._ended(job.snapshot)
                if not job.joined and last.code != IngestRunning.code:
                    return
            except IngestRunning as error:
                log.warning("%s", error.message)
            except RagError as error:
                log.warning("no ingest at start: %s", error)
                return
            await asyncio.sleep(pause)

    async def _ended(self, job: JobSnapshot) -> JobSnapshot:
        async for snapshot in self.pipeline.jobs.watch(job.task_id):
            job = snapshot
        return job

    async def _measure_ingest(self, task_id: str) -> None:
        async for job in self.pipeline.jobs.watch(task_id):
            if job.terminal:
                self.metrics.ingests.labels(job.status).inc()
                self.metrics.ingest_seconds.observe((job.finished_at or job.started_at) - job.started_at)
                log.info("ingest %s: %s", job.status, job.message)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def close_to_others(data_dir: Path, scratch: Path) -> None:
    """Leaves the data folder and what an earlier version wrote there to its owner alone, and empties `scratch`.

    A folder that holds the working directory is more than a data folder: of that one no file is touched.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not Path.cwd().is_relative_to(data_dir.resolve()):
            data_dir.chmod(0o700)
            for folder, folders, files in os.walk(data_dir):
                for name, mode in [*((name, 0o700) for name in folders), *((name, 0o600) for name in files)]:
                    path = Path(folder, name)
                    if not path.is_symlink() and path.stat().st_mode & 0o077:
                        path.chmod(mode)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        log.warning("%s cannot be closed to other users (%s)", data_dir, error.strerror)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or that no file can have
        return False
