"""Model output, piece by piece, into plain text and citation markers; nothing else of it can be a link.

    "as shown[1, 2].", known 1 and 2  ->  "as shown", 1, " ", 2, "."

Two kinds of text leave the scanner. Code is untouched, but only where no parser can see anything but code in it: blocks
(`rag.chat.code_fences`) and code spans that begin and end on one line. In everything else what makes a link, an image,
a definition, an autolink or HTML is taken apart: `](` gets a space, `]:` and `<` a backslash, links and images lose
their targets, every other backtick is escaped. So it does not matter what a parser takes for a paragraph.

Line ends are newlines before anything is looked at. What comes out does not depend on where the pieces were split:
every decision looks at most `HOLD` characters ahead and waits until they are there. Time is linear in the text.
"""

import re
import string
from collections.abc import Collection

from rag.chat.code_fences import LONGEST_RUN, Fence, Lists, columns, head_of, may_grow, opening

HOLD = 320

Token = str | int
"""Text, or the number of a marker."""

_DASHES = "\\-\u2010\u2011\u2012\u2013\u2014"
_GAP = r"[^\S\n]{0,3}"
_MARK = re.compile(rf"[\[【［]{_GAP}(\^?\d{{1,9}}(?:{_GAP}[,;，、{_DASHES}]{_GAP}\^?\d{{1,9}})*+){_GAP}[\]】］]")
_MARK_SO_FAR = re.compile(rf"[\[【［](?:[^\S\n]|[\d^,;，、{_DASHES}])*+")
_RANGE = re.compile(rf"\^?(\d+)\s*[{_DASHES}]\s*\^?(\d+)|(\d+)")
_PLAIN = re.compile(r"(?:[ \t]{0,15}+[^ \t\n\\`!\[\]【［<]++)++")
_LINK = re.compile(
    r"(?P<text>\[(?P<label>[^\[\]\\`<\n]*+)\])(?:(?P<empty>\[\])|\([ \t]*+"
    r"(?:<[^<>\n]*+>|(?:[^\s()<>\[\]\\`]|\([^\s()<>\[\]\\`]*+\))*+)"
    r"(?:[ \t]++(?:\"[^\"\n]*+\"|'[^'\n]*+'))?+[ \t]*+\))?+"
)
_LINK_SO_FAR = re.compile(r"\[[^\[\]\\`<\n]*+(?:\](?:\[|\([^\n)(]*+(?:\([^\n()]*+\)?+)?+[^\n()]*+)?+)?+")
_BARE_NUMBER = re.compile(r"\s*\^?\d+\s*")
_BARE_ADDRESS = re.compile(r"(?<=:)/|(?<=www)\.|(?<=[\w.+-])@", re.IGNORECASE)
_HARMLESS_LESS = re.compile(r"<(?:[\d=\-+$.,;)]|[ \t][^\s\[【［])")
_HEADISH = re.compile(r"[\s>*+\-\d.)]*+")
_DELIMITER_ROW = re.compile(r"[ \t>|:-]*+")
_LINKABLE = re.compile(r"[\[\]<@]|://|www\.", re.IGNORECASE)
_JOINTS = re.compile(
    r"(?<=[\]!])(?=[(\[:])|(?<=<)(?=\S)|(?<=:)(?=/)|(?<=www)(?=\.)|(?<=\w)(?=@)|(?<=[.+-])(?=@)", re.IGNORECASE
)
_PIPE = re.compile(r"\\*+\|")
_STRANGE = re.compile("[\r\0\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_PLAINER = str.maketrans(
    {"\0": "\ufffd", "\x85": " ", "\u2028": "\n", "\u2029": "\n"} | dict.fromkeys("\x0b\x0c\x1c\x1d\x1e", " ")
)
_PUNCTUATION = frozenset(string.punctuation)


