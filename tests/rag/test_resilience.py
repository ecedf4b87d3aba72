"""Deadlines are shared out and never added up; a breaker keeps callers away until its probe comes through."""

import asyncio
import time
from collections.abc import Callable

import pytest

from rag.errors import ModelUnavailable
from rag.resilience import CircuitBreaker, Deadline, close_all

PAUSES = (0.05, 0.1)


class Upstream:
    """Fails until it is told not to; counts how often it was probed."""

    def __init__(self) -> None:
        self.well = False
        self.silent = False
        self.probes = 0

    async def probe(self) -> None:
        self.probes += 1
        if self.silent:
            await asyncio.sleep(3600)
        if not self.well:
            raise ModelUnavailable("It is down.")


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> float:
    began = time.perf_counter()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.01)
    return time.perf_counter() - began


def test_a_share_is_never_later_than_the_whole() -> None:
    deadline = Deadline(1.0)
    assert deadline.share(5.0).remaining <= 1.0
    assert 0.1 < deadline.share(0.3).remaining <= 0.3
    assert Deadline(-1.0).remaining == 0.0
    assert Deadline().remaining == float("inf")
    assert Deadline().share(2.0).remaining <= 2.0


async def test_a_deadline_ends_what_is_waited_for() -> None:
    with pytest.raises(TimeoutError):
        async with Deadline(0.05).timeout():
            await asyncio.sleep(10)
    async with Deadline().timeout():
        await asyncio.sleep(0)


async def test_nobody_is_let_through_until_the_probe_succeeds() -> None:
    upstream = Upstream()
    breaker = CircuitBreaker("chat", upstream.probe, pauses=PAUSES)
    assert breaker.allow()
    breaker.record_failure(ModelUnavailable("It is down."))
    breaker.record_failure()
    await until(lambda: upstream.probes >= 3)
    assert not breaker.allow()
    upstream.well = True
    await until(breaker.allow)
    probes = upstream.probes
    await asyncio.sleep(0.3)
    assert upstream.probes == probes, "what answers is not probed"


async def test_a_probe_that_hangs_is_ended_and_repeated() -> None:
    upstream = Upstream()
    upstream.silent = True
    breaker = CircuitBreaker("chat", upstream.probe, pauses=PAUSES, probe_seconds=0.1)
    breaker.record_failure()
    await until(lambda: upstream.probes >= 2)
    upstream.silent, upstream.well = False, True
    await until(breaker.allow)


async def test_a_suspicion_opens_only_what_has_failed() -> None:
    upstream = Upstream()
    upstream.well = True
    breaker = CircuitBreaker("chat", upstream.probe, pauses=PAUSES)
    breaker.suspect()
    assert await breaker.settled()
    upstream.well = False
    breaker.suspect()
    assert breaker.allow(), "a suspicion keeps nobody away"
    assert not await breaker.settled()
    await breaker.close()


async def test_the_pause_that_the_server_asks_for_is_bounded() -> None:
    upstream = Upstream()
    breaker = CircuitBreaker("chat", upstream.probe, pauses=PAUSES)
    breaker.record_failure(ModelUnavailable("Later.", retry_after=0.5))
    await asyncio.sleep(0.25)
    assert upstream.probes == 0
    upstream.well = True
    assert await until(breaker.allow) > 0.1
    assert breaker._pause(0) <= 8.0
    breaker.record_failure(ModelUnavailable("Tomorrow.", retry_after=86_400.0))
    assert breaker._pause(0) == 8.0
    await breaker.close()
    await breaker.close()


async def test_without_a_probe_it_closes_by_itself() -> None:
    breaker = CircuitBreaker("embeddings", pauses=PAUSES)
    breaker.record_failure()
    assert not breaker.allow()
    await until(breaker.allow)


async def test_what_cannot_be_closed_keeps_nothing_else_open() -> None:
    closed = []

    async def fails() -> None:
        raise RuntimeError("no")

    async def closes() -> None:
        closed.append(True)

    await close_all(closes, fails, closes)
    assert closed == [True, True]
