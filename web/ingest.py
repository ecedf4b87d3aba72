"""The ingest job and the documents as the wire shows them."""

from dataclasses import asdict
from datetime import UTC, datetime

from rag.events import FileProblem, Planned
from rag.ingest.job_snapshot import JobSnapshot
from rag.status import DocumentStatus
from web.wire import DocumentOut, IngestPlan, JobDocuments, JobProgress, JobStatusOut, PlanProblem


def iso(seconds: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def status_of(job: JobSnapshot) -> JobStatusOut:
    progress = job.progress
    return JobStatusOut(
        task_id=job.task_id,
        status=job.status,
        stage=job.stage,
        progress=JobProgress(
            files_processed=progress.files_processed,
            total_files=progress.total_files,
            chunks_created=progress.chunks_created,
            chunks_reused=progress.chunks_reused,
            chunks_deleted=progress.chunks_deleted,
            chunks_total=progress.chunks_total,
            tokens=progress.tokens,
            percent=round(progress.percent, 1),
            errors=_problems(progress.errors),
        ),
        documents=JobDocuments(**asdict(job.documents)),
        started_at=iso(job.started_at),
        finished_at=iso(job.finished_at),
        estimated_completion=iso(job.estimated_completion),
        message=job.message,
    )


def plan_of(plan: Planned) -> IngestPlan:
    return IngestPlan(
        added=list(plan.added),
        changed=list(plan.changed),
        removed=list(plan.removed),
        unchanged=plan.unchanged,
        rebuild=plan.rebuild,
        chunks=plan.chunks,
        chunks_to_embed=plan.chunks_to_embed,
        tokens=plan.tokens,
        cost_usd=plan.cost_usd,
        errors=_problems(plan.problems),
    )


def _problems(problems: tuple[FileProblem, ...]) -> list[PlanProblem]:
    return [PlanProblem(path=p.path, code=p.code, message=p.message) for p in problems]


def document_of(document: DocumentStatus) -> DocumentOut:
    return DocumentOut(
        path=document.path,
        title=document.title,
        url=document.url,
        chunks=document.chunks,
        tokens=document.tokens,
        status=document.status,
        ingested_at=iso(document.ingested_at),
        error=document.error,
    )
