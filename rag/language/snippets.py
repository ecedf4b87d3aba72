"""A piece of a book as a line of plain text, for a list of sources. Pure.

What the page's readers do not see goes as it does in quotations, and then the marks that they see as type: emphasis,
code spans, list marks, the pipes of tables, the marks around code and formulas.
"""

import html
import re
from collections.abc import Iterator
from functools import lru_cache

from rag.language.quotation import Unit, units

LONGEST = 300
_READ = 4 * LONGEST  # characters that are looked at
_ITEM = re.compile(r"^[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?")
_RULE = re.compile(r"^[\s|:-]+$")
_FENCE = re.compile(r"^[ \t>]*(?:`{3,}|~{3,}).*$", re.MULTILINE)
_UNDERLINE = re.compile(r"^(.*\S)[ \t]*\n {0,3}(?:=+|-{2,})[ \t]*$", re.MULTILINE)
_CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_EMPHASIS = re.compile(r"(\*{1,3}|~~)(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
_UNDERSCORES = re.compile(r"(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)", re.DOTALL)
_HEADING_ID = re.compile(r"[ \t]*\{:?[ \t]*#[\w.:-]+[^{}\n]*\}")
_INCLUDE = re.compile(r"\{\{[ \t]*#[^{}\n]*\}\}")  # mdBook puts a file's lines there
_QUOTED_HEADING = re.compile(r"^#{1,6}[ \t]+")
_KEPT = re.compile("\ue000([0-9]+)\ue001")  # private: no page says it
_FORMULA = re.compile(r"(?<![\w$\\])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\w$])")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_SENTENCE_END = ".!?…。！？:："


@lru_cache(maxsize=1024)  # a dozen a search, of passages that many searches find
def snippet(markdown: str) -> str:
    """At most 300 characters on one line, without the headings it begins with; those alone when there is no more."""
    source = _UNDERLINE.sub(r"## \1", _INCLUDE.sub("", _closed(markdown[:_READ])))
    found = [unit for unit in units(source) if unit.text.strip(" \t\n-*_")]
    first = next((at for at, unit in enumerate(found) if unit.kind != "heading"), 0)
    return _shortened(" ".join(" ".join(_parts(found[first:])).split()))


def _closed(text: str) -> str:
    """A code block that the length has cut ends where the text does, or its lines would be taken for prose."""
    marks = _FENCE.findall(text)
    return f"{text}\n{marks[-1].strip(' >')[:3]}" if len(marks) % 2 else text


def _parts(found: list[Unit]) -> Iterator[str]:
    for unit in found:
        text = _plain(unit)
        if unit.kind == "heading" and text[-1:] not in _SENTENCE_END:
            text += ":"  # or it would run into the text below it
        yield text


def _plain(unit: Unit) -> str:
    if unit.kind == "code":
        return _FENCE.sub("", unit.text)
    if unit.kind == "formula":
        return unit.text.strip("$ \n")
    if unit.kind == "table":
        rows = (row.strip().strip("|").split("|") for row in unit.text.splitlines() if not _RULE.match(row))
        return "; ".join(", ".join(filter(None, map(_inline, row))) for row in rows)
    return _inline(_ITEM.sub("", unit.text) if unit.kind == "item" else unit.text)


def _inline(text: str) -> str:
    """Without marks. The text of code spans stays as it is: it is set aside while the marks around it go."""
    spans: list[str] = []

    def aside(span: re.Match[str]) -> str:
        spans.append(span[2])
        return f"\ue000{len(spans) - 1}\ue001"

    text = _FORMULA.sub(r"\1", _CODE.sub(aside, re.sub("[\ue000\ue001]", "", text)))
    for pattern in (_EMPHASIS, _EMPHASIS, _UNDERSCORES):
        text = pattern.sub(r"\2", text)
    text = html.unescape(_ESCAPE.sub(r"\1", _QUOTED_HEADING.sub("", _HEADING_ID.sub("", text))))
    return _KEPT.sub(lambda kept: spans[int(kept[1])], text).strip()


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
