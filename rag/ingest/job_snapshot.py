"""Where an ingest job is, as everybody who watches it sees it, and how each IngestEvent changes that."""

from dataclasses import dataclass, field, replace
from typing import Protocol, assert_never

from rag.events import FileFailed, FileProblem, Finished, IngestEvent, JobStatus, Planned, Progressed, Stage, Warned

MAX_ERRORS = 200  # kept in a snapshot; `documents.failed` counts them all
_ETA_FROM_PERCENT = 3.0  # below it the estimate would be noise

_DOING: dict[Stage, str] = {
    "scanning": "Reading the book.",
    "embedding": "Embedding what is new.",
    "storing": "Storing.",
    "finishing": "Publishing the index.",
}


@dataclass(frozen=True, slots=True)
class JobProgress:
    files_processed: int = 0
    total_files: int = 0
    chunks_created: int = 0
    chunks_reused: int = 0
    chunks_deleted: int = 0
    chunks_total: int = 0
    tokens: int = 0
    percent: float = 0.0
    errors: tuple[FileProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class JobDocuments:
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """One moment of one job. Times are seconds since the epoch; `estimated_completion` is None when unknown."""

    task_id: str
    status: JobStatus = "pending"
    stage: Stage = "scanning"
    progress: JobProgress = field(default_factory=JobProgress)
    documents: JobDocuments = field(default_factory=JobDocuments)
    started_at: float = 0.0
    finished_at: float | None = None
    estimated_completion: float | None = None
    message: str = "Waiting to start."
    code: str = ""  # of the error that a job failed with, where the worker told it

    @property
    def terminal(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")


def advance(snapshot: JobSnapshot, event: IngestEvent, now: float) -> JobSnapshot:
    """The snapshot after the event, which arrived at `now`."""
    match event:
        case Planned():
            return _planned(snapshot, event)
        case Progressed():
            return _progressed(snapshot, event, now)
        case FileFailed():
            return _file_failed(snapshot, event.problem)
        case Warned():
            return replace(snapshot, status="processing", message=event.message)
        case Finished():
            return _finished(snapshot, event, now)
        case _:
            assert_never(event)


def ended(snapshot: JobSnapshot, status: JobStatus, message: str, now: float) -> JobSnapshot:
    """The snapshot of a job that ended without saying so itself."""
    return replace(snapshot, status=status, message=message, finished_at=now, estimated_completion=None)


def _planned(snapshot: JobSnapshot, event: Planned) -> JobSnapshot:
    documents = replace(snapshot.documents, unchanged=event.unchanged, failed=len(event.problems))
    errors = event.problems[:MAX_ERRORS]
    return replace(
        snapshot, status="processing", documents=documents, progress=replace(snapshot.progress, errors=errors)
    )


def _progressed(snapshot: JobSnapshot, event: Progressed, now: float) -> JobSnapshot:
    progress = JobProgress(
        files_processed=event.files_processed,
        total_files=event.total_files,
        chunks_created=event.chunks_created,
        chunks_reused=event.chunks_reused,
        chunks_deleted=event.chunks_deleted,
        chunks_total=event.chunks_total,
        tokens=event.tokens,
        percent=max(snapshot.progress.percent, event.percent),
        errors=snapshot.progress.errors,
    )
    return replace(
        snapshot,
        status="processing",
        stage=event.stage,
        progress=progress,
        estimated_completion=_eta(snapshot.started_at, progress.percent, now),
        message=_DOING[event.stage],
    )


def _eta(started_at: float, percent: float, now: float) -> float | None:
    if percent < _ETA_FROM_PERCENT:
        return None
    return now + (now - started_at) * (100.0 - percent) / percent


def _file_failed(snapshot: JobSnapshot, problem: FileProblem) -> JobSnapshot:
    if problem in snapshot.progress.errors:  # the plan named it already
        return snapshot
    errors = (*snapshot.progress.errors, problem)[:MAX_ERRORS]
    return replace(
        snapshot,
        status="processing",
        progress=replace(snapshot.progress, errors=errors),
        documents=replace(snapshot.documents, failed=snapshot.documents.failed + 1),
    )


def _finished(snapshot: JobSnapshot, event: Finished, now: float) -> JobSnapshot:
    progress = replace(
        snapshot.progress,
        chunks_created=event.chunks_created,
        chunks_reused=event.chunks_reused,
        chunks_deleted=event.chunks_deleted,
        chunks_total=event.chunks_total,
        tokens=event.tokens,
        percent=100.0 if event.status == "completed" else snapshot.progress.percent,
        errors=event.problems[:MAX_ERRORS],
    )
    return replace(
        ended(snapshot, event.status, event.message, now),
        stage="finishing" if event.status == "completed" else snapshot.stage,
        progress=progress,
        documents=JobDocuments(event.added, event.changed, event.unchanged, event.removed, event.failed),
        code=event.code,
    )


class JobCoordinator(Protocol):
    """Nothing here fails because nobody can be asked: a process that is alone decides alone."""

    async def acquire(self, job: JobSnapshot) -> JobSnapshot | None:
        """None: the job may run here. Else the job that runs elsewhere; IngestRunning when only that is known."""
        ...

    async def heartbeat(self, job: JobSnapshot) -> bool:
        """Shows the job to the others and renews its claim. True when one of them wants it cancelled."""
        ...

    async def release(self, job: JobSnapshot) -> None:
        """Shows the job's end and gives its claim back."""
        ...

    async def current(self) -> JobSnapshot | None:
        """The latest job of any process, ended when its process is gone; None when none is to be seen."""
        ...

    async def request_cancel(self, task_id: str) -> None:
        """Asks whoever runs the job to cancel it."""
        ...

    async def close(self) -> None: ...


class LocalCoordinator:
    """The board of an application that is one process."""

    async def acquire(self, job: JobSnapshot) -> JobSnapshot | None:  # noqa: ARG002
        return None

    async def heartbeat(self, job: JobSnapshot) -> bool:  # noqa: ARG002
        return False

    async def release(self, job: JobSnapshot) -> None:
        pass

    async def current(self) -> JobSnapshot | None:
        return None

    async def request_cancel(self, task_id: str) -> None:
        pass

    async def close(self) -> None:
        pass
