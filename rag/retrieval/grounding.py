"""Is it in the book at all? One rule over the best window's cosine and the question's matched words.

    cosine of the best window + .5 x coverage + .2 x BM25 / idf mass  >=  .70

idf mass is the sum of the idf of the question's distinct stems, unseen ones at the maximum; coverage is the share
of it that the best passages hold. The threshold belongs to the cosines of all-MiniLM-L6-v2. Other models crowd theirs
elsewhere, so they are first mapped by two points measured on the book itself: what questions about something else
reach, and what the book's own titles reach. Without dense vectors the words decide alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

THRESHOLD = 0.70
COVERAGE_WEIGHT = 0.5
BM25_WEIGHT = 0.2
FOREIGN_THRESHOLD = 0.60
FOREIGN_COSINE = 0.40
FOREIGN_WORD_WEIGHT = 0.5
LEXICAL_THRESHOLD = 0.65
LEXICAL_BM25_WEIGHT = 1.0
WORTH_ASKING = 0.97
"""Sum of cosine, coverage and BM25 share from which a model is asked though the rule is not met."""

LEAST_SPAN = 0.05
SURELY_NAMED = 0.9
"""Likeness to a heading (`rag.retrieval.topics`) from which a name is that of a part of the book."""

OFF_TOPIC = (
    "How long should I boil an egg so that the yolk stays soft?",
    "Who won the football world cup in 1998?",
    "What is the best time of year to visit Iceland?",
    "How do I remove a red wine stain from a carpet?",
    "Which vaccines does a puppy need in its first year?",
    "When was the treaty that ended the Thirty Years' War signed?",
    "How do I file a tax return as a freelance photographer?",
    "What are the lyrics of a well-known lullaby?",
    "Which perennial flowers grow well in the shade?",
)
"""Questions of unlike fields; hardly any book holds more than one of them, and the median forgives that one."""


@dataclass(frozen=True, slots=True)
class CosineScale:
    """Where a model's best cosines lie for a book: `floor` for foreign questions, `ceiling` for its own titles."""

    floor: float
    ceiling: float

    @property
    def usable(self) -> bool:
        return self.ceiling - self.floor >= LEAST_SPAN


MINILM = CosineScale(floor=0.22, ceiling=0.70)


@dataclass(frozen=True, slots=True)
class Evidence:
    """`cosine` is None where there is none to judge by; the other two are shares of the question's idf mass.

    `foreign`: the question is in another language than the book, and shares few words with it at best; `polyglot`: the
    model behind the cosine knows both. `named`: how much the likest heading is what a question names that is no
    sentence; 0 for any other question.
    """

    cosine: float | None
    coverage: float
    bm25: float
    foreign: bool = False
    polyglot: bool = False
    named: float = 0.0


def scale_of(foreign: Sequence[float], own: Sequence[float]) -> CosineScale:
    """The scale from the best cosines of questions about something else, and of the book's own titles."""
    return CosineScale(median(foreign), median(own)) if foreign and own else CosineScale(0.0, 0.0)


def rescaled(cosine: float, scale: CosineScale) -> float | None:
    """The cosine as MiniLM would have it; None when this model does not tell the book from anything else."""
    if not scale.usable:
        return None
    return MINILM.floor + (cosine - scale.floor) * (MINILM.ceiling - MINILM.floor) / (scale.ceiling - scale.floor)


def coverage(weights: Mapping[int, float], texts: Sequence[Sequence[int]]) -> float:
    """The largest share of the question's idf mass (`weights`: term -> idf) that one text holds."""
    mass = sum(weights.values())
    held = (sum(weights[term] for term in weights.keys() & set(text)) for text in texts)
    return max(held, default=0.0) / mass if mass > 0 else 0.0


def degree(evidence: Evidence) -> float:
    """How far the rule is met: 1 and more is grounded. A question in a foreign language is judged by what little it
    can share with the book.
    """
    if evidence.named >= SURELY_NAMED:
        return max(1.0, degree(replace(evidence, named=0.0)))
    fair = _translated(evidence) if evidence.foreign else evidence
    if fair.cosine is None:
        return (fair.coverage + LEXICAL_BM25_WEIGHT * fair.bm25) / LEXICAL_THRESHOLD
    by_rule = strength(fair) / (FOREIGN_THRESHOLD if fair.foreign else THRESHOLD)
    trusted = fair.foreign and fair.polyglot
    return max(by_rule, fair.cosine / FOREIGN_COSINE) if trusted else by_rule


def promise(evidence: Evidence) -> float:
    """How far a model that reads the passages may find the answer in them: a half and more is worth asking.

    The three kinds of evidence count alike, so that neither rare words nor a poor embedding model decide alone. Of a
    question in another language than the book too little is known to keep it from a model.
    """
    found = 0.5 * (evidence.coverage + evidence.bm25 + max(evidence.cosine or 0.0, 0.0)) / WORTH_ASKING
    return max(found, 0.5) if evidence.foreign or is_grounded(evidence) else found


def is_grounded(evidence: Evidence) -> bool:
    return degree(evidence) >= 1.0


def strength(evidence: Evidence) -> float:
    """What the rule compares with its threshold."""
    return (evidence.cosine or 0.0) + COVERAGE_WEIGHT * evidence.coverage + BM25_WEIGHT * evidence.bm25


def _translated(evidence: Evidence) -> Evidence:
    """Words of another language cannot be matched: what is not held weighs half of what is."""
    mass = evidence.coverage + FOREIGN_WORD_WEIGHT * (1 - evidence.coverage)
    return replace(evidence, coverage=evidence.coverage / mass, bm25=evidence.bm25 / mass)
