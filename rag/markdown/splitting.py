"""Blocks that are larger than a chunk may be, cut where it hurts least.

    list, item, quotation   between their parts, parts that are too large cut in turn
    fence                   at empty lines or top-level definitions, each piece opened and closed again
    table                   between rows, the header repeated
    text                    between sentences, the last one repeated, then between words, never inside a code point

Pieces are made equally long rather than filled, so that no crumb is left over.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import ceil

import numpy as np
from numpy.typing import NDArray

from rag.markdown.fences import opening
from rag.markdown.parser import Block, Page, children
from rag.markdown.pieces import Piece, TokenIndex
from rag.markdown.sentences import prose_sentences
from rag.text import tokens

_MARGIN = 6  # tokens that joints may cost beyond the sum of the parts
_DEFINITION = re.compile(r"[^\s)\]}#/*]")


@dataclass(frozen=True, slots=True)
class Splitter:
    """`limit` is the most tokens of a piece, `target` what is aimed at, `overlap` the longest sentence to repeat."""

    page: Page
    token_index: TokenIndex
    limit: int
    target: int
    overlap: int

    def split(self, block: Block) -> list[Piece]:
        """Pieces of at most `limit` tokens that hold all of the block's text."""
        if self.token_index.fits(block.first, block.after, self.limit):
            return [self._slice(block.first, block.after, block)]
        block = replace(block, after=self.token_index.trim(block.first, block.after)[1])
        parts = children(self.page, block)
        if len(parts) > 1 or (parts and parts[0].kind != block.kind):
            return self._join([piece for part in parts for piece in self.split(part)])
        if parts and parts[0].inner:
            return self.split(parts[0])
        if block.kind == "fence":
            return self._fence(block)
        if block.kind == "table":
            return self._table(block)
        if block.kind == "code":
            return self._lines(block.first, block.after, self.limit, lambda text: text)
        return self.prose(block.first, block.after)

    def prose(self, first: int, after: int) -> list[Piece]:
        """Sentences packed to equal pieces; a piece begins with the sentence before it if that is short."""
        text = "\n".join(self.page.lines[first:after])
        starts = list(accumulate((len(line) + 1 for line in self.page.lines[first:after]), initial=0))
        parts = list(self._parts(first, text))
        spans, sizes = [(start, end) for start, end, _ in parts], [size + 1 for _, _, size in parts]
        pieces = []
        for begin, end in _packed(sizes, self.target, self.limit - _MARGIN):
            repeats = begin > 0 and sizes[begin - 1] <= min(self.overlap, self.limit // 4)
            if repeats and sum(sizes[begin - 1 : end]) <= self.limit - _MARGIN:
                begin -= 1
            pieces.append(self._cut(first, starts, text, spans[begin][0], spans[end - 1][1]))
        return pieces

    def _parts(self, first: int, text: str) -> Iterator[tuple[int, int, int]]:
        """(start, end, tokens) of each sentence, or where it is too long of its runs of words."""
        at = byte = 0
        for start, end in prose_sentences(text):
            byte += len(text[at:start].encode())
            data = text[start:end].encode()
            ends = self.token_index.ends(first, byte, byte + len(data))
            if len(ends) <= self.target:
                yield start, end, len(ends)
            else:
                yield from ((start + a, start + b, size) for a, b, size in _runs(data, ends, self.target))
            at, byte = end, byte + len(data)

    def _cut(self, first: int, starts: Sequence[int], text: str, start: int, end: int) -> Piece:
        head, tail = bisect_right(starts, start) - 1, bisect_right(starts, end - 1) - 1
        position = self.page.position
        chars = (
            position(first + head, start - starts[head]),
            position(first + tail, end - 1 - starts[tail]) + 1,
        )
        content = text[start:end].strip()
        return Piece(first + head, first + tail + 1, tokens.count(content), text=content, chars=chars, exact=True)

    def _fence(self, block: Block) -> list[Piece]:
        """Each piece opens with the block's own first line and is closed again."""
        lines = self.page.lines
        fence = opening(lines[block.first])
        if fence is None:
            return self.prose(block.first, block.after)
        prefix = fence.continuation
        again, closer = prefix + fence.mark + fence.info, prefix + fence.mark
        if tokens.count(again) > self.limit // 4:
            return self.prose(block.first, block.after)
        after = next(
            (at + 1 for at in range(block.first + 1, block.after) if fence.is_closed_by(lines[at])), block.after
        )
        closed = after - 1 > block.first and fence.is_closed_by(lines[after - 1])
        overhead = tokens.count(f"{again}\n{closer}\n") + _MARGIN

        def wrap(code: str) -> str:
            return f"{again}\n{code}\n{closer}"

        pieces = self._lines(block.first + 1, after - closed, self.limit - overhead, wrap)
        simple = fence.before == prefix
        first = self.page.position(block.first, len(fence.before) if simple else 0)
        pieces[0] = replace(
            pieces[0],
            first=block.first,
            exact=False,
            text=lines[block.first] + (pieces[0].text or "")[len(again) :],
            chars=(first, (pieces[0].chars or (0, 0))[1]),
        )
        rest = self.token_index.trim(after, block.after)
        return pieces if rest[0] == rest[1] else [*pieces, *self.prose(*rest)]

    def _table(self, block: Block) -> list[Piece]:
        header = "\n".join(self.page.lines[block.first : block.first + 2])
        overhead = tokens.count(header) + _MARGIN
        if overhead > self.limit // 2 or block.after - block.first < 3:
            return self.prose(block.first, block.after)
        pieces = self._lines(block.first + 2, block.after, self.limit - overhead, lambda rows: f"{header}\n{rows}")
        pieces[0] = replace(
            pieces[0], first=block.first, chars=(self.page.position(block.first), (pieces[0].chars or (0, 0))[1])
        )
        return pieces

    def _lines(self, first: int, after: int, room: int, wrap: Callable[[str], str]) -> list[Piece]:
        """Runs of lines of at most `room` tokens, each wrapped into a text; a longer line is cut between words."""
        lines = self.page.lines
        sizes = [self.token_index.span(at, at + 1) for at in range(first, after)]
        aim = min(self.target, room)
        pieces: list[Piece] = []
        for begin, end in _packed(sizes, aim, room, [self._merit(at) for at in range(first, after)]):
            begin, end = self.token_index.trim(first + begin, first + end)
            if begin == end:
                continue
            if end == begin + 1 and sizes[begin - first] > room:
                shorter = replace(self, limit=room, target=min(aim, room - _MARGIN), overlap=0)
                pieces += [self._wrapped(piece, wrap) for piece in shorter.prose(begin, end)]
                continue
            chars = (self.page.position(begin), self.page.end(end - 1))
            plain = Piece(begin, end, 0, text="\n".join(lines[begin:end]), chars=chars)
            pieces.append(self._wrapped(plain, wrap))
        return pieces or [self._wrapped(Piece(first, first + 1, 0, text=""), wrap)]

    @staticmethod
    def _wrapped(piece: Piece, wrap: Callable[[str], str]) -> Piece:
        text = wrap(piece.text or "")
        return replace(piece, text=text, tokens=tokens.count(text), exact=True, is_block=True)

    def _merit(self, at: int) -> float:
        """How good it is to cut before a line of code."""
        line, before = self.page.lines[at], self.page.lines[at - 1].strip() if at else ""
        top = bool(_DEFINITION.match(line))
        return (0.6 if not before and line.strip() else 0.0) + (0.4 if top else 0.0)

    def _slice(self, first: int, after: int, block: Block) -> Piece:
        is_block = block.kind in ("fence", "table", "list", "code", "item")
        return Piece(first, after, min(self.token_index.span(first, after), self.limit), is_block=is_block)

    def _join(self, pieces: list[Piece]) -> list[Piece]:
        """Neighbouring slices put together again as far as they fit, to equal length."""
        joined: list[Piece] = []
        run: list[Piece] = []
        for piece in [*pieces, None]:
            if piece is not None and piece.text is None:
                run.append(piece)
                continue
            for begin, end in _packed([part.tokens for part in run], self.target, self.limit - _MARGIN):
                size = sum(part.tokens for part in run[begin:end])
                joined.append(replace(run[begin], after=run[end - 1].after, tokens=size))
            run = []
            if piece is not None:
                joined.append(piece)
        return joined


def _runs(data: bytes, ends: NDArray[np.int64], most: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, tokens) in characters of runs of words; a word is cut only where it alone is too long."""
    start = byte = at = 0
    while at < len(ends):
        last = min(at + most, len(ends))
        run = data[byte : int(ends[last - 1])].decode(errors="ignore")
        if last < len(ends):
            space = max(run.rfind(" "), run.rfind("\n"))
            run = run[: space + 1] if space > len(run) // 2 else run
        yield start, start + len(run), last - at
        start += len(run)
        byte += len(run.encode())
        at = max(at + 1, int(np.searchsorted(ends, byte, side="right")))


def _packed(
    sizes: Sequence[int], target: int, room: int, merits: Sequence[float] | None = None
) -> Iterator[tuple[int, int]]:
    """Half open runs of about equal size, none over `room` unless one item alone is."""
    if not sizes:
        return
    rest = sum(sizes)
    begin = 0
    while begin < len(sizes):
        aim = rest / ceil(rest / max(target, 1)) if rest else 1
        size, end, best, best_score = 0, begin, begin + 1, -9.0
        while end < len(sizes) and (end == begin or size + sizes[end] <= room):
            size += sizes[end]
            end += 1
            merit = 1.0 if end == len(sizes) else merits[end] if merits else 0.0
            score = 0.6 * merit - abs(size - aim) / aim
            if score >= best_score:
                best, best_score = end, score
        yield begin, best
        rest -= sum(sizes[begin:best])
        begin = best
