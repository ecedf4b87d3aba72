"""The grammar of fenced code: which line opens a fence, which one closes it, where fences are in a text.

Wider than CommonMark on purpose: a fence may be indented by any amount, because MkDocs, MDX and nested lists indent
them. Everything that has to know what a fence is asks here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CONTAINER = r"[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t][ \t>]*+)*+"
"""Pattern: what may stand before a block on its first line: indentation, quotation marks, list marks."""
MARK = r"`{3,}+|~{3,}+"

_OPENING = re.compile(rf"(?P<before>{CONTAINER})(?P<mark>{MARK})(?P<info>[^\n]*)")
_LIST_MARK = re.compile(r"[-*+]|\d{1,9}[.)]")


@dataclass(frozen=True, slots=True)
class Fence:
    """An opening line: `before` is what stands in front of the mark, `info` what follows it."""

    before: str
    mark: str
    info: str

    @property
    def quoted(self) -> bool:
        return ">" in self.before

    @property
    def continuation(self) -> str:
        """What stands before the other lines of the block: the same width without the list marks."""
        return _LIST_MARK.sub(lambda found: " " * len(found[0]), self.before)

    def is_closed_by(self, line: str) -> bool:
        """True for a line of nothing but the same mark, at least as long."""
        rest = line.strip(" \t>")
        return len(rest) >= len(self.mark) and not rest.strip(self.mark[0])


def opening(text: str, start: int = 0, end: int | None = None) -> Fence | None:
    """The fence that the line at `start` opens; None for every other line."""
    found = _OPENING.match(text, start, len(text) if end is None else end)
    if found is None or (found["mark"][0] == "`" and "`" in found["info"]):
        return None
    return Fence(found["before"], found["mark"], found["info"])


def closing(fence: Fence) -> str:
    """Pattern of the line end and the line that close a fence; one in a quotation ends at the latest with that."""
    closer = rf"\n[ \t>]*+{re.escape(fence.mark[0])}{{{len(fence.mark)},}}[ \t]*+(?=\n|\Z)"
    return closer + (r"|\n(?![ \t]*+>)" if fence.quoted else "")


def fenced_lines(lines: Sequence[str]) -> Iterator[tuple[int, int, Fence, bool]]:
    """(first, after, fence, closed) of each fenced block, half open."""
    at = 0
    while at < len(lines):
        fence = opening(lines[at])
        first, at = at, at + 1
        if fence is None:
            continue
        while at < len(lines) and not fence.is_closed_by(lines[at]) and (not fence.quoted or _is_quoted(lines[at])):
            at += 1
        closed = at < len(lines) and fence.is_closed_by(lines[at])
        at += closed
        yield first, at, fence, closed


def left_open(text: str) -> Fence | None:
    """The fence that a text opens and does not close."""
    return next((fence for _, _, fence, closed in fenced_lines(text.split("\n")) if not closed), None)


def _is_quoted(line: str) -> bool:
    return line.lstrip(" \t").startswith(">")
