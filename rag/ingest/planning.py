"""What an ingest would do, found out in a child process, for reading a whole book would stop every stream."""

import asyncio
import contextlib
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence

from rag.errors import ContentError
from rag.events import Finished, Planned
from rag.ingest.worker_process import events, log_complaints, start

PLAN_SECONDS = 300.0
_FAILED = "The plan could not be made; the log says why."


async def plan(
    command: Sequence[str], environment: Mapping[str, str], *, force: bool = False, path: str | None = None
) -> Planned:
    """Runs `command` (an ingest that tells its events) as a dry run. Raises ContentError with what it says."""
    arguments = ["--dry-run", *(["--force"] if force else []), *(["--path", path] if path is not None else [])]
    try:
        process = await start([*command, *arguments], environment)
    except OSError as error:
        raise ContentError(f"The plan could not be made: {error.strerror}.") from None
    complaints = asyncio.create_task(log_complaints(process))
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
        await complaints


async def _planned(process: Process) -> Planned:
    found: Planned | None = None
    reason = _FAILED
    async for event in events(process):
        if isinstance(event, Planned):
            found = event
        elif isinstance(event, Finished) and event.status != "completed":
            reason = event.message
    await process.wait()
    if found is None:
        raise ContentError(reason)
    return found
