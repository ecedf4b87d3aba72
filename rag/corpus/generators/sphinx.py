"""Sphinx with MyST: `a/b.html`, ids as docutils makes them.

`(label)=` above a heading is its id. A heading in a list or a quotation is none to link to. An id that is empty or
taken is `id1`, `id2`; references to footnotes take such numbers as well. The option `folders` is the builder
`dirhtml`.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from rag.corpus.generators.base import Generator, HeadingText, Inline, Lines, RawHeading
from rag.corpus.routes import FrontMatter, Site, split_path
from rag.corpus.slugs import DocutilsSlugger, Slugger

_LABEL = re.compile(r" {0,3}\(([^()\n]+)\)=\s*$")
_DEFINED = re.compile(r" {0,3}\[\^([^\]\s]+)\]:")
_NUMBERED = re.compile(r"\[\^([0-9]+)\](?!:)")
_FOOTNOTE = re.compile(r"\[\^([^\]\s]+)\](?!:)")


class Sphinx(Generator):
    name = "sphinx"
    dashes_are_tables = True
    configs = ("conf.py", "_toc.yml", "_config.yml")

    def owns(self, config: str) -> bool:
        """`_config.yml` is Jekyll's as well: that of a Jupyter Book names its parts."""
        return bool(re.search(r"\bextensions\b|\bmyst|\bsphinx|\bproject\s*=|^(?:root|format)\s*:", config, re.M))

    def options(self, config: str) -> frozenset[str]:
        return frozenset({"folders"} if "dirhtml" in config else ())

    def is_published(self, path: str, front_matter: FrontMatter, site: Site) -> bool:
        """`orphan` pages have one; what begins with `_` or `.` is a template, a build or a theme."""
        return not any(part.startswith((".", "_")) for part in path.split("/")[:-1])

    def route(self, path: str, front_matter: FrontMatter, site: Site) -> str:
        folder, stem = split_path(path)
        if site.trailing_slash or ("folders" in site.options and site.trailing_slash is None):
            return folder if stem == "index" else f"{folder}{stem}/"
        return f"{folder}{stem}.html"

    def slugger(self, options: frozenset[str]) -> Slugger:
        return DocutilsSlugger()

    def headings(self, lines: Lines) -> Iterator[RawHeading]:
        """Headings with the labels above them; between them, with level 0, the references to footnotes."""
        labels, above = dict[int, str](), ""
        for number in range(lines.body, len(lines.source)):
            if label := _LABEL.match(lines.source[number]):
                above = _identifier(label[1])
            elif lines.source[number].strip():
                labels[number], above = above, ""
        found = [replace(h, identifier=labels.get(h.line) or None) for h in super().headings(lines)]
        yield from sorted([*found, *_references(lines)], key=lambda heading: heading.line)

    def prepare(self, source: str, options: frozenset[str]) -> HeadingText:
        return _SphinxText(options)

    def anchor(self, heading: RawHeading, spoken: str, identifier: str | None, slugger: Slugger) -> str | None:
        if heading.nested:
            return ""
        anchor = super().anchor(heading, spoken, None, slugger)
        return identifier or anchor


class _SphinxText(HeadingText):
    def split_id(self, content: str) -> tuple[str, str | None]:
        return content, None

    def text(self, content: str, inline: Inline) -> str:
        """A footnote whose label is a number counts with it."""
        return super().text(_NUMBERED.sub(r"\1", content), inline)


def _references(lines: Lines) -> Iterator[RawHeading]:
    """The references to footnotes outside of code, as headings of level 0 without a text."""
    if not any("[^" in line for line in lines.source):
        return
    code = [token.map for token in lines.tokens if token.type in ("fence", "code_block") and token.map]
    hidden = {number for span in code for number in range(*span)}
    defined = {found[1] for line in lines.source if (found := _DEFINED.match(line))}
    for number, line in enumerate(lines.source):
        if number not in hidden and "[^" in line:
            for name in _FOOTNOTE.findall(re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", line)):
                if name in defined:
                    yield RawHeading(number, 0, "")


def _identifier(label: str) -> str:
    """The id of a label: as docutils makes one, never numbered."""
    return DocutilsSlugger().slug(label)
