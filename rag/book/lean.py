"""The text of a page without what its readers never see, line for line.

Front matter, comments, imports and exports, tags that stand alone and closing marks of containers become empty lines;
a container's opening mark becomes a line in bold; base64 images shrink. Fences keep every character. Each line
knows where it began in the source, so that places in the lean text are places in the file.

Comments, tags and ESM as in MDX (https://mdxjs.com), containers as in Docusaurus (`:::tip`).
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate

from rag.book.frontmatter import front_matter_lines

_INDENT = r"[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)?+"
_LINE = (
    rf"{_INDENT}(?:(?P<fence>`{{3,}}+|~{{3,}}+)(?P<info>[^\n]*)"
    r"|(?P<directive>:{3,}+)(?P<title>[^\n]*)"
    r"|(?P<comment><!--|\{/\*)"
    r"|(?P<tag></?[A-Za-z])"
    r"|(?P<esm>import[ \t{'\"*]|export[ \t]))"
)
_FIRST_LINE = re.compile(_LINE)
_NEXT_LINE = re.compile(rf"\n{_LINE}")  # begins with a letter, so that the search skips ahead fast
_VALUE = r"\"[^\"]{0,2000}+\"|'[^']{0,2000}+'|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]{0,500}+\}){0,500}+\}){0,2000}+\}"
_TAG = re.compile(
    r"</?[A-Za-z][\w.:-]*+(?:\s(?:[^<>\"'{}\n/]|/(?!>)|\n(?![ \t]*\n)|" + _VALUE + r")*+)?+\s*+/?>", re.ASCII
)
_TAG_LINES = re.compile(rf"(?:[ \t]*+{_TAG.pattern})++[ \t]*+(?=\n|\Z)", re.ASCII)
_SPOKEN = re.compile(r"\s(?:title|label|caption|summary|alt)=(?:\"([^\"]+)\"|'([^']+)')")
_IMPORT = re.compile(r"import(?:\s[^\n]*?\sfrom\s|\s*['\"]|\s*[{*]|\s+[\w$]+\s*,\s*\{)")
_EXPORT = re.compile(r"export\s+(?:(?:const|let|var|function\*?|class|async|type|interface)\s|default\s|\{|\*)")
_ESM_ENDS = re.compile(r"['\"`;{}()\[\],>=]\s*$|\bfrom\b|=>|=|\{")
_BLANK = re.compile(r"\n[ \t]*(?=\n|\Z)")
_DIRECTIVE = re.compile(r"\s*\{?([A-Za-z][\w-]*)\}?[ \t]*(.*?)[ \t]*")
_DATA_URI = re.compile(r"(data:[\w.+-]{1,60}/[\w.+-]{1,60}(?:;[\w=.-]{1,60}){0,5};base64,)([A-Za-z0-9+/=_%-]{200,}+)")
_CODE_DATA = 2_000  # characters of base64 that a fence may keep
_LONGEST_ESM = 400  # lines


class Lean:
    """`lines` has as many lines as the source; `starts[i]` is where line i begins there, in characters."""

    def __init__(self, text: str) -> None:
        self.source = text
        self.lines = text.split("\n")
        self.starts = [0, *accumulate(len(line) + 1 for line in self.lines)]
        self.containers: set[int] = set()
        self.dropped: set[int] = set()
        self.fences: list[tuple[int, int]] = []  # half open lines, wherever a reader of plain text sees a fence
        self.unclosed = False
        self._columns: dict[int, list[tuple[int, int]]] = {}
        self.body = front_matter_lines(text)
        self.lines[: self.body] = [""] * self.body
        _Reader(self).read()

    def position(self, line: int, column: int) -> int:
        """Where a place in the lean text is in the source, in characters."""
        pieces = self._columns.get(line)
        if pieces:
            at, source = pieces[bisect_right(pieces, (column, len(self.source))) - 1]
            column = source + column - at
        return self.starts[line] + column

    def end(self, line: int) -> int:
        """Where the line ends in the source."""
        return self.starts[line + 1] - 1

    def source_lines(self, first: int, after: int) -> list[str]:
        return self.source[self.starts[first] : self.end(after - 1)].split("\n")

    def is_blank(self, line: int) -> bool:
        """True when the line has no word in the source."""
        return not any(map(str.isalnum, self.source[self.starts[line] : self.end(line)]))

    def drop(self, line: int) -> None:
        """Empties a line."""
        self.lines[line] = ""
        self.dropped.add(line)

    def _drop(self, first: int, after: int) -> None:
        for line in range(first, min(after, len(self.lines))):
            self.drop(line)

    def replace(self, line: int, text: str, column: int) -> None:
        """Puts `text` on a line, behind its indentation; it stands at `column` in the source."""
        original = self.source[self.starts[line] : self.end(line)]
        indent = original[: len(original) - len(original.lstrip(" \t>"))]
        self.lines[line] = indent + text
        self._columns[line] = [(0, 0), (len(indent), column)] if indent else [(0, column)]

    def line_of(self, position: int) -> int:
        return bisect_right(self.starts, position) - 1

    def drop_span(self, start: int, end: int) -> None:
        self._drop(self.line_of(start), self.line_of(max(start, end - 1)) + 1)

    def shorten(self, line: int, cuts: list[tuple[int, int]]) -> None:
        """Takes character ranges out of a line and puts an ellipsis in the place of each."""
        text, kept, pieces, length, at = self.lines[line], [], [(0, 0)], 0, 0
        for start, end in cuts:
            kept.append(text[at:start] + "…")
            length += start - at + 1
            pieces.append((length, end))
            at = end
        self.lines[line] = "".join(kept) + text[at:]
        self._columns[line] = pieces


@lru_cache(maxsize=64)
def _closing(mark: str, quoted: bool) -> re.Pattern[str]:
    """A fence ends at its closing mark; one in a quotation at the latest with the quotation."""
    close = rf"\n[ \t>]*+{re.escape(mark[0])}{{{len(mark)},}}[ \t]*+(?=\n|\Z)"
    return re.compile(close + (r"|\n(?![ \t]*+>)" if quoted else ""))


class _Reader:
    """Walks over a page's source once, from one line of interest to the next."""

    def __init__(self, lean: Lean) -> None:
        self._lean = lean
        self._text = lean.source
        self._comment_misses: set[str] = set()
        self._esm_closes = True
        self._fences: list[tuple[int, int]] = []

    def read(self) -> None:
        lean, text = self._lean, self._text
        at = lean.starts[min(lean.body, len(lean.lines))]
        actions: dict[str, Callable[[re.Match[str]], int]] = {
            "info": self._fence,
            "title": self._directive,
            "comment": self._comment,
            "tag": self._tag,
            "esm": self._esm,
        }
        found = _FIRST_LINE.match(text, at) or _NEXT_LINE.search(text, at)
        while found:
            found = _NEXT_LINE.search(text, actions[found.lastgroup or ""](found))
        if ";base64," in text:
            self._shorten_images()

    def _fence(self, found: re.Match[str]) -> int:
        mark = found["fence"]
        if mark[0] == "`" and "`" in found["info"]:
            return found.end()
        quoted = ">" in found[0][: found.start("fence") - found.start()]
        closed = _closing(mark, quoted).search(self._text, found.end())
        end = len(self._text) if closed is None else closed.start() if closed[0] == "\n" else closed.end()
        self._fences.append((found.start(), end))
        self._lean.fences.append((self._lean.line_of(found.start("fence")), self._lean.line_of(max(end - 1, 0)) + 1))
        self._lean.unclosed |= closed is None or closed[0] == "\n"
        return end

    def _directive(self, found: re.Match[str]) -> int:
        lean = self._lean
        line = lean.line_of(found.start("directive"))
        lean.containers.add(line)
        opened = _DIRECTIVE.fullmatch(found["title"])
        if opened:
            lean.replace(line, _bold(opened[1], opened[2]), found.start("title") + opened.start(1) - lean.starts[line])
        elif title := found["title"].strip():
            lean.replace(line, title, found.start("title") + found["title"].index(title) - lean.starts[line])
        else:
            lean.drop(line)
        return found.end()

    def _comment(self, found: re.Match[str]) -> int:
        """Only comments with lines of their own; one within a line is the heading's or the paragraph's affair."""
        opener, start = found["comment"], found.start("comment")
        closer = "-->" if opener == "<!--" else "*/}"
        if closer in self._comment_misses:
            return found.end()
        end = self._text.find(closer, start + len(opener))
        if end < 0:
            self._comment_misses.add(closer)
            return found.end()
        end += len(closer)
        rest = self._text[end : self._end_of_line(end)]
        if not rest.strip():
            self._lean.drop_span(start, end)
        elif "\n" in self._text[start:end]:
            self._drop_before_rest(start, end, rest)
        return end

    def _drop_before_rest(self, start: int, end: int, rest: str) -> None:
        line = self._lean.line_of(end)
        self._lean.drop_span(start, self._lean.starts[line])
        stripped = rest.lstrip()
        self._lean.replace(line, stripped, end + len(rest) - len(stripped) - self._lean.starts[line])

    def _tag(self, found: re.Match[str]) -> int:
        start = found.start("tag")
        tags = _TAG_LINES.match(self._text, start)
        if not tags:
            return found.end()
        lean = self._lean
        lean.drop_span(start, tags.end())
        for spoken in _SPOKEN.finditer(self._text, start, tags.end()):
            group = 1 if spoken[1] else 2
            at = spoken.start(group)
            line = lean.line_of(at)
            if "\n" not in spoken[group] and not lean.lines[line]:
                lean.replace(line, spoken[group], at - lean.starts[line])
                lean.dropped.discard(line)
        return tags.end()

    def _esm(self, found: re.Match[str]) -> int:
        """Imports and exports at the beginning of a line, up to an empty line outside of braces."""
        start = found.start("esm")
        if self._text[start - 1 : start] not in ("", "\n"):
            return found.end()
        known = _IMPORT.match(self._text, start) or _EXPORT.match(self._text, start)
        if not known or not _ESM_ENDS.search(self._text[start : self._end_of_line(start)]):
            return found.end()
        end = self._end_of_esm(start)
        self._lean.drop_span(start, end)
        return end

    def _end_of_esm(self, start: int) -> int:
        end, depth = start, 0
        for _ in range(_LONGEST_ESM if self._esm_closes else 0):
            begin, end = end, self._end_of_line(end)
            depth += _depth(self._text[begin:end])
            after = self._text[end + 1 : self._end_of_line(end + 1)]
            if end >= len(self._text) or (not after.strip() and depth <= 0):
                return end
            end += 1
        self._esm_closes = False
        blank = _BLANK.search(self._text, start)
        return blank.start() if blank else len(self._text)

    def _end_of_line(self, position: int) -> int:
        end = self._text.find("\n", position)
        return end if end >= 0 else len(self._text)

    def _shorten_images(self) -> None:
        cuts: dict[int, list[tuple[int, int]]] = {}
        for found in _DATA_URI.finditer(self._text):
            fenced = self._fenced(found.start())
            line = self._lean.line_of(found.start())
            if (not fenced or len(found[2]) > _CODE_DATA) and line not in self._lean.dropped:
                start = self._lean.starts[line]
                cuts.setdefault(line, []).append((found.start(2) - start, found.end(2) - start))
        for line, ranges in cuts.items():
            self._lean.shorten(line, ranges)

    def _fenced(self, position: int) -> bool:
        at = bisect_right(self._fences, (position, len(self._text))) - 1
        return at >= 0 and position < self._fences[at][1]


def _depth(code: str) -> int:
    return sum(map(code.count, "{([")) - sum(map(code.count, "})]"))


def _bold(name: str, title: str) -> str:
    """`:::tip[Title]` as the line "**Tip: Title**"."""
    title = title[1:-1].strip() if title.startswith("[") and title.endswith("]") else title
    label = f"{name[:1].upper()}{name[1:]}{': ' if title else ''}{title}"
    return label if "*" in title else f"**{label}**"
