"""A page's structure: its headings with their anchors and its blocks, from one block parse.

Text is always sliced from the page's lines by the parser's line numbers, never rebuilt from tokens, because the
parser stops nesting at twenty levels. Only heading lines are parsed for their inline marks.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag.corpus.generators import generator_for
from rag.corpus.generators.base import Lines, block_parser
from rag.markdown.headings import Heading, read_headings
from rag.markdown.mdx import StrippedSource
from rag.types import Document, GeneratorName, OutlineHeading, Section

Kind = Literal[
    "heading", "opener", "paragraph", "fence", "code", "table", "list", "item", "quote", "html", "rule", "mixed"
]

_KINDS: dict[str, Kind] = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "fence": "fence",
    "code_block": "code",
    "table_open": "table",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "list_item_open": "item",
    "blockquote_open": "quote",
    "html_block": "html",
    "hr": "rule",
}
_LONGEST_SAID = 300  # a longer heading is in the text even where its body leaves it no room
_LONGEST_LEAD = 300
_TITLE_WITHIN = 8_000  # characters after the front matter
_LARGEST_FRONT_MATTER = 65_536

_WORD = re.compile(r"[^\W_]+")
_DEFINITION = re.compile(r" {0,3}\[(?!\^)[^\]]+\]:\s*\S")
_OPENER = re.compile(r"(?:!!!|\?\?\?\+?|===!?\+?)[ \t]+\S")
_LABEL = re.compile(r"\([\w:.-]+\)=\s*$")  # of MyST: names the heading below, says nothing

_ATX_TITLE = re.compile(r" {0,3}#(?![^ \t])(.*)")
_UNDERLINE = re.compile(r" {0,3}=+[ \t]*$")
_ATX = re.compile(r" {0,3}#{1,6}(?![^ \t])(.*)")
_ANY_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_ANY_LINE = re.compile(r"(?! {0,3}(?:[-+*]\s|[>|]))(.*)")  # a list or a quotation ends at a rule, and is no heading

_inline = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@dataclass(frozen=True, slots=True)
class Block:
    """Half open lines of a page; `level` is a heading's. `inner` is the parser's own, see `children`."""

    kind: Kind
    first: int
    after: int
    level: int = 0
    inner: Sequence[Token] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """The lean lines of a document, and where each of them is in the file (0-based)."""

    title: str
    lines: list[str]
    numbers: Sequence[int]
    blocks: list[Block]
    headings: list[Heading]
    stripped: StrippedSource
    _kept: Sequence[int] | None = None
    _parents: Sequence[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_parents", _parents(self.headings))

    def line_at(self, parsed: int) -> int:
        """The page's line for a line the parser saw."""
        return parsed if self._kept is None else self._kept[parsed]

    def position(self, line: int, column: int = 0) -> int:
        """The character of the file at which a place of this page stands."""
        return self.stripped.position(self.numbers[line], column)

    def begin(self, line: int) -> int:
        """The character of the file at which the words of a line begin that is not the file's own."""
        text = self.lines[line]
        indent = len(text) - len(text.lstrip()) if self.stripped.is_rewritten(self.numbers[line]) else 0
        return self.position(line, indent)

    def end(self, line: int) -> int:
        return self.stripped.end(self.numbers[line])

    @property
    def leaves_out(self) -> bool:
        return bool(self.stripped.dropped or self.stripped.broken or self.stripped.led)

    def hides(self, first: int, after: int) -> bool:
        """True when something between these lines of the page, the first one included, was left out of it."""
        if not (self.stripped.dropped or self.stripped.led) or after >= len(self.numbers):
            return False
        between = range(self.numbers[first], self.numbers[after])
        if self.numbers[after] in self.stripped.led:
            return True
        return any(number in self.stripped.dropped and not self.stripped.is_blank(number) for number in between)

    def breaks(self, line: int) -> bool:
        """True when something was left out between the words of a line and those of the next."""
        return self.numbers[line] in self.stripped.broken or self.hides(line, line + 1)

    def stack_at(self, line: int) -> list[Heading]:
        """The headings a line is under, outermost first."""
        at = bisect_right(self.headings, line, key=lambda heading: heading.line) - 1
        stack: list[Heading] = []
        while at >= 0:
            stack.append(self.headings[at])
            at = self._parents[at]
        return stack[::-1]

    def said_at(self, line: int) -> set[int]:
        """The lines of the headings that the path of a line tells whole."""
        return {heading.line for heading in self.stack_at(line) if self._is_said(heading)}

    def _is_said(self, heading: Heading) -> bool:
        if len(heading.text) > _LONGEST_SAID:
            return False
        number = self.numbers[heading.line]
        edited = number in self.stripped.broken or number in self.stripped.led
        return not edited or _WORD.findall(heading.text) == _WORD.findall(self.lines[heading.line])

    def headings_between(self, first: int, after: int) -> list[Heading]:
        start = bisect_left(self.headings, first, key=lambda heading: heading.line)
        return self.headings[start : bisect_left(self.headings, after, lo=start, key=lambda heading: heading.line)]

    def blocks_between(self, first: int, after: int) -> list[Block]:
        """The top blocks that begin in a range of lines."""
        start = bisect_left(self.blocks, first, key=lambda block: block.first)
        stop = bisect_left(self.blocks, after, lo=start, key=lambda block: block.first)
        return self.blocks[start:stop]

    def path_at(self, line: int) -> tuple[tuple[str, ...], str | None]:
        """The heading path of a line, the page's title first, and its anchor."""
        stack = self.stack_at(line)
        texts = [heading.text for heading in stack if heading.text]
        if not texts or _plain(texts[0]) != _plain(self.title):
            texts.insert(0, self.title)
        return tuple(texts), stack[-1].anchor if stack else None


