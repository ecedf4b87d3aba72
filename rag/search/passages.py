"""From scored chunks to numbered passages: distinct, above the cut, neighbours joined, best first. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rag.search.locating import Sought
from rag.search.scoring import Scored
from rag.types import Chunk, InnerHeading, Passage

CUT = 0.45
"""Share of the best score, without what headings give, below which a chunk is no longer worth reading."""

MOST_TOKENS = 1000
LONGEST_OVERLAP = 600
SHORTEST_OVERLAP = 12


def passages(scored: Sequence[Scored], k: int, cut: float = CUT, sought: Sought | None = None) -> tuple[Passage, ...]:
    """At most `k` passages of `scored` (best first). A chunk that continues one already chosen is joined to it.

    Each stands under the heading that `sought` finds for it, without any under its best chunk's own.
    """
    if not scored:
        return ()
    least = cut * max(item.score - item.heading for item in scored)
    groups: list[list[Scored]] = []
    for item in _distinct(scored):
        if item.score < least:
            break
        group = next((group for group in groups if _continues(group, item.hit.chunk)), None)
        if group is not None:
            group.append(item)
        elif len(groups) < k:
            groups.append([item])
        else:
            break
    return tuple(_passage(number, group, sought) for number, group in enumerate(groups, 1))


def joined(chunks: Sequence[Chunk]) -> tuple[str, tuple[InnerHeading, ...]]:
    """The text of consecutive chunks, each sentence once where they overlap, and the headings that begin in it."""
    text = ""
    inner: list[InnerHeading] = []
    for chunk in sorted(chunks, key=lambda chunk: chunk.ordinal):
        rest = chunk.text[_overlap(text, chunk.text) :].lstrip() if text else chunk.text
        before = f"{text}\n\n" if text else ""
        if inner:
            inner.append(InnerHeading(len(before), chunk.heading_path, chunk.anchor))
        shift = len(before) + len(rest) - len(chunk.text)
        inner += (replace(heading, offset=max(heading.offset + shift, len(before))) for heading in chunk.inner)
        text = before + rest
    return text, tuple(inner)


def _distinct(scored: Iterable[Scored]) -> Iterable[Scored]:
    seen: set[str] = set()
    for item in scored:
        text = " ".join(item.hit.chunk.text.split())
        if text not in seen:
            seen.add(text)
            yield item


def _continues(group: Sequence[Scored], chunk: Chunk) -> bool:
    chunks = [item.hit.chunk for item in group]
    place = (chunk.path, chunk.heading_path, chunk.anchor)
    ordinals = [other.ordinal for other in chunks]
    return (
        (chunks[0].path, chunks[0].heading_path, chunks[0].anchor) == place
        and chunk.ordinal in (min(ordinals) - 1, max(ordinals) + 1)
        and sum(other.tokens for other in chunks) + chunk.tokens <= MOST_TOKENS
    )


def _overlap(before: str, after: str) -> int:
    """The length of the longest beginning of `after` that `before` ends with, white space aside."""
    end = before.rstrip()
    for length in range(min(len(end), len(after), LONGEST_OVERLAP), SHORTEST_OVERLAP - 1, -1):
        if end.endswith(after[:length].rstrip()) and after[:length].strip():
            return length
    return 0


def _passage(number: int, group: Sequence[Scored], sought: Sought | None) -> Passage:
    best = group[0]
    ordered = sorted((item.hit.chunk for item in group), key=lambda chunk: chunk.ordinal)
    text, inner = joined(ordered)
    found = sought.locate(text, best.hit.chunk.heading_path, inner) if sought and inner else None
    return Passage(number, best.hit.chunk, best.score, text, tuple(chunk.id for chunk in ordered), found)
