"""Does a question ask about the book as a whole, or about one of its parts, rather than about something in it?

The rule needs no grammar: take out of the question the words that such questions are made of (the asking, the
book, the unit and its number, the stop words between). When nothing is left, nothing in particular was asked,
and the outline answers. What is left may be the name of a chapter; whether it is one, the outline decides.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rag.text.scripts import words

Unit = Literal["chapter", "part"]
Kind = Literal["book", "contents", "page", "numbered", "named"]
MOST_WORDS = 40
MOST_NAME_WORDS = 8
MOST_NUMBERS = 12


@dataclass(frozen=True, slots=True)
class Overview:
    """What is to be outlined: `numbers` of a `unit` when numbered, `name` (casefolded words) when named.

    `explicit` is False for a question that names neither book nor unit ("summarise this").
    """

    kind: Kind
    unit: Unit | None = None
    numbers: tuple[int, ...] = ()
    name: tuple[str, ...] = ()
    explicit: bool = True


_WORDS: dict[str, list[str]] = json.loads(
    (Path(__file__).parent.parent / "data" / "overview_words.json").read_text(encoding="utf-8")
)


def _set(name: str) -> frozenset[str]:
    return frozenset(word for line in _WORDS[name] for word in line.split())


_CHAPTER, _PART, _BOOK, _PAGE, _CONTENTS = (_set(name) for name in ("chapter", "part", "book", "page", "contents"))
_SUMMARY = _set("summary")
_ASKS = _set("asks") | _SUMMARY
_UNIT = _CHAPTER | _PART
_STRIPPED = _set("frame") | _ASKS | _CONTENTS | _BOOK | _PAGE | _UNIT
_LISTING = frozenset({"contents", "toc", "outline"})
_ORDINALS = {word: number for line in _WORDS["ordinals"] for number, word in enumerate(line.split(), 1)}
_JOINS = frozenset({"and", "y", "et", "und", "e", "en", "и", "ve", "و", "اور", "और"})
_SPANS = frozenset({"to", "through", "bis", "a", "à"})
_NUMBERED_CJK = re.compile(r"第?\s*([0-9]{1,3}|[一二三四五六七八九十])\s*(章|部分|部|单元|單元|节|課|课|장|부|과)")
_PARTS_CJK = frozenset({"部分", "部", "单元", "單元", "부"})
_FRAME_CJK = re.compile(
    "这本书|這本書|本书|本書|该书|全书|整本书|この本|書籍|이\\s*책은?|책|这一|请|請|帮我|给我|一下|主要|都|的|了|讲|講|介绍|介紹|"
    "关于|關於|什么|什麼|是|内容|內容|概述|概括|总结|總結|摘要|哪些|有|说|說|目录|目錄|目次|章节|章節|について|何|なに|ですか|です|"
    "は|の|を|が|に|要約|まとめ|概要|して|してください|ください|教えて|書かれて|いますか|どんな|무엇에|대한|대해|무엇|인가요|입니까|"
    "내용|요약|해줘|해|주세요|정리|목차|을|를|은|는|이|의|에|설명"
)
_ASKS_CJK = re.compile(
    "关于|關於|讲|講|介绍|介紹|内容|內容|概述|概括|总结|總結|摘要|目录|目錄|目次|哪些章|について|要約|まとめ|概要|何の本|"
    "요약|내용|대한|대해|정리|목차|무엇"
)
_CONTENTS_CJK = re.compile("目录|目錄|目次|哪些章|목차")
_PUNCTUATION = re.compile(r"[\s\W_]+")


def parse(question: str) -> Overview | None:
    """What the question wants outlined; None when it asks about something in the book."""
    tokens = words(question)
    if not tokens or len(tokens) > MOST_WORDS:
        return None
    return _parse_unspaced(question) if _ASKS_CJK.search(question) else _parse_words(tokens)


def number(token: str) -> int | None:
    """`3`, `three`, `third`, `iii`, `三` as 3."""
    if token.isdecimal() and len(token) <= 3:
        return int(token)
    return _ORDINALS.get(token)


def unit_of(token: str) -> Unit | None:
    if token in _CHAPTER:
        return "chapter"
    return "part" if token in _PART else None


def significant(tokens: Iterable[str]) -> tuple[str, ...]:
    """The words that could be a name: those that overview questions are not made of."""
    return tuple(token for token in tokens if token not in _STRIPPED and number(token) is None)


def _parse_unspaced(question: str) -> Overview | None:
    numbered = _NUMBERED_CJK.search(question)
    if _PUNCTUATION.sub("", _FRAME_CJK.sub("", _NUMBERED_CJK.sub("", question))):
        return None
    if numbered:
        unit: Unit = "part" if numbered[2] in _PARTS_CJK else "chapter"
        return Overview("numbered", unit, (number(numbered[1]) or 0,))
    return Overview("contents" if _CONTENTS_CJK.search(question) else "book")


def _parse_words(tokens: list[str]) -> Overview | None:
    unit, numbers, rest = _take_numbers(tokens)
    name = tuple(token for token in rest if token not in _STRIPPED)
    if numbers:
        return None if name else Overview("numbered", unit, numbers)
    return _parse_named(tokens, name) if name else _parse_whole(tokens)


def _parse_named(tokens: list[str], name: tuple[str, ...]) -> Overview | None:
    """A summary of something, or what a chapter with a name is about."""
    unit = next((unit_of(token) for token in tokens if token in _UNIT), None)
    asks = not (_ASKS if unit else _SUMMARY).isdisjoint(tokens)
    if not asks or len(name) > MOST_NAME_WORDS or not _BOOK.isdisjoint(tokens):
        return None
    return Overview("named", unit, name=name)


def _parse_whole(tokens: list[str]) -> Overview | None:
    book, unit = not _BOOK.isdisjoint(tokens), not _UNIT.isdisjoint(tokens)
    if not _PAGE.isdisjoint(tokens):
        return Overview("page")
    if not _CONTENTS.isdisjoint(tokens) and (book or unit or not _LISTING.isdisjoint(tokens) or len(tokens) < 3):
        return Overview("contents")
    if book and not _ASKS.isdisjoint(tokens):
        return Overview("book")
    alone = not _SUMMARY.isdisjoint(tokens) or {"this", "about"} <= set(tokens)
    return Overview("book", explicit=False) if alone else None


def _take_numbers(tokens: list[str]) -> tuple[Unit | None, tuple[int, ...], list[str]]:
    """The unit, its numbers and the tokens without them: `chapters 3 and 4`, `third chapter`, `3. bölüm`."""
    for place, token in enumerate(tokens):
        if token not in _UNIT:
            continue
        after, end = _numbers_from(tokens, place + 1)
        if after:
            return unit_of(token), after, tokens[:place] + tokens[end:]
        before = number(tokens[place - 1]) if place else None
        if before is not None:
            return unit_of(token), (before,), tokens[: place - 1] + tokens[place + 1 :]
    return None, (), tokens


def _numbers_from(tokens: list[str], start: int) -> tuple[tuple[int, ...], int]:
    """The numbers that follow a unit, and where they end: `3`, `3 and 4`, `3 to 5`."""
    numbers: list[int] = []
    end, span = start, False
    for place in range(start, len(tokens)):
        token, value = tokens[place], number(tokens[place])
        if value is not None and not (numbers and token in _JOINS):
            numbers += range(numbers[-1] + 1, value + 1) if span and numbers else [value]
            end, span = place + 1, False
        elif numbers and token in _JOINS | _SPANS:
            span = token in _SPANS
        else:
            break
    return tuple(numbers[:MOST_NUMBERS]), end
