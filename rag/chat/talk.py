"""Talk that is no question about the book: greetings, thanks, "who are you", "what can I ask?".

Only what is nothing but such a phrase is talk; "hello, what is a servo?" is a question. The reply is in the phrase's
language and needs no model.
"""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from rag.events import ChatEvent, Delta, Done, Retrieved, Started, Timings
from rag.text.scripts import words
from rag.types import Usage

SUGGESTIONS = 3
TalkKind = Literal["greeting", "thanks", "identity", "help"]
_KINDS: tuple[TalkKind, ...] = ("greeting", "thanks", "identity", "help")
_POLITE_ENDS = frozenset(("please", "pls", "there", "friend", "everyone", "all", "bot"))


@dataclass(frozen=True, slots=True)
class Talk:
    """`language` is an ISO 639-1 code."""

    kind: TalkKind
    language: str


_DATA = json.loads((Path(__file__).parent.parent / "data" / "talk.json").read_text(encoding="utf-8"))


def _plain(text: str) -> str:
    return " ".join(words(text))


_PHRASES: dict[str, Talk] = {}
for _language, _entry in _DATA.items():
    for _kind in _KINDS:
        for _phrase in _entry[_kind]:
            _PHRASES.setdefault(_plain(_phrase), Talk(_kind, _language))
_LONGEST = max(map(len, _PHRASES)) + 20


def talk_of(question: str) -> Talk | None:
    """What kind of talk a message is; None for a question. "Hi, who are you?" is what its last phrase is."""
    if len(question) > 2 * _LONGEST:
        return None
    tokens = words(question)
    while tokens and tokens[-1] in _POLITE_ENDS and " ".join(tokens) not in _PHRASES:
        tokens.pop()
    return _whole(tokens)


def _whole(tokens: list[str]) -> Talk | None:
    """The talk of a message that is one phrase, or a phrase and more talk after it."""
    found = _PHRASES.get(" ".join(tokens))
    if found is not None:
        return found
    for end in range(len(tokens) - 1, 0, -1):
        if " ".join(tokens[:end]) in _PHRASES:
            return _whole(tokens[end:])
    return None


def reply(talk: Talk, title: str, suggestions: Sequence[str]) -> str:
    """The answer, in Markdown."""
    said = _DATA[talk.language]
    opening = said["welcome"] if talk.kind == "thanks" else said["hello"].format(title=title)
    asked = "\n".join(f"- {question}" for question in suggestions[:SUGGESTIONS])
    return f"{opening}\n\n{said['ask']}\n\n{asked}" if asked else opening


async def events(text: str) -> AsyncGenerator[ChatEvent, None]:
    """The events of an answer that is already written."""
    message_id = str(uuid4())
    yield Started(message_id)
    yield Retrieved(True, ())
    yield Delta(text)
    yield Done(message_id, text, True, "stop", (), Usage(), Timings(0.0, 0.0, 0.0))
