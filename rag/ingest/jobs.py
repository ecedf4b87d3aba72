"""The one running ingest worker: a child process, its progress, its end, and what became of the last ones.

A job is `python -m rag ingest --events`, read line by line (see `worker_process`).
A job belongs to the application, not to whoever started it: a second start joins the first, also when that one runs
in another process of the application.
"""

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from rag.errors import RagError
from rag.events import Finished, JobStatus
from rag.ingest import worker_process
from rag.ingest.job_snapshot import JobCoordinator, JobSnapshot, LocalCoordinator, advance, ended
from rag.store.files import is_full

_log = logging.getLogger(__name__)

MAX_JOBS = 20
_STOPPED = "The application stopped before the ingest was done; start it again to finish it."
_CANCELLED = "Cancelled; the index is as it was before."
_OUT_OF_SIGHT = "The process that runs this ingest cannot be seen any more; start it again to be sure that it is done."
_UNHARMED = "; the index is as it was before."
_TELL_EVERY = 0.5  # seconds
_LOOK_EVERY = 1.0
_FORGET_AFTER = 20.0  # without news of a job that runs elsewhere
_CANCEL_SECONDS = 3.0

_snapshots = TypeAdapter(list[JobSnapshot])


@dataclass(frozen=True, slots=True)
class Job:
    """The answer to `start`. `joined` is True when a job was running already."""

    snapshot: JobSnapshot
    joined: bool


