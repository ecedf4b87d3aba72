"""`python -m rag eval` and `python -m rag search --batch`: question files against an index, made first where needed."""

import argparse
import asyncio
import hashlib
import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rag.embedding.local import NoEmbedder
from rag.errors import ModelError
from rag.evaluation.judging import Answer, Outcome, outcomes
from rag.evaluation.questions import Question, half_of, load, search_all
from rag.evaluation.report import Report, report, table, total
from rag.events import Done, Finished
from rag.retrieval.retriever import Retriever
from rag.types import Citation, DocumentRecord

if TYPE_CHECKING:
    from rag.settings import Settings

ANSWERS = 60
TICK = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sets", nargs="+", type=Path, metavar="SET", help="a questions.jsonl, or a folder with one and its content/"
    )
    parser.add_argument("--content", type=Path, help="the book the questions are about (default: the set's, or yours)")
    parser.add_argument("--half", choices=("tune", "report"), help="one fixed half of the questions: choose on tune")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--min-hit5", type=_share, metavar="SHARE", help="exit with 1 below this hit@5 (0 to 1)")
    parser.add_argument("--baselines", action="store_true", help="also judge plain BM25 and vectors alone")
    parser.add_argument(
        "--answers",
        type=int,
        default=ANSWERS,
        metavar="N",
        help=f"questions answered for citations (default {ANSWERS})",
    )


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return share


def run_eval(options: argparse.Namespace) -> int:
    logging.getLogger("rag").addHandler(logging.NullHandler())
    return asyncio.run(_evaluate(options))


def run_batch(path: Path, k: int) -> int:
    """One result per question as a JSON line on standard output."""
    logging.getLogger("rag").addHandler(logging.NullHandler())
    return asyncio.run(_search(path, k))


async def _search(path: Path, k: int) -> int:
    from rag.settings import Settings

    questions = load(path)
    async with _opened(Settings.load()) as (retriever, _), aclosing(search_all(questions, retriever, k)) as results:
        async for result in results:
            print(json.dumps(result, ensure_ascii=False))
    return 0


async def _evaluate(options: argparse.Namespace) -> int:
    reports = [await _report(path, options) for path in options.sets]
    if options.json:
        content = {"sets": [one.as_json(baselines=options.baselines) for one in reports]}
        print(json.dumps(content | {"mean": total(reports)}, ensure_ascii=False, indent=1))
    else:
        print(table(reports, baselines=options.baselines))
    wanted = options.min_hit5
    low = [one for one in reports if wanted is not None and one.retrieval["hit@5"].value < wanted]
    for one in low:
        found = one.retrieval["hit@5"].value
        print(f"{one.name}: hit@5 is {100 * found:.1f} %, below {100 * wanted:.1f} %.", file=sys.stderr)
    return 1 if low else 0


async def _report(path: Path, options: argparse.Namespace) -> Report:
    from rag.settings import Settings

    questions = [question for question in load(path) if options.half in (None, half_of(question.id))]
    settings = Settings.load()
    content = options.content or (path / "content" if (path / "content").is_dir() else None)
    if content is not None:
        settings = _apart(settings, content)
        await _ingest(settings)
    asked = _spread([question for question in questions if question.answerable], options.answers)
    async with _opened(settings) as (retriever, documents), _answering(settings, asked) as answer:
        found = [outcome async for outcome in _told(path, questions, retriever, documents, answer)]
    return report(path.stem, found)


async def _told(
    path: Path,
    questions: Sequence[Question],
    retriever: Retriever,
    documents: Sequence[DocumentRecord],
    answer: Answer,
) -> AsyncIterator[Outcome]:
    """The outcomes, counted on a terminal."""
    async with aclosing(outcomes(questions, retriever, documents, answer)) as found:
        done = 0
        async for outcome in found:
            done += 1
            if sys.stderr.isatty() and (done % TICK == 0 or done == len(questions)):
                print(f"\r{path.name}: {done}/{len(questions)}", end="", file=sys.stderr, flush=True)
            yield outcome
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _spread(questions: Sequence[Question], count: int) -> frozenset[str]:
    """The ids of `count` questions, evenly from the whole set."""
    step = max(1, -(-len(questions) // count)) if count > 0 else len(questions) + 1
    return frozenset(question.id for question in questions[::step]) if count > 0 else frozenset()


@asynccontextmanager
async def _opened(settings: "Settings") -> AsyncIterator[tuple[Retriever, list[DocumentRecord]]]:
    """The retrieval of an index, by its words alone where the local model cannot be loaded."""
    from rag.build import build_retriever

    store, embedder, retriever = build_retriever(settings)
    await store.open()
    try:
        try:
            await embedder.open()
        except ModelError as error:
            if settings.uses_openai_embeddings:
                raise
            print(error.message, file=sys.stderr)
            retriever = Retriever(store, NoEmbedder())
        yield retriever, await store.documents()
    finally:
        await embedder.close()
        await store.close()


@asynccontextmanager
async def _answering(settings: "Settings", asked: frozenset[str]) -> AsyncIterator[Answer]:
    """Answers through the whole pipeline; nothing is cited for questions that are not `asked`."""
    from rag.build import build_pipeline

    async with build_pipeline(settings) as pipeline:

        async def answer(question: Question) -> Sequence[Citation]:
            if question.id not in asked:
                return ()
            events = await pipeline.chat(question.question, question.history)
            async with aclosing(events):
                return [citation async for event in events if isinstance(event, Done) for citation in event.citations]

        yield answer


def _apart(settings: "Settings", content: Path) -> "Settings":
    """Settings of an index of that content alone, in a folder of its own under DATA_DIR."""
    name = hashlib.sha256(str(content.resolve()).encode()).hexdigest()[:12]
    own = settings.model_copy(update={"content_dir": content, "data_dir": settings.data_dir / "evals" / name})
    own.data_dir.mkdir(parents=True, exist_ok=True)
    return own


async def _ingest(settings: "Settings") -> None:
    """Brings the index up to date."""
    from rag.build import build_ingestion
    from rag.ingest.ingest import ingest

    async with aclosing(ingest(build_ingestion(settings))) as events:
        async for event in events:
            if isinstance(event, Finished):
                print(f"{settings.content_dir}: {event.message}", file=sys.stderr)
