"""What an ingest has done so far, and how it says so."""

import time
from dataclasses import dataclass, field
from typing import Literal

from rag.events import FileFailed, FileProblem, Finished, Progressed, Stage, Warned
from rag.ingest.chunk_worker import ChunkedDocument

_INTERVAL = 0.1  # seconds between two Progressed: more often than anybody can read them
_CUT, _STORED = 10.0, 98.0  # percent when everything is cut, and when everything is stored


@dataclass(slots=True)
class ProgressTracker:
    """Counts of documents and chunks. created + reused = the chunks of the index when all is done."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    rebuilt: bool = False
    chunks_created: int = 0
    chunks_reused: int = 0
    chunks_deleted: int = 0
    tokens: int = 0
    problems: list[FileProblem] = field(default_factory=list)
    notices: list[FileProblem] = field(default_factory=list)  # of files that are indexed all the same
    warnings: list[str] = field(default_factory=list)
    stage: Stage = "scanning"
    files_processed: int = 0
    total_files: int = 0
    files_to_cut: int = 0
    percent: float = 0.0
    _files_cut: int = 0
    _chunks_cut: int = 0
    _chunks_stored: int = 0
    _began: float = field(default_factory=time.monotonic)
    _said: float = 0.0

    def fail(self, problem: FileProblem) -> FileFailed:
        self.problems.append(problem)
        self.files_processed += 1
        return FileFailed(problem)

    def warn(self, code: str, message: str) -> Warned:
        self.warnings.append(message)
        return Warned(code, message)

    def keep(self, chunks: int) -> None:
        """So many chunks of the index stay as they are."""
        self.chunks_reused += chunks

    def cut(self, document: ChunkedDocument | None) -> None:
        """One more file is cut; None: it could not be."""
        self._files_cut += 1
        self._chunks_cut += len(document.chunks) if document is not None else 0
        self._advance()

    def store(self, document: ChunkedDocument) -> None:
        """The document is in the store."""
        created = sum(tokens is not None for tokens in document.new)
        self.chunks_created += created
        self.chunks_reused += len(document.chunks) - created
        self.tokens += sum(tokens or 0 for tokens in document.new)
        self._passed(document)

    def had(self, document: ChunkedDocument) -> None:
        """The document was in the store already."""
        self.chunks_reused += len(document.chunks)
        self._passed(document)

    def _passed(self, document: ChunkedDocument) -> None:
        self.files_processed += 1
        self._chunks_stored += len(document.chunks)
        self._advance()

    def _advance(self) -> None:
        """Until every file is cut, the others are taken to have as many chunks as those that are."""
        cut = self._files_cut / self.files_to_cut
        stored = self._chunks_stored * cut / max(self._chunks_cut, 1)
        self.percent = max(self.percent, round(_CUT * cut + (_STORED - _CUT) * stored, 1))

    def due(self) -> bool:
        """True when the last Progressed is long enough ago."""
        return time.monotonic() - self._said >= _INTERVAL

    def progressed(self) -> Progressed:
        self._said = time.monotonic()
        return Progressed(
            stage=self.stage,
            files_processed=self.files_processed,
            total_files=self.total_files,
            chunks_created=self.chunks_created,
            chunks_reused=self.chunks_reused,
            chunks_deleted=self.chunks_deleted,
            chunks_total=self.chunks_created + self.chunks_reused,
            tokens=self.tokens,
            percent=self.percent,
        )

    def finished(self, status: Literal["completed", "failed"]) -> Finished:
        message = " ".join([self._summary(status), *self.warnings])
        return Finished(
            status=status,
            message=message,
            added=self.added,
            changed=self.changed,
            unchanged=self.unchanged,
            removed=self.removed,
            failed=len(self.problems),
            chunks_created=self.chunks_created,
            chunks_reused=self.chunks_reused,
            chunks_deleted=self.chunks_deleted,
            chunks_total=self.chunks_created + self.chunks_reused,
            tokens=self.tokens,
            seconds=round(time.monotonic() - self._began, 3),
            problems=(*self.problems, *self.notices),
        )

    def _summary(self, status: str) -> str:
        failed = len(self.problems)
        if status == "failed":
            return f"Nothing could be indexed: {files(failed)} failed; the index is as it was before."
        did = [
            f"{count} {what}"
            for count, what in ((self.added, "added"), (self.changed, "changed"), (self.removed, "removed"))
            if count
        ]
        if self.rebuilt and did and (self.unchanged or self.changed):  # every file was stored anew, changed or not
            done = f"The index was made anew; {_joined([*did, f'{self.unchanged} unchanged'])}"
        elif did:
            done = f"{_joined(did)}; {self.unchanged} unchanged"
        elif self.rebuilt:
            done = f"The index was made anew; {files(self.unchanged)} unchanged"
        else:
            done = f"Nothing changed in {files(self.unchanged)}"
        return f"{done}, {files(failed)} failed." if failed else f"{done}."


def files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def interrupted(status: Literal["failed", "cancelled"], message: str, seconds: float, code: str = "") -> Finished:
    """The end of an ingest that did not come to one: the index is as it was, whatever had been counted."""
    return Finished(status, message, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, round(seconds, 3), code=code)
