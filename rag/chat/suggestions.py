"""Questions to begin with, made from the book's own headings, in its language."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import TypeVar

from rag.retrieval.outline import in_book_order
from rag.types import DocumentRecord

LONGEST_HEADING = 60
_ABOUT = {
    "ar": "ماذا يقول الكتاب عن {}؟",
    "de": "Was sagt das Buch über {}?",
    "en": "What should I know about {}?",
    "es": "¿Qué debo saber sobre {}?",
    "fr": "Que faut-il savoir sur {} ?",
    "hi": "{} के बारे में क्या जानना चाहिए?",
    "it": "Che cosa devo sapere su {}?",
    "ja": "{}について教えてください。",
    "ko": "{}에 대해 알려 주세요.",
    "nl": "Wat moet ik weten over {}?",
    "pt": "O que devo saber sobre {}?",
    "ru": "Что стоит знать на тему «{}»?",
    "tr": "{} hakkında ne bilmeliyim?",
    "ur": "{} کے بارے میں کیا جاننا چاہیے؟",
    "zh": "请介绍一下{}。",
}
Thing = TypeVar("Thing")

_QUESTION_MARKS = ("?", "？", "؟")


def example_questions(documents: Iterable[DocumentRecord], language: str, limit: int = 4, places: int = 4) -> list[str]:
    """At most `limit`, the first `places` of them from all over the book; `language` is an ISO 639-1 code.

    Headings that are questions come first, then those of several words. One that many pages have ("Summary") says
    nothing about the book and is left out.
    """
    book = in_book_order(documents)
    shared = Counter(heading for document in book for heading in {item.text for item in document.headings})
    pages = [sorted(_headings(document, shared), key=_attraction, reverse=True) for document in book]
    asked = [text for page in pages for text in page if text.endswith(_QUESTION_MARKS)]
    others = [text for row in zip_longest(*_spread(pages, places)) for text in row if text is not None]
    ranked = [*_spread(asked, places), *others]
    return list(dict.fromkeys(_question(text, language) for text in ranked))[:limit]


def _headings(document: DocumentRecord, shared: Mapping[str, int]) -> list[str]:
    """The page's main headings that are its own; its title when there are none."""
    top = min((item.level for item in document.headings if item.level > 1), default=2)
    main = [item.text for item in document.headings if item.level in (top, top + 1)]
    own = [text for text in main if shared[text] == 1 and text != document.title and len(text) <= LONGEST_HEADING]
    return own or [document.title]


def _attraction(heading: str) -> tuple[bool, int]:
    """Questions, then headings of three to six words; `sorted` keeps the book's order among equals."""
    words = len(heading.split())
    return heading.endswith(_QUESTION_MARKS), min(words, 3) if words <= 6 else 0


def _spread(things: Sequence[Thing], count: int) -> list[Thing]:
    """As many as wanted, evenly over the whole."""
    if len(things) <= count:
        return list(things)
    return [things[round((place + 0.5) * len(things) / count - 0.5)] for place in range(count)]


def _question(heading: str, language: str) -> str:
    if heading.endswith(_QUESTION_MARKS):
        return heading
    return _ABOUT.get(language, _ABOUT["en"]).format(_lower_first(heading))


def _lower_first(heading: str) -> str:
    """`Balance control` in the middle of a sentence, but `PID control`, `Newton` and `ROS 2` as they are."""
    first, _, rest = heading.partition(" ")
    plain = rest and rest == rest.lower() and len(first) > 1 and first[1:] == first[1:].lower()
    return f"{first.lower()} {rest}" if plain and first.isascii() else heading
