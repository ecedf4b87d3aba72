"""How good is it? Questions with known answers through the same retrieval and answers a reader gets.

retrieval       hit@1/3/5/10 and MRR@10 of the chunks, with 95 % bootstrap intervals; beside it, from the same
                searches, plain BM25 and the best window's cosine alone
no answer       share of the unanswerable questions that are refused, and of the answerable ones that are not
follow-ups      hit@5 of questions with a history, and of the same questions asked without it
citations       share whose URL is a page or heading of the book and whose quote stands in its passage
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field

from rag.answers.citations import safe_url
from rag.evaluating.judging import LONGEST_RANK, Figure, Rank, figure, figures, rank_of
from rag.evaluating.questions import Question
from rag.search.retrieval import Ranked, Retriever
from rag.types import Citation, DocumentRecord, Hit, deep_link

AT_ONCE = 2
Answer = Callable[[Question], Awaitable[Sequence[Citation]]]
"""Asks the whole pipeline and returns what the answer cited."""

_BASELINES: dict[str, Callable[[Hit], float]] = {
    "bm25": lambda hit: hit.bm25,
    "dense": lambda hit: hit.window_cosine or hit.chunk_cosine,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question's result. `alone` is the rank without the history, for a question that has one."""

    question: Question
    rank: Rank
    grounded: bool
    baselines: dict[str, Rank]
    alone: Rank = None
    citations: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Figures are shares of 1. `kinds` splits the retrieval figures by the questions' labels."""

    name: str
    questions: int
    retrieval: dict[str, Figure]
    baselines: dict[str, dict[str, Figure]]
    kept: Figure | None = None
    refused: Figure | None = None
    follow_ups: dict[str, Figure] = field(default_factory=dict)
    citations: Figure | None = None
    kinds: dict[str, dict[str, Figure]] = field(default_factory=dict)

    def as_json(self, *, baselines: bool = True) -> dict[str, object]:
        return {key: value for key, value in asdict(self).items() if baselines or key != "baselines"}


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
    return Outcome(
        question,
        _rank(question, ranked),
        ranked.grounded,
        {
            "chunks": rank_of(question, [(item.hit.chunk.path, item.hit.chunk.text) for item in ranked.scored]),
            **{name: _baseline(question, ranked, score) for name, score in _BASELINES.items()},
        },
        _rank(question, alone) if alone else None,
        tuple(is_valid(citation, links) for citation in cited),
    )


def _rank(question: Question, ranked: Ranked) -> Rank:
    shown = ranked.passages(LONGEST_RANK, cut=0.0)
    return rank_of(question, [(passage.chunk.path, passage.text) for passage in shown])


def _baseline(question: Question, ranked: Ranked, score: Callable[[Hit], float]) -> Rank:
    """The candidates hold the best 30 of each kind of score, so that its order among them is its own."""
    hits = sorted((item.hit for item in ranked.scored if score(item.hit) > 0), key=score, reverse=True)
    return rank_of(question, [(hit.chunk.path, hit.chunk.text) for hit in hits])


def book_links(documents: Iterable[DocumentRecord]) -> frozenset[str]:
    """Every URL of the book that a citation may have: its pages and their headings."""
    anchors = ((document.url, (None, *(heading.anchor for heading in document.headings))) for document in documents)
    links = (safe_url(deep_link(url, anchor)) for url, found in anchors for anchor in found)
    return frozenset(link for link in links if link)


def is_valid(citation: Citation, links: frozenset[str]) -> bool:
    """Whether the citation leads to a place of the book and its quote stands in its passage, white space aside."""
    quote, text = (" ".join(part.split()) for part in (citation.quote, citation.passage.text))
    return citation.url in links and bool(quote) and quote in text


def report(name: str, found: Sequence[Outcome]) -> Report:
    """The figures over the questions; those of retrieval over the answerable ones that name where the answer is."""
    judged = [outcome for outcome in found if outcome.question.answerable and outcome.question.gold_doc]
    continued = [outcome for outcome in judged if outcome.question.history]
    unanswerable = [outcome for outcome in found if not outcome.question.answerable]
    kinds = sorted({outcome.question.kind for outcome in judged} - {""})
    return Report(
        name,
        len(found),
        figures([outcome.rank for outcome in judged]),
        {key: figures([outcome.baselines[key] for outcome in judged]) for key in ("chunks", *_BASELINES)},
        _share([outcome.grounded for outcome in found if outcome.question.answerable]),
        _share([not outcome.grounded for outcome in unanswerable]),
        _follow_ups(continued),
        _share([valid for outcome in found for valid in outcome.citations]),
        {kind: figures([item.rank for item in judged if item.question.kind == kind]) for kind in kinds},
    )


def total(reports: Sequence[Report]) -> dict[str, float]:
    """The mean of the sets' figures, every set counting the same."""
    names = reports[0].retrieval if reports else {}
    return {name: sum(one.retrieval[name].value for one in reports) / len(reports) for name in names}


def _follow_ups(continued: Sequence[Outcome]) -> dict[str, Figure]:
    if not continued:
        return {}
    hits = {"with history": [outcome.rank for outcome in continued], "alone": [outcome.alone for outcome in continued]}
    return {name: figure([float(rank is not None and rank <= 5) for rank in ranks]) for name, ranks in hits.items()}


def _share(values: Sequence[bool]) -> Figure | None:
    return figure([float(value) for value in values]) if values else None


def table(reports: Sequence[Report], *, baselines: bool = True) -> str:
    """The reports as an aligned table: percentages, MRR as it is."""
    names = ("hit@1", "hit@3", "hit@5", "hit@10", "mrr@10")
    rows: list[tuple[str, ...]] = [("set", "questions", "system", *names)]
    for one in reports:
        beside = one.baselines if baselines else {}
        systems = {"book": one.retrieval} | beside | {f"  {kind}": found for kind, found in one.kinds.items()}
        rows += [
            (one.name, str(one.questions), system, *(_cell(name, found[name]) for name in names))
            for system, found in systems.items()
        ]
    if len(reports) > 1:
        mean = total(reports)
        rows.append(
            ("mean", str(sum(one.questions for one in reports)), "book", *(_number(name, mean[name]) for name in names))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *(line for one in reports for line in _notes(one))])


def _notes(one: Report) -> list[str]:
    named = {
        "answerable questions kept": one.kept,
        "unanswerable questions refused": one.refused,
        "valid citations": one.citations,
    } | {f"follow-ups {name}, hit@5": found for name, found in one.follow_ups.items()}
    return [f"{one.name}: {name} {_cell('', found)}" for name, found in named.items() if found is not None]


def _cell(name: str, found: Figure) -> str:
    return f"{_number(name, found.value)} [{_number(name, found.low)}, {_number(name, found.high)}]"


def _number(name: str, value: float) -> str:
    return f"{value:.3f}" if name.startswith("mrr") else f"{100 * value:.1f}"
