"""The child process in which a book is ingested or planned: how it is started, heard, and ended with its parent.

Parsing, tokenising, the local model and the embedded engine all hold the interpreter's lock; in the serving process
they would freeze every stream.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence

from rag.events import MAX_LINE, IngestEvent, decode

_log = logging.getLogger(__name__)

_NICENESS = 10  # readers come first
PARENT = "ASK_THE_BOOKPARENT"  # the process id of the application, for its worker
_PR_SET_PDEATHSIG = 1
_LOOK_EVERY = 0.5  # seconds, where the system does not end a child with its parent
_MOST_LINES = 1000  # of stderr, in the log for one job
_MOST_CHARACTERS = 2000  # of a line


async def start(command: Sequence[str], environment: Mapping[str, str] | None) -> Process:
    """Start the worker, nicely; what it says on stderr goes to the log by `log_complaints`. Raises OSError."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env={**(os.environ if environment is None else environment), PARENT: str(os.getpid())},
        limit=MAX_LINE,
        start_new_session=True,  # Ctrl-C is for the application, which ends its worker itself
    )
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    return process


def end_with_parent() -> None:
    """Have this process killed as soon as the application that started it is gone, however that ended.

    Only for a worker started by `start`; else nothing happens. Killing an ingest loses nothing (see `ingestion`).
    """
    parent = os.environ.pop(PARENT, "")
    if not parent.isdigit():
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it has ended before this was asked for
        os._exit(1)
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(int(parent),), name="parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)


async def events(process: Process) -> AsyncIterator[IngestEvent]:
    """What cannot be an event (too long, or something a library printed) is left out."""
    assert process.stdout is not None
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:
            _log.warning("the ingest worker wrote a line of more than %d bytes", MAX_LINE)
            continue
        if not line:
            return
        event = decode(line)
        if event is not None:
            yield event


async def log_complaints(process: Process) -> str:
    """Log every line of the worker's stderr until it ends, so that it is never blocked; return the last one."""
    assert process.stderr is not None
    last, count, rest = "", 0, b""
    while piece := await process.stderr.read(65536):
        *lines, rest = (rest + piece).split(b"\n")
        rest = rest[-65536:]
        for line in lines:
            last, count = _log_line(line, count) or last, count + 1
    if rest:
        last = _log_line(rest, count) or last
    return last


def _log_line(line: bytes, count: int) -> str:
    text = line.decode(errors="replace").rstrip()[:_MOST_CHARACTERS]
    if text.strip() and count < _MOST_LINES:
        _log.warning("ingest: %s", text)
    elif count == _MOST_LINES:
        _log.warning("ingest: more than %d lines, the others are left out", _MOST_LINES)
    return text.strip()
