"""How an ingest is told: a bar on a terminal, lines in a log, JSON for the application that started it."""

import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO, assert_never

from rag.events import FileFailed, FileProblem, Finished, IngestEvent, Planned, Progressed, Stage, Warned
from rag.ingest.event_lines import encode

_BAR = 24  # characters
_LINE_EVERY = 5.0  # seconds between two lines of progress in a log
_NAMED = 20  # paths of one kind that a plan names
_DOING: dict[Stage, str] = {
    "scanning": "Reading",
    "embedding": "Embedding",
    "storing": "Storing",
    "finishing": "Publishing",
}

Display = Callable[[IngestEvent], None]


def display(*, events: bool, out: TextIO | None = None, err: TextIO | None = None) -> Display:
    """What fits the command's arguments and where its output goes."""
    out, err = out or sys.stdout, err or sys.stderr
    if events:
        return lambda event: print(encode(event), file=out, flush=True)
    return Words(out, Bar(err) if err.isatty() else Log(err), err)


class Progress(Protocol):
    def show(self, event: Progressed) -> None: ...

    def clear(self) -> None:
        """Called before anything else is written."""
        ...


class Bar:
    """One line that is written over."""

    def __init__(self, err: TextIO) -> None:
        self._err = err
        self._began = time.monotonic()
        self._shown = False

    def show(self, event: Progressed) -> None:
        filled = round(_BAR * event.percent / 100)
        bar = "█" * filled + "░" * (_BAR - filled)
        where = f"{event.files_processed}/{event.total_files} files" if event.total_files else ""
        left = _left(time.monotonic() - self._began, event.percent)
        self._err.write(f"\r\x1b[2K{bar} {event.percent:3.0f} %  {_DOING[event.stage]}  {where}  {left}")
        self._err.flush()
        self._shown = True

    def clear(self) -> None:
        if self._shown:
            self._err.write("\r\x1b[2K")
            self._err.flush()
            self._shown = False


class Log:
    """A line when the stage changes, and now and then in between."""

    def __init__(self, err: TextIO) -> None:
        self._err = err
        self._stage: Stage = "scanning"
        self._said = time.monotonic()

    def show(self, event: Progressed) -> None:
        now = time.monotonic()
        if event.stage == self._stage and now - self._said < _LINE_EVERY:
            return
        self._stage, self._said = event.stage, now
        where = f"{event.files_processed} of {event.total_files} files, {event.percent:.0f} %"
        print(f"{_DOING[event.stage]}: {where}", file=self._err, flush=True)

    def clear(self) -> None:
        """Lines stay."""


class Words:
    """For people: results on `out`, everything else on `err`."""

    def __init__(self, out: TextIO, progress: Progress, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._progress = progress

    def __call__(self, event: IngestEvent) -> None:
        if isinstance(event, Progressed):
            self._progress.show(event)
            return
        self._progress.clear()
        match event:
            case Planned():
                pass
            case FileFailed():
                print(f"Not indexed: {sentence(event.problem)}", file=self._err)
            case Warned():
                print(event.message, file=self._err)
            case Finished():
                self._finished(event)
            case _:
                assert_never(event)

    def _finished(self, event: Finished) -> None:
        if event.status != "completed":
            print(event.message, file=self._err)
            return
        chunks = f"{event.chunks_total:,} chunks"
        new = f"{event.chunks_created:,} new ({event.tokens:,} tokens embedded)"
        print(event.message, file=self._out)
        print(f"{chunks}: {new}, {event.chunks_reused:,} reused; {event.seconds:.1f} s", file=self._out)


def sentence(problem: FileProblem) -> str:
    """The problem with its path, once."""
    return problem.message if problem.path in problem.message else f"{problem.path}: {problem.message}"


def table(plan: Planned) -> str:
    """A dry run for people."""
    rows = [
        *_files("added", plan.added),
        *_files("changed", plan.changed),
        *_files("removed", plan.removed),
        ("unchanged", f"{plan.unchanged:,}"),
        ("failing", f"{len(plan.problems):,}"),
        ("whole index anew", "yes" if plan.rebuild else "no"),
        ("chunks", f"{plan.chunks:,}"),
        ("chunks to embed", f"{plan.chunks_to_embed:,}"),
        ("tokens to embed", f"about {plan.tokens:,}"),
        ("cost", _cost(plan.cost_usd)),
    ]
    return "\n".join(f"{name:<18}{value}" for name, value in rows)


def _files(name: str, paths: tuple[str, ...]) -> list[tuple[str, str]]:
    more = [("", f"… and {len(paths) - _NAMED:,} more")] if len(paths) > _NAMED else []
    return [(name, f"{len(paths):,}"), *(("", path) for path in paths[:_NAMED]), *more]


def _cost(dollars: float | None) -> str:
    if dollars is None:
        return "unknown: the price of this model is not known"
    return "nothing" if not dollars else f"about ${dollars:.4f}"


def _left(elapsed: float, percent: float) -> str:
    if percent < 3 or elapsed < 2:
        return ""
    seconds = round(elapsed * (100 - percent) / percent)
    return f"{seconds // 60}:{seconds % 60:02d} left"