class IngestJobs:
    """Starts `command` (plus `--force`, `--path`) at most once at a time; `grace` is in seconds.

    `environment` is the worker's; None: the application's own.

    `on_published` is awaited after a worker published a new index and before its job is shown as completed. What runs
    in another process is known through the `coordinator`, from `open` on.
    """

    def __init__(
        self,
        command: Sequence[str],
        data_dir: Path,
        *,
        environment: Mapping[str, str] | None = None,
        on_published: Callable[[], Awaitable[object]] | None = None,
        coordinator: JobCoordinator | None = None,
        grace: float = 0.6,
    ) -> None:
        self._command = tuple(command)
        self._environment = environment
        self._file = data_dir / "jobs.json"
        self._on_published = on_published
        self._coordinator, self._shared = coordinator or LocalCoordinator(), coordinator is not None
        self._grace = grace
        self._starting = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._stop_as: tuple[JobStatus, str] | None = None
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """Begins to follow what runs in other processes, where there are any."""
        if self._shared and self._following is None:
            self._following = asyncio.create_task(self._follow(), name="ingests elsewhere")

    async def start(self, *, force: bool = False, path: str | None = None) -> Job:
        """Starts a job, or joins the one that runs (whatever it was started with). Raises IngestRunning when another
        process runs one that cannot be seen.
        """
        async with self._starting:
            running = self.running()
            if running is None:
                snapshot = JobSnapshot(task_id=str(uuid4()), started_at=time.time())
                running = await self._coordinator.acquire(snapshot)
                if running is None:
                    return self._begin(snapshot, force, path)
                self._show(running)
            return Job(running, joined=True)

    def _begin(self, snapshot: JobSnapshot, force: bool, path: str | None) -> Job:
        self._stop_as = None
        self._show(snapshot)
        self._save()
        arguments = [*(["--force"] if force else []), *(["--path", path] if path is not None else [])]
        self._running = asyncio.create_task(self._run(snapshot.task_id, arguments), name="ingest job")
        return Job(snapshot, joined=False)

    def running(self) -> JobSnapshot | None:
        latest = self.latest()
        return latest if latest is not None and not latest.terminal else None

    def get(self, task_id: str) -> JobSnapshot | None:
        return self._jobs.get(task_id)

    def latest(self) -> JobSnapshot | None:
        return next(reversed(self._jobs.values()), None)

    def history(self) -> list[JobSnapshot]:
        """The last jobs, newest first."""
        return list(reversed(self._jobs.values()))

    async def watch(self, task_id: str) -> AsyncIterator[JobSnapshot]:
        """The job's snapshots until it has ended; a slow watcher misses some, never the last. Unknown: nothing."""
        shown: JobSnapshot | None = None
        while (snapshot := self.get(task_id)) is not None:
            changed = self._changed
            if snapshot is not shown:
                yield snapshot
                shown = snapshot
            if snapshot.terminal:
                return
            if self.get(task_id) is snapshot:
                await changed.wait()

    async def cancel(self, task_id: str) -> JobSnapshot | None:
        """Ends the job if it still runs, within a second; the index stays as it was. None: there is no such job."""
        snapshot = self.get(task_id)
        if snapshot is not None and not snapshot.terminal:
            if self._running is not None:
                await self._stop("cancelled", _CANCELLED)
            else:
                await self._stop_elsewhere(task_id)
        return self.get(task_id)

    async def _stop_elsewhere(self, task_id: str) -> None:
        await self._coordinator.request_cancel(task_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                async for _ in self.watch(task_id):
                    pass

    async def close(self) -> None:
        """Ends the running job, unless it runs elsewhere."""
        if self.running() is not None:
            await self._stop("failed", _STOPPED)
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})
            self._following = None
        await self._coordinator.close()

    async def _stop(self, status: JobStatus, message: str) -> None:
        task = self._running
        if task is None:
            return
        self._stop_as = self._stop_as or (status, message)
        _signal(self._process, signal.SIGTERM)
        done, _ = await asyncio.wait({task}, timeout=self._grace)
        if not done:
            _signal(self._process, signal.SIGKILL)
            await asyncio.wait({task})

    async def _run(self, task_id: str, arguments: Sequence[str]) -> None:
        outcome: JobSnapshot | None = None
        reason = "The ingest stopped unexpectedly"
        done = asyncio.Event()
        telling = asyncio.create_task(self._tell(task_id, done), name="telling of the ingest")
        try:
            finished, returncode = await self._work(task_id, arguments)
            outcome = await self._outcome(self._jobs[task_id], finished, returncode)
        except OSError as error:
            reason = f"The ingest worker could not be started ({error.strerror})"
        finally:  # whatever broke, nobody may wait for ever
            last = outcome or ended(self._jobs[task_id], "failed", f"{reason}{_UNHARMED}", time.time())
            done.set()
            try:
                await telling
                await self._coordinator.release(last)  # before anybody here can start the next one
            finally:
                self._running = self._process = None
                self._show(last)
                self._save()

    async def _tell(self, task_id: str, done: asyncio.Event) -> None:
        """Shows the others how far the job is until it is done; ends it when one of them wants that."""
        stopping: asyncio.Task[None] | None = None
        while self._shared and not done.is_set():
            if await self._coordinator.heartbeat(self._jobs[task_id]) and stopping is None:
                stopping = asyncio.create_task(self._stop("cancelled", _CANCELLED))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TELL_EVERY):
                    await done.wait()

    async def _follow(self) -> None:
        """Shows here what runs elsewhere, for as long as it can be seen."""
        seen_at = time.monotonic()
        while True:
            job = await self._coordinator.current() if self._running is None else None
            if job is not None:
                seen_at = time.monotonic()
                await self._take(job)
            elif self._running is None and time.monotonic() - seen_at > _FORGET_AFTER:
                self._forget()
            await asyncio.sleep(_LOOK_EVERY)

    async def _take(self, job: JobSnapshot) -> None:
        known, latest = self.get(job.task_id), self.latest()
        older = known is None and latest is not None and job.started_at < latest.started_at
        if self._running is not None or older or job == known or (job.terminal and known and known.terminal):
            return
        if job.status == "completed":
            await self._publish()
        self._show(job)

    def _forget(self) -> None:
        job = self.running()
        if job is not None:
            self._show(ended(job, "failed", _OUT_OF_SIGHT, time.time()))

    async def _work(self, task_id: str, arguments: Sequence[str]) -> tuple[Finished | None, int]:
        """Runs the worker to its end; its last word and its exit code."""
        self._process = process = await worker_process.start([*self._command, *arguments], self._environment)
        if self._stop_as is not None:
            _signal(process, signal.SIGTERM)
        complaints = asyncio.create_task(worker_process.log_complaints(process))
        finished: Finished | None = None
        async for event in worker_process.events(process):
            if isinstance(event, Finished):
                finished = event
            else:
                self._show(advance(self._jobs[task_id], event, time.time()))
        returncode = await process.wait()
        complaint = await complaints
        if complaint and finished is None and self._stop_as is None:
            _log.error("the ingest worker ended with %d: %s", returncode, complaint)
        return finished, returncode

    async def _outcome(self, snapshot: JobSnapshot, finished: Finished | None, returncode: int) -> JobSnapshot:
        if finished is not None and finished.status == "completed":
            await self._publish()
            return advance(snapshot, finished, time.time())
        if self._stop_as is not None:
            return ended(snapshot, *self._stop_as, time.time())
        if finished is not None:
            return advance(snapshot, finished, time.time())
        return ended(snapshot, "failed", _crash(returncode, self._file.parent), time.time())

    async def _publish(self) -> None:
        if self._on_published is None:
            return
        try:
            await self._on_published()
        except RagError as error:  # the ingest did succeed; whoever searches next will refresh again
            _log.warning("the new index could not be opened yet: %s", error)

    def _show(self, snapshot: JobSnapshot) -> None:
        self._jobs[snapshot.task_id] = snapshot
        while len(self._jobs) > MAX_JOBS:
            del self._jobs[next(iter(self._jobs))]
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @cached_property
    def _jobs(self) -> dict[str, JobSnapshot]:
        """By id, oldest first. A job that was running when the file was written died with its application."""
        try:
            kept = _snapshots.validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return {}
        stopped = (job if job.terminal else ended(job, "failed", _STOPPED, time.time()) for job in kept[-MAX_JOBS:])
        return {job.task_id: job for job in stopped}

    def _save(self) -> None:
        """The file is whole at any moment. Losing the history is no reason to lose the ingest."""
        temporary: str | None = None
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix="jobs-", dir=self._file.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(_snapshots.dump_json(list(self._jobs.values())))
            Path(temporary).replace(self._file)
        except OSError as error:
            _log.warning("the history of ingests could not be written: %s", error.strerror)
            if temporary is not None:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()


def _signal(process: Process | None, number: signal.Signals) -> None:
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


def _crash(returncode: int, data_dir: Path) -> str:
    """`returncode` is negative for a signal. A full disk kills who writes to a mapped file with SIGBUS."""
    if is_full(data_dir):
        return f"The disk that holds {data_dir} is full{_UNHARMED}"
    if returncode == -signal.SIGKILL:
        return f"The ingest was killed, perhaps because memory ran out{_UNHARMED}"
    return f"The ingest stopped unexpectedly (exit code {returncode}){_UNHARMED}"
