"""mdBook 0.5: `a/b.html`, README is index; the pages are those that `SUMMARY.md` names.

A slug is made of the heading's text after smart punctuation, without the texts of images and with the numbers of
footnotes. `{#id}` and `{id=x}` are written ids, which are not counted as taken; terms of definition lists take ids as
headings do. The option `plain` is `smart-punctuation = false`, `no-terms` is `definition-lists = false`.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from posixpath import normpath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from rag.corpus.generators.base import (
    Generator,
    HeadingText,
    Inline,
    Lines,
    RawHeading,
    Tree,
)
from rag.corpus.routes import FrontMatter, Site, split_path
from rag.corpus.slugs import MdBookSlugger, Slugger

if TYPE_CHECKING:
    from markdown_it.token import Token

CONTENTS = "summary.md"

_ATTRIBUTES = re.compile(r"(?<!\\)\{([^{}<>\\\n]*)\}[ \t]*$")
_DASHES = re.compile(r"-{2,}")
_REFERENCE = re.compile(r"\[\^([^\]\s]{1,100}+)\](?!:)")
_DEFINED = re.compile(r"^ {0,3}\[\^([^\]\s]+)\]:", re.MULTILINE)
_CODE = re.compile(
    r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?^ {0,3}\1[`~]*[ \t]*$|(?<!`)(`+)(?!`)[^\n]*?(?<!`)\2(?!`)", re.M | re.S
)
_DEFINITION = re.compile(r" {0,3}:[ \t]")
_NO_TERM = re.compile(r"\s*$| {0,3}(?:#{1,6}\s|[-+*>|]|\d+[.)]\s|`{3}|~{3}|:[ \t]|<|\[\^?[^\]]+\]:)")


class MdBook(Generator):
    name = "mdbook"
    configs = ("book.toml",)

    def recognises(self, tree: Tree) -> bool:
        return any(name.lower() == CONTENTS for name in tree.names)

    def options(self, config: str) -> frozenset[str]:
        try:
            html = tomllib.loads(config).get("output", {}).get("html", {})
        except (tomllib.TOMLDecodeError, AttributeError):
            return frozenset()
        found = {"plain"} if html.get("smart-punctuation") is False else set[str]()
        if html.get("definition-lists") is False:
            found.add("no-terms")
        return frozenset(found)

    def is_published(self, path: str, front_matter: FrontMatter, site: Site) -> bool:
        """mdBook knows neither front matter nor drafts by it."""
        return True

    def is_contents(self, path: str) -> bool:
        return path.lower() == CONTENTS

    def route(self, path: str, front_matter: FrontMatter, site: Site) -> str:
        if self.is_contents(path):
            return ""
        folder, stem = split_path(path)
        return f"{folder}{'index' if stem.lower() == 'readme' else stem}.html"

    def slugger(self, options: frozenset[str]) -> Slugger:
        return MdBookSlugger()

    def headings(self, lines: Lines) -> Iterator[RawHeading]:
        found = super().headings(lines)
        terms = _terms(lines)
        if not terms:
            return found
        return iter(sorted([*found, *terms], key=lambda heading: heading.line))

    def prepare(self, source: str, options: frozenset[str]) -> HeadingText:
        return MdBookText(source, options)


class MdBookText(HeadingText):
    marked = re.compile(r"[\\`*_\[\]<>&!~{^]|--")
    images = False

    def __init__(self, source: str, options: frozenset[str]) -> None:
        super().__init__(options)
        self._source = source
        self._numbers: dict[str, int] | None = None

    def split_id(self, content: str) -> tuple[str, str | None]:
        """`{#id .class key=value}`; the last `#id` counts, and `id=x` where there is none."""
        found = _ATTRIBUTES.search(content)
        if not found:
            return content, None
        identifier: str | None = None
        for part in found[1].split():
            if part.startswith("#") and len(part) > 1:
                identifier = part[1:]
            elif identifier is None and part.startswith("id=") and len(part) > 3:
                identifier = part[3:]
        return content[: found.start()].rstrip(), identifier

    def text(self, content: str, inline: Inline) -> str:
        if "[^" in content:
            content = _REFERENCE.sub(self._number, content)
        return super().text(content, inline)

    def plain(self, tokens: "Sequence[Token]") -> str:
        if "plain" in self.options:
            return super().plain(tokens)
        parts = list[str]()
        for token in tokens:
            text = super().plain([token])
            parts.append(_DASHES.sub(_dashes, text) if token.type == "text" else text)
        return "".join(parts)

    def _number(self, found: re.Match[str]) -> str:
        """The number of a footnote: that of the first reference to it on the page."""
        if self._numbers is None:
            defined = set(_DEFINED.findall(self._source))
            names = _REFERENCE.findall(_CODE.sub("", self._source))
            order = dict.fromkeys(name for name in names if name in defined)
            self._numbers = {name: number for number, name in enumerate(order, 1)}
        number = self._numbers.get(found[1])
        return found[0] if number is None else str(number)


def _dashes(found: re.Match[str]) -> str:
    """Hyphens as em and en dashes, of one kind where that is possible."""
    count = len(found[0])
    if count % 3 == 0:
        return "—" * (count // 3)
    if count % 2 == 0:
        return "–" * (count // 2)
    if count % 3 == 2:
        return "—" * (count // 3) + "–"
    return "—" * (count // 3 - 1) + "––"


def _terms(lines: Lines) -> list[RawHeading]:
    """The terms of definition lists: the line above one that begins with a colon, or two above it."""
    starts = [number for number in range(lines.body + 1, len(lines.source)) if _DEFINITION.match(lines.source[number])]
    if not starts:
        return []
    code = {
        number
        for token in lines.tokens
        if token.type in ("fence", "code_block", "html_block", "table_open") and token.map
        for number in range(*token.map)
    }
    found = []
    for number in starts:
        term = number - 1 if lines.source[number - 1].strip() else number - 2
        if number not in code and term >= lines.body and not _NO_TERM.match(lines.source[term]) and term not in code:
            found.append(RawHeading(term, 0, lines.source[term].strip()))
    return found


def chapter_titles(text: str) -> dict[str, str]:
    """Path -> title of the chapters that are linked, as plain text; the first link to a file names it."""
    titles: dict[str, str] = {}
    for path, title in _links(text):
        titles.setdefault(path, title)
    return titles


def _links(text: str) -> Iterator[tuple[str, str]]:
    from markdown_it import MarkdownIt  # not needed for other books, which are told apart in milliseconds

    parser = MarkdownIt("commonmark")
    for line in text.split("\n"):
        if "](" not in line:
            continue
        target, parts = "", list[str]()
        for token in parser.parseInline(line)[0].children or ():
            if token.type == "link_open":
                target, parts = str(token.attrs["href"]), []
            elif token.type == "link_close":
                title = " ".join("".join(parts).split())
                if title and target:
                    yield normpath(unquote(target.partition("#")[0])), title
            else:
                parts.append(token.content)
