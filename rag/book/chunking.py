"""A document cut into chunks: self-contained pieces of its text within a token budget, each under its heading.

    page      the lean text, its headings, its blocks                 rag.book.markdown
    pieces    blocks with the headings above them; large ones split   rag.book.packing, rag.book.splitting
    chunks    pieces packed along the heading tree                    rag.book.packing, here

The same document always gives the same chunks. Nothing of a page is lost but what its readers never see; a heading
may stand in the heading path alone. Only the sentence before a cut in a paragraph is said twice.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from uuid import UUID, uuid5

from rag import tokens
from rag.book.inner_headings import inner_headings
from rag.book.markdown import Page, page_of
from rag.book.packing import Group, Packer
from rag.book.pieces import Ruler
from rag.book.splitting import Splitter
from rag.types import Chunk, Document, Inclusion

CHUNKER_VERSION = "2"

_NAMESPACE = UUID("5f3a1c52-8d0e-4b6f-9a57-2f6f1f0c7b1e")
_TARGET = 0.8  # of the limit
_LONGEST_MARK = 32  # characters of a fence's mark that are repeated
_CLOSING = 16  # tokens that closing an open fence may cost
_FIRST_WORDS = 6
_WORD = re.compile(r"[^\W_]+")
_FENCE = re.compile(r"[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)?+(`{3,}|~{3,})(.*)")


Found = tuple[str, int, tuple[int, int], tuple[int, int]]  # text, tokens, characters in the file, lines of the page


def split(document: Document, *, limit: int = 500, overlap: int = 50) -> list[Chunk]:
    """Chunks of at most `limit` tokens in the order of the text; `overlap` is the longest sentence said twice.

    Ids depend on the path, the heading path and the text: an edit leaves those of other chunks alone.
    """
    page = page_of(document)
    ruler = Ruler(page)
    room = limit - _CLOSING if page.lean.unclosed else limit
    target = int(room * _TARGET)
    splitter = Splitter(page, ruler, room, target, overlap)
    chunks: list[Chunk] = []
    seen: Counter[str] = Counter()
    for group in Packer(page, ruler, splitter, room, target).groups():
        made = _chunk(document, page, ruler, group, limit, len(chunks), seen)
        if made is not None:
            chunks.append(made)
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


def _chunk(
    document: Document, page: Page, ruler: Ruler, group: Group, limit: int, ordinal: int, seen: Counter[str]
) -> Chunk | None:
    found = _text(page, ruler, group, limit)
    if found is None:
        return None
    text, count, chars, (first, after) = found
    if page.lean.unclosed and (mark := _open_fence(text)) and len(mark) <= _LONGEST_MARK:
        text = f"{text}\n{mark}"
        count = tokens.count(text)
    body = _first_body_line(page, first, after)
    path, anchor = page.path_at(body)
    name = "\n".join((document.path, *path, "", text))
    seen[name] += 1
    return Chunk(
        id=str(uuid5(_NAMESPACE, f"{name}\n{seen[name]}" if seen[name] > 1 else name)),
        path=document.path,
        heading_path=path,
        url=document.url,
        anchor=anchor or None,
        ordinal=ordinal,
        lines=(page.numbers[first], page.numbers[after - 1] + 1),
        chars=chars,
        text=text,
        tokens=count,
        trail=document.trail,
        inner=tuple(inner_headings(page, text, first, body + 1, after)),
    )


def _text(page: Page, ruler: Ruler, group: Group, limit: int) -> Found | None:
    """The text of a group, its tokens, its characters in the file and its lines; None when there is nothing in it."""
    if all(piece.text is None for piece in group):
        first, after = ruler.trim(group[0].first, group[-1].after)
        if first == after:
            return None
        first = _beyond_gap(page, first, after)
        chars = (page.position(first), page.end(after - 1))
        text = _faithful(page, ruler, first, after) if page.lean.dropped else None
        if text is not None and (count := tokens.count(text)) <= limit:
            return text, count, chars, (first, after)
        return ruler.text(first, after), ruler.exact(first, after), chars, (first, after)
    parts = list(_parts(page, ruler, group))
    if not parts:
        return None
    text = "\n\n".join(part for part, _, _ in parts)
    chars = (parts[0][1][0], parts[-1][1][1])
    known = group[0].tokens if len(group) == 1 and group[0].exact else None
    return text, tokens.count(text) if known is None else known, chars, (parts[0][2][0], parts[-1][2][1])


def _faithful(page: Page, ruler: Ruler, first: int, after: int) -> str | None:
    """The text with what was left out between its first words, so that the place of the chunk can be found by them;
    None where nothing was.
    """
    lean, parts, words, hidden = page.lean, list[str](), 0, False
    line = first
    while line < after - 1 and words < _FIRST_WORDS:
        words += len(_WORD.findall(page.lines[line]))
        if page.hides(line, line + 1):
            hidden = True
            parts += lean.source_lines(page.numbers[line], page.numbers[line + 1])
        else:
            parts.append(page.lines[line])
        line += 1
    return "\n".join([*parts, ruler.text(line, after)]) if hidden else None


def _beyond_gap(page: Page, first: int, after: int) -> int:
    """Where a chunk begins whose headings are cut off from its text by something left out of it: they are in its path
    anyway, and its place in the file is then that of its words.
    """
    if not page.lean.dropped:
        return first
    blocks = page.blocks_between(first, after)
    body = next((block.first for block in blocks if block.kind != "heading"), first)
    said = {heading.line for heading in page.stack_at(body)}
    for block, following in pairwise(blocks):
        if block.kind != "heading" or block.first not in said:
            break
        if page.hides(block.first, following.first):
            first = following.first
    return first


def _parts(page: Page, ruler: Ruler, group: Group) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    """(text, characters, lines) of each piece, neighbouring lines in one."""
    run: tuple[int, int] | None = None
    for piece in [*group, None]:
        if piece is not None and piece.text is None and (run is None or run[1] == piece.first):
            run = (run[0] if run else piece.first, piece.after)
            continue
        if run is not None:
            first, after = ruler.trim(*run)
            if first < after:
                yield ruler.text(first, after), (page.position(first), page.end(after - 1)), (first, after)
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


def _open_fence(text: str) -> str | None:
    """The mark that closes a fence the text leaves open."""
    mark: str | None = None
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if found is None:
            continue
        if mark is None:
            mark = None if found[1][0] == "`" and "`" in found[2] else found[1]
        elif found[1].startswith(mark) and not found[2].strip():
            mark = None
    return mark
