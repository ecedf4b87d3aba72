"""Under which of a passage's headings the evidence for a question stands. Pure.

Every section is weighed by the idf of the question's stems that it holds, each the more the oftener it stands there
but never more than its idf: idf x count / (count + 1/4). The headings above a section count as its text.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rag.types import InnerHeading

LEAST = 0.2
"""Share of the question's idf mass below which a section says too little to be singled out."""

MARGIN = 1.05
"""How much better than the passage's own section another one must be."""

_HALF_AT = 0.25  # times in a section that count half


@dataclass(frozen=True, slots=True)
class Sought:
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
