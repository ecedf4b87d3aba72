"""The same question in the same state of index and model is answered once: kept answers, and answers being written.

A flight is one answer being written. Everybody who asks the same meanwhile reads along from its first event, each at
a pace of their own. It is written in a task of its own, so a reader who leaves takes nothing from the others; when
the last one has left, the task is cancelled and with it the call to the model.
"""

import asyncio
import hashlib
import time
import unicodedata
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from rag.errors import ModelUnavailable
from rag.events import ChatEvent, Delta, Done, Notice

MOST_ANSWERS = 256
ANSWER_SECONDS = 24 * 3600.0
_CLOSING_SECONDS = 2.0

Events = AsyncGenerator[ChatEvent, None]


def answer_key(question: str, *state: object) -> str:
    """Names an answer: the question, white space and the form of its characters aside, and all it depends on."""
    plain = " ".join(unicodedata.normalize("NFC", question).split())
    return hashlib.sha256("\0".join([plain, *map(repr, state)]).encode("utf-8", "replace")).hexdigest()


class AnswerStore(Protocol):
    """Where whole answers are kept. Losing one costs a model call, nothing else."""

    async def get(self, key: str) -> tuple[ChatEvent, ...] | None: ...

    async def put(self, key: str, events: Sequence[ChatEvent]) -> None: ...


class MemoryAnswers:
    """At most `size` answers, those used last, each for `ttl` seconds. `clock` is monotonic."""

    def __init__(
        self, *, size: int = MOST_ANSWERS, ttl: float = ANSWER_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size, self._ttl, self._clock = size, ttl, clock
        self._answers: OrderedDict[str, tuple[float, tuple[ChatEvent, ...]]] = OrderedDict()

    async def get(self, key: str) -> tuple[ChatEvent, ...] | None:
        expires, events = self._answers.get(key, (0.0, ()))
        if not events:
            return None
        if expires <= self._clock():
            del self._answers[key]
            return None
        self._answers.move_to_end(key)
        return events

    async def put(self, key: str, events: Sequence[ChatEvent]) -> None:
        self._answers[key] = (self._clock() + self._ttl, tuple(events))
        self._answers.move_to_end(key)
        while len(self._answers) > self._size:
            self._answers.popitem(last=False)


@dataclass(eq=False)
class _InFlightAnswer:
    """An answer being written. `events` only grows until `ended`."""

    events: list[ChatEvent] = field(default_factory=list)
    ended: bool = False
    error: Exception | None = None
    readers: int = 0
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class SharedAnswers:
    """`stream` gives the events of `write()`, from the store or from a flight where there is one."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        self._flights: dict[str, _InFlightAnswer] = {}

    async def stream(self, key: str, write: Callable[[], Events]) -> Events:
        """Yields what `write()` yields and raises what it raises. Closing leaves the flight to its other readers."""
        flight = self._flights.get(key)
        if flight is None:
            kept = await self._store.get(key)
            if kept is not None:
                for event in kept:
                    yield event
                return
            flight = self._flights.get(key) or self._begin(key, write)
        async with aclosing(self._read(key, flight)) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Ends every flight; its readers are told by ModelUnavailable."""
        tasks = [flight.task for flight in self._flights.values() if flight.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: str, write: Callable[[], Events]) -> _InFlightAnswer:
        flight = self._flights[key] = _InFlightAnswer()
        flight.task = asyncio.create_task(self._fly(key, flight, write), name="answer")
        return flight

    async def _fly(self, key: str, flight: _InFlightAnswer, write: Callable[[], Events]) -> None:
        try:
            async with aclosing(write()) as events:
                async for event in events:
                    flight.events.append(event)
                    flight.wake()
            if worth_keeping(flight.events):
                await self._store.put(key, joined(flight.events))
        except Exception as error:  # noqa: BLE001 - it is raised again, at every reader
            flight.error = error
        except asyncio.CancelledError:
            flight.error = ModelUnavailable("The service is stopping; ask again in a moment.")
            raise
        finally:
            flight.ended = True
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.wake()

    async def _read(self, key: str, flight: _InFlightAnswer) -> Events:
        flight.readers += 1
        place = 0
        try:
            while True:
                changed = flight.changed
                while place < len(flight.events):
                    place += 1
                    yield flight.events[place - 1]
                if flight.ended:
                    break
                await changed.wait()
            if flight.error is not None:
                raise flight.error
        finally:
            flight.readers -= 1
            if not flight.readers and not flight.ended and flight.task is not None:
                self._flights.pop(key, None)  # nobody joins what is being cancelled
                flight.task.cancel()
                await asyncio.wait({flight.task}, timeout=_CLOSING_SECONDS)


def joined(events: Sequence[ChatEvent]) -> list[ChatEvent]:
    """The same answer with neighbouring Deltas as one: text instead of two thousand objects."""
    kept: list[ChatEvent] = []
    for is_text, group in groupby(events, lambda event: isinstance(event, Delta)):
        if is_text:
            kept.append(Delta("".join(event.text for event in group if isinstance(event, Delta))))
        else:
            kept.extend(group)
    return kept


def worth_keeping(events: Sequence[ChatEvent]) -> bool:
    """Whole, and the best there is: an answer given in another way than usual may be better tomorrow."""
    degraded = any(isinstance(event, Notice) for event in events)
    return bool(events) and isinstance(events[-1], Done) and events[-1].finish_reason == "stop" and not degraded
