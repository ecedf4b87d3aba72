"""A document cut into chunks: self-contained pieces of its text within a token budget, each under its heading.

    page      the lean text, its headings, its blocks                 rag.markdown.parser
    pieces    blocks with the headings above them; large ones split   rag.markdown.packing, rag.markdown.splitting
    chunks    pieces packed along the heading tree                    rag.markdown.packing, here

The same document always gives the same chunks. Nothing of a page is lost but what its readers never see; a heading
may stand in the heading path alone. Only the sentence before a cut in a paragraph is said twice.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, zip_longest
from uuid import UUID, uuid5

from rag.markdown.fences import left_open
from rag.markdown.packing import Group, Packer
from rag.markdown.parser import Page, page_of
from rag.markdown.pieces import TokenIndex
from rag.markdown.splitting import Splitter
from rag.text import tokens
from rag.types import Chunk, Document, Inclusion, InnerHeading

CHUNKER_VERSION = "3"
MOST_INNER = 32
"""Inner headings of a chunk: a page of bare headings must not be stored many times over. The last takes the rest."""

_NAMESPACE = UUID("5f3a1c52-8d0e-4b6f-9a57-2f6f1f0c7b1e")
_TARGET = 0.8  # of the limit
_LONGEST_MARK = 32  # characters of a fence's mark that are repeated
_CLOSING = 16  # tokens that closing an open fence may cost
_FIRST_WORDS = 6
_WORD = re.compile(r"[^\W_]+")
_MARKED_START = re.compile(r"\s*(?:`{3,}|~{3,}|[|>*-])|[^\n]*\|")  # a table, a list, code, a title in bold


Found = tuple[str, int, tuple[int, int], tuple[int, int]]  # text, tokens, characters in the file, lines of the page


def split(document: Document, *, limit: int = 500, overlap: int = 50) -> list[Chunk]:
    """Chunks of at most `limit` tokens in the order of the text; `overlap` is the longest sentence said twice.

    Ids depend on the path, the heading path and the text: an edit leaves those of other chunks alone.
    """
    page = page_of(document)
    token_index = TokenIndex(page)
    room = limit - _CLOSING if page.stripped.unclosed else limit
    target = int(room * _TARGET)
    splitter = Splitter(page, token_index, room, target, overlap)
    cutter = _Cutter(document, page, token_index, splitter, limit)
    for group in Packer(page, token_index, splitter, room, target).groups():
        cutter.add(group)
    chunks = cutter.chunks
    return [_in_file(chunk, document.inclusions) for chunk in chunks] if document.inclusions else chunks


def _in_file(chunk: Chunk, inclusions: Sequence[Inclusion]) -> Chunk:
    """The chunk with its place in the file, which only names what it includes."""
    (first, line), (end, after) = (
        _place(inclusions, place, number, at)
        for at, (place, number) in enumerate(zip(chunk.chars, chunk.lines, strict=True))
    )
    return replace(chunk, chars=(first, end), lines=(line, max(after, line + 1)))


def _place(inclusions: Sequence[Inclusion], place: int, line: int, end: int) -> tuple[int, int]:
    """A place and a line of the text in the file; within an inclusion those of its directive."""
    shift = lines = 0
    for inclusion in inclusions:
        start, after = inclusion.text
        if place < start or (end and place == start):
            break
        if place < after or (end and place == after):
            return inclusion.file[end], line - lines
        shift = after - inclusion.file[1]
        lines += inclusion.line_ends[0] - inclusion.line_ends[1]
    return place - shift, line - lines


@dataclass(slots=True)
class _Cutter:
    """Turns groups of pieces into chunks."""

    document: Document
    page: Page
    token_index: TokenIndex
    splitter: Splitter
    limit: int
    chunks: list[Chunk] = field(default_factory=list)
    _seen: Counter[str] = field(default_factory=Counter)

    def add(self, group: Group) -> None:
        """One chunk; several where the joints between pieces have cost more than was reckoned."""
        found = _text(self.page, self.token_index, group, self.limit)
        if found is None:
            return
        if found[1] <= self.limit or len(group) == 1:
            self.chunks.append(self._chunk(*found))
        else:
            half = len(group) // 2
            self.add(group[:half])
            self.add(group[half:])

    def _chunk(self, text: str, count: int, chars: tuple[int, int], lines: tuple[int, int]) -> Chunk:
        page, document, (first, after) = self.page, self.document, lines
        body = _first_body_line(page, first, after)
        path, anchor = page.path_at(body)
        name = "\n".join((document.path, *path, "", text))
        self._seen[name] += 1
        return Chunk(
            id=str(uuid5(_NAMESPACE, f"{name}\n{self._seen[name]}" if self._seen[name] > 1 else name)),
            path=document.path,
            heading_path=path,
            url=document.url,
            anchor=anchor or None,
            ordinal=len(self.chunks),
            lines=(page.numbers[first], page.numbers[after - 1] + 1),
            chars=chars,
            text=text,
            tokens=count,
            trail=document.trail,
            inner=tuple(inner_headings(page, text, first, body + 1, after)),
        )


def _text(page: Page, token_index: TokenIndex, group: Group, limit: int) -> Found | None:
    """The text of a group, its tokens, its characters in the file and its lines; None when there is nothing in it."""
    found = _joined(page, token_index, group, limit)
    if found is None or not page.stripped.unclosed:
        return found
    text, _, chars, lines = found
    fence = left_open(text)
    if fence is None or len(fence.mark) > _LONGEST_MARK:
        return found
    text = f"{text}\n{fence.continuation.rstrip(' ') if fence.quoted else ''}{fence.mark}"
    return text, tokens.count(text), chars, lines


def _joined(page: Page, token_index: TokenIndex, group: Group, limit: int) -> Found | None:
    if all(piece.text is None for piece in group) and all(a.after == b.first for a, b in pairwise(group)):
        first, after = token_index.trim(group[0].first, group[-1].after)
        if first == after:
            return None
        return _of_lines(page, token_index, *_beyond_gap(page, first, after), limit)
    parts = list(_parts(page, token_index, group))
    if not parts:
        return None
    text = "\n\n".join(part for part, _, _ in parts)
    chars = (parts[0][1][0], parts[-1][1][1])
    known = group[0].tokens if len(group) == 1 and group[0].exact else None
    return text, tokens.count(text) if known is None else known, chars, (parts[0][2][0], parts[-1][2][1])


def _of_lines(page: Page, token_index: TokenIndex, first: int, after: int, limit: int) -> Found:
    """Where something was left out between the first words, the place of the chunk could not be found by them: its
    place then begins below the gap, if its first lines can be told from that; else what was left out is put back.
    """
    text, start = token_index.text(first, after), first
    gap = _last_gap(page, first, after) if page.leaves_out else None
    if gap is not None and _MARKED_START.match(text):
        start = token_index.trim(gap, after)[0]
    elif gap is not None:
        faithful = _with_hidden(page, token_index, first, after)
        if (count := tokens.count(faithful)) <= limit:
            return faithful, count, (page.stripped.starts[page.numbers[first]], page.end(after - 1)), (first, after)
    return text, token_index.exact(first, after), (page.begin(start), page.end(after - 1)), (first, after)


def _last_gap(page: Page, first: int, after: int) -> int | None:
    """The line from which on enough words follow each other in the file as they do in the text; None for the first."""
    words, found = 0, None
    for line in range(first, after - 1):
        words += len(_WORD.findall(page.lines[line]))
        if words >= _FIRST_WORDS:
            break
        if page.breaks(line):
            words, found = 0, line + 1
    return found


def _with_hidden(page: Page, token_index: TokenIndex, first: int, after: int) -> str:
    stripped, parts, words, line = page.stripped, list[str](), 0, first
    while line < after - 1 and words < _FIRST_WORDS:
        words += len(_WORD.findall(page.lines[line]))
        if page.breaks(line):
            parts += stripped.source_lines(page.numbers[line], page.numbers[line + 1])
        else:
            parts.append(page.lines[line])
        line += 1
    return "\n".join([*parts, token_index.text(line, after)])


def _beyond_gap(page: Page, first: int, after: int) -> tuple[int, int]:
    """Where a chunk begins whose headings are cut off from its text by something left out of it: they are in its path
    anyway, and its place in the file is then that of its words.
    """
    blocks = page.blocks_between(first, after) if page.leaves_out else []
    if not blocks or blocks[0].first != first:
        return first, after
    body = next((block.first for block in blocks if block.kind != "heading"), blocks[-1].first)
    said = page.said_at(body)
    for block, following in pairwise(blocks):
        if block.kind != "heading" or block.first not in said:
            break
        if page.hides(block.first, following.first) or page.breaks(block.first):
            first = following.first
    return first, after


def _parts(page: Page, token_index: TokenIndex, group: Group) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    """(text, characters, lines) of each piece, neighbouring lines in one."""
    run: tuple[int, int] | None = None
    for piece in [*group, None]:
        if piece is not None and piece.text is None and (run is None or run[1] == piece.first):
            run = (run[0] if run else piece.first, piece.after)
            continue
        if run is not None:
            first, after = token_index.trim(*run)
            if first < after:
                yield token_index.text(first, after), (page.position(first), page.end(after - 1)), (first, after)
            run = None
        if piece is not None and piece.text is None:
            run = (piece.first, piece.after)
        elif piece is not None and piece.text and piece.text.strip():
            lines = (piece.first, piece.after)
            yield piece.text, piece.chars or (page.position(piece.first), page.end(piece.after - 1)), lines


def _first_body_line(page: Page, first: int, after: int) -> int:
    """The line whose headings name the chunk: below the headings it begins with, if there is anything."""
    blocks = page.blocks_between(first, after)
    if not blocks or blocks[0].first != first:
        return first
    for block, following in pairwise(blocks):
        if block.kind != "heading" or page.hides(block.first, following.first):
            return block.first
    return blocks[-1].first if blocks[-1].kind != "heading" else first


def inner_headings(page: Page, text: str, top: int, first: int, after: int) -> Iterator[InnerHeading]:
    """The headings of the page's lines `first` to `after`, for a text that begins with its line `top`.

    Each is where its own line stands in the text; if that was left out, where the first of the lines below it does.
    """
    headings = page.headings_between(first, after)[:MOST_INNER]
    offset, line = 0, top
    for heading, following in zip_longest(headings, headings[1:]):
        end = following.line if following else after
        for at in range(heading.line, end):
            found = _find_line(text, page.lines, offset, line, at)
            if found >= 0:
                offset, line = found, at
                yield InnerHeading(found, *page.path_at(heading.line))
                break


def _find_line(text: str, lines: Sequence[str], offset: int, known: int, wanted: int) -> int:
    """Where a line of the page stands in the text, -1 if it does not; the line `known` stands at `offset`.

    Code may hold the line as well: as often as it comes before its place in the page it is passed over.
    """
    line = lines[wanted].rstrip()
    if not line:
        return -1
    for _ in range(1 + sum(other.rstrip() == line for other in lines[known:wanted])):
        offset = _next_line(text, line, offset)
        if offset < 0:
            return -1
        last, offset = offset, offset + len(line)
    return last


def _next_line(text: str, line: str, start: int) -> int:
    while (start := text.find(line, start)) >= 0:
        end = start + len(line)
        if (not start or text[start - 1] == "\n") and not text[end:].partition("\n")[0].strip():
            return start
        start = end
    return -1
