"""One answer for the chat tab: the engine's events as ever longer turns, until it is whole, broken or stopped."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

from rag.events import ChatEvent, Cited, Delta, Done, Failed, Notice, Retrieved, Started
from rag.types import Exchange
from web.asking import Asking, Client
from web.ui.turns import Turn, grown, searched

PAUSE = 0.05  # a browser gains nothing from more pictures a second


class Answering:
    """Who is being answered, by session, so that a reader can stop it.

    The chat tab writes one answer at a time and session; a tab opened twice, or a program, may ask for more.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._stops: dict[str, list[asyncio.Event]] = {}

    def stop(self, session: str) -> None:
        for stop in self._stops.get(session, ()):
            stop.set()

    def busy(self, session: str) -> bool:
        return session in self._stops

    async def answer(
        self, session: str, client: Client, question: str, history: list[Exchange], *, fresh: bool = False
    ) -> AsyncGenerator[Turn, None]:
        """Raises Problem or RagError before anything is yielded; the last turn that is yielded says how it ended."""
        stop = asyncio.Event()
        self._stops.setdefault(session, []).append(stop)
        try:
            turn = Turn(question=question)
            events = await self._asking.ask(client, question, history, fresh=fresh)
            drawn = time.monotonic()
            async with aclosing(_until(stop, events)) as telling:
                async for event in telling:
                    turn = _after(turn, event)
                    now = time.monotonic()
                    if isinstance(event, Retrieved | Notice) or now - drawn >= PAUSE:
                        drawn = now
                        yield turn
            yield turn if turn.ended else turn.model_copy(update={"ended": "stopped"})
        finally:
            self._stops[session].remove(stop)
            if not self._stops[session]:
                del self._stops[session]


def _after(turn: Turn, event: ChatEvent) -> Turn:
    match event:
        case Started():
            return turn.model_copy(update={"message_id": event.message_id})
        case Retrieved():
            return searched(turn, event)
        case Delta() | Cited() | Notice() | Done() | Failed():
            return grown(turn, event)
        case _:
            return turn


async def _until(stop: asyncio.Event, events: AsyncGenerator[ChatEvent, None]) -> AsyncGenerator[ChatEvent, None]:
    """The events until there are no more or `stop` is set. Closes them, and with them the model's call."""
    stopping = asyncio.create_task(stop.wait())
    try:
        async with aclosing(events):
            while (event := await _next(events, stopping)) is not None:
                yield event
    finally:
        stopping.cancel()


async def _next(events: AsyncGenerator[ChatEvent, None], stopping: asyncio.Task[Literal[True]]) -> ChatEvent | None:
    """None at the end, and as soon as `stopping` is done."""
    upcoming = asyncio.ensure_future(anext(events, None))
    waited: set[asyncio.Future[Any]] = {upcoming, stopping}
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        return upcoming.result() if upcoming.done() else None
    finally:
        if not upcoming.done():
            upcoming.cancel()
            await asyncio.wait({upcoming})
