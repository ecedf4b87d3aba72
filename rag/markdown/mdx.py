"""The text of a page without what its readers never see, line for line.

Front matter, comments, imports and exports, tags that stand alone and closing marks of containers become empty lines;
block-level tags go from lines with words; the title of a container or an element becomes a line in bold; base64 images
shrink. Fences keep every character. Each line knows where it began in the source, so that places in the lean text are
places in the file.

Comments, tags and ESM as in MDX (https://mdxjs.com), containers as in Docusaurus (`:::tip`).
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

from rag.corpus.frontmatter import front_matter_lines
from rag.markdown import tags
from rag.markdown.fences import CONTAINER, MARK, Fence, closing

_LINE = (
    rf"{CONTAINER}(?:(?P<fence>{MARK})(?P<info>[^\n]*)"
    r"|(?P<directive>:{3,}+)(?P<title>[^\n]*)"
    r"|(?P<comment><!--|\{/\*)"
    r"|(?P<tag></?[A-Za-z])"
    r"|(?P<esm>import[ \t{'\"*]|export[ \t]))"
)
_FIRST_LINE = re.compile(_LINE)
_NEXT_LINE = re.compile(rf"\n{_LINE}")  # begins with a letter, so that the search skips ahead fast
_IMPORT = re.compile(r"import(?:\s[^\n]*?\sfrom\s|\s*['\"]|\s*[{*]|\s+[\w$]+\s*,\s*\{)")
_EXPORT = re.compile(r"export\s+(?:(?:const|let|var|function\*?|class|async|type|interface)\s|default\s|\{|\*)")
_ESM_ENDS = re.compile(r"['\"`;{}()\[\],>=]\s*$|\bfrom\b|=>|=|\{")
_BLANK = re.compile(r"\n[ \t]*(?=\n|\Z)")
_DIRECTIVE = re.compile(r"\s*\{?([A-Za-z][\w-]*)\}?[ \t]*(.*?)[ \t]*")
_DATA_URI = re.compile(r"(data:[\w.+-]{1,60}/[\w.+-]{1,60}(?:;[\w=.-]{1,60}){0,5};base64,)([A-Za-z0-9+/=_%-]{200,}+)")
_CONTAINER = re.compile(CONTAINER)
_INDENTED = re.compile(r"[ ]{4}|[ ]{0,3}\t")
_HOLDS_BLOCKS = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t]|<|:::|!!!|\?\?\?|===|>|\[\^")
_SYNTAX = re.compile(r"[#>|=*+-]|\d{1,9}[.)]|:::|```|~~~|!!!|\?\?\?")  # means something at the beginning of a line
_CODE_DATA = 2_000  # characters of base64 that a fence may keep
_LONGEST_ESM = 400  # lines


class StrippedSource:
    """`lines` has as many lines as the source; `starts[i]` is where line i begins there, in characters."""

    def __init__(self, text: str) -> None:
        self.source = text
        self.lines = text.split("\n")
        self.starts = [0, *accumulate(len(line) + 1 for line in self.lines)]
        self.containers: set[int] = set()
        self.dropped: set[int] = set()
        self.fences: list[tuple[int, int]] = []  # half open lines, wherever a reader of plain text sees a fence
        self.led: set[int] = set()  # lines before whose words something was left out
        self.broken: set[int] = set()  # lines behind whose words something was left out
        self.unclosed = False
        self._columns: dict[int, list[tuple[int, int]]] = {}
        self.body = front_matter_lines(text)
        self.lines[: self.body] = [""] * self.body
        _SourceStripper(self).read()

    def position(self, line: int, column: int) -> int:
        """Where a place in the lean text is in the source, in characters."""
        pieces = self._columns.get(line)
        if pieces:
            at, source = pieces[bisect_right(pieces, (column, len(self.source))) - 1]
            column = source + column - at
        return min(self.starts[line] + column, self.end(line))

    def is_rewritten(self, line: int) -> bool:
        """True when the line's text is not the source's."""
        return line in self._columns

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
        self.rewrite(line, [(original[: len(original) - len(original.lstrip(" \t>"))], 0), (text, column)])

    def rewrite(self, line: int, parts: Sequence[tuple[str, int]]) -> None:
        """Makes a line of texts, each with the column at which it stands in the source."""
        places = accumulate((len(text) for text, _ in parts), initial=0)
        self.lines[line] = "".join(text for text, _ in parts)
        self._columns[line] = [(at, column) for at, (_, column) in zip(places, parts, strict=False)]

    def cut_block_tags(self, line: int, begin: int) -> bool:
        """Takes the block-level tags from column `begin` on out of a line; the line is in bold where they make it a
        heading, a caption or a summary. False when there is none.
        """
        start, end = self.starts[line], self.end(line)
        cuts = tags.block_tags(self.source, start + begin, end)
        if not cuts:
            return False
        words = [(self.source[a:b].strip(), a) for (_, a), (b, _) in pairwise([(0, start + begin), *cuts, (end, end)])]
        words = [(text, self.source.index(text, place) - start) for text, place in words if text]
        if words and not begin and _SYNTAX.match(words[0][0]):
            return False
        parts = [(self.source[start : start + begin], 0)]
        for text, column in words:
            parts += [(" " if len(parts) > 1 else "", column), (text, column)]
        if tags.is_titled(self.source, cuts, start + begin, end) and len(words) == 1 and "*" not in words[0][0]:
            parts[1:] = [("**", words[0][1]), *parts[2:], ("**", cuts[-1][0] - start)]
        if len(parts) == 1 and not parts[0][0].strip(" \t>"):
            self.drop(line)
        else:
            self.rewrite(line, parts)
            if cuts[-1][0] > start + begin:
                self.broken.add(line)
            if cuts[0][0] == start + begin:
                self.led.add(line)
        return True

    def clean_heading(self, line: int) -> None:
        """Takes the block-level tags out of a heading; its anchor has been made of what its author wrote."""
        if "<" in self.lines[line] and line not in self._columns:
            text = self.lines[line]
            self.cut_block_tags(line, len(text) - len(text.lstrip("# \t>")))

    def line_of(self, position: int) -> int:
        return bisect_right(self.starts, position) - 1

    def drop_span(self, start: int, end: int) -> None:
        self._drop(self.line_of(start), self.line_of(max(start, end - 1)) + 1)

    def shorten_images(self, line: int, longest: int) -> None:
        """Puts an ellipsis in the place of the base64 of images that are longer than `longest`."""
        text, at, parts = self.lines[line], 0, list[tuple[str, int]]()
        for found in _DATA_URI.finditer(text):
            if len(found[2]) > longest:
                parts.append((text[at : found.start(2)] + "…", self._column(line, at)))
                at = found.end(2)
        if parts:
            parts.append((text[at:], self._column(line, at)))
            self.rewrite(line, parts)

    def _column(self, line: int, column: int) -> int:
        return self.position(line, column) - self.starts[line]


class _SourceStripper:
    """Walks over a page's source once, from one line of interest to the next."""

    def __init__(self, stripped: StrippedSource) -> None:
        self._lean = stripped
        self._text = stripped.source
        self._comment_misses: set[str] = set()
        self._esm_closes = True
        self._fences: list[tuple[int, int]] = []
        self._indented = (-1, False)  # the last line that was asked for, and the answer

    def read(self) -> None:
        stripped, text = self._lean, self._text
        at = stripped.starts[min(stripped.body, len(stripped.lines))]
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
        self._trailing_tags()
        if ";base64," in text:
            self._shorten_images()

    def _fence(self, found: re.Match[str]) -> int:
        if found["fence"][0] == "`" and "`" in found["info"]:
            return found.end()
        before = self._text[found.start() : found.start("fence")].lstrip("\n")
        fence = Fence(before, found["fence"], found["info"])
        closed = re.compile(closing(fence)).search(self._text, found.end())
        end = len(self._text) if closed is None else closed.start() if closed[0] == "\n" else closed.end()
        self._fences.append((found.start(), end))
        self._lean.fences.append((self._lean.line_of(found.start("fence")), self._lean.line_of(max(end - 1, 0)) + 1))
        self._lean.unclosed |= closed is None or closed[0] == "\n"
        return end

    def _directive(self, found: re.Match[str]) -> int:
        stripped = self._lean
        line = stripped.line_of(found.start("directive"))
        stripped.containers.add(line)
        opened = _DIRECTIVE.fullmatch(found["title"])
        if opened:
            stripped.replace(
                line, _bold(opened[1], opened[2]), found.start("title") + opened.start(1) - stripped.starts[line]
            )
        elif title := found["title"].strip():
            stripped.replace(line, title, found.start("title") + found["title"].index(title) - stripped.starts[line])
        else:
            stripped.drop(line)
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
        start, stripped = found.start("tag"), self._lean
        if self._is_indented_code(stripped.line_of(start)):
            return found.end()
        lines = tags.TAG_LINES.match(self._text, start)
        if not lines:
            after = tags.leading(self._text, start)
            return found.end() if after == start else self._beside(start, after)
        stripped.drop_span(start, lines.end())
        for spoken in tags.SPOKEN.finditer(self._text, start, lines.end()):
            group = 1 if spoken[1] else 2
            at = spoken.start(group)
            line = stripped.line_of(at)
            if "\n" not in spoken[group] and not stripped.lines[line]:
                stripped.replace(line, spoken[group], at - stripped.starts[line])
                stripped.dropped.discard(line)
                stripped.broken.add(line)
                stripped.led.add(line)
        return lines.end()

    def _beside(self, start: int, after: int) -> int:
        """Words behind block-level tags: the tags go."""
        stripped = self._lean
        first, line = stripped.line_of(start), stripped.line_of(after)
        if first == line:
            stripped.cut_block_tags(line, start - stripped.starts[line])
            return stripped.end(line)
        stripped.drop_span(start, stripped.starts[line])
        words = self._text[after : stripped.end(line)]
        stripped.replace(line, words, after - stripped.starts[line])
        stripped.led.add(line)
        return stripped.end(line)

    def _trailing_tags(self) -> None:
        """Words before block-level tags that end a line."""
        stripped = self._lean
        for found in tags.TRAILING.finditer(self._text, stripped.starts[stripped.body]):
            line = stripped.line_of(found.start())
            if line in stripped.dropped or stripped.is_rewritten(line) or self._fenced(found.start()):
                continue
            begin = _CONTAINER.match(self._text, stripped.starts[line], found.start())
            column = begin.end() - stripped.starts[line] if begin else 0
            if not stripped.source.startswith("#", stripped.starts[line] + column) and not self._is_indented_code(line):
                stripped.cut_block_tags(line, column)

    def _is_indented_code(self, line: int) -> bool:
        """True for code that is only indented: below an empty line, and not part of a list, a box or an element."""
        if not _INDENTED.match(self._source_line(line)):
            return False
        at, (known, verdict) = line, self._indented
        while (
            at >= self._lean.body and at != known and (not (text := self._source_line(at)).strip() or text[:1] in " \t")
        ):
            at -= 1
        if at != known:
            above = self._source_line(at) if at >= self._lean.body else ""
            verdict = not _HOLDS_BLOCKS.match(above) and not self._source_line(at + 1).strip()
        self._indented = (line, verdict)
        return verdict

    def _source_line(self, line: int) -> str:
        return self._text[self._lean.starts[line] : self._lean.end(line)]

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
        places = {self._lean.line_of(found.start()): found.start() for found in _DATA_URI.finditer(self._text)}
        for line, place in places.items():
            if line not in self._lean.dropped:
                self._lean.shorten_images(line, _CODE_DATA if self._fenced(place) else 0)

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
