"""`python -m rag ingest`: runs an ingest to its end and tells it as it goes; the index stays whole whatever happens."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager

from rag.commands.ingest_display import Display, display, table
from rag.errors import RagError
from rag.events import Finished, Planned
from rag.ingest.ingestion import ingest
from rag.ingest.parts import Ingestion
from rag.ingest.tally import interrupted
from rag.ingest.worker_process import end_with_parent

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
