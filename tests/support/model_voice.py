"""What the loopback model says and how it embeds: deterministic, cheap, and good enough that retrieval really works.

Embeddings are hashed word and trigram counts (signed feature hashing after Weinberger et al., 2009): texts that share
words or word stems are near each other. Answers quote the sentences of the prompt's own passages that share most words
with the question, each with its marker.
"""

import re
import zlib
from functools import lru_cache
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from rag.generation.base import NOT_IN_BOOK

REWRITE_SIGN = "standalone question"

_WORD = re.compile(r"\w+")
_PASSAGE = re.compile(
    r"""^[ \t]*(?:<(?:passage|source|excerpt)\b[^>\n]*?["'=](\d+)["']?[^>\n]*>"""
    r"""|\[(\d+)\]|#*\s*(?:Passage|Source)\s+(\d+)\b)""",
    re.MULTILINE | re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]{20,300}[.!?]")
_STOP_WORDS = """
a an and are as at be but by can do does for from has have how i in is it its me of on or so such that the their them
then there these they this those to was what when where which who why will with would you your
"""
_STOP = frozenset(_STOP_WORDS.split())


def content_words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP]


def embed(text: str, dimensions: int) -> NDArray[np.float32]:
    """A unit vector; a text without words gets one of its own."""
    vector = np.zeros(dimensions, dtype=np.float32)
    for word in _WORD.findall(text.lower()):
        places, signs = _features(word, dimensions)
        np.add.at(vector, places, signs)
    norm = float(np.linalg.norm(vector))
    if norm == 0.0:
        vector[zlib.crc32(text.encode("utf-8", "replace")) % dimensions] = norm = 1.0
    return vector / np.float32(norm)


@lru_cache(maxsize=100_000)
def _features(word: str, dimensions: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    weight = 0.05 if word in _STOP else 1.0
    marked = f"^{word}$"
    grams = [marked[i : i + 3] for i in range(len(marked) - 2)]
    hashes = [(zlib.crc32(word.encode()), weight)] + [(zlib.crc32(g.encode()), weight / len(grams)) for g in grams]
    places = np.array([h % dimensions for h, _ in hashes], dtype=np.int64)
    signs = np.array([w if (h >> 16) & 1 else -w for h, w in hashes], dtype=np.float32)
    return places, signs


def reply(messages: list[dict[str, str]]) -> str:
    """The answer to a chat request: a rewritten question, quotes from the passages, or the sign that there are none."""
    everything = "\n\n".join(str(m.get("content", "")) for m in messages if m.get("role") != "assistant")
    asked = next((str(m.get("content", "")) for m in reversed(messages) if m.get("role") == "user"), "")
    if any(REWRITE_SIGN in str(m.get("content", "")) for m in messages if m.get("role") == "system"):
        return _rewritten(asked)
    last = _last_line(asked)
    question = set(content_words(last))
    found = passages(everything.replace(last, ""))[:3] if last else []
    quotes = [quote for number, text in found if (quote := _quote(number, text, question))]
    if not quotes:
        return f"{NOT_IN_BOOK} The book does not say."
    return " ".join(quotes[:2])


def passages(text: str) -> list[tuple[int, str]]:
    """The numbered passages of a prompt, in its order, each number once."""
    starts = list(_PASSAGE.finditer(text))
    ends = [*(match.start() for match in starts[1:]), len(text)]
    found: dict[int, str] = {}
    for match, end in zip(starts, ends, strict=False):
        body = text[match.end() : end].partition("</")[0]
        found.setdefault(int(match[1] or match[2] or match[3]), body)
    return list(found.items())


def _quote(number: int, text: str, question: set[str]) -> str | None:
    def shared(sentence: str) -> int:
        return len(question.intersection(content_words(sentence)))

    best = max(_SENTENCE.findall(text), key=shared, default="")
    return f"{best.strip()} [{number}]" if shared(best) else None


def _rewritten(asked: str) -> str:
    """The last question with the content words of the reader's question before it."""
    last = _last_line(asked).removeprefix("Last question:").strip()
    before = [line.removeprefix("Reader:") for line in asked.splitlines() if line.startswith("Reader:")]
    known = set(content_words(last))
    topic = " ".join(dict.fromkeys(word for word in content_words(before[-1] if before else "") if word not in known))
    return f"{last.rstrip('?')} regarding {topic}?" if topic else last


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def pieces(text: str) -> list[str]:
    """The text as a model streams it: a few characters at a time, with markers split over pieces."""
    sizes = cycle((4, 1, 6, 2, 5, 1, 3))
    cut, start = [], 0
    while start < len(text):
        size = next(sizes)
        cut.append(text[start : start + size])
        start += size
    return cut
