"""The public contract: what requests may hold and what answers look like. Fields are only ever added."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from rag.events import FileProblem, Planned
from rag.health import DocumentStatus
from rag.ingest.job_snapshot import JobSnapshot
from rag.markdown.plaintext import snippet
from rag.types import Citation, Passage

VISIBLE = r"[^\s\x00-\x1f]"  # something besides white space
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=VISIBLE)]


def _number(value: object) -> object:
    """JSON knows one kind of number, and `true` and `"5"` are none."""
    if isinstance(value, bool | str):
        raise ValueError("must be a whole number")
    return value


Number = BeforeValidator(_number)


class RequestBody(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class HistoryMessage(RequestBody):
    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(max_length=8000)]


class PageHint(RequestBody):
    """Where the reader is; passages of that page get a small boost."""

    url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    title: Annotated[str, StringConstraints(max_length=300)] | None = None


class ChatRequest(RequestBody):
    question: Question
    session_id: UUID | None = Field(default=None, description="Continues a conversation; a new one without it.")
    history: list[HistoryMessage] | None = Field(
        default=None, max_length=20, description="The caller's own memory; wins over the session's."
    )
    selection: Annotated[str, StringConstraints(max_length=4000)] | None = Field(
        default=None, description="Text the reader has selected on the page."
    )
    page: PageHint | None = None
    top_k: Annotated[int, Field(ge=1, le=20), Number] | None = Field(default=None, description="Passages to use.")
    context_window: Annotated[int, Field(ge=1000, le=8000), Number] | None = Field(
        default=None, description="Most prompt tokens for passages."
    )
    stream: bool = Field(
        default=True, strict=True, description="False, or `Accept: application/json`: one JSON answer."
    )


class FeedbackRequest(RequestBody):
    message_id: UUID = Field(description="Of the answer, as `start` and `done` name it.")
    rating: Literal["up", "down"]
    session_id: UUID | None = Field(default=None, description="The conversation; what is counted is the answer.")


class IngestRequest(RequestBody):
    content_path: Annotated[str, StringConstraints(max_length=1000)] | None = Field(
        default=None, description="A file or folder, relative to the content root."
    )
    force_reindex: bool = Field(default=False, strict=True)
    dry_run: bool = Field(default=False, strict=True)


class Source(BaseModel):
    n: int
    title: str
    url: str
    breadcrumbs: list[str]
    path: str
    score: float
    snippet: str


class PassageOut(Source):
    text: str


class SearchAnswer(BaseModel):
    """`grounded` is false when the book does not seem to hold what is searched for: what is listed comes nearest."""

    query: str
    grounded: bool
    passages: list[PassageOut]


class CitationSource(BaseModel):
    chapter: str
    section: str
    heading: str
    path: str


class CitationOut(BaseModel):
    n: int
    text: str
    source: CitationSource
    title: str
    url: str
    relevance_score: float
    chunk_id: str


class UsageOut(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class TimingsOut(BaseModel):
    retrieval_ms: float
    first_token_ms: float | None
    total_ms: float


class NoticeOut(BaseModel):
    code: str
    message: str


class ChatAnswer(BaseModel):
    """The whole answer at once, for callers who do not stream."""

    message_id: str
    session_id: str
    request_id: str
    answer: str
    answered: bool
    finish_reason: str
    grounded: bool
    sources: list[Source]
    citations: list[CitationOut]
    notices: list[NoticeOut]
    usage: UsageOut
    timings: TimingsOut


class ProblemOut(BaseModel):
    """Every refusal and every failure has this shape."""

    error: str
    code: str
    message: str
    retryable: bool
    request_id: str
    retry_after: int | None = None
    details: dict[str, Any] | None = None


class IngestStarted(BaseModel):
    status: Literal["started", "in_progress"]
    task_id: str
    message: str
    estimated_files: int


class PlanProblem(BaseModel):
    path: str
    code: str
    message: str


class IngestPlan(BaseModel):
    """What an ingest would do. `tokens` are those to embed; `cost_usd` is null when the price is not known."""

    status: Literal["planned"] = "planned"
    added: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: int
    rebuild: bool
    chunks: int
    chunks_to_embed: int
    tokens: int
    cost_usd: float | None
    errors: list[PlanProblem]


class JobProgress(BaseModel):
    files_processed: int
    total_files: int
    chunks_created: int
    chunks_reused: int
    chunks_deleted: int
    chunks_total: int
    tokens: int
    percent: float
    errors: list[PlanProblem]


class JobDocuments(BaseModel):
    added: int
    changed: int
    unchanged: int
    removed: int
    failed: int


class JobStatusOut(BaseModel):
    """Times are ISO 8601 in UTC."""

    task_id: str
    status: Literal["pending", "processing", "completed", "failed", "cancelled"]
    stage: Literal["scanning", "embedding", "storing", "finishing"]
    progress: JobProgress
    documents: JobDocuments
    started_at: str | None
    finished_at: str | None
    estimated_completion: str | None
    message: str


class DocumentOut(BaseModel):
    path: str
    title: str
    url: str
    chunks: int
    tokens: int
    status: Literal["indexed", "changed", "new", "removed", "failed"]
    ingested_at: str | None
    error: str | None = None


class DocumentList(BaseModel):
    documents: list[DocumentOut]


class IndexState(BaseModel):
    state: Literal["ready", "building", "stale", "empty"]
    fingerprint: str


class Health(BaseModel):
    status: Literal["healthy", "degraded", "unhealthy"]
    version: str
    uptime: float
    qdrant_connected: bool
    openai_connected: bool
    mode: Literal["openai", "offline"]
    index: IndexState
    documents_count: int
    chunks_count: int
    down: list[Literal["chat", "embeddings", "store"]]


def _shown(score: float) -> float:
    """From 0 to 1: what page and word order add on top is for the ranking alone."""
    return round(min(1.0, max(0.0, score)), 4)


def source_of(passage: Passage) -> Source:
    chunk = passage.chunk
    return Source(
        n=passage.number,
        title=passage.title,
        url=passage.link,
        breadcrumbs=[*chunk.trail, *passage.heading_path],
        path=chunk.path,
        score=_shown(passage.score),
        snippet=snippet(passage.section_text),
    )


def passage_of(passage: Passage) -> PassageOut:
    return PassageOut(**source_of(passage).model_dump(), text=passage.text)


def citation_of(citation: Citation) -> CitationOut:
    chunk, headings = citation.passage.chunk, citation.heading_path or (citation.title,)
    return CitationOut(
        n=citation.number,
        text=citation.quote,
        source=CitationSource(
            chapter=headings[0], section=headings[min(1, len(headings) - 1)], heading=headings[-1], path=chunk.path
        ),
        title=citation.title,
        url=citation.url,
        relevance_score=_shown(citation.passage.score),
        chunk_id=chunk.id,
    )


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
