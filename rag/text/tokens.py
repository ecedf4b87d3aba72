"""Tokens of cl100k_base, counted without the network: the rank table lies beside the code.

Everything a book can contain is accepted. Text that looks like a special token is ordinary text. Runs of white space
over `_LONGEST_SPACE` and words over `_LONGEST_WORD` are encoded piece by piece, because the tokenizer aborts on about a
million spaces and takes minutes for a word of ten million letters; inside such a run a count may be off by one per
piece. Lone surrogates count as U+FFFD.
"""

import base64
import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import tiktoken
from numpy.typing import NDArray

from rag.memory import malloc_trim

_FILE = Path(__file__).parent.parent / "data" / "tiktoken" / "cl100k_base.tiktoken"
_PATTERN = (  # how the encoding cuts text before it merges bytes
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_LONGEST_SPACE = 10_000
_LONGEST_WORD = 10_000
_LONG_SPACE = re.compile(rf"\s(?<!\s\s)\s{{{_LONGEST_SPACE},}}+")  # looks at every run once
_LONG_WORD = re.compile(rf"\S(?<!\S\S)\S{{{_LONGEST_WORD},}}+")


@dataclass(frozen=True, slots=True)
class _Table:
    """`lengths` holds the bytes of each token."""

    encoding: tiktoken.Encoding
    lengths: NDArray[np.int64]


@cache
def _table() -> _Table:
    pairs = (line.split() for line in _FILE.read_bytes().splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    lengths = np.zeros(max(ranks.values()) + 1, dtype=np.int64)
    for token, rank in ranks.items():
        lengths[rank] = len(token)
    encoding = tiktoken.Encoding(name="cl100k_base", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})
    ranks.clear()  # the encoder has made its own of it, and would keep these beside them
    malloc_trim()
    return _Table(encoding, lengths)


def _pieces(text: str) -> list[str]:
    """The text, cut inside the runs that are too long for the tokenizer."""
    cuts: list[int] = []
    for pattern, longest in ((_LONG_SPACE, _LONGEST_SPACE), (_LONG_WORD, _LONGEST_WORD)):
        if len(text) > longest:
            for run in pattern.finditer(text):
                cuts += range(run.start() + longest, run.end(), longest)
    return [text[start:end] for start, end in pairwise([0, *sorted(cuts), len(text)])] if cuts else [text]


def _encode(text: str) -> list[int]:
    ids: list[int] = []
    for piece in _pieces(text):
        ids += _table().encoding.encode_ordinary(piece)
    return ids


def count(text: str) -> int:
    """The number of tokens."""
    return len(_encode(text))


def offsets(text: str) -> NDArray[np.int64]:
    """Where each token ends, in bytes of the text's UTF-8; `text` must not hold lone surrogates."""
    ids = np.asarray(_encode(text), dtype=np.uint32)
    ends: NDArray[np.int64] = _table().lengths[ids].cumsum()
    return ends


def truncate(text: str, limit: int) -> str:
    """The longest beginning of at most `limit` tokens that ends at a character. `limit` of 0 gives no text."""
    if limit <= 0:
        return ""
    head = text[: limit * 200]  # no token is longer than 128 bytes
    ids = _encode(head)
    if len(ids) <= limit:
        return head
    kept = _table().encoding.decode_bytes(ids[:limit]).decode(errors="ignore")
    while count(kept) > limit:  # a code point cut in two may merge differently when it is gone
        kept = kept[:-1]
    return kept