class CitationFilter:
    """Feed it pieces, then finish; each call gives the tokens that are decided by then."""

    def __init__(self, known: Collection[int]) -> None:
        self._known: frozenset[int] = frozenset(known)
        self._buffer, self._at = "", 0
        self._final = False
        self._returned = False  # the last piece ended in a carriage return
        self._tokens: list[Token] = []
        self._lists = Lists()
        self._fence: Fence | None = None
        self._fresh = True  # at the beginning of a line
        self._skip = False  # what is left of the line is dropped
        self._blank, self._above_blank = True, True  # this line so far, and the line above
        self._line_head = True  # only what may stand before a definition has gone out on this line
        self._row = True  # the line so far may be the delimiter row of a table
        self._table = False
        self._split = False  # this line holds code that would fall apart as a row of a table
        self._piped = self._linkable = False  # a code span of this line holds a pipe; what could be a link
        self._torn = False  # something at the head of this line vanished: what follows was not looked at as a head
        self._tail = ""
        self._last = ""  # what the last piece that went out was, where that matters: one of `]`, `]:`, `!`, "`", `\\`
        self._mid_bracket = False
        self._since_open: str | None = None  # what went out after an unpaired "["
        self._owed_space = ""  # stood before a marker that vanished
        self._long_run = False

    def feed(self, text: str) -> list[Token]:
        self._buffer += self._normalised(text)
        return self._drain()

    def forget(self) -> None:
        """From now on no number is known."""
        self._known = frozenset()

    def finish(self) -> list[Token]:
        """The rest; an open code block is closed, so that what is appended to the answer is not part of it."""
        self._final = True
        tokens = self._drain()
        if self._fence is not None:
            tokens.append(("" if self._fresh else "\n") + self._fence.closing)
        return tokens

    def _normalised(self, text: str) -> str:
        if self._returned and text:
            text, self._returned = text.removeprefix("\n"), False
        if not _STRANGE.search(text):
            return text
        self._returned = text.endswith("\r")
        return text.replace("\r\n", "\n").replace("\r", "\n").translate(_PLAINER)

    def _drain(self) -> list[Token]:
        self._tokens = []
        while self._at < len(self._buffer):
            if self._skip:
                step = self._drop
            elif self._fence is not None:
                step = self._code
            else:
                step = self._begin_line if self._fresh else self._running
            if not step():
                break
        self._buffer, self._at = self._buffer[self._at :], 0
        return self._tokens

    # Every step takes something off the buffer, or returns False to wait for more text.

    @property
    def _end(self) -> int:
        """How far a decision may look."""
        return min(len(self._buffer), self._at + HOLD)

    @property
    def _all_here(self) -> bool:
        return self._final or len(self._buffer) - self._at >= HOLD

    def _begin_line(self) -> bool:
        buffer, end = self._buffer, self._end
        if buffer[self._at] == "\n":
            after = _run_end(buffer, self._at)
            self._put(buffer[self._at : after])
            self._at, self._above_blank, self._split, self._table = after, True, False, False
            return True
        if self._split:
            self._put("\n")  # a row of dashes now would make a table of both lines
            self._split, self._above_blank = False, True
        at = head_of(buffer, self._at, end)
        if not self._all_here and may_grow(buffer, at):
            return False
        head = buffer[self._at : at]
        found = opening(buffer, at, end, final=self._final)
        empty = at >= len(buffer) or buffer[at] == "\n"
        if head.strip(" \t") or not empty:
            self._lists.enter(head, after_blank=self._above_blank, empty=empty, fence=found is not None)
        if len(head) >= HOLD:
            self._lists.forget()
        self._fresh = False
        if found is not None:
            return self._open(head, found)
        self._at = at
        if head:
            self._put(head)
            self._row = _DELIMITER_ROW.fullmatch(head) is not None
            self._blank = not head.strip(" \t")
        return True

    def _open(self, head: str, found: re.Match[str]) -> bool:
        self._fence = self._lists.place(head, found["mark"])
        info = found["info"].replace("|", " ")  # with a row of dashes below it would be a table
        self._put((head if self._fence.indent else "") + found["mark"] + info)
        self._at = found.end()
        self._blank = self._table = self._row = False
        return True

    def _code(self) -> bool:
        buffer = self._buffer
        if self._fresh and not self._begin_code_line():
            return False
        if self._fence is None:
            return True
        newline = buffer.find("\n", self._at)
        after = len(buffer) if newline < 0 else newline + 1
        self._put(buffer[self._at : after])
        self._at, self._fresh = after, newline >= 0
        return True

    def _drop(self) -> bool:
        """What is left of a line that closed a block."""
        newline = self._buffer.find("\n", self._at)
        self._at = len(self._buffer) if newline < 0 else newline
        self._skip = newline < 0
        return True

    def _begin_code_line(self) -> bool:
        """Decides what a line is to the open block; puts its indentation right."""
        fence, buffer, end = self._fence, self._buffer, self._end
        assert fence is not None
        at: int | None = self._at
        if fence.quotes:
            at = fence.quotation(buffer, self._at)
            if at is None:
                if not self._all_here and not buffer[self._at :].strip(" \t>"):
                    return False
                return self._leave(fence)
        assert at is not None
        newline = buffer.find("\n", at, end)
        line = buffer[at : newline if newline >= 0 else end]
        if not line.strip(" \t`~") and newline < 0 and not self._all_here:
            return False
        if fence.closes(line):
            self._put(fence.closing)
            self._fence, self._fresh, self._skip, self._at = None, False, True, at + len(line)
            return True
        width = columns(line)
        if line.strip(" \t") and width < fence.indent:
            return self._leave(fence)
        self._fresh = False
        if fence.indent or fence.shift:
            text = line.lstrip(" \t")
            self._put(" " * max(0, width - fence.shift))
            at += len(line) - len(text)
        self._at = at
        return True

    def _leave(self, fence: Fence) -> bool:
        """The list item or quotation is over, and the block with it."""
        self._put(fence.closing + "\n")
        self._fence, self._above_blank = None, True
        return True

    def _running(self) -> bool:
        if plain := _PLAIN.match(self._buffer, self._at):
            self._long_run = False
            return self._take(plain.end())
        match self._buffer[self._at]:
            case "\n":
                return self._newline()
            case "\\":
                return self._escape()
            case "`":
                return self._backticks()
            case " " | "\t":
                return self._spaces()
            case "]":
                return self._closing()
            case "<":
                return self._less()
            case "!":
                return self._exclamation()
            case _:
                return self._bracket("")

    def _newline(self) -> bool:
        self._at += 1
        self._put("\n")
        self._table = not self._blank and (self._table or self._row)
        self._split = self._split and not self._blank
        self._above_blank = self._blank
        self._fresh = self._blank = self._line_head = self._row = True
        self._mid_bracket = self._long_run = self._piped = self._linkable = self._torn = False
        self._owed_space = ""
        return True

    def _put(self, text: str) -> None:
        """Code and white space, as it is."""
        if text:
            self._tokens.append(text)
            self._tail, self._last = (self._tail + text[-3:])[-3:], ""

    def _take(self, end: int) -> bool:
        text = self._buffer[self._at : end]
        self._at = end
        self._out(text)
        return True

    def _out(self, text: str, last: str = "") -> None:
        """Text that is no code, without bare addresses. `last`: what it is to what follows."""
        if self._owed_space and text[0].isalnum():
            text = self._owed_space + text
        self._owed_space = ""
        text = self._between(text[0]) + text
        if self._torn and self._line_head and text.lstrip(" \t").startswith("~"):
            text = text.replace("~", "\\~", 1)
        if "/" in text or "." in text or "@" in text:
            text = self._without_addresses(text)
        self._tokens.append(text)
        self._tail, self._last = (self._tail + text[-3:])[-3:], last
        self._blank = self._blank and not text.strip(" \t")
        if self._row:
            self._row = _DELIMITER_ROW.fullmatch(text) is not None
        if self._line_head:
            self._line_head = _HEADISH.fullmatch(text) is not None
        if last == "[":
            self._since_open = ""
        elif "]" in last:
            self._since_open = None
        elif self._since_open is not None and len(self._since_open) < 64:
            self._since_open += text

    def _without_addresses(self, text: str) -> str:
        joined, start = self._tail + text, len(self._tail)
        places = [found.start() for found in _BARE_ADDRESS.finditer(joined, start)]
        return "\\".join(joined[a:b] for a, b in zip([start, *places], [*places, len(joined)], strict=True))

    def _between(self, first: str) -> str:
        """What keeps the text that went out last from making a whole with text that begins with `first`."""
        match self._last:
            case "\\" if first in _PUNCTUATION:
                return "\\"
            case "]" | "]:" if first in "([":
                return " "
            case "]:" if first == ":":
                return "\\"
            case "!" if first == "[":
                return " "
            case "`" if first == "`":
                return " "
            case _:
                return ""

    def _escape(self) -> bool:
        if self._at + 1 == len(self._buffer) and not self._final:
            return False
        pair = self._buffer[self._at : self._at + 2]
        if pair[1:] in _PUNCTUATION:
            self._at += 2
            self._out(pair)
        else:
            self._at += 1
            self._out("\\", "\\")
        return True

    def _backticks(self) -> bool:
        """A code span that ends on its line, or ticks that are none."""
        buffer, at, end = self._buffer, self._at, self._end
        run = len(buffer[at:end]) - len(buffer[at:end].lstrip("`"))
        if run > LONGEST_RUN or self._long_run:
            self._long_run = True
            self._at += run
            self._out("\\`" * run)
            return True
        window, _, rest = buffer[at + run : end].partition("\n")
        ended = bool(rest) or "\n" in buffer[at + run : end]
        for closing in re.finditer("`+", window):
            if closing.end() == len(window) and not ended and not self._final:
                break
            if len(closing[0]) == run:
                self._at += run + closing.end()
                self._span(window[: closing.start()], run)
                return True
        if not ended and not self._all_here:
            return False
        self._at += run
        self._out("\\`" * run)
        return True

    def _span(self, content: str, run: int) -> None:
        mark = "`" * run if "`" in content else "`"
        linkable = _LINKABLE.search(content) is not None
        if linkable and ("`" in content or (self._table and "|" in content)):
            content = _JOINTS.sub(" ", content)
        self._linkable |= linkable
        if "|" in content and self._table:
            content = _PIPE.sub(r"\\|", content)
        elif "|" in content:
            self._piped = True
        self._split = self._piped and self._linkable
        text = self._between("`") + self._owed_space + mark + content + mark
        self._put(text)
        self._last, self._owed_space, self._since_open = "`", "", None
        self._blank = self._row = self._line_head = False

    def _spaces(self) -> bool:
        buffer, at = self._buffer, self._at
        length = len(buffer) - at - len(buffer[at:].lstrip(" \t")) if len(buffer) - at <= 16 else 0
        length = length or len(buffer[at : at + 16]) - len(buffer[at : at + 16].lstrip(" \t"))
        if length >= 16:
            return self._take(at + 16)
        if at + length == len(buffer):
            return self._take(at + length) if self._final else False
        if buffer[at + length] not in "[【［":
            return self._take(at + length)
        self._at += length
        if self._bracket(buffer[at : at + length]):
            return True
        self._at = at
        return False

    def _closing(self) -> bool:
        if self._since_open is not None and _BARE_NUMBER.fullmatch(self._since_open):
            self._at += 1
            self._out("\\]")  # left by a removal, and unchecked
            self._since_open = None
            return True
        self._at += 1
        self._out("]", "]" if self._mid_bracket else "]:")
        self._mid_bracket = False
        return True

    def _less(self) -> bool:
        buffer, at = self._buffer, self._at
        if len(buffer) - at < 3 and not self._final:
            return False
        if _HARMLESS_LESS.match(buffer, at):
            return self._take(at + 1)
        run = max(1, _run_end(buffer, at) - at - 1)
        self._at += run
        self._out("\\<" * run)
        return True

    def _exclamation(self) -> bool:
        buffer, at = self._buffer, self._at
        if buffer.startswith("!!", at):
            self._at = _run_end(buffer, at) - 1
            self._out(buffer[at : self._at], "!")
            return True
        if at + 1 == len(buffer) and not self._final:
            return False
        if buffer[at + 1 : at + 2] == "[" and (link := self._link(at + 1)) is not None:
            if link is False:
                return False
            self._at = link
            return True
        self._at += 1
        self._out("!", "!")
        return True

    def _link(self, at: int, spaces: str = "") -> int | bool | None:
        """Puts out the text of the link or image that begins at `at`: where it ends. None: it is none; False: wait."""
        buffer, end = self._buffer, min(len(self._buffer), at + HOLD)
        here = self._final or len(buffer) - at >= HOLD
        if _MARK.match(buffer, at, end):
            return None
        if not here and _LINK_SO_FAR.fullmatch(buffer, at):
            return False
        found = _LINK.match(buffer, at, end)
        if found is None or found.end() == found.end("text"):
            return None
        if spaces:
            self._out(spaces)
        if self._line_head:
            self._lists.forget()
            self._torn = True
        if found["label"]:
            self._out(found["label"].replace("!", "\\!"))
        return found.end()

    def _bracket(self, spaces: str) -> bool:
        buffer, at, end = self._buffer, self._at, self._end
        if mark := _MARK.match(buffer, at, end - 8 if end == at + HOLD else end):
            return self._mark(mark, spaces)
        if not self._all_here and _MARK_SO_FAR.fullmatch(buffer, at):
            return False
        if buffer[at] != "[":
            self._out(spaces + buffer[at])
            self._at += 1
            return True
        if buffer.startswith("[[", at) and not self._line_head and not spaces:
            self._at = _run_end(buffer, at) - 1
            self._out(buffer[at : self._at], "[")
            return True
        link = self._link(at, spaces)
        if link is False:
            return False
        if link is not None:
            self._at = link
            return True
        if spaces:
            self._out(spaces)
        head = self._line_head
        self._at += 1
        closed = _LINK.match(buffer, at, end)
        if head and closed is None:
            self._out("\\[")
        else:
            self._out("[", "[")
            self._mid_bracket = not head
        return True

    def _mark(self, mark: re.Match[str], spaces: str) -> bool:
        buffer, end = self._buffer, self._end
        if mark.end() == len(buffer) and not self._all_here:
            return False
        skip = mark.end()
        if buffer.startswith("(", skip) and mark[0][0] == "[":
            shown = _LINK.match(f"[]{buffer[skip:end]}")
            if shown is not None and shown.end() > 2:
                skip += shown.end() - 2
            elif not self._all_here and _LINK_SO_FAR.fullmatch(f"[]{buffer[skip:end]}"):
                return False
        numbers = _numbers(mark[1], self._known)
        if numbers is None:  # a range like 0-9 is no citation
            self._at = mark.end()
            self._out(spaces + mark[0], "]:")
            return True
        self._at = skip
        if not numbers:
            self._owed_space = self._owed_space or spaces
            if self._line_head:
                self._lists.forget()
                self._torn = True
            return True
        lead = spaces or self._owed_space or (" " if self._last in ("!", "]", "]:") else "")
        self._owed_space = ""
        if lead:
            self._out(lead)
        if self._last == "\\":
            self._out("\\")
        for place, number in enumerate(numbers):
            self._tokens += [" "] * (place > 0) + [number]
        self._last = "]:" if self._line_head else "]"
        self._blank = self._row = self._line_head = self._mid_bracket = False
        self._since_open, self._tail = None, "]"
        return True


def _run_end(text: str, place: int) -> int:
    """Where the run of one character ends that begins at `place`."""
    character, end = text[place], place + 1
    while text.startswith(character, end):
        end += 1
    return end


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
