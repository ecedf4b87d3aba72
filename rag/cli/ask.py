"""`python -m rag ask` and `python -m rag search`: one question in a terminal, or its answer as JSON."""

import argparse
import asyncio
import json
import logging
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from rag.errors import RagError
from rag.events import ChatEvent, Cited, Delta, Done, Failed, Notice, Retrieved, Searching, Started
from rag.markdown.plaintext import snippet
from rag.types import Citation, Passage, Retrieval

if TYPE_CHECKING:
    from rag.pipeline import Pipeline

MOST_PASSAGES = 50
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def add_ask_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", help="what you want to know")
    parser.add_argument("--json", action="store_true", help="print the finished answer as one JSON object")


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("query", nargs="?", help="what to look for")
    asked.add_argument("--batch", type=Path, metavar="FILE", help="JSON lines of questions; prints a line for each")
    parser.add_argument("-k", type=_count, default=10, help="how many passages (default 10)")
    parser.add_argument("--json", action="store_true", help="print the passages as one JSON object")


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_PASSAGES:
        raise argparse.ArgumentTypeError(f"must be 1 to {MOST_PASSAGES}")
    return number


async def ask(pipeline: "Pipeline", question: str, *, as_json: bool) -> int:
    """Tells the answer as it comes and then its sources. The exit code: 1 when there is no whole answer."""
    try:
        async with pipeline:
            await pipeline.warm_up()
            events = await pipeline.chat(question)
            return await (_print_json(events) if as_json else _print_answer(events))
    except RagError as error:
        return _complain(error.message)


async def search(pipeline: "Pipeline", query: str, k: int, *, as_json: bool) -> int:
    """Tells the passages, best first. The exit code."""
    try:
        async with pipeline:
            retrieval = await pipeline.search(query, k)
    except RagError as error:
        return _complain(error.message)
    if as_json:
        passages = [source_of(passage) | {"text": passage.text} for passage in retrieval.passages]
        _say(
            json.dumps(
                {"query": retrieval.query, "grounded": retrieval.grounded, "passages": passages}, ensure_ascii=False
            )
        )
    else:
        _say(_listed(retrieval))
    return 0


async def _print_answer(events: AsyncGenerator[ChatEvent, None]) -> int:
    async with aclosing(events):
        async for event in events:
            match event:
                case Delta():
                    sys.stdout.write(plain(event.text))
                    sys.stdout.flush()
                case Notice():
                    print(f"({plain(event.message)})", file=sys.stderr, flush=True)
                case Done():
                    _say(_sources(event.citations))
                    return 0
                case Failed():
                    sys.stdout.write("\n")
                    return _complain(event.message)
                case Started() | Searching() | Retrieved() | Cited():
                    pass
                case _:
                    assert_never(event)
    return _complain("The answer ended too early.")


@dataclass
class _Gathered:
    query: str = ""
    sources: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, str]] = field(default_factory=list)


async def _print_json(events: AsyncGenerator[ChatEvent, None]) -> int:
    gathered = _Gathered()
    async with aclosing(events):
        async for event in events:
            match event:
                case Searching():
                    gathered.query = event.query
                case Retrieved():
                    gathered.sources = [source_of(passage) for passage in event.passages]
                case Notice():
                    gathered.notices.append({"code": event.code, "message": event.message})
                case Done():
                    _say(json.dumps(_done(event, gathered), ensure_ascii=False))
                    return 0
                case Failed():
                    return _complain(event.message)
                case _:
                    pass
    return _complain("The answer ended too early.")


def _done(done: Done, gathered: _Gathered) -> dict[str, Any]:
    return {
        "type": "done",
        "message_id": done.message_id,
        "query": gathered.query,
        "answered": done.answered,
        "finish_reason": done.finish_reason,
        "citations": [citation.number for citation in done.citations],
        "answer": done.answer,
        "sources": gathered.sources,
        "notices": gathered.notices,
        "usage": asdict(done.usage),
        "timings": asdict(done.timings),
    }


def source_of(passage: Passage) -> dict[str, Any]:
    """A passage as the public contract names its parts."""
    chunk = passage.chunk
    return {
        "n": passage.number,
        "title": passage.title,
        "url": passage.link,
        "breadcrumbs": [*chunk.trail, *passage.heading_path],
        "path": chunk.path,
        "score": round(passage.score, 4),
        "snippet": snippet(passage.section_text),
    }


def _sources(citations: tuple[Citation, ...]) -> str:
    if not citations:
        return "\n"
    lines = [f"  [{c.number}] {' › '.join(c.heading_path) or c.title}\n      {c.url}" for c in citations]
    return "\n\nSources\n" + "\n".join(map(plain, lines))


def _listed(retrieval: Retrieval) -> str:
    if not retrieval.passages:
        return "Nothing was found."
    entries = [
        f"{p.number:>2}. {p.breadcrumb or p.chunk.path}  ({p.score:.2f})\n    {p.link}\n    {snippet(p.section_text)}"
        for p in retrieval.passages
    ]
    return plain("\n".join(entries))


def plain(text: str) -> str:
    """Without characters that would command the terminal."""
    return _CONTROLS.sub("", text)


def _say(text: str) -> None:
    print(text, flush=True)


def _complain(message: str) -> int:
    print(plain(message), file=sys.stderr)
    return 1


def run_ask(question: str, *, as_json: bool) -> int:
    return asyncio.run(ask(_pipeline(), question, as_json=as_json))


def run_search(query: str, k: int, *, as_json: bool) -> int:
    return asyncio.run(search(_pipeline(), query, k, as_json=as_json))


def _pipeline() -> "Pipeline":
    logging.getLogger("rag").addHandler(logging.NullHandler())  # what matters to the reader is said on its own
    from rag.build import build_pipeline
    from rag.settings import Settings

    return build_pipeline(Settings.load())
