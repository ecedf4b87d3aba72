"""What an mdBook page takes from other files: `{{#include}}`, `{{#rustdoc_include}}`, `{{#playground}}`.

Line ranges and anchors as in mdBook's own preprocessor. Nothing is read from outside of the book. The lines of Rust
code that mdBook hides (`# `) are left out, and so is all that `rustdoc_include` shows none of. A directive that cannot
be resolved stays as it is written.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join, normpath

from rag.corpus.decoding import decode
from rag.types import Inclusion

_DIRECTIVE = re.compile(r"\\\{\{#.*?\}\}|\{\{\s*#([a-zA-Z0-9_]+)\s+([^}]+)\}\}")
_START = re.compile(r"ANCHOR:\s*([\w-]+)")
_END = re.compile(r"ANCHOR_END:\s*([\w-]+)")
_HIDDEN = re.compile(r"\s*#(?: .*)?$")
_SHOWN = re.compile(r"^(\s*)##")
_DEEPEST = 10
_LARGEST_FILE = 2_000_000  # bytes
_MOST_TEXT = 5_000_000  # characters that one page may take in
_MOST_FILES = 2_000


@dataclass(frozen=True, slots=True)
class Expanded:
    """A text with what it includes, and where that stands."""

    text: str
    inclusions: tuple[Inclusion, ...]


def expand(text: str, path: str, root: Path) -> Expanded:
    """The text of the file `path` below the book's folder `root`, which no link may leave."""
    return _Expander(root.resolve()).expand(text, path)


class _Expander:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._room = _MOST_TEXT
        self._files = _MOST_FILES

    def expand(self, text: str, path: str) -> Expanded:
        inclusions: list[Inclusion] = []

        def note(start: int, found: re.Match[str], content: str) -> None:
            lines = (content.count("\n"), found[0].count("\n"))
            inclusions.append(Inclusion((start, start + len(content)), found.span(), lines))

        return Expanded(self._replace(text, path, 0, note), tuple(inclusions))

    def _replace(
        self, text: str, path: str, depth: int, note: Callable[[int, re.Match[str], str], None] | None = None
    ) -> str:
        parts: list[str] = []
        length = at = 0
        for found in _DIRECTIVE.finditer(text):
            content = self._content(found, path, depth)
            if content is None:
                continue
            start = text.rfind("\n", 0, found.start()) + 1
            indent = text[start : found.start()]
            if "\n" in content and indent and not indent.strip(" \t>"):
                content = content.replace("\n", f"\n{indent}")
            length += found.start() - at
            if note:
                note(length, found, content)
            parts += (text[at : found.start()], content)
            length, at = length + len(content), found.end()
        return "".join([*parts, text[at:]])

    def _content(self, found: re.Match[str], path: str, depth: int) -> str | None:
        """What stands in the place of a directive; None for what stays."""
        if found[1] is None:
            return found[0][1:]
        if found[1] == "title":
            return ""
        if found[1] not in ("include", "rustdoc_include", "playground", "playpen") or not found[2].strip():
            return None
        if depth >= _DEEPEST:
            return ""
        target, *properties = found[2].split()
        name, _, part = target.partition(":") if not found[1].startswith("play") else (target, "", "")
        file = normpath(join(dirname(path), name))
        text = self._read(file)
        if text is None:
            return None
        lines = _taken(text.split("\n")[: -1 if text.endswith("\n") else None], part)
        if file.endswith(".rs"):
            lines = [_SHOWN.sub(r"\1#", line) for line in lines if not _HIDDEN.match(line)]
        if found[1].startswith("play"):
            info = ",".join(["rust", *properties])
            lines = [f"```{info}", *lines, "```"]
        content = self._replace("\n".join(lines), file, depth + 1)
        self._room -= len(content)
        return content if self._room >= 0 else None

    def _read(self, file: str) -> str | None:
        """A file of the book; None where it cannot be had, or the page has taken in enough."""
        self._files -= 1
        if self._files < 0 or self._room <= 0:
            return None
        try:
            place = (self._root / file).resolve()
            if not place.is_relative_to(self._root) or not place.is_file() or place.stat().st_size > _LARGEST_FILE:
                return None
            return decode(place.read_bytes())
        except (OSError, RuntimeError, ValueError):
            return None


def _taken(lines: list[str], part: str) -> list[str]:
    """The lines of a range (`2`, `2:`, `:5`, `2:5`, from 1) or of an anchor; without either all."""
    first, colon, rest = part.partition(":")
    if first and not first.isdecimal():
        return _anchored(lines, first)
    last = rest.partition(":")[0]
    start = max(int(first) - 1, 0) if first else 0
    if last.isdecimal():
        return lines[start : int(last)]
    if first and not colon:
        return lines[start : start + 1]
    return lines[start:]


def _anchored(lines: list[str], anchor: str) -> list[str]:
    """The lines between the comments that name an anchor, without those that name any."""
    taken: list[str] = []
    within = False
    for line in lines:
        if not within:
            started = _START.search(line)
            within = started is not None and started[1] == anchor
        elif ended := _END.search(line):
            if ended[1] == anchor:
                break
        elif not _START.search(line):
            taken.append(line)
    return taken
