"""Which language a question is in: a few words say little, so script and stop words must do.

A book's language is found from much text (`lexical.detect_language`) and named as the engine names it; a question's
is one of the codes below. Both sides meet in `is_foreign`.
"""

import json
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

from rag.text.scripts import words

_NAMES = {
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "de": "german",
    "pt": "portuguese",
    "it": "italian",
    "nl": "dutch",
    "tr": "turkish",
    "ru": "russian",
    "ar": "arabic",
    "zh": "chinese",
    "ja": "japanese",
    "ko": "korean",
}
_LITTLE_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(line.split())
    for language, line in json.loads(
        (Path(__file__).parent.parent / "data" / "stop_words.json").read_text(encoding="utf-8")
    ).items()
}
_SAID_IN: dict[str, list[str]] = {
    word: [language for language, little in _LITTLE_WORDS.items() if word in little]
    for word in frozenset().union(*_LITTLE_WORDS.values())
}
_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("zh", re.compile("[\u3400-\u9fff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ur", re.compile("[\u0679\u0688\u0691\u06ba\u06be\u06c1\u06d2]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
)
_LATIN = re.compile("[A-Za-zÀ-ɏ]")
_LATIN_RUN = re.compile(r"[A-Za-z0-9À-ɏ][\w.+#/-]*", re.ASCII)
_OTHER_SCRIPT_WEIGHT = 3  # a question about "PID" may be in any language
_NAMED = frozenset(_NAMES.values())


@lru_cache(maxsize=256)  # a search asks about its question more than once
def language_of(question: str) -> str | None:
    """A two-letter code, by script and then by stop words; None where nothing tells."""
    latin = len(_LATIN.findall(question))
    for language, script in () if question.isascii() else _SCRIPTS:
        if len(script.findall(question)) * _OTHER_SCRIPT_WEIGHT > latin:
            return language
    votes = Counter(language for word in words(question) for language in _SAID_IN.get(word, ()))
    best = max(_LITTLE_WORDS, key=votes.__getitem__)
    return best if votes[best] else None


def is_foreign(question: str, book_language: str | None) -> bool:
    """Whether a question is surely in another language than the book."""
    language = language_of(question)
    return language is not None and book_language in _NAMED and _NAMES.get(language) != book_language


def shared_words(question: str, language: str | None) -> str:
    """What a question in a language may share with a book in another one: names and terms, without its stop words.

    Of a question in another script than Latin, its Latin words.
    """
    if language is not None and language not in _LITTLE_WORDS:
        return " ".join(_LATIN_RUN.findall(question))
    little = _LITTLE_WORDS[language] if language else frozenset()
    return " ".join(word for word in words(question) if word not in little)
