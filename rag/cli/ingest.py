"""`python -m rag ingest`: runs an ingest to its end and tells it as it goes; the index stays whole whatever happens."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Protocol, TextIO, assert_never

from rag.errors import RagError
from rag.events import FileFailed, FileProblem, Finished, IngestEvent, Planned, Progressed, Stage, Warned, encode
from rag.ingest.ingest import ingest
from rag.ingest.prepare import Ingestion
from rag.ingest.progress import interrupted
from rag.ingest.worker_process import end_with_parent

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


_CANCELLED = 130  # what a shell reports after Ctrl-C


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="make the whole index anew")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and what it would cost")
    parser.add_argument("--events", action="store_true", help="tell every event as a line of JSON")
    parser.add_argument("--path", help="only this file or folder below the content folder")


def run(parts: Ingestion, arguments: argparse.Namespace) -> int:
    end_with_parent()
    return asyncio.run(_run(parts, arguments))


async def _run(parts: Ingestion, arguments: argparse.Namespace) -> int:
    """The exit code: 0 when everything that could be indexed is, 1 when nothing could, 130 when it was cancelled."""
    began = time.monotonic()
    show = display(events=arguments.events)
    task = asyncio.ensure_future(_tell(parts, arguments, show))
    with _ended_by_signals(task):
        try:
            return await task
        except asyncio.CancelledError:
            show(interrupted("cancelled", "Cancelled; the index is as it was before.", time.monotonic() - began))
            return _CANCELLED
        except RagError as error:
            show(interrupted("failed", error.message, time.monotonic() - began, error.code))
        except BrokenPipeError:  # whoever listened is gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


async def _tell(parts: Ingestion, arguments: argparse.Namespace, show: Display) -> int:
    failed = False
    run = ingest(parts, force=arguments.force, dry_run=arguments.dry_run, path=arguments.path)
    async with parts, aclosing(run) as events:
        async for event in events:
            show(event)
            if isinstance(event, Planned) and arguments.dry_run and not arguments.events:
                print(table(event))
            failed = isinstance(event, Finished) and event.status != "completed"
    return 1 if failed else 0


@contextmanager
def _ended_by_signals(task: asyncio.Task[int]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
