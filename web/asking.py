"""A question from any surface: limited, answered by the one pipeline, measured. Both surfaces ask here."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from rag.events import ChatEvent, Done, Failed, Notice, Retrieved, Started
from rag.pipeline import Pipeline
from rag.types import Exchange, Page, Retrieval
from web.access import Limits
from web.metrics import Asked, Metrics
from web.problems import Problem, problem_of

SHUTTING_DOWN = Failed("shutting_down", "The service is restarting; ask again in a moment.", True, 5.0)
Surface = Literal["api", "ui", "client", "mcp"]


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: the address for the rate limit, the API key that lifts it, and where the question came in."""

    host: str | None
    api_key: str | None = None
    surface: Surface = "api"


class Asking:
    """`ask` and `search` raise Problem or RagError before anything is sent; what `ask` returns must be closed.

    `on_started` is called with the id of every answer that begins and its question, `on_asked` once per question with
    what became of it and the question itself.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        limits: Limits,
        metrics: Metrics,
        on_started: Callable[[str, str], None],
        on_asked: Callable[[Asked, str], None],
    ) -> None:
        self.pipeline, self._limits, self._metrics = pipeline, limits, metrics
        self._on_started, self._on_asked = on_started, on_asked
        self.shutting_down = asyncio.Event()

    async def ask(
        self,
        client: Client,
        question: str,
        history: Sequence[Exchange] = (),
        *,
        selection: str | None = None,
        page: Page | None = None,
        top_k: int | None = None,
        context_window: int | None = None,
        fresh: bool = False,
        admitted: bool = False,
    ) -> AsyncGenerator[ChatEvent, None]:
        """`admitted` when the caller has asked `admit` already, before it looked anything up for this question."""
        if not admitted:
            await self.admit(client)
        began = time.perf_counter()
        try:
            events = await self.pipeline.chat(
                question,
                history,
                selection=selection,
                page=page,
                top_k=top_k,
                context_window=context_window,
                fresh=fresh,
            )
        except Exception as error:
            self._record(client, question, Asked(f"refused:{problem_of(error).code}", None, None, _since(began)))
            raise
        return self._measured(client, question, events, began)

    async def search(self, client: Client, query: str, k: int) -> Retrieval:
        await self._admit(client, self._limits.admit_search)
        return await self.pipeline.search(query, k)

    async def admit(self, client: Client) -> None:
        """Counts one question. Raises Problem for one too many, and for a key that is not known."""
        await self._admit(client, self._limits.admit)

    async def _admit(self, client: Client, admit: Callable[[str | None, str | None], Awaitable[None]]) -> None:
        try:
            await admit(client.host, client.api_key)
        except Problem as problem:
            if problem.status == 429:
                self._metrics.limited.labels(client.surface).inc()
            raise

    async def _measured(
        self, client: Client, question: str, events: AsyncGenerator[ChatEvent, None], began: float
    ) -> AsyncGenerator[ChatEvent, None]:
        retrieved_ms: float | None = None
        degraded = False
        asked: Asked | None = None
        try:
            async with aclosing(_until_shutdown(events, self.shutting_down)) as told:
                async for event in told:
                    match event:
                        case Started():
                            self._on_started(event.message_id, question)
                        case Retrieved():
                            retrieved_ms = _since(began)
                        case Notice(code="degraded"):
                            degraded = True
                        case Done():
                            self._metrics.cache.labels("hit" if event.cached else "miss").inc()
                            asked = _asked(event, degraded)
                        case Failed():
                            asked = Asked("failed", retrieved_ms, None, _since(began))
                        case _:
                            pass
                    yield event
                    if isinstance(event, Done | Failed):
                        return
        except Exception:
            asked = asked or Asked("failed", retrieved_ms, None, _since(began))
            raise
        finally:
            self._record(client, question, asked or Asked("cancelled", retrieved_ms, None, _since(began)))

    def _record(self, client: Client, question: str, asked: Asked) -> None:
        self._metrics.asked(asked, client.surface)
        self._on_asked(asked, question)


async def _until_shutdown(
    events: AsyncGenerator[ChatEvent, None], shutting_down: asyncio.Event
) -> AsyncGenerator[ChatEvent, None]:
    """The events; the terminal Failed in their place once the service shuts down. Closes `events`."""
    ending = asyncio.create_task(shutting_down.wait())
    upcoming: asyncio.Task[ChatEvent | None] | None = None
    try:
        while True:
            upcoming = asyncio.create_task(_next(events))
            await asyncio.wait({upcoming, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not upcoming.done():
                yield SHUTTING_DOWN
                return
            event = upcoming.result()
            if event is None:
                return
            yield event
    finally:
        ending.cancel()
        if upcoming is not None and not upcoming.done():
            upcoming.cancel()
            await asyncio.wait({upcoming})
        await events.aclose()


async def _next(events: AsyncGenerator[ChatEvent, None]) -> ChatEvent | None:
    return await anext(events, None)


def _asked(done: Done, degraded: bool) -> Asked:
    outcome = "degraded" if degraded else "answered" if done.answered else "not_found"
    timings, usage = done.timings, done.usage
    return Asked(
        outcome,
        timings.retrieval_ms,
        timings.first_token_ms,
        timings.total_ms,
        usage.prompt_tokens,
        usage.completion_tokens,
    )


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1e3
