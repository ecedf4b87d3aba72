"""A question from any surface: limited, answered by the one pipeline, measured. Both surfaces ask here."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any, Literal, assert_never

from fastapi import Request

from rag.chat.sessions import Sessions
from rag.events import ChatEvent, Cited, Delta, Done, Failed, Notice, Retrieved, Searching, Started
from rag.pipeline import Pipeline
from rag.types import Exchange, Page, Retrieval
from web.auth import RateLimits
from web.metrics import Metrics, QuestionOutcome
from web.problems import Problem, problem_of, problem_of_failure
from web.schemas import ChatAnswer, ChatRequest, HistoryMessage, NoticeOut, citation_of, source_of

SHUTTING_DOWN = Failed("shutting_down", "The service is restarting; ask again in a moment.", True, 5.0)
Surface = Literal["api", "ui", "client", "mcp"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the address for the rate limit, the API key that lifts it, and where the question came in."""

    host: str | None
    api_key: str | None = None
    surface: Surface = "api"


class ChatService:
    """`ask` and `search` raise Problem or RagError before anything is sent; what `ask` returns must be closed.

    `on_started` is called with the id of every answer that begins and its question, `on_asked` once per question with
    what became of it and the question itself.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        limits: RateLimits,
        metrics: Metrics,
        on_started: Callable[[str, str], None],
        on_asked: Callable[[QuestionOutcome, str], None],
    ) -> None:
        self.pipeline, self._limits, self._metrics = pipeline, limits, metrics
        self._on_started, self._on_asked = on_started, on_asked
        self.shutting_down = asyncio.Event()

    async def ask(
        self,
        client: Caller,
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
            self._record(
                client, question, QuestionOutcome(f"refused:{problem_of(error).code}", None, None, _since(began))
            )
            raise
        return self._measured(client, question, events, began)

    async def search(self, client: Caller, query: str, k: int) -> Retrieval:
        await self._admit(client, self._limits.admit_search)
        return await self.pipeline.search(query, k)

    async def admit(self, client: Caller) -> None:
        """Counts one question. Raises Problem for one too many, and for a key that is not known."""
        await self._admit(client, self._limits.admit)

    async def _admit(self, client: Caller, admit: Callable[[str | None, str | None], Awaitable[None]]) -> None:
        try:
            await admit(client.host, client.api_key)
        except Problem as problem:
            if problem.status == 429:
                self._metrics.limited.labels(client.surface).inc()
            raise

    async def _measured(
        self, client: Caller, question: str, events: AsyncGenerator[ChatEvent, None], began: float
    ) -> AsyncGenerator[ChatEvent, None]:
        retrieved_ms: float | None = None
        degraded = False
        asked: QuestionOutcome | None = None
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
                            asked = QuestionOutcome("failed", retrieved_ms, None, _since(began))
                        case _:
                            pass
                    yield event
                    if isinstance(event, Done | Failed):
                        return
        except Exception:
            asked = asked or QuestionOutcome("failed", retrieved_ms, None, _since(began))
            raise
        finally:
            self._record(client, question, asked or QuestionOutcome("cancelled", retrieved_ms, None, _since(began)))

    def _record(self, client: Caller, question: str, asked: QuestionOutcome) -> None:
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


def _asked(done: Done, degraded: bool) -> QuestionOutcome:
    outcome = "degraded" if degraded else "answered" if done.answered else "not_found"
    timings, usage = done.timings, done.usage
    return QuestionOutcome(
        outcome,
        timings.retrieval_ms,
        timings.first_token_ms,
        timings.total_ms,
        usage.prompt_tokens,
        usage.completion_tokens,
    )


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1e3


log = logging.getLogger(__name__)
VERSION = 1


def caller_of(request: Request) -> Caller:
    return Caller(request.client.host if request.client else None, request.headers.get("x-api-key"))


def wants_json(request: Request, body: ChatRequest) -> bool:
    accept = request.headers.get("accept", "")
    return not body.stream or ("application/json" in accept and "text/event-stream" not in accept)


def exchanges(messages: Sequence[HistoryMessage]) -> list[Exchange]:
    """A caller's own memory as exchanges: every question with the answer that follows it."""
    paired: list[Exchange] = []
    for message in messages:
        if message.role == "user":
            paired.append(Exchange(message.content, ""))
        elif paired and not paired[-1].answer:
            paired[-1] = Exchange(paired[-1].question, message.content)
    return paired


