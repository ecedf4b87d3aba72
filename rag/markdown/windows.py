"""Short texts of a chunk that are searched in its stead: about 110 tokens of whole sentences under the heading path.

A question is nearer to the few sentences that answer it than to everything else its chunk says. Parts of code, tables
and lists that are longer than a window are cut between lines, then between words.
"""

from collections.abc import Iterator

from rag.markdown.sentences import sentences
from rag.text import tokens
from rag.types import Chunk

WINDOWS_VERSION = "1"

TARGET = 110  # tokens of a window's own text
_SHORTEST = 30  # a last window with less is joined to the one before
_LONGEST_PATH = 60  # tokens of headings; the deepest stay


def windows(chunk: Chunk) -> list[str]:
    """At least one text; together they hold the whole chunk."""
    heading = _heading(chunk)
    texts = _pack(chunk.text)
    return [f"{heading}\n\n{text}" if heading else text for text in texts]


def _pack(text: str) -> list[str]:
    runs: list[tuple[int, int, int]] = []
    for start, end, size in _units(text):
        fits = runs and runs[-1][2] + size <= TARGET
        if runs and (fits or (size < _SHORTEST and runs[-1][2] + size <= TARGET + _SHORTEST)):
            runs[-1] = (runs[-1][0], end, runs[-1][2] + size)
        else:
            runs.append((start, end, size))
    return [text[start:end] for start, end, _ in runs] or [text]


def _units(text: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, tokens) of sentences and blocks, the long ones in pieces."""
    for start, end in sentences(text):
        size = tokens.count(text[start:end])
        if size <= TARGET + _SHORTEST:
            yield start, end, size
        else:
            yield from _lines(text, start, end)


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop + 1
        size = tokens.count(text[start:stop])
        if size <= TARGET:
            yield start, stop, size
        else:
            yield from _words(text, start, stop)
        start = stop


def _words(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    while start < end:
        head = tokens.truncate(text[start:end], TARGET) or text[start]
        space = head.rfind(" ")
        if start + len(head) < end and space > len(head) // 2:
            head = head[: space + 1]
        yield start, start + len(head), tokens.count(head)
        start += len(head)


def _heading(chunk: Chunk) -> str:
    path = list(chunk.heading_path)
    while len(path) > 1 and tokens.count(" › ".join(path)) > _LONGEST_PATH:
        path.pop(0)
    return tokens.truncate(" › ".join(path), _LONGEST_PATH)
