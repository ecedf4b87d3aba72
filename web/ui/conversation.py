"""The conversation as the reader's browser keeps it: the tab's only memory. What comes back from there is checked."""

import asyncio
import html
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from rag.chat.citations import safe_url
from rag.chat.sessions import bounded
from rag.events import ChatEvent, Cited, Delta, Done, Failed, Notice, Retrieved, Started
from rag.types import Exchange
from web.chat_service import Caller, ChatService
from web.schemas import Source, source_of
from web.ui.markdown import CitationLink, excerpt, plain, shown, typed

MOST_TURNS = 40
MOST_BYTES = 384 * 1024  # of a conversation as JSON; with what goes with it in one request, below the body limit
Short = Annotated[str, StringConstraints(max_length=2000)]
Ended = Literal["", "whole", "stopped", "failed"]


class Turn(BaseModel):
    """A question and what came of it so far; `answer` holds markers [n] that mean `sources`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    question: Short
    message_id: Annotated[str, StringConstraints(max_length=64)] = ""
    answer: Annotated[str, StringConstraints(max_length=60_000)] = ""
    grounded: bool = True
    searched: bool = False
    sources: Annotated[list[Source], Field(max_length=20)] = []
    cited: Annotated[list[int], Field(max_length=20)] = []
    chunks: Annotated[list[Short], Field(max_length=20)] = []
    notices: Annotated[list[Short], Field(max_length=4)] = []
    problem: Short = ""
    ended: Ended = ""
    liked: bool | None = None

    @property
    def links(self) -> dict[int, CitationLink]:
        return {
            source.n: CitationLink(url, " › ".join(source.breadcrumbs) or source.title)
            for source in self.sources
            if (url := safe_url(source.url))
        }


class Chat(BaseModel):
    """One conversation. `id` is made here and means nothing to the server."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] = Field(default_factory=lambda: uuid4().hex)
    turns: Annotated[list[Turn], Field(max_length=MOST_TURNS)] = []

    def before(self, place: int) -> "Chat":
        """The chat up to a turn, without it."""
        return self.model_copy(update={"turns": self.turns[: max(place, 0)]})

    def fitting(self) -> "Chat":
        """The chat without the earliest turns where all of them together are longer than MOST_BYTES."""
        room, first = MOST_BYTES, len(self.turns)
        while first and (room := room - len(self.turns[first - 1].model_dump_json().encode())) >= 0:
            first -= 1
        return self.model_copy(update={"turns": self.turns[first:]}) if first else self

    def with_turn(self, turn: Turn) -> "Chat":
        return self.model_copy(update={"turns": [*self.turns, turn][-MOST_TURNS:]})

    def exchanges(self, limit: int) -> list[Exchange]:
        """What the engine is told of what was said before: the last whole answers."""
        whole = [turn for turn in self.turns if turn.ended == "whole"]
        if not limit:
            return []
        return [bounded(Exchange(turn.question, turn.answer, tuple(turn.chunks))) for turn in whole[-limit:]]


def read_chat(value: Any) -> Chat:  # noqa: ANN401 - whatever the browser kept
    """The chat, as far as it is not too long, or an empty one for anything that is not a chat."""
    if isinstance(value, dict) and isinstance(turns := value.get("turns"), list):
        value = {**value, "turns": turns[-MOST_TURNS:]}
    try:
        return Chat.model_validate(value or {}).fitting()
    except ValidationError:
        return Chat()


def searched(turn: Turn, event: Retrieved) -> Turn:
    sources = [source_of(p).model_copy(update={"snippet": excerpt(p.text)}) for p in event.passages]
    return turn.model_copy(update={"searched": True, "grounded": event.grounded, "sources": sources})


def grown(turn: Turn, event: Delta | Cited | Notice | Done | Failed) -> Turn:
    """The turn after one more event of its answer."""
    match event:
        case Delta():
            return turn.model_copy(update={"answer": turn.answer + event.text})
        case Cited():
            cited = event.citation
            chunks = [*turn.chunks, cited.passage.chunk.id]
            return turn.model_copy(update={"cited": [*turn.cited, cited.number], "chunks": chunks})
        case Notice():
            return turn.model_copy(update={"notices": _added(turn.notices, event.message)})
        case Done():
            return turn.model_copy(update={"ended": "whole"})
        case Failed():
            return turn.model_copy(update={"ended": "failed", "problem": event.message})


