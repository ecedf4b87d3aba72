"""Whole answers that every process can give again: one JSON value each."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from rag.chat.answer_cache import ANSWER_SECONDS, MemoryAnswers
from rag.events import ChatEvent
from rag.redis import RedisUnavailable
from rag.redis.connection import PREFIX, RedisConnection

MOST_BYTES = 512 * 1024  # 20 joined passages and the answer over them are some 100 KB

_events: TypeAdapter[tuple[ChatEvent, ...]] = TypeAdapter(tuple[Annotated[ChatEvent, Field(discriminator="type")], ...])


class RedisAnswers:
    """This process' own answers first: a key names the state of index and model, so no other process knows better."""

    def __init__(self, connection: RedisConnection, *, ttl: float = ANSWER_SECONDS) -> None:
        self._connection, self._ttl = connection, ttl
        self._memory = MemoryAnswers(ttl=ttl)

    async def get(self, key: str) -> tuple[ChatEvent, ...] | None:
        if own := await self._memory.get(key):
            return own
        try:
            value = await self._connection.run(lambda redis: redis.getrange(_key(key), 0, MOST_BYTES))
        except RedisUnavailable:
            return None
        return decode(value) if value else None

    async def put(self, key: str, events: Sequence[ChatEvent]) -> None:
        await self._memory.put(key, events)
        value = encode(events)
        if len(value) > MOST_BYTES:
            return
        with suppress(RedisUnavailable):
            await self._connection.run(lambda redis: redis.set(_key(key), value, ex=int(self._ttl)))


def encode(events: Sequence[ChatEvent]) -> bytes:
    return _events.dump_json(tuple(events))


def decode(value: bytes | str) -> tuple[ChatEvent, ...] | None:
    """The events, or None for what is not an answer in today's form."""
    try:
        return _events.validate_json(value) or None
    except ValidationError:
        return None


def _key(key: str) -> str:
    return f"{PREFIX}:answer:{key}"
