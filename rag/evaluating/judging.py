"""When a returned chunk counts as found, and the figures over many questions. Pure.

A chunk of a gold document counts when it shares at least half of the gold piece or of itself, whichever is shorter,
counted in words of common runs of four or more; white space and Markdown marks are no words.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rag.evaluating.questions import Question

LONGEST_RANK = 10
SHORTEST_RUN = 4
SHARE = 0.5
RESAMPLES = 1000
_WORD = re.compile(r"\w+")
_TARGET = re.compile(r"\]\([^)]*\)")
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

Rank = int | None
"""Where the first right chunk stood, 1 to 10; None when it was not among them."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def rank_of(question: Question, chunks: Sequence[tuple[str, str]]) -> Rank:
    """`chunks` are (path, text), best first."""
    documents = set(question.gold_doc)
    wanted = [_words(piece) for piece in question.gold]
    for place, (path, text) in enumerate(chunks[:LONGEST_RANK], 1):
        if path in documents and (not wanted or any(_shares(piece, _words(text)) for piece in wanted)):
            return place
    return None


def figures(ranks: Sequence[Rank]) -> dict[str, Figure]:
    """hit@1/3/5/10 (0 to 1) and MRR@10."""
    measures: dict[str, Callable[[Rank], float]] = {
        f"hit@{k}": lambda rank, k=k: float(rank is not None and rank <= k)  # type: ignore[misc]
        for k in (1, 3, 5, LONGEST_RANK)
    }
    measures["mrr@10"] = lambda rank: 1 / rank if rank else 0.0
    return {name: figure([measure(rank) for rank in ranks]) for name, measure in measures.items()}


def figure(values: Sequence[float]) -> Figure:
    """The mean and its interval; 0 for no values. The same values give the same interval."""
    if not values:
        return Figure(0.0, 0.0, 0.0)
    chance = random.Random(0)  # noqa: S311 - a bootstrap, not a secret
    means = sorted(sum(chance.choices(values, k=len(values))) / len(values) for _ in range(RESAMPLES))
    return Figure(sum(values) / len(values), means[RESAMPLES // 40], means[RESAMPLES - RESAMPLES // 40 - 1])


def _words(text: str) -> list[str]:
    spaced = _WIDE.sub(lambda found: f" {found[0]} ", _TARGET.sub("]", text))
    return _WORD.findall(spaced.lower())


def _shares(piece: list[str], chunk: list[str]) -> bool:
    shorter = min(len(piece), len(chunk))
    if not shorter:
        return False
    if (Counter(piece) & Counter(chunk)).total() < SHARE * shorter:
        return False
    run = min(SHORTEST_RUN, shorter)
    blocks = SequenceMatcher(None, piece, chunk, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= run) >= SHARE * shorter
