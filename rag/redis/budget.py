"""One day's tokens for all processes: a counter per UTC day, changed by scripts that Redis runs whole."""

import time
from collections.abc import Callable

from redis.asyncio import Redis

from rag.chat.budget import DAY, DailyBudget, used_up
from rag.redis import RedisUnavailable
from rag.redis.connection import PREFIX, RedisConnection

_KEPT = 2 * DAY  # seconds; longer than any process' clock is wrong

# Both scripts first add what this process spent while Redis was away. ARGV: tokens, limit, owed, seconds kept.
# They return the day's total, reserve a negative one when the tokens were refused (-1 - total).
_RESERVE = """
local used = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + ARGV[3], 0)
local refused = used + ARGV[1] > tonumber(ARGV[2])
if not refused then used = used + ARGV[1] end
redis.call('SET', KEYS[1], string.format('%.0f', used), 'EX', ARGV[4])
return refused and -1 - used or used
"""
_SETTLE = """
local used = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + ARGV[3] + ARGV[1], 0)
redis.call('SET', KEYS[1], string.format('%.0f', used), 'EX', ARGV[4])
return used
"""


class RedisBudget:
    """`limit` tokens a UTC day for all processes together.

    With Redis away this process goes on from the last total it saw, and adds what it spent when Redis is back.
    """

    def __init__(self, connection: RedisConnection, limit: int, *, clock: Callable[[], float] = time.time) -> None:
        self._connection, self._limit, self._clock = connection, limit, clock
        self._memory = DailyBudget(limit, clock=clock)
        self._owed, self._owed_on = 0, -1

    async def reserve(self, tokens: int) -> None:
        try:
            total = await self._run(_RESERVE, tokens)
        except RedisUnavailable:
            await self._memory.reserve(tokens)
            self._owe(tokens)
            return
        self._memory.total(total if total >= 0 else -1 - total)
        if total < 0:
            raise used_up(self._clock())

    async def settle(self, reserved: int, used: int) -> None:
        try:
            self._memory.total(await self._run(_SETTLE, used - reserved))
        except RedisUnavailable:
            await self._memory.settle(reserved, used)
            self._owe(used - reserved)

    async def _run(self, script: str, tokens: int) -> int:
        day = int(self._clock() // DAY)
        owed, self._owed = self._owed if self._owed_on == day else 0, 0

        async def run(redis: Redis) -> int:
            values = (str(tokens), str(self._limit), str(owed), str(_KEPT))
            return int(await redis.eval(script, 1, f"{PREFIX}:tokens:{day}", *values))

        try:
            return await self._connection.run(run)
        except RedisUnavailable:
            self._owe(owed)
            raise

    def _owe(self, tokens: int) -> None:
        day = int(self._clock() // DAY)
        if day != self._owed_on:
            self._owed, self._owed_on = 0, day
        self._owed += tokens
