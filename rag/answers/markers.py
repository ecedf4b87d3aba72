"""Model output, piece by piece, into plain text and citation markers; every other link is reduced to its text.

    "as shown[1, 2].", known 1 and 2  ->  "as shown", 1, " ", 2, "."

Markers are taken out of running text only: code spans and fenced blocks pass untouched. A marker with an unknown
number vanishes. What would make a Markdown renderer link to somewhere else (inline links, images, references, link
definitions) loses its target, so the only definitions an answer ever has are our own. Raw HTML and bare URLs pass:
whoever renders the answer decides about those.

What comes out does not depend on where the pieces were split: every decision looks at most `HOLD` characters ahead
and waits until they are there. After CommonMark 0.31, sections 4.5, 4.7, 6.1 and 6.3.
"""

import re
from collections.abc import Collection, Iterator

HOLD = 320
_CLOSED = HOLD - 8  # a bracket closes before this, so that what follows it is in sight

Token = str | int
"""Text, or the number of a marker."""

_DASHES = "\\-\u2010\u2011\u2012\u2013\u2014"
_MARK = re.compile(
    rf"[\[【［]\s{{0,3}}(\^?\d{{1,9}}(?:\s{{0,3}}[,;，、{_DASHES}]\s{{0,3}}\^?\d{{1,9}})*)\s{{0,3}}[\]】］]"
)
_MARK_SO_FAR = re.compile(rf"[\[【［][\s\d^,;，、{_DASHES}]*")
_RANGE = re.compile(rf"\^?(\d+)\s*[{_DASHES}]\s*\^?(\d+)|(\d+)")
_PLAIN = re.compile(r"[^\\`~!\[\]【［ \t\n]+")
_LINE_HEAD = re.compile(r"[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*")
_FENCE_HEAD = re.compile(r"[ \t]*(?:(?:>|(?:[-*+]|\d{1,9}[.)])[ \t])[ \t]*)*")
_LIST_ITEM = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]")
_DEEP = re.compile(r"[ \t>]*(?: {4}|\t)[ \t]*")
_BARE_NUMBER = re.compile(r"\s*\^?\d+\s*")
_PARAGRAPH_END = re.compile(r"\n[ \t>]*(?:\n|```|~~~)")
_BRACKETS = re.compile(r"\\.|(`+)|\[|\]|\n[ \t]*\n", re.DOTALL)
_PARENTHESES = re.compile(r"\((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*\))*\)", re.DOTALL)
_TARGET = re.compile(
    r"""\(\s*(?:<[^<>\n]*>|(?:[^\s()<>\\]|\\.|\((?:[^\s()\\]|\\.)*\))*)(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)"""
)


