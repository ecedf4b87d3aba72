"""Cutting many files in a process of its own, beside the calls and the store of the ingest.

`python -m rag.ingest.cutting_process` reads what to cut and how on stdin, and writes what became of each file to
stdout: four bytes of length, then the pickled Cut. Both ends are this file. It ends when nobody reads any more.
"""

import asyncio
import logging
import os
import pickle
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from rag.book.corpus import Source
from rag.errors import ContentError
from rag.events import FileProblem
from rag.ingest.cutting import CutDocument, Cutter
from rag.ingest.turns import others_first
from rag.ingest.worker_process import PARENT, end_with_parent

_log = logging.getLogger(__name__)

FROM = 64  # files; fewer are cut before a process has started
_MEANWHILE = 32  # files that are cut here until it has
_AHEAD = 2**20  # bytes that may wait to be read
_LENGTH = struct.Struct(">I")
_ROOT = Path(__file__).resolve().parent.parent.parent

Cut = CutDocument | FileProblem


async def cut_all(cutter: Cutter, sources: Sequence[Source], *, beside_from: int = FROM) -> AsyncGenerator[Cut, None]:
    """What became of each source, in their order. Raises ContentError when the process that cuts ends early."""
    beside = sources[min(_MEANWHILE, beside_from) :] if len(sources) >= beside_from else []
    async with _cutting(cutter, beside) as process:
        away = 0 if process is None else len(beside)
        for source in sources[: len(sources) - away]:
            yield cutter.cut(source)
            await others_first()  # parsing never waits
        if process is not None:
            for _ in beside:
                yield await _answer(process)
                await asyncio.sleep(0)  # several answers may be there


@asynccontextmanager
async def _cutting(cutter: Cutter, sources: Sequence[Source]) -> AsyncIterator[Process | None]:
    """The process at work; None where there is nothing to do, or where no process can be started."""
    try:
        process = await _started() if sources else None
    except OSError as error:
        _log.warning("no process could be started to cut pages beside the rest (%s)", error.strerror)
        process = None
    if process is None:
        yield None
        return
    telling = asyncio.create_task(_tell(process, pickle.dumps((cutter, sources))))
    try:
        yield process
    finally:
        telling.cancel()
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _started() -> Process:
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rag.ingest.cutting_process",
        stdin=PIPE,
        stdout=PIPE,
        limit=_AHEAD,
        env={**os.environ, PARENT: str(os.getpid()), "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        start_new_session=True,  # Ctrl-C is for the ingest, which ends this itself
    )


async def _tell(process: Process, task: bytes) -> None:
    assert process.stdin is not None
    with suppress(ConnectionError):
        process.stdin.write(task)
        await process.stdin.drain()
        process.stdin.close()


async def _answer(process: Process) -> Cut:
    assert process.stdout is not None
    try:
        (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        cut: Cut = pickle.loads(await process.stdout.readexactly(length))  # noqa: S301 - our own process
    except asyncio.IncompleteReadError:
        killed = await process.wait() == -signal.SIGKILL
        why = "was killed, perhaps because memory ran out" if killed else "ended unexpectedly"
        raise ContentError(f"The process that reads the pages {why}; the index is as it was.") from None
    return cut


def main() -> None:
    end_with_parent()
    answers = _own_stdout()
    try:
        cutter, sources = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
        for source in sources:
            answer = pickle.dumps(cutter.cut(source))
            answers.write(_LENGTH.pack(len(answer)) + answer)
            answers.flush()
    except (BrokenPipeError, EOFError, pickle.UnpicklingError):
        os._exit(1)  # who asked is gone, and with it who could read what is still to be flushed


def _own_stdout() -> BinaryIO:
    """What a library prints goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


if __name__ == "__main__":
    main()
