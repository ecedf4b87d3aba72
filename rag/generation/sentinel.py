"""The model's sign that the book does not hold the answer, taken out of a text that comes in pieces."""

import re

from rag.generation.base import NOT_IN_BOOK

_DRESS = r"[*_`\"']{0,8}+"  # bounded: `*` without end would be tried from each of its places
_WORD = NOT_IN_BOOK.strip("[]")
_SIGN = re.compile(rf"{_DRESS}\[{{1,2}}{re.escape(_WORD)}\]{{1,2}}{_DRESS}[.:]?\s*", re.IGNORECASE)
_LONGEST = len(NOT_IN_BOOK) + 16


def _beginning(characters: str) -> str:
    """A pattern for any beginning of `characters`, the empty one included."""
    return f"(?:{re.escape(characters[0])}{_beginning(characters[1:])})?" if characters else ""


_SIGN_SO_FAR = re.compile(rf"{_DRESS}(?:\[{{1,2}}{_beginning(_WORD + ']')})?$", re.IGNORECASE)


class NoAnswerFilter:
    """Feed it pieces, then finish; what comes back is the text without the sign. `answered` is False once it was seen.

    The sign counts wherever it stands, in single brackets and in Markdown emphasis too, for models are not exact.
    """

    def __init__(self) -> None:
        self.answered = True
        self._held = ""
        self._last = ""  # the character that went out last
        self._torn = False

    def feed(self, text: str) -> str:
        self._held += text
        return self._release(final=False)

    def finish(self) -> str:
        return self._release(final=True)

    def _release(self, *, final: bool) -> str:
        out = ""
        while match := _SIGN.search(self._held):
            if match.end() == len(self._held) and not final and len(match[0]) < _LONGEST:
                break  # what belongs to it may still come
            out += self._put(self._held[: match.start()])
            self._held = self._held[match.end() :]
            self.answered, self._torn = False, True
        cut = len(self._held) if final else self._safe(match)
        out += self._put(self._held[:cut])
        self._held = self._held[cut:]
        return out

    def _put(self, text: str) -> str:
        """As it goes out: no white space first, and a space where a sign stood, or both its sides could make one."""
        text = text if self._last else text.lstrip()
        if not text:
            return ""
        if self._torn and self._last and not self._last.isspace() and not text[0].isspace():
            text = " " + text
        self._last, self._torn = text[-1], False
        return text

    def _safe(self, match: re.Match[str] | None) -> int:
        """How much can go out because the sign cannot begin in it."""
        match = match or _SIGN_SO_FAR.search(self._held, max(0, len(self._held) - _LONGEST))
        return match.start() if match else len(self._held)
