"""The few sentences the extractive answer says itself, in the language of the question."""

import json
from dataclasses import dataclass
from pathlib import Path

from rag.language.languages import language_of


@dataclass(frozen=True, slots=True)
class Wording:
    """`own_words` comes before quotes, `book` and `part` before an outline; `not_found` names the nearest sections."""

    own_words: str
    not_found: str
    nothing: str
    book: str
    part: str


_WORDINGS = {
    language: Wording(**entry)
    for language, entry in json.loads(
        (Path(__file__).parent.parent / "data" / "wording.json").read_text(encoding="utf-8")
    ).items()
}


def wording(question: str) -> Wording:
    return _WORDINGS[language_of(question) or "en"]
