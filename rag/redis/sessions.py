"""Sessions that every process can resume: one Redis list each, of exchanges as JSON."""

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from rag.chat.sessions import MOST_SESSIONS, MemorySessions, bounded, normal_id
from rag.redis import RedisUnavailable
from rag.redis.connection import PREFIX, RedisConnection
from rag.types import Exchange

_exchange: TypeAdapter[Exchange] = TypeAdapter(Exchange)


class RedisSessions:
    """A session comes into Redis with its first exchange, so that a flood of questions cannot fill it with empty ones.

    The sessions this process has seen last are in its memory, too: with Redis away their readers go on, and what they
    said meanwhile is written when it is back. `ttl` is in seconds after the last use.
    """

    def __init__(self, connection: RedisConnection, *, exchanges: int = 3, ttl: float = 1800.0) -> None:
        self._connection, self._exchanges, self._ttl = connection, exchanges, ttl
        self._memory = MemorySessions(exchanges=exchanges, ttl=ttl)
        self._unwritten: set[str] = set()

    async def resume(self, session_id: str | None) -> tuple[str, tuple[Exchange, ...]]:
        known = normal_id(session_id)
        if known is None:
            return await self._memory.resume(None)
        try:
            if known in self._unwritten:
                await self._write(known)
            elif kept := await self._connection.run(lambda redis: self._read(redis, known)):
                self._memory.keep(known, kept[-self._exchanges :] if self._exchanges else ())
        except RedisUnavailable:
            pass
        return await self._memory.resume(known)

    async def remember(self, session_id: str, exchange: Exchange) -> None:
        known = normal_id(session_id)
        if known is None or not self._exchanges:
            return
        mine = self._memory.knows(known)
        await self._memory.remember(known, exchange)
        try:
            if known in self._unwritten:
                await self._write(known)
            else:
                await self._connection.run(lambda redis: self._append(redis, known, exchange, begin=mine))
        except RedisUnavailable:
            if mine and len(self._unwritten) < MOST_SESSIONS:
                self._unwritten.add(known)

    async def close(self) -> None:
        await self._connection.close()

    async def _read(self, redis: Redis, session_id: str) -> tuple[Exchange, ...]:
        async with redis.pipeline() as steps:
            steps.lrange(_key(session_id), -max(self._exchanges, 1), -1)
            steps.expire(_key(session_id), int(self._ttl))
            lines, _ = await steps.execute()
        return tuple(exchange for line in lines if (exchange := _decoded(line)) is not None)

    async def _append(self, redis: Redis, session_id: str, exchange: Exchange, *, begin: bool) -> None:
        """In one transaction. A session that only others may know is not begun here: it may have expired."""
        line = _exchange.dump_json(bounded(exchange)).decode()
        async with redis.pipeline() as steps:
            if begin:
                steps.rpush(_key(session_id), line)
            else:
                steps.rpushx(_key(session_id), line)
            steps.ltrim(_key(session_id), -self._exchanges, -1)
            steps.expire(_key(session_id), int(self._ttl))
            await steps.execute()

    async def _write(self, session_id: str) -> None:
        """The session as this process knows it, in place of what Redis knew before it went away."""
        lines = [_exchange.dump_json(exchange).decode() for exchange in self._memory.exchanges(session_id)]

        async def replace(redis: Redis) -> None:
            async with redis.pipeline() as steps:
                steps.delete(_key(session_id))
                if lines:
                    steps.rpush(_key(session_id), *lines)
                    steps.expire(_key(session_id), int(self._ttl))
                await steps.execute()

        await self._connection.run(replace)
        self._unwritten.discard(session_id)


def _key(session_id: str) -> str:
    return f"{PREFIX}:session:{session_id}"


def _decoded(line: bytes) -> Exchange | None:
    try:
        return bounded(_exchange.validate_json(line))
    except ValidationError:
        return None
