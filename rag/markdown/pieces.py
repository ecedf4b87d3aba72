"""Pieces of a page on their way to chunks, and the ruler that measures them without encoding anything twice."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag.markdown.parser import Page
from rag.text import tokens


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive lines of a page, or a text of its own where lines alone will not do (`text`).

    `tokens` is never less than what the piece alone costs. `level` is that of the outermost heading it begins with, 0
    without one. `chars` is its place in the file where that is finer than its lines.
    """

    first: int
    after: int
    tokens: int
    level: int = 0
    text: str | None = None
    chars: tuple[int, int] | None = None
    introduces: bool = False  # ends in a colon: what follows belongs to it
    exact: bool = False  # `tokens` is the count of `text`
    starts: bool = False  # begins a chunk: the headings above it are in its path alone
    is_block: bool = False  # code, a table or a list: what a colon points at


class TokenIndex:
    """Token counts of any lines of a page, from one encoding of its text.

    The encoding always parts text before a line that is not empty, so between two such lines counts are exact.
    """

    def __init__(self, page: Page) -> None:
        self._lines = page.lines
        text = "\n".join(page.lines)
        newlines = np.flatnonzero(np.frombuffer(text.encode(), dtype=np.uint8) == 10) + 1
        self._ends = tokens.offsets(text)
        self._bytes: list[int] = [0, *newlines.tolist()]
        before = np.searchsorted(self._ends, newlines, side="right")
        self._before: list[int] = [0, *before.tolist(), len(self._ends)]

    def ends(self, line: int, start: int, end: int) -> NDArray[np.int64]:
        """Where tokens end within a range of bytes counted from the beginning of a line, counted from its start."""
        start, end = self._bytes[line] + start, self._bytes[line] + end
        first, last = np.searchsorted(self._ends, (start, end), side="right")
        within = self._ends[first:last] - start
        return within if len(within) and within[-1] == end - start else np.append(within, end - start)

    def span(self, first: int, after: int) -> int:
        """Tokens of the lines with the line ends that follow them."""
        return self._before[after] - self._before[first]

    def fits(self, first: int, after: int, limit: int) -> bool:
        if self.span(first, after) <= limit:
            return True
        first, after = self.trim(first, after)
        return first == after or self.exact(first, after) <= limit

    def exact(self, first: int, after: int) -> int:
        """Tokens of the lines as `text` gives them; both the first and the last are not empty."""
        last = self._lines[after - 1].rstrip()
        cut = last.rfind(" ")
        if cut <= 0 or last[cut - 1].isspace():
            return self._before[after - 1] - self._before[first] + tokens.count(last)
        place = self._bytes[after - 1] + len(last[:cut].encode())  # a space after a word parts the text as well
        return int(np.searchsorted(self._ends, place, side="right")) - self._before[first] + tokens.count(last[cut:])

    def text(self, first: int, after: int) -> str:
        return "\n".join(self._lines[first:after]).rstrip()

    def trim(self, first: int, after: int) -> tuple[int, int]:
        """The lines without empty ones at either end."""
        while first < after and not self._lines[first].strip():
            first += 1
        while after > first and not self._lines[after - 1].strip():
            after -= 1
        return first, after
