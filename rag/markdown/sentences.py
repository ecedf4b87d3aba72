"""Where sentences end, in any script, and which blocks of Markdown are quoted whole.

    prose_sentences(text)   spans of sentences; Markdown means nothing here
    sentences(text)         spans of units of a Markdown text: a sentence of a paragraph, or a whole heading,
                            fence, display formula, table or list item

Spans are half open, in order, without white space at their ends, and together hold everything else.
"""

import re
from collections.abc import Iterator

from rag.markdown.fences import Fence, opening

Span = tuple[int, int]

_CLOSERS = "\"'”’»)\\]}*_`"
_END = re.compile(
    rf"""
    (?P<western>(?<![.!?…])[.!?…]++)[{_CLOSERS}]*+(?=\s)     # needs white space after it
    | [。！？｡؟۔।॥။።፧]++[{_CLOSERS}」』）】]*+     # needs none
    """,
    re.VERBOSE,
)
_NEXT = re.compile(r"\s+([^\w\s]*)(\w?)")
_ABBREVIATIONS = """
e.g i.e cf vs etc al fig figs eq eqs sec ch chap no nos vol pp ed eds dr mr mrs ms prof st jr sr inc ltd co approx dept
est resp incl z.b d.h bzw usw ca nr p.ej ej sra av núm
"""
_ABBREVIATED = frozenset(_ABBREVIATIONS.split())
_LAST_WORD = re.compile(r"[^\s(\[{\"'“‘*_]*$")
_LONGEST_WORD = 40
_NUMBERING = re.compile(r"(?:^|\n)[ \t]*[0-9]{1,9}$")

_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_ITEM = re.compile(r"[ \t]*+(?:[-*+]|\d{1,9}[.)])[ \t]++\S")
_ROW = re.compile(r"[ \t>]*+\|")
_RULE = re.compile(r"[ \t>]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+$")


def prose_sentences(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """Sentences of text[start:end]. Abbreviations, initials and numbers end none, nor does a lower-case next word."""
    end = len(text) if end is None else end
    spans: list[Span] = []
    begin = start
    for match in _END.finditer(text, start, end):
        if match["western"] and not _ends_sentence(text, match, end):
            continue
        spans.append((begin, match.end()))
        begin = match.end()
    spans.append((begin, end))
    return [span for span in (_trim(text, *span) for span in spans) if span[0] < span[1]]


def sentences(text: str) -> list[Span]:
    """Units of a Markdown text, as the module says."""
    return [span for start, end, whole in _blocks(text) for span in _units(text, start, end, whole=whole)]


def _units(text: str, start: int, end: int, *, whole: bool) -> list[Span]:
    start, end = _trim_lines(text, start, end)
    if start >= end:
        return []
    return [(start, end)] if whole else prose_sentences(text, start, end)


def _ends_sentence(text: str, match: re.Match[str], end: int) -> bool:
    following = _NEXT.match(text, match.end(), end)
    if following and following[2].islower():
        return False
    if match["western"] != ".":
        return True
    word = _LAST_WORD.search(text, max(0, match.start() - _LONGEST_WORD), match.start())
    last = word[0] if word else ""
    return last.lower() not in _ABBREVIATED and not (len(last) == 1 and last.isupper()) and not _numbers(text, match)


def _numbers(text: str, match: re.Match[str]) -> bool:
    """`1.` at the beginning of a line numbers what follows."""
    start = max(0, match.start() - _LONGEST_WORD)
    found = _NUMBERING.search(text[start : match.start()])
    return bool(found and (found[0].startswith("\n") or start == 0))


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """(start, end, whole): blocks of lines; a paragraph is not whole."""
    lines = _line_spans(text)
    at = 0
    while at < len(lines):
        start = lines[at][0]
        last, whole = _block_at(text, lines, at)
        yield start, lines[last - 1][1], whole
        at = last


def _line_spans(text: str) -> list[Span]:
    spans: list[Span] = []
    start = 0
    for line in text.split("\n"):
        spans.append((start, start + len(line)))
        start += len(line) + 1
    return spans


def _block_at(text: str, lines: list[Span], at: int) -> tuple[int, bool]:
    """Where the block that begins at line `at` ends, and whether it stays whole."""
    start, end = lines[at]
    fence = opening(text, start, end)
    if fence is not None:
        return _fence_end(text, lines, at, fence), True
    if _HEADING.match(text, start, end):
        return at + 1, True
    if text.startswith("$$", start):
        return _formula_end(text, lines, at), True
    if _is_table(text, lines, at):
        return _table_end(text, lines, at), True
    if _ITEM.match(text, start, end):
        return _item_end(text, lines, at), True
    after = at + 1
    while after < len(lines) and text[slice(*lines[after])].strip() and not _begins_block(text, lines, after):
        after += 1
    return after, False


def _begins_block(text: str, lines: list[Span], at: int) -> bool:
    start, end = lines[at]
    return bool(
        opening(text, start, end)
        or _HEADING.match(text, start, end)
        or _ITEM.match(text, start, end)
        or text.startswith("$$", start)
        or _is_table(text, lines, at)
    )


def _is_table(text: str, lines: list[Span], at: int) -> bool:
    start, end = lines[at]
    if _ROW.match(text, start, end):
        return True
    if at + 1 == len(lines) or "|" not in text[start:end]:
        return False
    rule = text[slice(*lines[at + 1])]
    return "|" in rule and bool(_RULE.match(rule))


def _table_end(text: str, lines: list[Span], at: int) -> int:
    after = at + 1
    while after < len(lines) and "|" in text[slice(*lines[after])]:
        after += 1
    return after


def _fence_end(text: str, lines: list[Span], at: int, fence: Fence) -> int:
    for after in range(at + 1, len(lines)):
        if fence.is_closed_by(text[slice(*lines[after])]):
            return after + 1
    return len(lines)


def _formula_end(text: str, lines: list[Span], at: int) -> int:
    first = text[slice(*lines[at])].strip()
    if len(first) > 2 and first.endswith("$$"):
        return at + 1
    for after in range(at + 1, len(lines)):
        if text[slice(*lines[after])].rstrip().endswith("$$"):
            return after + 1
    return at + 1


def _item_end(text: str, lines: list[Span], at: int) -> int:
    """An item holds its lazy and its indented lines; a nested item is a unit of its own."""
    after = at + 1
    while after < len(lines):
        line = text[slice(*lines[after])]
        if not line.strip() or _begins_block(text, lines, after):
            break
        after += 1
    return after


def _trim(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    kept = piece.strip()
    first = start + len(piece) - len(piece.lstrip())
    return first, first + len(kept)


def _trim_lines(text: str, start: int, end: int) -> Span:
    """Like `_trim`, but the first line keeps its indentation: a nested list item, indented code."""
    trimmed, end = _trim(text, start, end)
    return max(start, text.rfind("\n", start, trimmed) + 1) if trimmed < end else trimmed, end
