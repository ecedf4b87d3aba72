"""Questions with known answers through the same retrieval and answers a reader gets, one outcome each."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from rag.answers.citations import safe_url
from rag.evaluating.judging import LONGEST_RANK, Rank, rank_of
from rag.evaluating.questions import Question
from rag.search.retrieval import Ranked, Retriever
from rag.types import Citation, DocumentRecord, Hit, deep_link

AT_ONCE = 2
Answer = Callable[[Question], Awaitable[Sequence[Citation]]]
"""Asks the whole pipeline and returns what the answer cited."""

BASELINES: dict[str, Callable[[Hit], float]] = {
    "bm25": lambda hit: hit.bm25,
    "dense": lambda hit: hit.window_cosine or hit.chunk_cosine,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question's result. `baselines` lacks the one by which nothing has a score: vectors, where there are none.
    `alone` is the rank without the history, for a question that has one.
    """

    question: Question
    rank: Rank
    grounded: bool
    baselines: dict[str, Rank]
    alone: Rank = None
    citations: tuple[bool, ...] = ()


async def outcomes(
    questions: Iterable[Question],
    retriever: Retriever,
    documents: Sequence[DocumentRecord] = (),
    answer: Answer | None = None,
) -> AsyncGenerator[Outcome, None]:
    """One by one, in order, a few in flight. Raises what the retriever and `answer` raise."""
    links = book_links(documents)
    pending: list[asyncio.Task[Outcome]] = []
    try:
        for question in questions:
            pending.append(asyncio.create_task(_outcome(question, retriever, links, answer)))
            if len(pending) >= AT_ONCE:
                yield await pending.pop(0)
        while pending:
            yield await pending.pop(0)
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _outcome(question: Question, retriever: Retriever, links: frozenset[str], answer: Answer | None) -> Outcome:
    ranked = await retriever.rank(question.question, history=question.history)
    alone = await retriever.rank(question.question) if question.history else None
    cited = await answer(question) if answer else ()
    hits = [item.hit for item in ranked.scored]
    return Outcome(
        question,
        _rank(question, ranked),
        ranked.grounded,
        {
            "chunks": rank_of(question, [(hit.chunk.path, hit.chunk.text) for hit in hits]),
            **{name: _baseline(question, hits, score) for name, score in BASELINES.items() if any(map(score, hits))},
        },
        _rank(question, alone) if alone else None,
        tuple(is_valid(citation, links) for citation in cited),
    )


def _rank(question: Question, ranked: Ranked) -> Rank:
    shown = ranked.passages(LONGEST_RANK, cut=0.0)
    return rank_of(question, [(passage.chunk.path, passage.text) for passage in shown])


def _baseline(question: Question, hits: Sequence[Hit], score: Callable[[Hit], float]) -> Rank:
    """The candidates hold the best 30 of each kind of score, so that its order among them is its own."""
    ordered = sorted((hit for hit in hits if score(hit) > 0), key=score, reverse=True)
    return rank_of(question, [(hit.chunk.path, hit.chunk.text) for hit in ordered])


def book_links(documents: Iterable[DocumentRecord]) -> frozenset[str]:
    """Every URL of the book that a citation may have: its pages and their headings."""
    anchors = ((document.url, (None, *(heading.anchor for heading in document.headings))) for document in documents)
    links = (safe_url(deep_link(url, anchor)) for url, found in anchors for anchor in found)
    return frozenset(link for link in links if link)


def is_valid(citation: Citation, links: frozenset[str]) -> bool:
    """Whether the citation leads to a place of the book and its quote stands in its passage, white space aside."""
    quote, text = (" ".join(part.split()) for part in (citation.quote, citation.passage.text))
    return citation.url in links and bool(quote) and quote in text
