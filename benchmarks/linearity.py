"""How the time of cutting a page grows with the number of anything in it: the exponent, fitted over 1,000 to 100,000.

CPU seconds, the best of the rounds; a constant part of each run makes the exponent of short pages smaller, not larger.
"""

import math
import time

from benchmarks.figures import Figure
from rag.markdown.chunking import split
from rag.markdown.parser import outline, page_of
from rag.text import tokens
from rag.types import Document
from tests.support.constructs import CONSTRUCTS

BAR = 1.15
_COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000)


def measure(*, quick: bool) -> list[Figure]:
    tokens.count("loads the table")
    counts = _COUNTS[:4] if quick else _COUNTS
    exponents = {
        name: exponent([(count, seconds(make(count))) for count in counts]) for name, make in CONSTRUCTS.items()
    }
    worst = max(exponents, key=lambda name: exponents[name])
    for name, found in sorted(exponents.items(), key=lambda item: -item[1]):
        print(f"    {name:<32}{found:.2f}")
    sides = f"the worst of {len(exponents)} constructs: {worst}"
    return [Figure("linearity", "Cutting a page: exponent of its growth", exponents[worst], BAR, sides=sides)]


def seconds(text: str) -> float:
    document = Document("a.md", "Title", text, "0", "/a")
    taken = []
    for _ in range(2):
        page_of.cache_clear()
        start = time.process_time()
        split(document)
        outline(document)
        taken.append(time.process_time() - start)
    return min(taken)


def exponent(points: list[tuple[int, float]]) -> float:
    """The slope of a straight line through the logarithms."""
    logs = [(math.log(count), math.log(max(taken, 1e-6))) for count, taken in points]
    mean_x, mean_y = (sum(axis) / len(logs) for axis in zip(*logs, strict=True))
    along = sum((x - mean_x) ** 2 for x, _ in logs)
    return float(sum((x - mean_x) * (y - mean_y) for x, y in logs) / along)
