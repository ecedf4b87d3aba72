"""Words that look alike in two languages: `captura` finds `capture`, `Latenz` finds `latency`.

Technical words travel. For a question in another language than the book the words of the book's headings that begin
alike are searched as well. Accents and doubled letters are no difference.
"""

import re
import unicodedata
from collections.abc import Iterable
from itertools import chain, islice

from rag.text.scripts import words

SHORTEST = 4
ALIKE = 0.6  # share of the longer word that both begin with
MOST_ALIKE = 2
_STEM = 3
_MOST_WORDS = 20_000
_DOUBLED = re.compile(r"(.)\1+")


class Cognates:
    """The words of a book's headings, by how they begin."""

    def __init__(self, headings: Iterable[str]) -> None:
        self._by_stem: dict[str, dict[str, str]] = {}
        for word in islice(dict.fromkeys(chain.from_iterable(map(words, headings))), _MOST_WORDS):
            if len(folded := _folded(word)) >= SHORTEST:
                self._by_stem.setdefault(folded[:_STEM], {}).setdefault(folded, word)

    def translated(self, text: str) -> str:
        """The text's words, each in the place of which the book has lookalikes replaced by them."""
        return " ".join(" ".join(self.of(word) or [word]) for word in words(text))

    def of(self, word: str) -> list[str]:
        """The book's words that look like it, nearest first."""
        folded = _folded(word)
        likely = self._by_stem.get(folded[:_STEM], {}).items() if len(folded) >= SHORTEST else ()
        alike = sorted((-_alike(folded, other), spelt) for other, spelt in likely)
        return [spelt for likeness, spelt in alike if -likeness >= ALIKE][:MOST_ALIKE]


def _folded(word: str) -> str:
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))
    return _DOUBLED.sub(r"\1", bare)


def _alike(one: str, other: str) -> float:
    """The share of the longer word's letters that both begin with."""
    common = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        common += 1
    return common / max(len(one), len(other)) if common >= SHORTEST else 0.0