def _added(notices: Sequence[str], message: str) -> list[str]:
    return list(dict.fromkeys([*notices, message]))[:4]


Message = dict[str, Any]


def messages_of(chat: Chat) -> list[Message]:
    return [message for turn in chat.turns for message in _of_turn(turn)]


def turn_at(chat: Chat, place: int) -> int:
    """Which turn the message at `place` belongs to; the last one for a place that is none."""
    owners = [number for number, turn in enumerate(chat.turns) for _ in _of_turn(turn)]
    return owners[place] if 0 <= place < len(owners) else len(chat.turns) - 1


def feedback_of(chat: Chat) -> list[str | None]:
    """For every message of the book what the reader thought of it."""
    liked = {None: None, True: "Like", False: "Dislike"}
    return [
        liked[turn.liked] if place else None
        for turn in chat.turns
        for place, message in enumerate(_of_turn(turn))
        if message["role"] == "assistant"
    ]


def _of_turn(turn: Turn) -> list[Message]:
    messages = [_message("user", typed(turn.question)), _sources(turn)]
    if answer := _answer(turn):
        messages.append(_message("assistant", answer))
    return messages


def _message(role: str, text: str, **metadata: str) -> Message:
    # As a list: a plain string would lose the indentation of its lines.
    message: Message = {"role": role, "content": [{"type": "text", "text": text}]}
    return message | ({"metadata": metadata} if metadata else {})


def _answer(turn: Turn) -> str:
    parts = [f"*{plain(notice)}*" for notice in turn.notices]
    if turn.answer.strip():
        parts.append(shown(turn.answer, turn.links))
    if turn.ended == "failed":
        parts.append(f"**The answer broke off.** {plain(turn.problem)}")
    elif turn.ended == "stopped":
        parts.append("*Stopped.*")
    return "\n\n".join(parts)


def _sources(turn: Turn) -> Message:
    if not turn.searched:
        if turn.ended:
            return _message("assistant", "The search did not finish.", title="No sources", status="done")
        return _message("assistant", " ", title="Searching the book…", status="pending")
    return _message("assistant", _source_list(turn), title=_sources_title(turn), status="done")


def _sources_title(turn: Turn) -> str:
    count = len(turn.sources)
    if not count:
        return "Nothing in the book fits"
    if not turn.grounded and not turn.cited:
        return "Nearest places in the book"
    sources = "1 source" if count == 1 else f"{count} sources"
    return f"{sources}, {len(turn.cited)} cited" if turn.cited and turn.ended else sources


def _source_list(turn: Turn) -> str:
    if not turn.sources:
        return "No part of the book is near enough to the question."
    return f'<ol class="sources">{"".join(_source(source, source.n in turn.cited) for source in turn.sources)}</ol>'


def _source(source: Source, cited: bool) -> str:
    """On one line, so that the Markdown renderer leaves it alone."""
    title, url = plain(source.title), safe_url(source.url)
    if url:
        title = f'<a href="{html.escape(url)}" target="_blank">{title}</a>'
    trail = " › ".join(plain(part) for part in source.breadcrumbs[:-1])
    return (
        f'<li value="{source.n}" class="{"cited" if cited else "read"}" dir="auto">{title}'
        + (f'<span class="trail">{trail}</span>' if trail else "")
        + f'<span class="snippet">{plain(source.snippet)}</span></li>'
    )


PAUSE = 0.05  # a browser gains nothing from more pictures a second


class ActiveAnswers:
    """Who is being answered, by session, so that a reader can stop it.

    The chat tab writes one answer at a time and session; a tab opened twice, or a program, may ask for more.
    """

    def __init__(self, chat_service: ChatService) -> None:
        self._chat_service = chat_service
        self._stops: dict[str, list[asyncio.Event]] = {}

    def stop(self, session: str) -> None:
        for stop in self._stops.get(session, ()):
            stop.set()

    def busy(self, session: str) -> bool:
        return session in self._stops

    async def answer(
        self, session: str, client: Caller, question: str, history: list[Exchange], *, fresh: bool = False
    ) -> AsyncGenerator[Turn, None]:
        """Raises Problem or RagError before anything is yielded; the last turn that is yielded says how it ended."""
        stop = asyncio.Event()
        self._stops.setdefault(session, []).append(stop)
        try:
            turn = Turn(question=question)
            events = await self._chat_service.ask(client, question, history, fresh=fresh)
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
