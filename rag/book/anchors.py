"""The id of a heading, as each generator computes it from the heading's rendered text.

A slugger lives for one page: it remembers what it gave out, because duplicates are numbered.

    GithubSlugger   Docusaurus and GitHub: the rule of github-slugger
    MdBookSlugger   mdBook: letters, digits, `_` and `-` stay, a set of taken ids
    MkDocsSlugger   MkDocs: the `toc` extension of Python-Markdown, ASCII, numbered `_1`
"""

import re
import unicodedata
from bisect import bisect_right
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

Generator = Literal["docusaurus", "github", "mdbook", "mkdocs"]

_REMOVED = Path(__file__).parent.parent / "data" / "slugs" / "removed.txt"


class Slugger(Protocol):
    def slug(self, text: str) -> str:
        """The id for a heading with this rendered text; it may be empty."""
        ...

    def register(self, identifier: str) -> None:
        """Takes note of an id that the author wrote out."""
        ...


class _Removal(dict[int, int | None]):
    """A table for `str.translate` that learns each code point when it first meets it."""

    def __init__(self) -> None:
        self[ord(" ")] = ord("-")
        lines = _REMOVED.read_text(encoding="ascii").splitlines()
        ranges = [part.split("-") for line in lines if not line.startswith("#") for part in line.split()]
        self._starts = [int(item[0], 16) for item in ranges]
        self._ends = [int(item[-1], 16) for item in ranges]

    def __missing__(self, code: int) -> int | None:
        at = bisect_right(self._starts, code) - 1
        self[code] = None if at >= 0 and code <= self._ends[at] else code
        return self[code]


@cache
def _removal() -> _Removal:
    return _Removal()


class GithubSlugger:
    """A duplicate takes the next number whose id is free: `foo`, `foo-1`; an id the author wrote out is not counted."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def slug(self, text: str) -> str:
        base = slug = text.lower().translate(_removal())
        while slug in self._taken:
            self._taken[base] += 1
            slug = f"{base}-{self._taken[base]}"
        self._taken[slug] = 0
        return slug

    def register(self, identifier: str) -> None:
        pass


class MdBookSlugger:
    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}

    def slug(self, text: str) -> str:
        kept = (c if c.isalnum() or c in "_-" else "-" if c.isspace() else "" for c in text.strip().lower())
        base = slug = "".join(kept)
        while slug in self._taken:
            self._numbers[base] = self._numbers.get(base, 0) + 1
            slug = f"{base}-{self._numbers[base]}"
        self._taken.add(slug)
        return slug

    def register(self, identifier: str) -> None:
        self._taken.add(identifier)


class MkDocsSlugger:
    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._latest: dict[str, str] = {}

    def slug(self, text: str) -> str:
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
        plain = re.sub(r"[^\w\s-]", "", plain).strip().lower()
        base = re.sub(r"[-\s]+", "-", plain)
        slug = self._latest.get(base, base)
        while slug in self._taken or not slug:
            numbered = re.fullmatch(r"(.*)_([0-9]{1,9})", slug, re.DOTALL)
            slug = f"{numbered[1]}_{int(numbered[2]) + 1}" if numbered else f"{slug}_1"
        self._taken.add(slug)
        self._latest[base] = slug
        return slug

    def register(self, identifier: str) -> None:
        self._taken.add(identifier)


def slugger_for(generator: Generator) -> Slugger:
    """A fresh slugger for one page."""
    if generator == "mdbook":
        return MdBookSlugger()
    if generator == "mkdocs":
        return MkDocsSlugger()
    return GithubSlugger()
