"""What a generator of sites has to say: which trees are its own, where it publishes a page, and how it names headings.

A generator is one object without state. `Generator` itself has the rules most of them share: Markdown as in
CommonMark, `{#id}` behind a heading, the slugs of GitHub.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rag.corpus.routes import FrontMatter, Site, absolute, is_draft
from rag.corpus.slugs import GithubSlugger, Slugger
from rag.types import GeneratorName

if TYPE_CHECKING:  # the parser is not needed for a book that did not change
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

Inline = Callable[[str], "Sequence[Token]"]
"""A line of Markdown -> its inline tokens, the children of those that nest included."""

LONGEST_ANCHOR = 1_000  # characters
_ATTRIBUTES = re.compile(r"\{:?([^{}]*+)\}$")
_LONGEST_RENDERED = 5_000  # characters; the inline parser's time grows with the square of unclosed brackets
_RAW_TEXT = re.compile(r"<(?:pre|script|style|textarea)\b", re.IGNORECASE)
_HEADING_LINE = re.compile(r"[ \t>]*#{1,6}[ \t]")
MARKS = re.compile(r"[\\`*_\[\]<>&!~{^]")
"""Without one of these a heading reads as it is written."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A content folder as a generator is recognised by it.

    `names` are the files below it. `above` are the folders it may be configured from, the content folder first and its
    nearest parent next. `beginnings` gives the first characters of some of its Markdown files.
    """

    names: frozenset[str]
    above: Sequence[Path] = ()
    beginnings: Callable[[], Iterable[str]] = tuple
    url: str | None = None
    site: Site = field(default_factory=Site)


@dataclass(frozen=True, slots=True)
class RawHeading:
    """A heading as it is written: its line, counted from 0, and its source without the marks around it.

    `nested` is True inside a list or a quotation. With `level` 0 it is no heading, but takes an id like one.
    """

    line: int
    level: int
    content: str
    nested: bool = False
    raw: bool = False  # written as HTML
    identifier: str | None = None  # written out beside it


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a page, with and without what its readers never see, and the tokens of the latter."""

    source: Sequence[str]
    lean: Sequence[str]
    hidden: frozenset[int] | set[int]
    body: int  # where the front matter ends
    tokens: "Sequence[Token]"
    path: str = ""
    options: frozenset[str] = frozenset()

    @property
    def text(self) -> str:
        """The source with its front matter emptied."""
        return "\n" * self.body + "\n".join(self.source[self.body :])


class Generator:
    """The rules of one generator, by default those of a plain CommonMark site."""

    name: ClassVar[GeneratorName]
    configs: ClassVar[tuple[str, ...]] = ()
    """Its configuration files, relative to the content folder or one above it."""
    h1_has_anchor: ClassVar[bool] = True
    ids_first: ClassVar[bool] = False
    """Whether written ids are taken before the first slug is made."""
    html_is_raw: ClassVar[bool] = True
    """Whether Markdown between two lines of HTML stays text, as in CommonMark and not in MDX."""
    named_by_h1: ClassVar[bool] = False
    """Whether only an h1 names the page that begins with it, and else the id, which is the file's name."""
    dashes_are_tables: ClassVar[bool] = False
    """Whether a run of dashes below a line with a pipe makes a table, as in markdown-it, and no heading."""

    def recognises(self, tree: Tree) -> bool:
        """True for a tree that says by its names or its texts, not by its configuration, that it is its own."""
        return False

    def owns(self, config: str) -> bool:
        """Whether a file of the right name and with this text is its configuration."""
        return True

    def options(self, config: str) -> frozenset[str]:
        """What a configuration file with this text switches on, of what changes a route or an anchor."""
        return frozenset()

    def is_published(self, path: str, front_matter: FrontMatter, site: Site) -> bool:
        return not is_draft(front_matter)

    def is_contents(self, path: str) -> bool:
        """True for a table of contents, which names pages and is none that could be cited."""
        return False

    def route(self, path: str, front_matter: FrontMatter, site: Site) -> str:
        """The path below the site's URL, not yet percent-encoded."""
        return path

    def url(self, path: str, front_matter: FrontMatter, site: Site) -> str:
        """The page's URL without a fragment, percent-encoded."""
        return absolute(site, self.route(path, front_matter, site))

    def slugger(self, options: frozenset[str]) -> Slugger:
        """A fresh slugger for one page."""
        return GithubSlugger()

    def headings(self, lines: Lines) -> Iterator[RawHeading]:
        """Every heading of a page in order, those in quotations and lists as well."""
        if self.html_is_raw and _may_stand_in_html(lines):
            yield from commonmark_headings(block_parser(dashes_are_tables=self.dashes_are_tables).parse(lines.text))
        else:
            yield from commonmark_headings(lines.tokens)

    def prepare(self, source: str, options: frozenset[str]) -> "HeadingText":
        """How the headings of a page with this source are read."""
        return HeadingText(options)

    def anchor(self, heading: RawHeading, spoken: str, identifier: str | None, slugger: Slugger) -> str | None:
        """The id of a heading, None where it has none; `spoken` is what its slug is made of, `identifier` what the
        author wrote out.
        """
        if identifier is None:
            identifier = slugger.slug(spoken)
        elif not self.ids_first:
            slugger.register(identifier)
        if heading.level == 1 and not self.h1_has_anchor:
            return None
        return identifier if len(identifier) <= LONGEST_ANCHOR else None


