"""What an index is made with. Another recipe means another index; vectors of the same text are used again.

The mean length of a chunk in words belongs to it, because BM25 weighs every stored vector with it. It is rounded to
a coarse grid, so that an edit here and there does not ask for a new index: within a step of the grid BM25
hardly changes its mind.
"""

import math
from dataclasses import dataclass

from rag.store.base import IndexConfig

_GRID = 1.25  # one step is a quarter longer than the last
_SHORTEST = 8.0  # words; below it a book is too small for the mean to matter


def average_words(words: int, chunks: int) -> float:
    """The mean number of words of a chunk, on the grid."""
    if not chunks:
        return _SHORTEST
    mean = max(words / chunks, _SHORTEST)
    return float(round(_GRID ** round(math.log(mean, _GRID)), 1))


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that stored vectors depend on, apart from the texts and their mean length.

    `embedder` is the embedder's fingerprint, `chunker` the chunker's version and parameters, `windows` the
    windows' version or "off", `lexicon` the lexical model's version. A language that was not `detected` was set.
    """

    embedder: str
    dimensions: int
    chunker: str
    windows: str
    lexicon: str
    language: str | None
    detected: bool = True

    def config(self, words: float) -> IndexConfig:
        """The recipe with its mean length as the store keeps it."""
        parts = (
            f"embedder={self.embedder}",
            f"dimensions={self.dimensions}",
            f"chunker={self.chunker}",
            f"windows={self.windows}",
            f"lexicon={self.lexicon}",
            f"language={self.language or 'none'}{'' if self.detected else '!'}",
            f"words={words:g}",
        )
        return IndexConfig(" ".join(parts), self.dimensions, self.language, words)

    def made(self, config: IndexConfig | None) -> bool:
        """True when the index was made with this recipe, whatever its mean length."""
        return config is not None and config.fingerprint == self.config(config.average_words).fingerprint