def _parents(headings: Sequence[Heading]) -> list[int]:
    """For each heading the place of the one it is under, -1 for none."""
    parents: list[int] = []
    open_ones: list[int] = []
    for at, heading in enumerate(headings):
        while open_ones and headings[open_ones[-1]].level >= heading.level:
            open_ones.pop()
        parents.append(open_ones[-1] if open_ones else -1)
        open_ones.append(at)
    return parents


@dataclass(frozen=True, slots=True)
class Outline:
    """`lead` is the description, else the first paragraph as plain text, at most 300 characters."""

    headings: tuple[OutlineHeading, ...]
    lead: str


@lru_cache(maxsize=2)
def page_of(document: Document) -> Page:
    """Parses a document. The last pages are kept, because chunks and outline are asked for one after the other."""
    stripped = StrippedSource(_safe(document.text))
    environment: dict[str, Any] = {}
    parsed_lines = stripped.lines if not stripped.containers else _without(stripped.lines, stripped.containers)
    parser = block_parser(dashes_are_tables=generator_for(document.flavor).dashes_are_tables)
    tokens = parser.parse("\n".join(parsed_lines), environment)
    source = Lines(
        stripped.source_lines(0, len(stripped.lines)),
        stripped.lines,
        stripped.dropped | stripped.containers,
        stripped.body,
        tokens,
        document.path,
        document.options,
    )
    headings = list(read_headings(document, source, lambda line: _inline_tokens(line, environment)))
    for heading in headings:
        stripped.clean_heading(heading.line)
    blocks = _whole_fences(list(_top_blocks(tokens, stripped)), stripped.fences)
    if not stripped.dropped:
        return Page(document.title, stripped.lines, range(len(stripped.lines)), blocks, headings, stripped)
    numbers, kept = _compress(stripped)
    return Page(
        document.title,
        [stripped.lines[number] for number in numbers],
        numbers,
        [Block(b.kind, kept[b.first], kept[b.after], b.level, b.inner) for b in blocks],
        [Heading(kept[h.line], h.level, h.text, h.anchor) for h in headings],
        stripped,
        kept,
    )


