"""When a returned chunk counts as found, and the figures over many questions. Pure.

A chunk of a gold document counts when it shares at least half of the gold piece or of itself, whichever is shorter,
counted in words of common runs of four or more; white space and Markdown marks are no words.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rag.chat.citations import safe_url
from rag.evaluation.questions import Question
from rag.retrieval.retriever import RankedHits, Retriever
from rag.types import Citation, DocumentRecord, Hit, deep_link

LONGEST_RANK = 10
SHORTEST_RUN = 4
SHARE = 0.5
RESAMPLES = 1000
_WORD = re.compile(r"\w+")
_TARGET = re.compile(r"\]\([^)]*\)")
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

Rank = int | None
"""Where the first right chunk stood, 1 to 10; None when it was not among them."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def rank_of(question: Question, chunks: Sequence[tuple[str, str]]) -> Rank:
    """`chunks` are (path, text), best first."""
    documents = set(question.gold_doc)
    wanted = [_words(piece) for piece in question.gold]
    for place, (path, text) in enumerate(chunks[:LONGEST_RANK], 1):
        if path in documents and (not wanted or any(_shares(piece, _words(text)) for piece in wanted)):
            return place
    return None


def figures(ranks: Sequence[Rank]) -> dict[str, Figure]:
    """hit@1/3/5/10 (0 to 1) and MRR@10."""
    measures: dict[str, Callable[[Rank], float]] = {
        f"hit@{k}": lambda rank, k=k: float(rank is not None and rank <= k)  # type: ignore[misc]
        for k in (1, 3, 5, LONGEST_RANK)
    }
    measures["mrr@10"] = lambda rank: 1 / rank if rank else 0.0
    return {name: figure([measure(rank) for rank in ranks]) for name, measure in measures.items()}


def figure(values: Sequence[float]) -> Figure:
    """The mean and its interval; 0 for no values. The same values give the same interval."""
    if not values:
        return Figure(0.0, 0.0, 0.0)
    chance = random.Random(0)  # noqa: S311 - a bootstrap, not a secret
    means = sorted(sum(chance.choices(values, k=len(values))) / len(values) for _ in range(RESAMPLES))
    return Figure(sum(values) / len(values), means[RESAMPLES // 40], means[RESAMPLES - RESAMPLES // 40 - 1])


def _words(text: str) -> list[str]:
    spaced = _WIDE.sub(lambda found: f" {found[0]} ", _TARGET.sub("]", text))
    return _WORD.findall(spaced.lower())


def _shares(piece: list[str], chunk: list[str]) -> bool:
    shorter = min(len(piece), len(chunk))
    if not shorter:
        return False
    if (Counter(piece) & Counter(chunk)).total() < SHARE * shorter:
        return False
    run = min(SHORTEST_RUN, shorter)
    blocks = SequenceMatcher(None, piece, chunk, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= run) >= SHARE * shorter


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


def _rank(question: Question, ranked: RankedHits) -> Rank:
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
