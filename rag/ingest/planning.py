"""What an ingest would do, found out in a child process, for reading a whole book would stop every stream."""

import asyncio
import contextlib
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence

from rag.errors import ContentError
from rag.events import Finished, Planned
from rag.ingest.event_lines import MAX_LINE, decode

PLAN_SECONDS = 300.0
_NICENESS = 10  # readers come first
_FAILED = "The plan could not be made; the log says why."


async def plan(
    command: Sequence[str], environment: Mapping[str, str], *, force: bool = False, path: str | None = None
) -> Planned:
    """Runs `command` (an ingest that tells its events) as a dry run. Raises ContentError with what it says."""
    arguments = ["--dry-run", *(["--force"] if force else []), *(["--path", path] if path is not None else [])]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            *arguments,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            env=environment,
            limit=MAX_LINE,
            start_new_session=True,
        )
    except OSError as error:
        raise ContentError(f"The plan could not be made: {error.strerror}.") from None
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    try:
        async with asyncio.timeout(PLAN_SECONDS):
            return await _planned(process)
    except TimeoutError:
        raise ContentError("The plan took too long.") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _planned(process: Process) -> Planned:
    assert process.stdout is not None
    found: Planned | None = None
    reason = _FAILED
    async for line in process.stdout:
        event = decode(line)
        if isinstance(event, Planned):
            found = event
        elif isinstance(event, Finished) and event.status != "completed":
            reason = event.message
    await process.wait()
    if found is None:
        raise ContentError(reason)
    return found
