"""What the two generators of the engine yield: a chat (ChatEvent) and an ingest (IngestEvent).

Both unions are closed and every member carries a Literal `type`, so a surface can match on it and
mypy proves that nothing was forgotten. Events say what happened; how it looks on the wire or on the
screen is the surface's business.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from rag.types import Citation, Passage, Usage

FinishReason = Literal["stop", "length", "cancelled"]
Stage = Literal["scanning", "embedding", "storing", "finishing"]
JobStatus = Literal["pending", "processing", "completed", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Started:
    message_id: str
    type: Literal["started"] = "started"


@dataclass(frozen=True, slots=True)
class Searching:
    """`query` is the standalone question that is searched."""

    query: str
    type: Literal["searching"] = "searching"


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Exactly once, before any Delta, also when nothing was found."""

    grounded: bool
    passages: tuple[Passage, ...]
    type: Literal["retrieved"] = "retrieved"


@dataclass(frozen=True, slots=True)
class Delta:
    """A streamed piece of the answer; a marker [n] is never split over two."""

    text: str
    type: Literal["delta"] = "delta"


@dataclass(frozen=True, slots=True)
class Cited:
    """Follows the Delta in which the marker first appears."""

    citation: Citation
    type: Literal["cited"] = "cited"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the reader should know though the answer goes on, `degraded` above all."""

    code: str
    message: str
    type: Literal["notice"] = "notice"


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds since the question came in; `first_token_ms` is None when nothing was written."""

    retrieval_ms: float
    first_token_ms: float | None
    total_ms: float


@dataclass(frozen=True, slots=True)
class Done:
    """`answer` is the whole Markdown answer, with one link definition per citation at its end.

    `cached` is True when somebody else's answer to the same question was given again; `usage` is then 0.
    """

    message_id: str
    answer: str
    answered: bool
    finish_reason: FinishReason
    citations: tuple[Citation, ...]
    usage: Usage
    timings: Timings
    cached: bool = False
    type: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Failed:
    """The terminal event of a chat that broke after it began; `code` as in rag.errors."""

    code: str
    message: str
    retryable: bool
    retry_after: float | None = None
    type: Literal["failed"] = "failed"


ChatEvent = Started | Searching | Retrieved | Delta | Cited | Notice | Done | Failed


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One file that could not be indexed, in one sentence; with the code `encoding` one that was, with a doubt."""

    path: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What an ingest will do. `tokens` are those that need embedding, `cost_usd` their price, None when unknown."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: int
    removed: tuple[str, ...]
    rebuild: bool
    chunks: int
    chunks_to_embed: int
    tokens: int
    cost_usd: float | None
    problems: tuple[FileProblem, ...] = ()
    type: Literal["planned"] = "planned"


@dataclass(frozen=True, slots=True)
class Progressed:
    """Where the ingest is. Counts only grow; `percent` is 0 to 100."""

    stage: Stage
    files_processed: int
    total_files: int
    chunks_created: int
    chunks_reused: int
    chunks_deleted: int
    chunks_total: int
    tokens: int
    percent: float
    type: Literal["progressed"] = "progressed"


@dataclass(frozen=True, slots=True)
class FileFailed:
    problem: FileProblem
    type: Literal["file_failed"] = "file_failed"


@dataclass(frozen=True, slots=True)
class Warned:
    """Something an author should know though nothing is lost (the local model is missing, say)."""

    code: str
    message: str
    type: Literal["warned"] = "warned"


@dataclass(frozen=True, slots=True)
class Finished:
    """The terminal event of an ingest; a failure of the whole ingest is an exception, not an event.

    `code` is the code of that exception (rag.errors), where the worker tells of it.
    """

    status: Literal["completed", "failed", "cancelled"]
    message: str
    added: int
    changed: int
    unchanged: int
    removed: int
    failed: int
    chunks_created: int
    chunks_reused: int
    chunks_deleted: int
    chunks_total: int
    tokens: int
    seconds: float
    problems: tuple[FileProblem, ...] = field(default=())
    code: str = ""
    type: Literal["finished"] = "finished"


IngestEvent = Planned | Progressed | FileFailed | Warned | Finished


MAX_LINE = 8 * 1024 * 1024  # bytes; a plan that adds 50,000 files still fits

_event: TypeAdapter[IngestEvent] = TypeAdapter(Annotated[IngestEvent, Field(discriminator="type")])


def encode(event: IngestEvent) -> str:
    """One line, without its line feed."""
    return _event.dump_json(event).decode()


def decode(line: str | bytes) -> IngestEvent | None:
    """The event, or None when the line is not one."""
    try:
        return _event.validate_json(line)
    except ValidationError:
        return None