def children(page: Page, block: Block) -> list[Block]:
    """The blocks directly inside a block, covering its lines without a gap; none where there is nothing to part."""
    if block.inner:
        found = list(_blocks(block.inner, block.inner[0].level))
        starts = [block.first, *(page.line_at(b.first) for b in found[1:]), block.after]
        return [Block(b.kind, starts[i], max(starts[i : i + 2]), b.level, b.inner) for i, b in enumerate(found)]
    if block.kind in ("mixed", "code", "paragraph", "html"):
        return list(_fences_within(page, block))
    return []


def _fences_within(page: Page, block: Block) -> Iterator[Block]:
    """Fences that the parser does not see, because they are indented, and what is between them."""
    at = block.first
    for first, after in ((page.line_at(a), page.line_at(b)) for a, b in page.stripped.fences):
        if block.first <= first < block.after:
            if first > at:
                yield Block("paragraph", at, first)
            yield Block("fence", first, min(after, block.after))
            at = min(after, block.after)
    if block.first < at < block.after:
        yield Block("paragraph", at, block.after)


def sections(document: Document) -> list[Section]:
    """Every heading with the lines below it, in order; the lines before the first heading come without one."""
    page = page_of(document)
    starts = [0, *(heading.line for heading in page.headings)]
    levels = [0, *(heading.level for heading in page.headings)]
    found = []
    for level, first, after in zip(levels, starts, [*starts[1:], len(page.lines)], strict=True):
        text = "\n".join(page.lines[first:after]).strip("\n")
        if level or text.strip():
            path, anchor = page.path_at(first) if level else ((page.title,), None)
            last = page.numbers[after - 1] + 1 if after > first else page.numbers[first]
            found.append(Section(path, anchor, (page.numbers[first], last), text, level))
    return found


def outline(document: Document) -> Outline:
    page = page_of(document)
    headings = tuple(OutlineHeading(h.level, h.text, h.anchor) for h in page.headings if h.text)
    return Outline(headings, _shorten(document.description or _first_paragraph(page), _LONGEST_LEAD))


def opening_title(text: str, flavor: GeneratorName) -> str:
    """The first heading, if the page begins with it, else nothing; of some generators only an h1 names a page."""
    lines = StrippedSource(text[: _LARGEST_FRONT_MATTER + _TITLE_WITHIN]).lines
    first = next((at for at, line in enumerate(lines) if line.strip() and not _LABEL.match(line)), None)
    if first is None:
        return ""
    generator = generator_for(flavor)
    atx, underline = (_ATX_TITLE, _UNDERLINE) if generator.named_by_h1 else (_ATX, _ANY_UNDERLINE)
    written = atx.match(lines[first])
    content = _without_closing(written[1]) if written else ""
    if not written and first + 1 < len(lines) and underline.match(lines[first + 1]):
        written = _ANY_LINE.match(lines[first])
        content = written[1].strip() if written else ""
    if not written:
        return ""
    reader = generator.prepare("", frozenset())
    return " ".join(reader.read(content, lambda line: _inline_tokens(line, {}))[0].split())


def _without_closing(content: str) -> str:
    """The text of an ATX heading without the run of `#` that may close it."""
    content = content.strip(" \t")
    shorter = content.rstrip("#")
    return shorter.strip() if not shorter or shorter[-1] in " \t" else content.strip()


def _without(lines: Sequence[str], containers: set[int]) -> list[str]:
    """The marks of containers would glue paragraphs together and hide lists: the parser sees empty lines."""
    return ["" if number in containers else line for number, line in enumerate(lines)]


def _compress(stripped: StrippedSource) -> tuple[list[int], list[int]]:
    """The line numbers that stay when runs of lines emptied by us go, and for each old line its new number."""
    numbers: list[int] = []
    kept: list[int] = []
    blank, emptied = True, True  # the last line that stayed: was it empty, and because of us
    for number, line in enumerate(stripped.lines):
        kept.append(len(numbers))
        ours = number in stripped.dropped and not line
        if (ours and blank) or (emptied and not line.strip()):
            emptied = True
            continue
        numbers.append(number)
        blank, emptied = not line.strip(), ours
    kept.append(len(numbers))
    return numbers, kept


