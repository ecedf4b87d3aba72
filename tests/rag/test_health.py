"""A document's state, and the health of the whole, from what the parts say."""

from pathlib import Path

import pytest

from rag.corpus.routes import Site
from rag.corpus.scan import Source
from rag.events import FileProblem
from rag.health import Health, HealthStatus, IndexState, Mode, document_states
from rag.types import DocumentRecord


@pytest.mark.parametrize(
    ("store", "model", "mode", "state", "documents", "health"),
    [
        (True, True, "openai", "ready", 3, "healthy"),
        (True, False, "offline", "ready", 3, "healthy"),
        (True, True, "openai", "building", 3, "healthy"),
        (True, True, "openai", "building", 0, "degraded"),
        (True, False, "openai", "ready", 3, "degraded"),
        (True, True, "openai", "stale", 3, "degraded"),
        (True, True, "openai", "empty", 0, "degraded"),
        (False, True, "openai", "empty", 0, "unhealthy"),
    ],
)
def test_health(store: bool, model: bool, mode: Mode, state: IndexState, documents: int, health: Health) -> None:
    status = HealthStatus(store, model, mode, state, "fingerprint", documents, documents * 10)
    assert status.health == health


def record(path: str, sha256: str = "old") -> DocumentRecord:
    return DocumentRecord(path, f"Title of {path}", f"/{path}", sha256, (), 3, 100, 12.5)


def source(path: str, sha256: str) -> Source:
    return Source(path, Path(), Site(), sha256, f"/{path}", ())


def test_documents_are_told_from_index_folder_and_problems() -> None:
    records = [record("same.md"), record("changed.md"), record("gone.md"), record("spoilt.md"), record("hidden.md")]
    sources = [source("same.md", "old"), source("changed.md", "new"), source("new.md", "new"), source("spoilt.md", "x")]
    problems = {
        path: FileProblem(path, "content_error", f"{path} cannot be read.")
        for path in ("spoilt.md", "hidden.md", "never.md", "same.md")
    }
    states = {state.path: state for state in document_states(records, sources, problems)}
    assert {path: state.status for path, state in states.items()} == {
        "changed.md": "changed",
        "gone.md": "removed",
        "hidden.md": "failed",
        "never.md": "failed",
        "new.md": "new",
        "same.md": "indexed",
        "spoilt.md": "failed",
    }
    assert list(states) == sorted(states)
    assert states["spoilt.md"].error == "spoilt.md cannot be read."
    assert (states["spoilt.md"].chunks, states["spoilt.md"].ingested_at) == (3, 12.5)
    assert states["same.md"].error is None
    assert (states["new.md"].title, states["new.md"].chunks, states["new.md"].ingested_at) == ("new.md", 0, None)
