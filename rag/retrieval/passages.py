"""From scored chunks to numbered passages: distinct, above the cut, neighbours joined, best first. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rag.retrieval.fusion import RankedHit
from rag.types import Chunk, InnerHeading, Passage

LEAST = 0.2
"""Share of the question's idf mass below which a section says too little to be singled out."""

MARGIN = 1.05
"""How much better than the passage's own section another one must be."""

_HALF_AT = 0.25  # times in a section that count half


@dataclass(frozen=True, slots=True)
class QueryTerms:
    """A question's stems with their weights, and what finds the stems of a text in its order."""

    weights: Mapping[int, float]
    terms: Callable[[str], Sequence[int]]

    def locate(self, text: str, path: Sequence[str], inner: Sequence[InnerHeading]) -> InnerHeading | None:
        """The one of `inner` whose section holds the evidence best; None for what comes before them, under `path`."""
        mass = sum(self.weights.values())
        if not inner or mass <= 0:
            return None
        starts = [0, *(heading.offset for heading in inner), len(text)]
        paths = [path, *(heading.heading_path for heading in inner)]
        scores = [
            self._weigh(" ".join((*above, text[start:end]))) / mass
            for above, (start, end) in zip(paths, pairwise(starts), strict=True)
        ]
        best = max(range(len(scores)), key=lambda at: (scores[at], -at))
        return inner[best - 1] if scores[best] >= max(LEAST, MARGIN * scores[0]) and best else None

    def _weigh(self, section: str) -> float:
        counts = Counter(self.terms(section))
        return sum(weight * counts[term] / (counts[term] + _HALF_AT) for term, weight in self.weights.items())


CUT = 0.45
"""Share of the best score, without what headings give, below which a chunk is no longer worth reading."""

MOST_TOKENS = 1000
LONGEST_OVERLAP = 600
SHORTEST_OVERLAP = 12


def passages(
    scored: Sequence[RankedHit], k: int, cut: float = CUT, query_terms: QueryTerms | None = None
) -> tuple[Passage, ...]:
    """At most `k` passages of `scored` (best first). A chunk that continues one already chosen is joined to it.

    Each stands under the heading that `query_terms` finds for it, without any under its best chunk's own.
    """
    if not scored:
        return ()
    least = cut * max(item.score - item.heading for item in scored)
    groups: list[list[RankedHit]] = []
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
    return tuple(_passage(number, group, query_terms) for number, group in enumerate(groups, 1))


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


def _distinct(scored: Iterable[RankedHit]) -> Iterable[RankedHit]:
    seen: set[str] = set()
    for item in scored:
        text = " ".join(item.hit.chunk.text.split())
        if text not in seen:
            seen.add(text)
            yield item


def _continues(group: Sequence[RankedHit], chunk: Chunk) -> bool:
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


def _passage(number: int, group: Sequence[RankedHit], query_terms: QueryTerms | None) -> Passage:
    best = group[0]
    ordered = sorted((item.hit.chunk for item in group), key=lambda chunk: chunk.ordinal)
    text, inner = joined(ordered)
    found = query_terms.locate(text, best.hit.chunk.heading_path, inner) if query_terms and inner else None
    return Passage(number, best.hit.chunk, best.score, text, tuple(chunk.id for chunk in ordered), found)
