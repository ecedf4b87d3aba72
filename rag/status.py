"""How the index and the model are, and every document's state, put together from what the parts say. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rag.book.corpus import Source
from rag.events import FileProblem
from rag.types import DocumentRecord

Mode = Literal["openai", "offline"]
IndexState = Literal["ready", "building", "stale", "empty"]
Health = Literal["healthy", "degraded", "unhealthy"]
Part = Literal["chat", "embeddings", "store"]
DocumentState = Literal["indexed", "changed", "new", "removed", "failed"]


@dataclass(frozen=True, slots=True)
class Status:
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
