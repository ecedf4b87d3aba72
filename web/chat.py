"""POST /chat and GET /search: chat events as the wire's JSON objects, streamed or gathered into one answer."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any, assert_never

from fastapi import Request

from rag.answers.conversation import Conversations
from rag.events import ChatEvent, Cited, Delta, Done, Failed, Notice, Retrieved, Searching, Started
from rag.types import Exchange, Page
from web.asking import Asking, Client
from web.problems import problem_of, problem_of_failure
from web.wire import ChatAnswer, ChatRequest, HistoryMessage, NoticeOut, citation_of, source_of

log = logging.getLogger(__name__)
VERSION = 1


def client_of(request: Request) -> Client:
    return Client(request.client.host if request.client else None, request.headers.get("x-api-key"))


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


class Conversation:
    """One request's place in a conversation: its history, and where the new exchange goes when it is whole."""

    def __init__(self, conversations: Conversations, session_id: str, history: Sequence[Exchange]) -> None:
        self._conversations, self.session_id, self.history = conversations, session_id, history

    @classmethod
    async def resume(cls, conversations: Conversations, body: ChatRequest) -> "Conversation":
        session_id, remembered = await conversations.resume(str(body.session_id) if body.session_id else None)
        return cls(conversations, session_id, exchanges(body.history) if body.history is not None else remembered)

    async def remember(self, question: str, done: Done) -> None:
        cited = tuple(c.passage.chunk.id for c in done.citations)
        await self._conversations.remember(self.session_id, Exchange(question, done.answer, cited))


async def open_chat(
    asking: Asking, request: Request, body: ChatRequest, place: Conversation
) -> AsyncGenerator[ChatEvent, None]:
    """Awaiting opens: what can be refused is refused here, with its own status. For a question that was admitted."""
    page = Page(body.page.url, body.page.title) if body.page else None
    return await asking.ask(
        client_of(request),
        body.question,
        place.history,
        selection=body.selection,
        page=page,
        top_k=body.top_k,
        context_window=body.context_window,
        admitted=True,
    )


async def wire_events(
    events: AsyncGenerator[ChatEvent, None], place: Conversation, question: str, request_id: str
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
    events: AsyncGenerator[ChatEvent, None], place: Conversation, question: str, request_id: str
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
