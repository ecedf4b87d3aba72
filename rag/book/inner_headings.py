"""The headings that begin inside a chunk's text, with the places where they do."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rag.book.markdown import Page
from rag.types import InnerHeading

MOST = 32
"""Per chunk: a page of bare headings must not be stored many times over. What comes after belongs to the last one."""


def inner_headings(page: Page, text: str, top: int, first: int, after: int) -> Iterator[InnerHeading]:
    """The headings of the page's lines `first` to `after`, for a text that begins with its line `top`.

    Each is where its own line stands in the text; if that was left out, where the first of the lines below it does.
    """
    headings = page.headings_between(first, after)[:MOST]
    offset, line = 0, top
    for heading, following in zip_longest(headings, headings[1:]):
        end = following.line if following else after
        for at in range(heading.line, end):
            found = _find_line(text, page.lines, offset, line, at)
            if found >= 0:
                offset, line = found, at
                yield InnerHeading(found, *page.path_at(heading.line))
                break


def _find_line(text: str, lines: Sequence[str], offset: int, known: int, wanted: int) -> int:
    """Where a line of the page stands in the text, -1 if it does not; the line `known` stands at `offset`.

    Code may hold the line as well: as often as it comes before its place in the page it is passed over.
    """
    line = lines[wanted].rstrip()
    if not line:
        return -1
    for _ in range(1 + sum(other.rstrip() == line for other in lines[known:wanted])):
        offset = _next_line(text, line, offset)
        if offset < 0:
            return -1
        last, offset = offset, offset + len(line)
    return last


def _next_line(text: str, line: str, start: int) -> int:
    while (start := text.find(line, start)) >= 0:
        end = start + len(line)
        if (not start or text[start - 1] == "\n") and not text[end:].partition("\n")[0].strip():
            return start
        start = end
    return -1
