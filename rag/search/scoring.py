"""One score from the store's four, and a bonus for the question's own word pairs.

Scores are fused, not ranks: each kind is normalised over all candidates and weighted. Cosines are stretched from
their minimum to their maximum because they crowd together; BM25 is divided by its maximum because 0 means
"no word in common" and must stay 0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rag.types import Hit

PAIR_DEPTH = 20
PAIR_REACH = 2


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each kind of evidence counts; `pairs` comes on top."""

    bm25: float = 0.3
    window_bm25: float = 0.2
    window_cosine: float = 0.3
    chunk_cosine: float = 0.2
    pairs: float = 0.1


HYBRID = Weights()
DIM = Weights(bm25=0.4, window_bm25=0.27, window_cosine=0.2, chunk_cosine=0.13)
"""For an English model that reads a book in another language of Latin script: it sees half of what there is."""

LEXICAL = Weights(bm25=0.6, window_bm25=0.4, window_cosine=0.0, chunk_cosine=0.0, pairs=0.2)
"""HYBRID without vectors, stretched to the same scale."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A hit and its fused score, 0 to 1.1 before boosts."""

    hit: Hit
    score: float


def fuse(hits: Sequence[Hit], weights: Weights = HYBRID) -> list[Scored]:
    """The hits by fused score, best first; equal scores stand in the book's order."""
    columns = (
        (_share([hit.bm25 for hit in hits]), weights.bm25),
        (_share([hit.window_bm25 or hit.bm25 for hit in hits]), weights.window_bm25),
        (_stretch([hit.window_cosine or hit.chunk_cosine for hit in hits]), weights.window_cosine),
        (_stretch([hit.chunk_cosine for hit in hits]), weights.chunk_cosine),
    )
    scores = (sum(weight * value for value, (_, weight) in zip(row, columns, strict=True)) for row in _rows(columns))
    return in_order(Scored(hit, score) for hit, score in zip(hits, scores, strict=True))


def in_order(scored: Iterable[Scored]) -> list[Scored]:
    return sorted(scored, key=lambda item: (-item.score, item.hit.chunk.path, item.hit.chunk.ordinal))


def pair_share(question: Sequence[int], text: Sequence[int]) -> float:
    """The share of the question's consecutive word pairs that stand in the text in order, at most two words apart.

    Both are stemmed term ids in text order, stop words out; 0 for a question of one word.
    """
    pairs = set(pairwise(question))
    if not pairs:
        return 0.0
    wanted = set(question)
    places: dict[int, list[int]] = {}
    for place, term in enumerate(text):
        if term in wanted:
            places.setdefault(term, []).append(place)
    held = [(places[first], places[second]) for first, second in pairs if first in places and second in places]
    return sum(_near(firsts, seconds) for firsts, seconds in held) / len(pairs)


def _near(firsts: Sequence[int], seconds: Sequence[int]) -> bool:
    after = set(seconds)
    return any(first + step in after for first in firsts for step in range(1, PAIR_REACH + 1))


def _rows(columns: Sequence[tuple[list[float], float]]) -> Iterable[tuple[float, ...]]:
    return zip(*(values for values, _ in columns), strict=True)


def _share(values: list[float]) -> list[float]:
    top = max(values, default=0.0)
    return [value / top if top > 0 else 0.0 for value in values]


def _stretch(values: list[float]) -> list[float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = high - low
    return [(value - low) / span if span > 1e-9 else 0.0 for value in values]
