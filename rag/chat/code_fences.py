"""Which code blocks of an answer every CommonMark parser sees, and how to write the others so that it does.

A fence at the beginning of a line opens a code block whatever stands before it. One that is indented does so only
inside a list item, whose column this module follows as far as it is beyond doubt; all others are moved to the beginning
of the line. A block that its list item or quotation ends gets a closing fence first. After CommonMark 0.31, sections
4.5, 5.2 and 5.3.
"""

import re
from dataclasses import dataclass

LONGEST_RUN = 32

_HEAD = re.compile(r"[ \t]*+(?:(?:>|[-*+](?=[ \t\n])|\d{1,9}[.)](?=[ \t\n]))[ \t]*+)*+")
_HEAD_SO_FAR = re.compile(r"(?:[-*+]|\d{1,9}[.)]?|`{1,2}|~{1,2}|`{3,}[^`\n]*|~{3,}[^\n]*)?")
_OPENING = re.compile(rf"(?P<mark>`{{3,{LONGEST_RUN}}}|~{{3,{LONGEST_RUN}}}(?!~))(?P<info>[^\n]*)")
_ITEM = re.compile(r"([-*+]|\d{1,9}[.)]) {1,4}")


def head_of(text: str, place: int, end: int) -> int:
    """Where the indentation and the marks of quotations and list items end that a line begins with."""
    found = _HEAD.match(text, place, end)
    return found.end() if found else place


def may_grow(text: str, place: int) -> bool:
    """True when what follows a head so far may still become a mark or a fence."""
    return _HEAD_SO_FAR.fullmatch(text, place) is not None


def opening(text: str, place: int, end: int, *, final: bool) -> re.Match[str] | None:
    """The fence that opens at `place`, on a line that ends before `end`."""
    found = _OPENING.match(text, place, end)
    if found is None or (found["mark"][0] == "`" and "`" in found["info"]):
        return None
    ended = found.end() < len(text) and text[found.end()] == "\n"
    return found if ended or (final and found.end() == len(text)) else None


@dataclass(slots=True)
class Fence:
    """An open code block: `indent` is the column it is written at, `shift` how far it was moved to the left."""

    mark: str
    indent: int = 0
    shift: int = 0
    quotes: int = 0

    @property
    def closing(self) -> str:
        return " " * self.indent + self.mark

    def quotation(self, text: str, place: int) -> int | None:
        """Where a line's content begins behind the marks of the quotation; None when that has ended."""
        found = re.compile(rf"(?:[ \t]{{0,3}}> ?){{{self.quotes}}}").match(text, place)
        return found.end() if found else None

    def closes(self, line: str) -> bool:
        """True for a line of fence characters that ends the block for some parser, or was meant to."""
        bare = line.strip(" \t")
        run = len(bare) - len(bare.lstrip(self.mark[0]))
        return run >= len(self.mark) and not bare.strip("`~") and columns(line) - self.indent - self.shift <= 3


def columns(line: str) -> int:
    """How many columns a line is indented by."""
    expanded = line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4)
    return len(expanded)


class Lists:
    """The columns at which the content of the open list items begins; none while there is any doubt."""

    def __init__(self) -> None:
        self._columns: list[int] = []

    @property
    def column(self) -> int | None:
        return self._columns[-1] if self._columns else None

    def enter(self, head: str, *, after_blank: bool, empty: bool, fence: bool) -> None:
        """A line with this head begins. `empty`: nothing follows it; `fence`: a fence does."""
        indent = len(head) - len(head.lstrip(" "))
        mark = head[indent:]
        item = _ITEM.fullmatch(mark)
        popped = False
        while self._columns and indent < self._columns[-1]:
            self._columns.pop()
            popped = True
        base = self._columns[-1] if self._columns else 0
        if not mark:
            if popped and not after_blank and not fence:
                self.forget()  # the line may continue the item's paragraph
            return
        begins = item is not None and (item[1] in "-*+" or item[1][:-1] == "1" or after_blank or popped)
        if begins and not empty and indent - base <= 3:
            self._columns.append(indent + len(mark))
        else:
            self.forget()

    def forget(self) -> None:
        self._columns.clear()

    def place(self, head: str, mark: str) -> Fence:
        """The block that a fence behind this head opens, written so that nobody can see anything else in it."""
        column = self.column
        at = len(head)
        if column is not None and column <= at <= column + 3 and ">" not in head and "\t" not in head:
            return Fence(mark, indent=column)
        self.forget()
        return Fence(mark, shift=0 if ">" in head else columns(head.expandtabs(4) + "x"), quotes=head.count(">"))
