"""Where a conversation is kept between requests: few exchanges, few sessions, not for long."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID, uuid4

from rag.types import Exchange

MOST_SESSIONS = 2_000
MOST_ANSWER_CHARACTERS = 8_000
MOST_CITED = 20


class Sessions(Protocol):
    """Sessions are named by ids that only this side makes: who knows an id has had the conversation."""

    async def resume(self, session_id: str | None) -> tuple[str, tuple[Exchange, ...]]:
        """The session and its exchanges, oldest first. An unknown or expired one begins anew, under a new id.

        Those without an exchange have room of their own: questions without an answer push nobody's session out.
        """
        ...

    async def remember(self, session_id: str, exchange: Exchange) -> None:
        """Adds the exchange to a session that `resume` gave; the oldest ones go."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Session:
    expires: float
    exchanges: tuple[Exchange, ...] = ()


class MemorySessions:
    """Keeps at most `sessions`, those used last, each for `ttl` seconds after its last use. `clock` is monotonic."""

    def __init__(
        self,
        *,
        exchanges: int = 3,
        ttl: float = 1800.0,
        sessions: int = MOST_SESSIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchanges, self._ttl, self._limit, self._clock = exchanges, ttl, sessions, clock
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._issued: OrderedDict[str, None] = OrderedDict()  # ids that have no exchange yet

    async def resume(self, session_id: str | None) -> tuple[str, tuple[Exchange, ...]]:
        self._expire()
        known = normal_id(session_id)
        session = self._sessions.get(known) if known else None
        if known is None or session is None:
            return self._issue(known if known and known in self._issued else str(uuid4())), ()
        self._touch(known, session)
        return known, session.exchanges

    async def remember(self, session_id: str, exchange: Exchange) -> None:
        known = normal_id(session_id)
        if known is None or not self._exchanges or not self.knows(known):
            return
        self._issued.pop(known, None)
        session = self._sessions.get(known) or _Session(0.0)
        session.exchanges = (*session.exchanges, bounded(exchange))[-self._exchanges :]
        self._touch(known, session)

    async def close(self) -> None:
        pass

    def knows(self, session_id: str) -> bool:
        self._expire()
        return session_id in self._sessions or session_id in self._issued

    def exchanges(self, session_id: str) -> tuple[Exchange, ...]:
        """Those of a session, none of an unknown one."""
        self._expire()
        session = self._sessions.get(session_id)
        return session.exchanges if session else ()

    def keep(self, session_id: str, exchanges: tuple[Exchange, ...]) -> None:
        """Takes over a session that was made elsewhere; `session_id` is a normal one."""
        self._touch(session_id, _Session(0.0, exchanges))

    def _issue(self, session_id: str) -> str:
        self._issued[session_id] = None
        self._issued.move_to_end(session_id)
        while len(self._issued) > self._limit:
            self._issued.popitem(last=False)
        return session_id

    def _touch(self, session_id: str, session: _Session) -> None:
        session.expires = self._clock() + self._ttl
        self._sessions[session_id] = session
        self._sessions.move_to_end(session_id)
        while len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)

    def _expire(self) -> None:
        """Sessions are in the order of their last use, so the expired ones come first."""
        now = self._clock()
        while self._sessions and next(iter(self._sessions.values())).expires <= now:
            self._sessions.popitem(last=False)


def normal_id(session_id: str | None) -> str | None:
    """The id as it is kept, None for what cannot be one."""
    try:
        return str(UUID(session_id)) if session_id else None
    except ValueError:
        return None


def bounded(exchange: Exchange) -> Exchange:
    """The exchange in the size that is kept."""
    return Exchange(exchange.question, exchange.answer[:MOST_ANSWER_CHARACTERS], exchange.cited[:MOST_CITED])