def _whole_fences(blocks: list[Block], fences: Sequence[tuple[int, int]]) -> list[Block]:
    """Joins blocks that a fence reaches across: in a container of MkDocs it is indented and means nothing to us."""
    whole: list[Block] = []
    at = 0
    for block in blocks:
        while at < len(fences) and fences[at][1] <= block.first:
            at += 1
        if whole and at < len(fences) and fences[at][0] < block.first:
            whole[-1] = Block("mixed", whole[-1].first, max(whole[-1].after, block.after))
        else:
            whole.append(block)
    return whole


def _top_blocks(tokens: Sequence[Token], stripped: StrippedSource) -> Iterator[Block]:
    """The blocks of a page, and as openers the container marks between them; definitions of links go."""
    at = stripped.body
    for block in _blocks(tokens, 0):
        yield from _between(stripped, at, block.first)
        yield _as_opener(block, stripped)
        at = max(at, block.after)
    yield from _between(stripped, at, len(stripped.lines))


def _between(stripped: StrippedSource, first: int, after: int) -> Iterator[Block]:
    for number in range(first, after):
        line = stripped.lines[number]
        if not line.strip():
            continue
        if _DEFINITION.match(line) and number not in stripped.containers:
            stripped.drop(number)
        else:
            yield Block("opener" if number in stripped.containers else "paragraph", number, number + 1)


def _as_opener(block: Block, stripped: StrippedSource) -> Block:
    """A line that belongs to what follows: `!!! note` and `=== "Tab"` of MkDocs."""
    if block.kind == "paragraph" and stripped.lines[block.first].lstrip()[:1] in ("!", "?", "="):
        last = stripped.lines[block.after - 1].lstrip()
        if block.after == block.first + 1 and _OPENER.match(last):
            return Block("opener", block.first, block.after)
    return block


def _blocks(tokens: Sequence[Token], level: int) -> Iterator[Block]:
    """The blocks that open at one level; their inner tokens are sliced, not walked."""
    opened: tuple[int, Token] | None = None
    for at, token in enumerate(tokens):
        if token.level != level or (token.map is None and token.nesting != -1):
            continue
        if token.nesting == 1:
            opened = (at, token)
        elif token.nesting == -1 and opened is not None:
            start, opening = opened
            kind = _KINDS.get(opening.type)
            if kind and opening.map:
                inner = tokens[start + 1 : at] if kind in ("list", "item", "quote") else ()
                depth = int(opening.tag[1]) if kind == "heading" else 0
                yield Block(kind, opening.map[0], opening.map[1], depth, inner)
            opened = None
        elif token.nesting == 0 and token.map and token.type in _KINDS:
            yield Block(_KINDS[token.type], token.map[0], token.map[1])


def _inline_tokens(content: str, environment: dict[str, Any]) -> Sequence[Token]:
    """The inline tokens of a line of Markdown."""
    return [child for token in _inline.parseInline(content, environment) for child in token.children or ()]


def _rendered(content: str, environment: dict[str, Any], *, images: bool = True) -> str:
    """What a reader sees of a line of Markdown: text, code and the texts of links and images, without tags."""
    parts: list[str] = []

    def walk(tokens: Sequence[Token] | None) -> None:
        for token in tokens or ():
            if token.type in ("text", "code_inline", "text_special"):
                parts.append(token.content)
            elif token.type in ("softbreak", "hardbreak"):
                parts.append("\n")
            elif token.type == "image" and images:
                walk(token.children)

    for token in _inline.parseInline(content, environment):
        walk(token.children)
    return "".join(parts)


def _first_paragraph(page: Page) -> str:
    for block in page.blocks:
        if block.kind == "paragraph":
            source = "\n".join(page.lines[block.first : block.after])[: 20 * _LONGEST_LEAD]
            text = " ".join(_rendered(source, {}, images=False).split())
            if any(character.isalnum() for character in text):
                return text
    return ""


def _safe(text: str) -> str:
    """Text that did not come from a decoded file may hold what no file can, or carriage returns; places stay."""
    if "\r" in text:
        text = text.replace("\r", " ")
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
