"""A conversation as the chatbot's messages: the question, a collapsible list of sources, the answer."""

import html
from typing import Any

from rag.answers.citations import safe_url
from web.ui.render import plain, shown, typed
from web.ui.turns import Chat, Turn
from web.wire import Source

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
