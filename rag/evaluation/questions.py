"""Question files: JSON lines to ask, and to judge by.

id, question                required
history                     earlier exchanges: [{user, assistant}], [{role, content}] or plain questions
answerable                  false where the book does not hold the answer (default true)
gold_doc, gold              paths that hold it; exact pieces of them (none: any part of the document will do)
kind, language              free labels to report by; a language that is not given is told from the question
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rag.errors import ContentError
from rag.retrieval.retriever import RankedHits, Retriever
from rag.text.languages import language_of
from rag.types import Exchange

OTHER = "other"
Half = Literal["tune", "report"]
_SPLIT_SEED = "halves-1"
_FEWEST = 1 / 50  # a question or two in four hundred are told wrong


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    question: str
    history: tuple[Exchange, ...] = ()
    answerable: bool = True
    gold_doc: tuple[str, ...] = ()
    gold: tuple[str, ...] = ()
    kind: str = ""
    language: str = ""


def load(path: Path) -> list[Question]:
    """The questions of a file, or of `questions.jsonl` in a folder. Raises ContentError naming the file and line."""
    file = path / "questions.jsonl" if path.is_dir() else path
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ContentError(f"The questions in {file} cannot be read: {reason}.") from None
    return [_parse(line, f"{file}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def half_of(question_id: str) -> Half:
    """Which half of its set a question is in, the same on every machine: parameters are chosen on "tune", and the
    figures that speak for them are those of "report".
    """
    return "tune" if hashlib.sha256(f"{_SPLIT_SEED}:{question_id}".encode()).digest()[0] % 2 else "report"


def languages(questions: Sequence[Question]) -> list[str]:
    """The language of each: the set's own word, else told; OTHER where nothing tells or hardly a question is told so.

    All are in the one language when only one was found: what tells nothing is no language of its own.
    """
    told = [question.language or language_of(question.question) or OTHER for question in questions]
    given = {question.language for question in questions if question.language}
    often = {language for language, count in Counter(told).items() if count >= _FEWEST * len(told)} - {OTHER}
    known = given | often
    rest = next(iter(known)) if len(known) == 1 else OTHER
    return [language if language in known else rest for language in told]


def _parse(line: str, where: str) -> Question:
    try:
        item = json.loads(line)
    except ValueError:
        raise ContentError(f"{where}: not a line of JSON.") from None
    if not isinstance(item, dict) or not isinstance(item.get("question"), str) or not item["question"].strip():
        raise ContentError(f'{where}: there is no "question".')
    return Question(
        id=str(item.get("id", where.rpartition(" ")[2])),
        question=item["question"],
        history=exchanges(item.get("history") or ()),
        answerable=item.get("answerable", True) is not False,
        gold_doc=_strings(item.get("gold_doc")),
        gold=_strings(item.get("gold")),
        kind=str(item.get("kind") or ""),
        language=str(item.get("language") or ""),
    )


def exchanges(history: Iterable[Any]) -> tuple[Exchange, ...]:
    """Earlier turns, in whichever of the three shapes they come; what is none of them is left out."""
    found: list[Exchange] = []
    for turn in history:
        if isinstance(turn, str):
            found.append(Exchange(turn, ""))
        elif isinstance(turn, Mapping) and turn.get("role") == "assistant" and found:
            found[-1] = Exchange(found[-1].question, str(turn.get("content", "")))
        elif isinstance(turn, Mapping):
            asked = turn.get("user") or turn.get("question") or (turn.get("role") == "user" and turn.get("content"))
            if asked:
                found.append(Exchange(str(asked), str(turn.get("assistant") or turn.get("answer") or "")))
    return tuple(found)


def _strings(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(item) for item in value) if isinstance(value, Sequence) else ()


AT_ONCE = 4


async def search_all(
    questions: Iterable[Question], retriever: Retriever, k: int
) -> AsyncGenerator[dict[str, Any], None]:
    """One result per question, in order: {id, answered, hits}. The hits are passages as a reader gets them, neighbours
    joined, but not cut where relevance ends: `k` of them wherever there are that many."""
    pending: list[tuple[Question, asyncio.Task[RankedHits]]] = []
    try:
        for question in questions:
            task = asyncio.create_task(retriever.rank(question.question, history=question.history))
            pending.append((question, task))
            if len(pending) >= AT_ONCE:
                yield await _result(*pending.pop(0), k)
        while pending:
            yield await _result(*pending.pop(0), k)
    finally:
        for _, task in pending:
            task.cancel()
        await asyncio.gather(*(task for _, task in pending), return_exceptions=True)


async def _result(question: Question, task: "asyncio.Task[RankedHits]", k: int) -> dict[str, Any]:
    ranked = await task
    hits = [
        {
            "path": passage.chunk.path,
            "anchor": passage.anchor,
            "heading_path": list(passage.heading_path),
            "url": passage.link,
            "score": round(passage.score, 4),
            "text": passage.text,
        }
        for passage in ranked.passages(k, cut=0.0)
    ]
    return {"id": question.id, "answered": ranked.grounded, "hits": hits}
