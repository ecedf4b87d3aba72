"""What an index is made with. Another recipe means another index; vectors of the same text are used again.

BM25 weighs every stored vector with the mean length of a chunk in words. It is taken from the chunks' limit, not
measured: so that storing can begin before the last page is cut, and an edit never asks for a new index. A third more or
less changes next to nothing (specs/1-rag-backend/research.md has the figures behind the one that is taken).
"""

from dataclasses import dataclass

from rag.store.base import IndexConfig

_WORDS_A_TOKEN = 0.35  # of the limit


def average_words(limit: int) -> float:
    """The mean number of words that BM25 takes for a chunk of at most `limit` tokens."""
    return limit * _WORDS_A_TOKEN


@dataclass(frozen=True, slots=True)
class IndexFingerprint:
    """Everything that stored vectors depend on, apart from the texts.

    `embedder` is the embedder's fingerprint, `chunker` the chunker's version and parameters, `windows` the
    windows' version or "off", `encoder` the lexical model's version, `words` the mean length of a chunk. A language
    that was not `detected` was set.
    """

    embedder: str
    dimensions: int
    chunker: str
    windows: str
    encoder: str
    words: float
    language: str | None
    detected: bool = True

    @property
    def config(self) -> IndexConfig:
        """The recipe as the store keeps it."""
        parts = (
            f"embedder={self.embedder}",
            f"dimensions={self.dimensions}",
            f"chunker={self.chunker}",
            f"windows={self.windows}",
            f"lexicon={self.encoder}",
            f"language={self.language or 'none'}{'' if self.detected else '!'}",
            f"words={self.words:g}",
        )
        return IndexConfig(" ".join(parts), self.dimensions, self.language, self.words)

    def matches(self, config: IndexConfig | None) -> bool:
        """True when the index was made with this recipe."""
        return config is not None and config.fingerprint == self.config.fingerprint