class MarkerScanner:
    """Feed it pieces, then finish; each call gives the tokens that are decided by then."""

    def __init__(self, known: Collection[int]) -> None:
        self._known: frozenset[int] = frozenset(known)
        self._buffer = ""
        self._final = False
        self._head: str | None = ""  # the line so far, None once it is too long to matter
        self._in_list = False  # where deeply indented lines are not code
        self._fence: str | None = None  # the run that opened the code block we are in
        self._fence_head = ""  # what stood before it on its line
        self._after_marker = False
        self._after_bang = False  # with a marker it would be an image
        self._since_open: str | None = None  # what went out after an unpaired "["
        self._owed_space = ""  # stood before a marker that vanished

    def feed(self, text: str) -> list[Token]:
        self._buffer += text
        return list(self._drain())

    def forget(self) -> None:
        """From now on no number is known."""
        self._known = frozenset()

    def finish(self) -> list[Token]:
        """The rest; an open code block is closed, so that what is appended to the answer is not part of it."""
        self._final = True
        tokens = list(self._drain())
        if self._fence is not None and not self._fence_head.strip():  # a quote or list item ends, and its code with it
            tokens.append(("" if self._head == "" else "\n") + self._fence_head + self._fence)
        return tokens

    def _drain(self) -> Iterator[Token]:
        while self._buffer:
            tokens = self._fenced() if self._fence is not None else self._running()
            if tokens is None:
                return
            yield from tokens

    # Every step takes something off the buffer and returns tokens, or returns None to wait for more text.

    def _fenced(self) -> list[Token] | None:
        assert self._fence is not None
        line, newline, _ = self._buffer.partition("\n")
        if self._head == "":
            mark, short = re.escape(self._fence[0]), len(line) < HOLD
            if short and not newline and not self._final and re.fullmatch(rf"[ \t>]*{mark}*[ \t\r]*", line):
                return None
            if self._leaves_container(line):
                self._fence = None
                return []
            if short and re.fullmatch(rf"[ \t>]*{mark}{{{len(self._fence)},}}[ \t\r]*", line):
                self._fence = None
                return self._take(len(line))
        return self._take(len(line) + len(newline))

    def _leaves_container(self, line: str) -> bool:
        """True when the quote or list item that the code block began in is over, and the block with it."""
        if ">" in self._fence_head:
            return not line.lstrip(" ").startswith(">")
        return bool(self._fence_head.strip()) and line[:1] not in ("", " ", "\t")

    def _running(self) -> list[Token] | None:
        if plain := _PLAIN.match(self._buffer):
            return self._take(plain.end())
        match self._buffer[0]:
            case "\n":
                return self._take(1)
            case "\\":
                return self._escape()
            case "`":
                return self._backticks()
            case "~":
                return self._tildes()
            case " " | "\t":
                return self._spaces()
            case "]":
                return self._closing()
            case "!":
                return self._exclamation()
            case _:
                return self._bracket("")

    @property
    def _all_here(self) -> bool:
        """True when waiting is over: the text has ended or the most that we hold back is here."""
        return self._final or len(self._buffer) >= HOLD

    @property
    def _at_line_head(self) -> bool:
        return self._head is not None and _LINE_HEAD.fullmatch(self._head) is not None

    @property
    def _may_open_fence(self) -> bool:
        head = self._head
        return head is not None and bool(_FENCE_HEAD.fullmatch(head)) and (self._in_list or not _DEEP.fullmatch(head))

    def _take(self, length: int) -> list[Token]:
        text, self._buffer = self._buffer[:length], self._buffer[length:]
        return self._out(text)

    def _out(self, text: str) -> list[Token]:
        if not text:
            return []
        if self._after_marker and text[0] in "[(":
            text = " " + text
        if self._owed_space and text[0].isalnum():
            text = self._owed_space + text
        self._owed_space = ""
        self._after_marker = False
        self._after_bang = text.endswith("!") and text != "\\!"
        self._track(text)
        return [text]

    def _track(self, text: str) -> None:
        if "[" in text or "]" in text:
            self._since_open = "" if text.endswith("[") else None
        elif self._since_open is not None and len(self._since_open) < 64:
            self._since_open += text
        for line in ((self._head or "") + text).split("\n")[:-1]:
            self._in_list = bool(_LIST_ITEM.match(line)) or (self._in_list and (not line.strip() or line[0] in " \t>"))
        before, newline, after = text.rpartition("\n")
        head = after if newline else (None if self._head is None else self._head + before + after)
        self._head = head if head is not None and len(head) <= 64 else None

    def _escape(self) -> list[Token] | None:
        if len(self._buffer) == 1 and not self._final:
            return None
        return self._take(1 if self._buffer[1:2] in ("", "\n") else 2)

    def _run(self) -> str | None:
        """The run of one character that the buffer starts with, None while it may grow."""
        run = self._buffer[: len(self._buffer) - len(self._buffer.lstrip(self._buffer[0]))]
        return None if len(run) == len(self._buffer) and not self._all_here else run[:HOLD]

    def _backticks(self) -> list[Token] | None:
        run = self._run()
        if run is None:
            return None
        if self._may_open_fence and len(run) >= 3:
            info, newline, _ = self._buffer[len(run) : HOLD].partition("\n")
            if "`" not in info:
                if not newline and not self._all_here:
                    return None
                self._open_fence(run)
                return self._take(len(run) + len(info))
        end = _code_span_end(self._buffer[:HOLD], len(run), self._all_here)
        return None if end is None else self._take(end)

    def _tildes(self) -> list[Token] | None:
        run = self._run()
        if run is None:
            return None
        if self._may_open_fence and len(run) >= 3:
            self._open_fence(run)
        return self._take(len(run))

    def _open_fence(self, run: str) -> None:
        self._fence, self._fence_head = run, self._head or ""

    def _spaces(self) -> list[Token] | None:
        length = len(self._buffer) - len(self._buffer.lstrip(" \t"))
        if length >= 16:
            return self._take(16)
        if length == len(self._buffer):
            return self._take(length) if self._final else None
        if self._buffer[length] not in "[【［":
            return self._take(length)
        spaces, self._buffer = self._buffer[:length], self._buffer[length:]
        tokens = self._bracket(spaces)
        if tokens is None:
            self._buffer = spaces + self._buffer
        return tokens

    def _closing(self) -> list[Token] | None:
        if len(self._buffer) == 1 and not self._final:
            return None
        if self._since_open is not None and _BARE_NUMBER.fullmatch(
            self._since_open
        ):  # left by a removal, and unchecked
            self._buffer = "\\" + self._buffer
            return self._take(2)
        if self._buffer[1:2] in ("(", "["):
            self._buffer = "] " + self._buffer[1:]
        return self._take(1)

    def _exclamation(self) -> list[Token] | None:
        if len(self._buffer) == 1 and not self._final:
            return None
        if self._buffer[1:2] != "[":
            return self._take(1)
        self._buffer = self._buffer[1:]
        tokens = self._bracket("", image=True)
        if tokens is None:
            self._buffer = "!" + self._buffer
        return tokens

    def _bracket(self, spaces: str, *, image: bool = False) -> list[Token] | None:
        window = self._buffer[:HOLD]
        if mark := _MARK.match(window[:_CLOSED]):
            return self._mark(mark, spaces, image)
        if _MARK_SO_FAR.fullmatch(window) and not self._all_here:
            return None
        if window[0] != "[":
            return self._out(spaces) + self._take(1)
        end = _closing_bracket(window, self._all_here)
        if end is None:
            return None
        before = spaces + ("!" if image else "")
        if not 0 <= end < _CLOSED:
            self._buffer = ("\\[" if self._at_line_head else "[") + self._buffer[1:]
            return self._out(before) + self._take(2 if self._buffer[0] == "\\" else 1)
        after = window[end + 1 :]
        if not after and not self._all_here:
            return None
        if after[:1] == ":" and self._at_line_head:
            self._buffer = self._buffer[: end + 1] + "\\" + self._buffer[end + 1 :]
        elif after[:1] in ("(", "["):
            skip = _target_length(after, self._all_here)
            if skip is None:
                return None
            if skip >= 0:
                self._buffer = window[1:end] + (" " if skip == 0 else "") + self._buffer[end + 1 + skip :]
                return self._out(spaces)
        return self._out(before) + self._take(1)

    def _mark(self, mark: re.Match[str], spaces: str, image: bool) -> list[Token] | None:
        after = self._buffer[mark.end() : HOLD]
        if not after and not self._all_here:
            return None
        skip = 0
        if after[:1] == "(" and mark[0][0] == "[":
            target = _target_length(after, self._all_here)
            if target is None:
                return None
            skip = max(target, 0)
        numbers = _numbers(mark[1], self._known)
        if numbers is None:  # a range like 0-9 is no citation
            return self._out(spaces + ("!" if image else "")) + self._take(mark.end())
        starts_line = self._at_line_head
        self._buffer = self._buffer[mark.end() + skip :]
        tokens = self._out("!") if image else []
        if not numbers:
            self._owed_space = self._owed_space or spaces
            return tokens
        if starts_line and self._buffer[:1] == ":":
            self._buffer = "\\" + self._buffer
        tokens += self._out(spaces or self._owed_space or (" " if self._after_marker or self._after_bang else ""))
        for place, number in enumerate(numbers):
            tokens += [" "] * (place > 0) + [number]
        self._out("]")
        self._owed_space, self._after_marker = "", True
        return tokens


