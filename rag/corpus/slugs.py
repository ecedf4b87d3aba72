"""The id of a heading, as each generator computes it from the heading's rendered text.

A slugger lives for one page: it remembers what it gave out, because duplicates are numbered.

    GithubSlugger     Docusaurus, GitHub, Starlight: the rule of github-slugger
    MdBookSlugger     mdBook: letters, digits, `_` and `-` stay; nothing left is `section`
    MkDocsSlugger     MkDocs: the `toc` extension of Python-Markdown, ASCII, numbered `_1`
    VitePressSlugger  VitePress: punctuation becomes `-`, a leading digit gets a `_`
    HugoSlugger       Hugo: letters, digits and `_` of the heading's source
    DocutilsSlugger   Sphinx: ASCII letters and digits; what is empty or taken is `id1`, `id2`
"""

import re
import unicodedata
from bisect import bisect_right
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import regex

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


class _Numbered:
    """Gives a duplicate the next free number behind a mark; no number is tried twice for the same id."""

    def __init__(self, mark: str = "-") -> None:
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._mark = mark

    def unique(self, base: str) -> str:
        slug = base
        while slug in self._taken:
            self._numbers[base] = self._numbers.get(base, 0) + 1
            slug = f"{base}{self._mark}{self._numbers[base]}"
        self._taken.add(slug)
        return slug

    def take(self, identifier: str) -> None:
        self._taken.add(identifier)


@cache
def _not_alphanumeric() -> "regex.Pattern[str]":
    import regex  # knows the Unicode properties that Rust's standard library goes by

    return regex.compile(r"[^\p{Alphabetic}\p{N}_\-\s]+")


class MdBookSlugger:
    """Rust's `is_alphanumeric` keeps the marks of Indic and Arabic scripts, which `str.isalnum` drops."""

    def __init__(self) -> None:
        self._ids = _Numbered()

    def slug(self, text: str) -> str:
        kept = text.strip().lower()
        if not kept.replace(" ", "").isalnum():
            kept = _not_alphanumeric().sub("", kept)
        return self._ids.unique("".join("-" if c.isspace() else c for c in kept) or "section")

    def register(self, identifier: str) -> None:
        """mdBook does not count an id that the author wrote out."""


class MkDocsSlugger:
    """`unicode` keeps the letters of every script, `case` the capitals, as the slugs of pymdown-extensions can."""

    def __init__(self, *, unicode: bool = False, case: bool = False, pymdown: bool = False) -> None:
        self._taken: set[str] = set()
        self._after: dict[str, dict[int, int]] = {}  # base -> number -> one up to which all are taken
        self._unicode, self._case, self._pymdown = unicode, case, pymdown

    def slug(self, text: str) -> str:
        if self._pymdown:
            plain = unicodedata.normalize("NFC", re.sub(r"</?[^>]*>", "", " ".join(text.split())))
            plain = plain if self._case else plain.lower()
            slug = re.sub(r"[^\w\- ]", "", plain.strip()).replace(" ", "-")
        else:
            plain = text
            if not self._unicode:
                plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
            slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        if slug and slug not in self._taken:
            self._taken.add(slug)
            return slug
        numbered = re.fullmatch(r"(.*)_([0-9]{1,9})", slug, re.DOTALL)
        base = numbered[1] if numbered else slug
        number = int(numbered[2]) + 1 if numbered else 1
        return self._next(base, number)

    def _next(self, base: str, number: int) -> str:
        """`base_1`, `base_2` and so on, the first free one from a number on; taken runs are passed in one step."""
        after = self._after.setdefault(base, {})
        passed = []
        while f"{base}_{number}" in self._taken:
            passed.append(number)
            number = after.get(number, number + 1)
        after.update(dict.fromkeys(passed, number + 1))
        self._taken.add(f"{base}_{number}")
        return f"{base}_{number}"

    def register(self, identifier: str) -> None:
        self._taken.add(identifier)


class VitePressSlugger:
    _CONTROL = re.compile(r"[\u0000-\u001f]")
    _SPECIAL = re.compile(r"[\s\ufeff~`!@#$%^&*()\-_+=\[\]{}|\\;:\"'“”‘’<>,.?/]+")

    def __init__(self) -> None:
        self._ids = _Numbered()

    def slug(self, text: str) -> str:
        plain = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text))
        slug = self._SPECIAL.sub("-", self._CONTROL.sub("", plain)).strip("-")
        return self._ids.unique(re.sub(r"^([0-9])", r"_\1", slug).lower())

    def register(self, identifier: str) -> None:
        self._ids.take(identifier)


class HugoSlugger:
    """`ascii_only` is the rule of `autoHeadingIDType = 'github-ascii'`."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        self._ids = _Numbered()
        self._ascii = ascii_only

    def slug(self, text: str) -> str:
        if self._ascii:
            text = unicodedata.normalize("NFD", text)
            text = unicodedata.normalize("NFC", "".join(c for c in text if unicodedata.category(c) != "Mn"))
            text = text.encode("ascii", "ignore").decode()
        return self._ids.unique("".join(map(self._kept, text.strip())) or "heading")

    def register(self, identifier: str) -> None:
        self._ids.take(identifier)

    @staticmethod
    def _kept(character: str) -> str:
        if character in " -":
            return "-"
        category = unicodedata.category(character)
        return character.lower() if character == "_" or category[0] == "L" or category == "Nd" else ""


_SPELLED = {"ß": "sz", "æ": "ae", "œ": "oe", "ȸ": "db", "ȹ": "qp"}
_PLAIN = {
    "a": "ⱥ", "b": "ƀƃɓ", "c": "ƈȼɕ", "d": "đƌȡɖɗ", "e": "ɇɛǝ", "f": "ƒ", "g": "ǥɠ", "h": "ħɦ", "i": "ıɨ",
    "j": "ȷɉʝ", "k": "ƙ", "l": "łƚȴɫɬɭ", "m": "ɱ", "n": "ƞȵɲɳ", "o": "øɵ", "p": "ƥ", "q": "ɋ", "r": "ɍɼɽɾ",
    "s": "ȿʂ", "t": "ŧƫƭȶʈ", "u": "ʉ", "v": "ʋ", "y": "ƴɏ", "z": "ƶȥɀʐʑ",
}  # fmt: skip
_DOCUTILS = str.maketrans(_SPELLED | {letter: plain for plain, letters in _PLAIN.items() for letter in letters})


class DocutilsSlugger:
    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbers = count(1)

    def slug(self, text: str) -> str:
        plain = unicodedata.normalize("NFKD", text.lower().translate(_DOCUTILS)).encode("ascii", "ignore").decode()
        slug = re.sub(r"^[-0-9]+|-+$", "", re.sub(r"[^a-z0-9]+", "-", " ".join(plain.split())))
        while not slug or slug in self._taken:
            slug = f"id{next(self._numbers)}"
        self._taken.add(slug)
        return slug

    def register(self, identifier: str) -> None:
        self._taken.add(identifier)
