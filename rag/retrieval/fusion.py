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
class FusionWeights:
    """How much each kind of evidence counts; `pairs` comes on top."""

    bm25: float = 0.3
    window_bm25: float = 0.2
    window_cosine: float = 0.3
    chunk_cosine: float = 0.2
    pairs: float = 0.1


HYBRID = FusionWeights()
CROSS_LINGUAL = FusionWeights(bm25=0.4, window_bm25=0.27, window_cosine=0.2, chunk_cosine=0.13)
"""For an English model that reads a book in another language of Latin script: it sees half of what there is."""

LEXICAL = FusionWeights(bm25=0.6, window_bm25=0.4, window_cosine=0.0, chunk_cosine=0.0, pairs=0.2)
"""HYBRID without vectors, stretched to the same scale."""


@dataclass(frozen=True, slots=True)
class RankedHit:
    """A hit and its fused score, 0 to 1.1 before boosts; `heading` is the part of it that its headings have given."""

    hit: Hit
    score: float
    heading: float = 0.0


def fuse(hits: Sequence[Hit], weights: FusionWeights = HYBRID) -> list[RankedHit]:
    """The hits by fused score, best first; equal scores stand in the book's order."""
    columns = zip(
        _share([hit.bm25 for hit in hits]),
        _share([hit.window_bm25 or hit.bm25 for hit in hits]),
        _stretch([hit.window_cosine or hit.chunk_cosine for hit in hits]),
        _stretch([hit.chunk_cosine for hit in hits]),
        strict=True,
    )
    scores = [
        weights.bm25 * whole + weights.window_bm25 * part + weights.window_cosine * near + weights.chunk_cosine * mean
        for whole, part, near, mean in columns
    ]
    return in_order(map(RankedHit, hits, scores))


def in_order(scored: Iterable[RankedHit]) -> list[RankedHit]:
    return sorted(scored, key=lambda item: (-item.score, item.hit.chunk.path, item.hit.chunk.ordinal))


@dataclass(frozen=True, slots=True)
class WordPairs:
    """The consecutive word pairs of a question, and all words in them: stemmed term ids, stop words out."""

    pairs: frozenset[tuple[int, int]]
    words: frozenset[int]

    @classmethod
    def of(cls, question: Sequence[int]) -> "WordPairs":
        """`question` in its order."""
        pairs = frozenset(pairwise(question))
        return cls(pairs, frozenset(question) if pairs else frozenset())

    def share(self, text: Sequence[int]) -> float:
        """The share of the pairs that stand in the text (in its order) in order, at most two words apart; 0 for a
        question of one word.
        """
        words = self.words
        places = [(place, term) for place, term in enumerate(text) if term in words]
        if len(places) < 2:
            return 0.0
        near = {
            (term, other)
            for at, (place, term) in enumerate(places)
            for later, other in places[at + 1 : at + 1 + PAIR_REACH]
            if later - place <= PAIR_REACH
        }
        return len(self.pairs & near) / len(self.pairs)


def _share(values: list[float]) -> list[float]:
    top = max(values, default=0.0)
    return [value / top if top > 0 else 0.0 for value in values]


def _stretch(values: list[float]) -> list[float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = high - low
    return [(value - low) / span if span > 1e-9 else 0.0 for value in values]