def _numbers(text: str, known: frozenset[int]) -> list[int] | None:
    """The known numbers of a group in its order; None when it holds a range that starts with 0."""
    found: dict[int, None] = {}
    for first, last, single in _RANGE.findall(text):
        low, high = (int(single), int(single)) if single else (int(first), int(last))
        if low == 0 and not single:
            return None
        if low > high:
            low, high = high, low
        found.update(dict.fromkeys(number for number in sorted(known) if low <= number <= high))
    return list(found)


def _code_span_end(text: str, run: int, all_here: bool) -> int | None:
    """Where the code span ends that starts with `run` backticks; after the run alone when it is none; None to wait."""
    limit = paragraph.start() if (paragraph := _PARAGRAPH_END.search(text, run)) else len(text)
    for closing in re.finditer("`+", text[run:limit]):
        if run + closing.end() == len(text) and not all_here:
            return None
        if len(closing[0]) == run:
            return run + closing.end()
    return run if paragraph or all_here else None


def _closing_bracket(text: str, all_here: bool) -> int | None:
    """Where the bracket closes that `text` starts with; -1 when it does not; None to wait."""
    depth, place = 0, 0
    while found := _BRACKETS.search(text, place):
        place = found.end()
        if found[1]:
            if place == len(text) and not all_here:
                return None
            span = _code_span_end(text[found.start() :], len(found[1]), all_here)
            if span is None:
                return None
            place = found.start() + span
        elif found[0] == "[":
            depth += 1
        elif found[0] == "]":
            depth -= 1
            if depth == 0:
                return found.start()
        elif found[0][0] == "\n":
            return -1
    return -1 if all_here else None


def _target_length(text: str, all_here: bool) -> int | None:
    """How much of `text` is the target of the link before it: 0 for a marker, -1 for no target; None to wait."""
    if text[0] == "[":
        if text.startswith("[]"):
            return 2
        if _MARK.match(text):
            return 0
        return None if _MARK_SO_FAR.fullmatch(text) and not all_here else -1
    if target := _TARGET.match(text):
        return target.end()
    parentheses = _PARENTHESES.match(text)
    if all_here or (parentheses and not set(parentheses[0]) & set("\"'")):
        return -1
    return None
