"""Pieces put together to chunks along the heading tree.

A heading goes with what follows it. A chunk closes before a new h1 or h2 once it is worth a chunk, before deeper
headings once it is well filled, and else where the next piece would carry it beyond the target; a paragraph that ends
in a colon moves on with what it introduces. Rests join a neighbour.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from rag.markdown.parser import Block, Page
from rag.markdown.pieces import Piece, TokenIndex
from rag.markdown.splitting import Splitter

Group = list[Piece]

WORTH = 80  # tokens: less is a rest
SMALL = 50  # tokens: less is joined to any neighbour
FILLED = 0.6  # of the target


@dataclass(frozen=True, slots=True)
class Packer:
    page: Page
    token_index: TokenIndex
    splitter: Splitter
    limit: int
    target: int

    def groups(self) -> list[Group]:
        """The pieces of each chunk, in order; together they hold the whole page."""
        pieces = self._pieces()
        groups: list[Group] = []
        current: Group = []
        size = 0
        remainders = _section_rests(pieces)
        for at, piece in enumerate(pieces):
            if current and self._closes(size, piece, remainders[at]):
                carried = [] if piece.starts else self._carried(current, piece)
                groups.append(current[: len(current) - len(carried)])
                current, size = carried, _sum(carried)
            current.append(piece)
            size += piece.tokens
        if current:
            groups.append(current)
        return self._without_rests(groups)

    def _closes(self, size: int, piece: Piece, section: int) -> bool:
        """`section` is what is left of the section around `piece`, itself included."""
        total = size + piece.tokens
        if total > self.limit or piece.starts:
            return True
        if piece.level in (1, 2):
            return size >= min(WORTH, self.limit // 4)
        if size + section <= self.limit:
            return False
        if piece.level:
            return size >= FILLED * self.target
        return total > self.target and size >= FILLED * self.target

    def _carried(self, current: Group, piece: Piece) -> Group:
        """The paragraph that introduces `piece`, when it can go along without leaving a rest behind."""
        last = current[-1]
        if not (piece.is_block and last.introduces and len(current) > 1 and not piece.level):
            return []
        fits = last.tokens + piece.tokens <= self.limit
        return [last] if fits and _sum(current[:-1]) >= WORTH else []

    def _without_rests(self, groups: list[Group]) -> list[Group]:
        whole: list[Group] = []
        waiting = list(reversed(groups))
        while waiting:
            group = waiting.pop()
            size = _sum(group)
            if size >= min(WORTH, self.limit // 4):
                whole.append(group)
                continue
            back = bool(whole) and _sum(whole[-1]) + size <= self.limit and not group[0].starts
            on = bool(waiting) and _sum(waiting[-1]) + size <= self.limit and not waiting[-1][0].starts
            level = group[0].level
            deeper = bool(waiting) and (waiting[-1][0].level > level > 0 or not waiting[-1][0].level)
            if on and (deeper or not back):
                waiting[-1] = [*group, *waiting[-1]]
            elif back and (size < SMALL or not level or not on):
                whole[-1] = [*whole[-1], *group]
            else:
                whole.append(group)
        return whole

    def _pieces(self) -> list[Piece]:
        pieces: list[Piece] = []
        blocks = self.page.blocks
        lead: int | None = None
        level = 0
        for at, block in enumerate(blocks):
            after = blocks[at + 1].first if at + 1 < len(blocks) else len(self.page.lines)
            lead = block.first if lead is None else lead
            if block.kind == "heading":
                level = min(level or 7, block.level)
            if block.kind not in ("heading", "opener"):
                whole = Block(block.kind, block.first, max(after, block.after), block.level, block.inner)
                pieces += self._unit(lead, whole, level)
                lead, level = None, 0
        if lead is not None:
            pieces += self._lead(lead, len(self.page.lines), level)
        return pieces

    def _unit(self, lead: int, block: Block, level: int) -> list[Piece]:
        """A block with the headings and openers above it, in one piece where it fits."""
        size = self.token_index.span(lead, block.after)
        is_block = block.kind in ("fence", "table", "list", "code", "mixed")
        if self.token_index.fits(lead, block.after, self.limit):
            size = min(size, self.limit)
            return [Piece(lead, block.after, size, level, introduces=self._introduces(block), is_block=is_block)]
        if self.token_index.fits(block.first, block.after, self.limit):
            size = min(self.token_index.span(block.first, block.after), self.limit)
            unsaid = self._unsaid(lead, block.first)
            alone = Piece(
                block.first, block.after, size, level, is_block=is_block, starts=not unsaid and lead < block.first
            )
            return [*unsaid, alone]
        parts = self.splitter.split(block)
        above = self.token_index.span(lead, block.first)
        if lead == block.first or above + parts[0].tokens >= self.limit:
            return [*self._lead(lead, block.first, level), *parts]
        first = parts[0]
        if first.text is None:
            return [replace(first, first=lead, tokens=first.tokens + above, level=level), *parts[1:]]
        text = f"{self.token_index.text(lead, block.first)}\n\n{first.text}"
        chars = (self.page.position(lead), (first.chars or (0, self.page.end(first.after - 1)))[1])
        joined = replace(
            first, first=lead, text=text, chars=chars, tokens=first.tokens + above + 1, level=level, exact=False
        )
        return [joined, *parts[1:]]

    def _unsaid(self, lead: int, first: int) -> list[Piece]:
        """What the breadcrumb does not say of the lines above a block that fills a chunk alone."""
        said = self.page.said_at(first)
        headings = {block.first for block in self.page.blocks_between(lead, first) if block.kind == "heading"}
        return (
            []
            if headings <= said and len(headings) == len(self.page.blocks_between(lead, first))
            else (self._lead(lead, first, 0))
        )

    def _lead(self, lead: int, first: int, level: int) -> list[Piece]:
        if lead >= first:
            return []
        size = self.token_index.span(lead, first)
        if size <= self.limit:
            return [Piece(lead, first, size, level)]
        head, *rest = self.splitter.prose(lead, first)
        return [replace(head, level=level), *rest]

    def _introduces(self, block: Block) -> bool:
        if block.kind != "paragraph":
            return False
        first, after = self.token_index.trim(block.first, block.after)
        return self.page.lines[after - 1].rstrip().endswith((":", "：")) if first < after else False


def _section_rests(pieces: Sequence[Piece]) -> list[int]:
    """For each piece the tokens from it to where the section around it ends: at the next heading above its own level,
    for a piece without a heading at any.
    """
    before = list(accumulate((piece.tokens for piece in pieces), initial=0))
    remainders = [0] * len(pieces)
    following = [before[-1]] * 8  # level -> what comes before the nearest later piece that begins with it
    for at in range(len(pieces) - 1, -1, -1):
        level = pieces[at].level
        remainders[at] = min(following[: level or 7]) - before[at]
        if level:
            following[level] = before[at]
    return remainders


def _sum(pieces: Sequence[Piece]) -> int:
    return sum(piece.tokens for piece in pieces)