class HeadingText:
    """The source of a heading -> its text and the id its author wrote out. Made for one page.

    No pattern here or in a subclass begins with an open run of spaces: 50,000 of them in a heading are read once.
    """

    marked: ClassVar[re.Pattern[str]] = MARKS
    images: ClassVar[bool] = True
    """Whether the alternative text of an image counts."""

    def __init__(self, options: frozenset[str] = frozenset()) -> None:
        self.options = options

    def read(self, content: str, inline: Inline) -> tuple[str, str | None, str]:
        """The text, the written id, and what the slug is made of."""
        if not self.marked.search(content):
            return content, None, content
        content, identifier = self.split_id(content)
        text = self.text(content, inline)
        return text, identifier, self.slug_text(text, content)

    def split_id(self, content: str) -> tuple[str, str | None]:
        """The heading without `{#id .class}`; of several ids the last one counts."""
        found = _ATTRIBUTES.search(content)
        if not found:
            return content, None
        identifiers = [part[1:] for part in found[1].split() if part.startswith("#") and len(part) > 1]
        return content[: found.start()].rstrip(), identifiers[-1] if identifiers else None

    def slug_text(self, text: str, content: str) -> str:
        """What the slug is made of, where that is not the rendered text."""
        return text

    def text(self, content: str, inline: Inline) -> str:
        content = content.strip()
        if len(content) > _LONGEST_RENDERED or not self.marked.search(content):
            return content
        return self.plain(inline(content))

    def plain(self, tokens: "Sequence[Token]") -> str:
        """What a reader sees of a line: text, code and the texts of links and images, without tags."""
        parts: list[str] = []
        for token in tokens:
            if token.type in ("text", "code_inline", "text_special"):
                parts.append(token.content)
            elif token.type in ("softbreak", "hardbreak"):
                parts.append("\n")
            elif token.type == "image" and self.images:
                parts.append(self.plain(token.children or ()))
        return "".join(parts)


@cache
def block_parser(*, mdx: bool = False, dashes_are_tables: bool = False) -> "MarkdownIt":
    """A parser of blocks alone, of tables without their cells. MDX has no indented code and no blocks of HTML."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.disable(["inline", "text_join"])
    rule = partial(_table, dashes_are_tables=dashes_are_tables)
    parser.block.ruler.at("table", rule, {"alt": ["paragraph", "reference"]})
    return parser.disable(["code", "html_block"]) if mdx else parser


def _table(state: "StateBlock", first: int, end: int, silent: bool, *, dashes_are_tables: bool) -> bool:
    """The block rule of tables: the lines of one, not its cells, which nothing here reads.

    Below a line with a pipe a run of dashes alone underlines a heading; only markdown-it makes it a table.
    """
    if first + 2 > end:
        return False
    below = state.src[state.bMarks[first + 1] + state.tShift[first + 1] : state.eMarks[first + 1]]
    if not below or below[0] not in "|-:" or not (dashes_are_tables or "|" in below or ":" in below):
        return False
    from markdown_it.rules_block import table

    if not table(state, first, end, True):
        return False
    if silent:
        return True
    around, state.parentType = state.parentType, "table"
    terminators = state.md.block.ruler.getRules("blockquote")
    after = first + 2
    while after < end and state.sCount[after] >= state.blkIndent and not state.isEmpty(after):
        if state.is_code_block(after) or any(rule(state, after, end, True) for rule in terminators):
            break
        after += 1
    state.push("table_open", "table", 1).map = [first, after]
    state.push("table_close", "table", -1)
    state.parentType, state.line = around, after
    return True


def commonmark_headings(tokens: "Sequence[Token]") -> Iterator[RawHeading]:
    """The headings among the tokens of a block parse."""
    for at, token in enumerate(tokens):
        if token.type == "heading_open" and token.map:
            yield RawHeading(token.map[0], int(token.tag[1]), tokens[at + 1].content, nested=token.level > 0)


def _may_stand_in_html(lines: Lines) -> bool:
    """Whether a heading may stand in a block of HTML, of which the lean lines show nothing: such a block goes on to
    the next empty line, a `<pre>` to its end.
    """
    if not lines.hidden:
        return False
    if any(_RAW_TEXT.search(lines.source[number]) for number in lines.hidden):
        return True
    for token in lines.tokens:
        if token.type == "heading_open" and token.map:
            above = token.map[0] - 1
            while above >= lines.body and lines.source[above].strip():
                if above in lines.hidden:
                    return True
                above -= 1
    return False


class _HtmlHeadings(HTMLParser):
    """The headings written as HTML, each with the line it begins on and its text."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.found: list[tuple[int, int, str]] = []
        self._first = first
        self._open: tuple[int, int] | None = None
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if re.fullmatch("h[1-6]", tag):
            self._close()
            self._open = (self._first + self.getpos()[0] - 1, int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        if re.fullmatch("h[1-6]", tag):
            self._close()

    def handle_data(self, data: str) -> None:
        if self._open:
            self._text.append(data)

    def _close(self) -> None:
        if self._open:
            self.found.append((*self._open, "".join(self._text).strip()))
        self._open, self._text = None, []


def html_headings(text: str, first: int) -> list[RawHeading]:
    """The headings in a piece of HTML whose first line has this number. One that is never closed is none."""
    parser = _HtmlHeadings(first)
    parser.feed(text)
    return [RawHeading(line, level, content, raw=True) for line, level, content in parser.found]
