"""Many questions through the retrieval alone: for `search --batch`, whose output other tools judge."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from rag.evaluating.questions import Question
from rag.search.retrieval import Ranked, Retriever

AT_ONCE = 4


async def search_all(
    questions: Iterable[Question], retriever: Retriever, k: int
) -> AsyncGenerator[dict[str, Any], None]:
    """One result per question, in order: {id, answered, hits}. The hits are passages as a reader gets them, neighbours
    joined, but not cut where relevance ends: `k` of them wherever there are that many."""
    pending: list[tuple[Question, asyncio.Task[Ranked]]] = []
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


async def _result(question: Question, task: "asyncio.Task[Ranked]", k: int) -> dict[str, Any]:
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
