"""Tags of HTML and MDX in a page's text: those with lines of their own, and block-level ones beside words.

Phrasing tags within a line (`<kbd>`, `<a>`) are part of their paragraph and stay; so does everything in code.
"""

import re
from collections.abc import Iterator

_VALUE = r"\"[^\"]{0,2000}+\"|'[^']{0,2000}+'|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]{0,500}+\}){0,500}+\}){0,2000}+\}"
_REST = r"(?:\s(?:[^<>\"'{}\n/]|/(?!>)|\n(?![ \t]*\n)|" + _VALUE + r")*+)?+\s*+/?>"
_TAG = rf"</?[A-Za-z][\w.:-]*+{_REST}"
_RUN = re.compile("`++")
TAG_LINES = re.compile(rf"(?:[ \t]*+{_TAG})++[ \t]*+(?=\n|\Z)", re.ASCII)
"""One tag or several from here to the end of a line."""
SPOKEN = re.compile(r"\s(?:title|label|caption|summary|alt)=(?:\"([^\"]+)\"|'([^']+)')")
"""Attributes that a reader sees or hears."""

_TITLED = r"h[1-6]|summary|caption|figcaption|legend|dt|span"
_NAMES = (
    rf"(?:{_TITLED}|address|article|aside|blockquote|center|dd|details|div|dl|fieldset|figure|footer|form"
    r"|header|hr|li|main|nav|ol|optgroup|option|p|picture|section|select|source|table|tbody|td|tfoot|th|thead|tr|ul|video)"
)
_COMPONENT = r"[A-Z][\w.]*[a-z][\w.]*+"  # `<T>` and `<YOUR_KEY>` are more often a type and a blank to fill in
_BLOCK = re.compile(rf"(?:</|(?<!\w)<)(?:{_NAMES}(?![\w:.-])|{_COMPONENT}){_REST}", re.ASCII)
_OPENED = re.compile(rf"<({_TITLED})\b", re.ASCII)
TRAILING = re.compile(
    rf"(?:</(?:{_NAMES}|{_COMPONENT})[ \t]*+"
    rf"|(?<!\w)<(?:{_NAMES}(?![\w:.-])[^<>\n]{{0,2000}}+|{_COMPONENT}[^<>\n]{{0,2000}}/))>"
    r"[ \t]*+(?=\n|\Z)",
    re.ASCII,
)
"""A block-level tag at the end of a line."""

Cut = tuple[int, int]


def leading(text: str, start: int) -> int:
    """Where the block-level tags that begin at `start` end; `start` itself without any."""
    while found := _BLOCK.match(text, start):
        start = found.end()
        while text[start : start + 1] in (" ", "\t"):
            start += 1
    return start


def block_tags(text: str, start: int, end: int) -> list[Cut]:
    """The block-level tags of one line, code spans aside."""
    spans = list(_code_spans(text, start, end)) if "`" in text[start:end] else []
    found = [match.span() for match in _BLOCK.finditer(text, start, end)]
    return [tag for tag in found if not any(first < tag[1] and tag[0] < last for first, last in spans)]


def is_titled(text: str, cuts: list[Cut], start: int, end: int) -> bool:
    """True when a heading, a caption or a summary is around the whole line."""
    opened = _OPENED.match(text, cuts[0][0]) if len(cuts) == 2 and cuts[0][0] == start else None
    return bool(opened and text.startswith(f"</{opened[1]}", cuts[1][0]) and not text[cuts[1][1] : end].strip())


def _code_spans(text: str, start: int, end: int) -> Iterator[Cut]:
    """Code spans of one line; a run of backticks without its counterpart reaches to the end of the line."""
    runs = [found.span() for found in _RUN.finditer(text, start, end)]
    lengths: dict[int, list[int]] = {}
    for at in range(len(runs) - 1, -1, -1):
        lengths.setdefault(runs[at][1] - runs[at][0], []).append(at)
    at = 0
    while at < len(runs):
        same = lengths[runs[at][1] - runs[at][0]]
        while same and same[-1] <= at:
            same.pop()
        yield runs[at][0], runs[same[-1]][1] if same else end
        at = same[-1] + 1 if same else len(runs)