class ChatSession:
    """One request's place in a conversation: its history, and where the new exchange goes when it is whole."""

    def __init__(self, conversations: Sessions, session_id: str, history: Sequence[Exchange]) -> None:
        self._conversations, self.session_id, self.history = conversations, session_id, history

    @classmethod
    async def resume(cls, conversations: Sessions, body: ChatRequest) -> "ChatSession":
        session_id, remembered = await conversations.resume(str(body.session_id) if body.session_id else None)
        return cls(conversations, session_id, exchanges(body.history) if body.history is not None else remembered)

    async def remember(self, question: str, done: Done) -> None:
        cited = tuple(c.passage.chunk.id for c in done.citations)
        await self._conversations.remember(self.session_id, Exchange(question, done.answer, cited))


async def open_chat(
    chat_service: ChatService, request: Request, body: ChatRequest, place: ChatSession
) -> AsyncGenerator[ChatEvent, None]:
    """Awaiting opens: what can be refused is refused here, with its own status. For a question that was admitted."""
    page = Page(body.page.url, body.page.title) if body.page else None
    return await chat_service.ask(
        caller_of(request),
        body.question,
        place.history,
        selection=body.selection,
        page=page,
        top_k=body.top_k,
        context_window=body.context_window,
        admitted=True,
    )


async def wire_events(
    events: AsyncGenerator[ChatEvent, None], place: ChatSession, question: str, request_id: str
) -> AsyncGenerator[dict[str, Any], None]:
    """The stream of PROTOCOL: exactly one terminal object, whatever happens on the way. Closes `events`."""
    try:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Done):
                    await place.remember(question, event)
                yield _wire(event, place.session_id, request_id)
    except Exception as error:
        log.exception("a chat broke in mid-stream")
        problem = problem_of(error)
        yield {"type": "error", **problem.body(request_id)}


def _wire(event: ChatEvent, session_id: str, request_id: str) -> dict[str, Any]:
    match event:
        case Started():
            ids = {"session_id": session_id, "message_id": event.message_id, "request_id": request_id}
            return {"type": "start", "v": VERSION, **ids}
        case Searching():
            return {"type": "status", "stage": "retrieving", "query": event.query}
        case Retrieved():
            sources = [source_of(passage).model_dump() for passage in event.passages]
            return {"type": "sources", "grounded": event.grounded, "sources": sources}
        case Delta():
            return {"type": "chunk", "content": event.text}
        case Cited():
            return {"type": "citation", "citation": citation_of(event.citation).model_dump()}
        case Notice():
            return {"type": "notice", "code": event.code, "message": event.message}
        case Done():
            return {"type": "done", **_done(event, session_id)}
        case Failed():
            return {"type": "error", **problem_of_failure(event).body(request_id)}
        case _:
            assert_never(event)


def _done(event: Done, session_id: str) -> dict[str, Any]:
    return {
        "message_id": event.message_id,
        "session_id": session_id,
        "answered": event.answered,
        "finish_reason": event.finish_reason,
        "citations": [citation.number for citation in event.citations],
        "answer": event.answer,
        "usage": asdict(event.usage),
        "timings": {key: value if value is None else round(value, 1) for key, value in asdict(event.timings).items()},
    }


async def whole_answer(
    events: AsyncGenerator[ChatEvent, None], place: ChatSession, question: str, request_id: str
) -> ChatAnswer:
    """Every event gathered into one answer. Raises Problem for a chat that failed; never a half answer."""
    retrieved, notices = Retrieved(False, ()), []
    async with aclosing(events):
        async for event in events:
            match event:
                case Retrieved():
                    retrieved = event
                case Notice():
                    notices.append(NoticeOut(code=event.code, message=event.message))
                case Failed():
                    raise problem_of_failure(event)
                case Done():
                    await place.remember(question, event)
                    return ChatAnswer(
                        **{**_done(event, place.session_id), "citations": [citation_of(c) for c in event.citations]},
                        request_id=request_id,
                        grounded=retrieved.grounded,
                        sources=[source_of(passage) for passage in retrieved.passages],
                        notices=notices,
                    )
                case _:
                    pass
    raise RuntimeError("the chat ended without a terminal event")
