"""The few sentences the extractive answer says itself, in the language of the question."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from rag.scripts import words


@dataclass(frozen=True, slots=True)
class Wording:
    """`own_words` comes before quotes, `book` and `part` before an outline; `not_found` names the nearest sections."""

    own_words: str
    not_found: str
    nothing: str
    book: str
    part: str


_DATA: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parent.parent / "data" / "wording.json").read_text(encoding="utf-8")
)
_HINTS = {language: frozenset(entry.pop("hints").split()) for language, entry in _DATA.items()}
_WORDINGS = {language: Wording(**entry) for language, entry in _DATA.items()}
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
OTHER_SCRIPT_WEIGHT = 3  # a question about "PID" may be in any language


def language_of(question: str) -> str:
    """A code of the languages we speak: by script, then by little words; English where nothing tells."""
    latin = len(_LATIN.findall(question))
    for language, script in _SCRIPTS:
        if len(script.findall(question)) * OTHER_SCRIPT_WEIGHT > latin:
            return language
    tokens = words(question)
    votes = {language: sum(token in hints for token in tokens) for language, hints in _HINTS.items()}
    return max(votes, key=lambda language: votes[language])


def wording(question: str) -> Wording:
    return _WORDINGS[language_of(question)]
