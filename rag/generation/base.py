"""The seam of the generators: passages in, pieces of Markdown with [n] markers out."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from rag.resilience import Deadline
from rag.types import Exchange, Message, Page, Retrieval, Usage

NOT_IN_BOOK = "[[not-in-book]]"
"""A model is asked to begin with this when the passages do not hold the answer; it never reaches a reader."""


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """Everything a generator may use. `messages` is the finished prompt; without a model the rest is enough.

    The first piece is wanted before `deadline`.
    """

    question: str
    retrieval: Retrieval
    history: Sequence[Exchange] = ()
    selection: str | None = None
    page: Page | None = None
    messages: Sequence[Message] = field(default=())
    deadline: Deadline | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer as it came; a marker may still be split over two.

    `answered` is False from the first piece on when the generator says that the book does not hold the answer.
    """

    text: str
    answered: bool = True


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Always last. `answered` is False when the generator says that the book does not hold the answer."""

    finish_reason: Literal["stop", "length"]
    answered: bool
    usage: Usage = field(default_factory=Usage)


class Generator(Protocol):
    @property
    def name(self) -> str:
        """The model's name, or "extractive"."""
        ...

    def answer(self, request: AnswerRequest) -> AsyncGenerator[TextDelta | StreamEnd, None]:
        """Streams the answer. Closing the generator closes the upstream call. Raises ModelError."""
        ...

    async def rewrite(self, question: str, history: Sequence[Exchange], deadline: Deadline | None = None) -> str | None:
        """A follow-up as a standalone question; None without a model to do it with. Raises ModelError."""
        ...

    async def close(self) -> None: ...
