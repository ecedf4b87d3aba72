"""How long a reader waits, and for whom: Deadline, Timeouts, and a CircuitBreaker for each upstream.

A question gets one `Deadline` when it comes in. Every stage takes a share of what is left, so the stages' waits cannot
add up. An upstream that fails opens its breaker; from then on nobody calls it but the breaker's own probe, in the
background, and nobody waits for it (Nygard, "Release It!").
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rag.errors import RagError

_log = logging.getLogger(__name__)

PROBE_SECONDS = 5.0
PROBE_PAUSES = (0.5, 1.0, 2.0, 3.0)  # before the first probes; the last one repeats, so recovery is seen within 8 s
LONGEST_RETRY_AFTER = 8.0  # what an upstream may ask for between probes: it must be found again within 15 s


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The longest waits of a question, in seconds.

    `question` is the time from the question to the first word of the answer; `rewrite`, `embed` and `search` are the
    shares of it that one stage may take. `between` bounds the silence between two pieces and `whole` the whole stream.
    """

    question: float = 6.5
    rewrite: float = 2.5
    embed: float = 2.0
    search: float = 4.0
    fallback: float = 1.0
    between: float = 5.0
    whole: float = 180.0


class Deadline:
    """The moment at which a wait ends. `seconds` None never ends."""

    def __init__(self, seconds: float | None = None) -> None:
        self._at = float("inf") if seconds is None else time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds that are left, 0 when there are none."""
        return max(0.0, self._at - time.monotonic())

    def share(self, seconds: float) -> "Deadline":
        """At most `seconds` from now, and never later than this deadline."""
        return Deadline(min(seconds, self.remaining))

    def timeout(self) -> asyncio.Timeout:
        """`async with deadline.timeout():` raises TimeoutError when the deadline passes."""
        return asyncio.timeout(None if self._at == float("inf") else self.remaining)


class CircuitBreaker:
    """Whether an upstream is called. Closed (it is called) until a failure is recorded; a probe closes it again.

    `probe` makes one real, small call and raises RagError while the upstream is of no use. Without one the breaker
    closes by itself after the last of `pauses`. Needs a running event loop once something failed.
    """

    def __init__(
        self,
        name: str,
        probe: Callable[[], Awaitable[None]] | None = None,
        *,
        pauses: tuple[float, ...] = PROBE_PAUSES,
        probe_seconds: float = PROBE_SECONDS,
    ) -> None:
        self.name = name
        self.probe = probe
        self._pauses, self._probe_seconds = pauses, probe_seconds
        self._open = False
        self._retry_after: float | None = None
        self._suspicion: asyncio.Task[None] | None = None
        self._recovery: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._open

    def allow(self) -> bool:
        """Whether to call the upstream now."""
        return not self._open

    def record_failure(self, error: RagError | None = None) -> None:
        """Open the breaker, for everybody and at once, until a probe succeeds."""
        self._retry_after = error.retry_after if error is not None else None
        if not self._open:
            _log.warning("the %s is not called until it answers again: %s", self.name, error or "it was silent")
            self._open = True
            self._recovery = asyncio.create_task(self._recover(), name=f"recover {self.name}")

    def suspect(self) -> None:
        """Probe an upstream that may have failed, or may only have been asked for something it cannot do."""
        if self.probe is not None and not self._open and (self._suspicion is None or self._suspicion.done()):
            self._suspicion = asyncio.create_task(self._look_into(), name=f"probe {self.name}")

    async def settled(self) -> bool:
        """Wait for the probe that `suspect` began, if there is one; whether the upstream can be called."""
        if self._suspicion is not None:
            await asyncio.wait({self._suspicion})
        return not self._open

    async def close(self) -> None:
        """End the probing. Closing twice does no harm."""
        tasks = {task for task in (self._suspicion, self._recovery) if task is not None and not task.done()}
        self._suspicion = self._recovery = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _look_into(self) -> None:
        error = await self._probed()
        if error is not None:
            self.record_failure(error)

    async def _recover(self) -> None:
        """Probe until it succeeds, and close the breaker."""
        number = 0
        while True:
            await asyncio.sleep(self._pause(number))
            number += 1
            error = await self._probed()
            if error is None:
                break
            self._retry_after = error.retry_after
        _log.warning("the %s answers again", self.name)
        self._open = False

    def _pause(self, number: int) -> float:
        if self.probe is None:
            return self._pauses[-1]
        usual = self._pauses[min(number, len(self._pauses) - 1)]
        return max(usual, min(self._retry_after or 0.0, LONGEST_RETRY_AFTER))

    async def _probed(self) -> RagError | None:
        """None when the upstream is of use."""
        if self.probe is None:
            return None
        try:
            async with asyncio.timeout(self._probe_seconds):
                await self.probe()
        except RagError as error:
            return error
        except TimeoutError:
            return RagError(f"The {self.name} did not answer in time.")
        return None


async def close_all(*closers: Callable[[], Awaitable[None]]) -> None:
    """Call every closer in its turn; one that fails is logged and keeps none of the others from being called."""
    for close in closers:
        try:
            await close()
        except Exception:  # noqa: BLE001 - whatever it is, the rest must be closed, and the process must end
            _log.exception("something could not be closed")
