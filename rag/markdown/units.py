"""Markdown of a book -> units that can be quoted alone: clean Markdown without anything that pointed out of its page.

    Unit    a sentence, heading, list item, table, fenced block or formula, with its place in the passage

Images, tags, comments, footnotes and link definitions go; links keep their text; the marks of admonitions go; emphasis
that a cut has left open is closed. Code is never touched. A bracketed number is escaped: only ours is a citation.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rag.markdown.fences import opening
from rag.markdown.sentences import sentences

UnitKind = Literal["sentence", "heading", "item", "table", "code", "formula"]

_ITEM = re.compile(r"^([ \t]*)([-*+]|\d{1,9}[.)])[ \t]+")
_DIRECTIVE = re.compile(r"^[ \t>]*(?::{3,}.*|!{3}[ \t]+\w.*|\?{3}\+?[ \t]+\w.*|\[!\w+\][ \t]*)$", re.MULTILINE)
_DEFINITION = re.compile(r"^[ \t>]*\[[^\]\n]+\]:[ \t]*\S.*$", re.MULTILINE)
_QUOTE_MARK = re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->|\{/\*.*?\*/\}", re.DOTALL)
_IMAGE = re.compile(r"!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])")
_TARGET = r"""\(\s*(?:<[^<>\n]*>|(?:[^()\s]|\([^()]*\))*)(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)|\[[^\]]*\]"""
_LINK = re.compile(rf"\[((?:[^\[\]]|\[[^\[\]]*\])+)\](?:{_TARGET})")
_SHORTCUT = re.compile(r"\[(`[^`\]]+`)\]")
_FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]")
_TAG = re.compile(r"(?:(?<!\w)<|</)[A-Za-z][\w.-]*(?:\s[^<>]*)?/?>")
_AUTOLINK = re.compile(r"<(https?://[^\s<>]+)>")
_HEADING_ID = re.compile(r"\s*\{#[\w-]+\}\s*$")
_NUMBER = re.compile(r"(?<!\\)\[(\s*\d+(?:\s*[,–-]\s*\d+)*\s*)\]")
_CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_SPACES = re.compile(r"\s+")
_WIDE = "[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]"
_WIDE_BREAK = re.compile(rf"(?<={_WIDE})[ \t]*\n\s*(?={_WIDE})")


@dataclass(frozen=True, slots=True)
class Unit:
    """`text` is clean; `place` numbers the units of a passage, `block` the paragraphs, lists and other blocks."""

    kind: UnitKind
    text: str
    place: int
    block: int


def units(markdown: str) -> list[Unit]:
    """The quotable units of a passage, in its order."""
    found: list[Unit] = []
    block, last_end, last_kind = -1, 0, ""
    for start, end in sentences(markdown):
        raw = markdown[start:end]
        kind = _kind(raw)
        together = kind == last_kind and kind in ("sentence", "item")
        if not together or (kind == "sentence" and "\n\n" in markdown[last_end:start].replace(" ", "")):
            block += 1
        last_end, last_kind = end, kind
        text = _clean(raw, kind)
        if text:
            found.append(Unit(kind, text, len(found), block))
    return found


def plain(markdown: str) -> str:
    """A piece of prose as clean Markdown on one line, outside code."""
    return _balanced("".join(_outside_code(_stripped(markdown)))).strip()


def _kind(raw: str) -> UnitKind:
    if opening(raw):
        return "code"
    if raw.lstrip().startswith("#") and re.match(r"\s{0,3}#{1,6}\s", raw):
        return "heading"
    if raw.lstrip().startswith("$$"):
        return "formula"
    if _ITEM.match(raw):
        return "item"
    lines = raw.strip().splitlines()
    return "table" if len(lines) > 1 and all("|" in line for line in lines) else "sentence"


def _clean(raw: str, kind: UnitKind) -> str:
    if kind in ("code", "formula"):
        return _dedented(raw)
    if kind == "table":
        rows = ("".join(_outside_code(row)).strip() for row in raw.splitlines())
        return "\n".join(row for row in rows if row)
    if kind == "heading":
        return plain(_HEADING_ID.sub("", raw.lstrip().lstrip("#")))
    if kind == "item":
        mark = _ITEM.match(raw)
        assert mark is not None
        body = plain(raw[mark.end() :])
        return f"{mark[1]}{mark[2]} {body}" if body else ""
    return plain(raw)


def _dedented(raw: str) -> str:
    lines = raw.expandtabs(4).splitlines()
    quoted = all(line.lstrip().startswith(">") for line in lines)
    lines = [_QUOTE_MARK.sub("", line) for line in lines] if quoted else lines
    margin = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[min(margin, len(line) - len(line.lstrip())) :] for line in lines).rstrip()


def _stripped(text: str) -> str:
    """Without the lines that are marks and not words."""
    for pattern in (_DIRECTIVE, _DEFINITION, _QUOTE_MARK):
        text = pattern.sub("", text)
    return _SPACES.sub(" ", _WIDE_BREAK.sub("", text))


def _outside_code(text: str) -> Iterator[str]:
    """The text with everything but its code spans cleaned."""
    place = 0
    for span in _CODE_SPAN.finditer(text):
        if not _in_link(text, span):
            yield _inline(text[place : span.start()])
            yield span[0]
            place = span.end()
    yield _inline(text[place:])


def _in_link(text: str, span: re.Match[str]) -> bool:
    """A code span inside a link's text is cleaned with the link."""
    return any(
        link.start() < span.start() < link.end() for pattern in (_LINK, _SHORTCUT) for link in pattern.finditer(text)
    )


def _inline(text: str) -> str:
    for pattern in (_COMMENT, _IMAGE, _FOOTNOTE):
        text = pattern.sub("", text)
    text = _SHORTCUT.sub(r"\1", _LINK.sub(r"\1", _LINK.sub(r"\1", text)))
    text = _TAG.sub(" ", _AUTOLINK.sub(r"\1", text))
    return re.sub(r"[ \t]{2,}", " ", _NUMBER.sub(r"\\[\1\\]", text))


def _balanced(text: str) -> str:
    """Takes out emphasis marks whose partner was cut off."""
    bare = _CODE_SPAN.sub("", text)
    for mark in ("**", "__", "~~"):
        if bare.count(mark) % 2:
            text = text.replace(mark, "")
            bare = bare.replace(mark, "")
    return text.replace("`", "") if text.count("`") % 2 else text
