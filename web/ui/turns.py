"""The conversation as the reader's browser keeps it: the tab's only memory. What comes back from there is checked."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from rag.answers.citations import safe_url
from rag.answers.conversation import bounded
from rag.events import Cited, Delta, Done, Failed, Notice, Retrieved
from rag.types import Exchange
from web.ui.excerpt import excerpt
from web.ui.render import Link
from web.wire import Source, source_of

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
    def links(self) -> dict[int, Link]:
        return {
            source.n: Link(url, " › ".join(source.breadcrumbs) or source.title)
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
