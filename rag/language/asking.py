"""The subject of a question: what is left when the words of asking are taken off.

"tell me about X", "what does the book say about X?" and "please explain X" all look for X, and are searched as X is.
Only whole phrases are taken off, from the beginning and the end of the question: a word that asks in one place names a
thing in another.
"""

import json
import re
from functools import lru_cache
from pathlib import Path

from rag.language.scripts import unspaced, words

MOST_TOPIC_WORDS = 8
MOST_TOPIC_CHARACTERS = 16  # of a script without spaces
_MOST_ROUNDS = 4

_PHRASES: dict[str, dict[str, list[str]]] = json.loads(
    (Path(__file__).parent.parent / "data" / "asking_phrases.json").read_text(encoding="utf-8")
)


def _any(place: str) -> str:
    return "|".join(phrase for phrases in _PHRASES.values() for phrase in phrases[place])


_BEFORE = re.compile(rf"[\s¿¡\"'“‘«„,.:]*(?:{_any('before')})(?P<end>[\s:,]*)", re.IGNORECASE)
_AFTER = re.compile(rf"[\s,]*(?:{_any('after')})[\s?？؟.!。！…]*$", re.IGNORECASE)
_EDGES = ' \t\r\n?？؟.!。！…,;:¿¡"“”«»„'
_INTERROGATIVES = frozenset(" ".join(_PHRASES[language]["asks"][0] for language in _PHRASES).split())


@lru_cache(maxsize=256)  # a search asks about its question more than once
def subject(question: str) -> str:
    """The question without the words of asking around it; the question as it is where they are all there is."""
    rest = question.strip()
    for _ in range(_MOST_ROUNDS):
        found = _BEFORE.match(rest)
        shorter = rest[found.end() :] if found else rest
        shorter = _AFTER.sub("", shorter)
        if shorter == rest:
            break
        if not words(shorter):
            return question
        rest = shorter
    if rest == question.strip() and not names_something(rest):
        return question
    return rest.strip(_EDGES) or question


def names_something(question: str) -> bool:
    """Whether this is a name rather than a sentence: a few words, none of which asks."""
    tokens = words(question)
    few = len(tokens) <= MOST_TOPIC_WORDS if not unspaced(question) else unspaced(question) <= MOST_TOPIC_CHARACTERS
    return bool(tokens) and few and tokens[0] not in _INTERROGATIVES
