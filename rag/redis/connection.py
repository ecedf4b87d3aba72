"""The connection to a Redis that several processes share. It may be down at any time; RedisUnavailable says so.

After a failure nobody asks again for a moment, so a Redis that is gone costs one question a second, not every one.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rag.redis import RedisUnavailable

_log = logging.getLogger(__name__)

PREFIX = "ask-the-book:1"  # another number where what is stored changes its form
CALL_SECONDS = 1.0
TURN_SECONDS = 4.0  # a Redis that answers each call late must not keep a reader longer
PAUSE_SECONDS = 1.0
MOST_CONNECTIONS = 64  # more calls at once wait for one
MOST_CALLS = 16  # at once through one link: Redis works on one at a time, and a call's second begins with its turn

T = TypeVar("T")


class RedisConnection:
    """Connects at the first call. `run` raises RedisUnavailable within a second of its turn, with one log line when
    Redis goes and one when it is back; `what` names in them what is shared through this link.
    """

    def __init__(self, url: str, what: str = "what is shared") -> None:
        self._what = what
        self.pool = BlockingConnectionPool.from_url(  # for a library that brings its own commands, too
            url,
            timeout=CALL_SECONDS,
            socket_timeout=CALL_SECONDS,
            socket_connect_timeout=CALL_SECONDS,
            max_connections=MOST_CONNECTIONS,
            retry=Retry(NoBackoff(), 1),  # a kept connection may be dead after a restart
        )
        self._redis = Redis.from_pool(self.pool)
        self._turns = asyncio.Semaphore(MOST_CALLS)
        self._until = 0.0
        self._away = False

    async def run(self, call: Callable[[Redis], Awaitable[T]]) -> T:
        """The result of `call`. Many calls at once are no sign of a Redis that is gone: a call's second begins with its
        turn. When those before it fail, it fails at once.
        """
        if time.monotonic() < self._until:
            raise RedisUnavailable
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise RedisUnavailable from None
        try:
            return await self._run(call)
        finally:
            self._turns.release()

    async def _run(self, call: Callable[[Redis], Awaitable[T]]) -> T:
        task = asyncio.current_task()
        assert task is not None
        cancelled = task.cancelling()
        if time.monotonic() < self._until:
            raise RedisUnavailable
        try:
            async with asyncio.timeout(CALL_SECONDS):
                answer = await call(self._redis)
        except (RedisError, OSError, TimeoutError) as error:
            self._until = time.monotonic() + PAUSE_SECONDS
            if not self._away:
                _log.warning(
                    "Redis did not answer (%s): this process goes on alone with %s", type(error).__name__, self._what
                )
            self._away = True
            raise RedisUnavailable from None
        finally:
            if task.cancelling() > cancelled:  # the client waits with Python 3.11's wait_for, which can lose a cancel
                raise asyncio.CancelledError
        if self._away:
            _log.warning("Redis answers again: %s", self._what)
        self._away = False
        return answer

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._redis.aclose()
        except (RedisError, OSError, TimeoutError) as error:
            _log.debug("the connections to Redis did not close cleanly: %s", type(error).__name__)
