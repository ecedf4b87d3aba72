"""`python -m benchmarks.growth`: how the figures grow with their work, each with its floor beside it at every size.

    --only NAME   one curve, or several; the others stay      --quick   the two smallest sizes; nothing is kept

What is measured is what the instruments of the same names measure. The curves are kept in growth.json;
`python -m benchmarks.plots` draws them.
"""

import argparse
import asyncio
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path

from benchmarks.chatting import REALISTIC, at_once
from benchmarks.chunking import best, chunking_of, floor_of
from benchmarks.curves import Curve, Point, number, save
from benchmarks.figures import ROOT
from benchmarks.ingesting import BATCH, DIMENSIONS, LATENCY, PARAGRAPHS, bare_calls, settings_of, texts_of, timed_ingest
from benchmarks.processes import Served
from benchmarks.reader import ask
from benchmarks.scale import watched_ingest
from benchmarks.searching import QUESTIONS, fill, searches
from benchmarks.serving import Sides, both, openai_parts, question, upstream
from rag.corpus.routes import Site
from rag.corpus.scan import read, scan
from tests.support.ingesting import write_book

COPIES = (1, 3, 10, 30)  # of the sample book
PAGES = (100, 300, 1_000, 3_000)  # of five chunks
FILES = (100, 300, 1_000, 3_000, 10_000)
CHUNKS = (1_000, 3_000, 10_000, 30_000)
READERS = (1, 10, 30, 100)
_ANSWERS = 20  # at least so many of each side for a percentile
_ROUNDS = 3


def main() -> int:
    given = _arguments()
    for name in given.only or CURVES:
        print(name, flush=True)
        curve = CURVES[name](quick=given.quick)
        for point in curve.points:
            sides = f"{curve.ours} {number(point.ours)} {curve.unit}, {curve.floor} {number(point.floor)} {curve.unit}"
            print(f"  {number(point.size):>9} {curve.across}: {sides}", flush=True)
        if not given.quick:
            save(name, curve)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description="Growth, with floors beside it.")
    parser.add_argument("--only", action="append", choices=CURVES, metavar="NAME", help=", ".join(CURVES))
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


def chunking(*, quick: bool) -> Curve:
    book = [read(source) for source in scan(ROOT / "content", Site()).sources]
    size = sum(len(document.text.encode()) for document in book) / 1e6
    points = []
    for copies in _sizes(COPIES, quick):
        documents = list(chain.from_iterable(repeat(book, copies)))
        lowest, taken = best(floor_of(documents), chunking_of(documents), _ROUNDS)
        points.append(Point(size * copies, taken, lowest))
    titles = ("Chunking a book", "megabytes of Markdown", "CPU seconds", "s")
    return Curve(*titles, "chunked", "one parse, one encoding", tuple(points))


def ingesting(*, quick: bool) -> Curve:
    async def point(folder: Path, pages: int, server: Served) -> Point:
        write_book(folder / "content", pages, paragraphs=PARAGRAPHS)
        texts, chunks = texts_of(folder / "content")
        await bare_calls(texts[:BATCH], server)  # loads the SDK
        times = []
        for turn in range(_ROUNDS):
            bare = await bare_calls(texts, server)
            times.append((await timed_ingest(settings_of(folder / "content", folder / f"data-{turn}", server)), bare))
        return Point(chunks, *map(statistics.median, zip(*times, strict=True)))

    with upstream(embed=LATENCY, dimensions=DIMENSIONS, plain=1) as server:
        points = [asyncio.run(point(folder, pages, server)) for pages, folder in _each(PAGES, quick)]
    titles = ("A first ingest through OpenAI's parts", "chunks", "seconds", "s")
    return Curve(*titles, "ingested", "bare embedding calls", tuple(points))


def again(*, quick: bool) -> Curve:
    async def point(folder: Path, files: int, server: Served) -> Point:
        write_book(folder / "content", files, paragraphs=1)
        settings = settings_of(folder / "content", folder / "data", server)
        await timed_ingest(settings)
        times = [(await timed_ingest(settings), _hashed(folder / "content")) for _ in range(_ROUNDS)]
        taken, low = map(statistics.median, zip(*times, strict=True))
        return Point(files, taken, low)

    with upstream(plain=1) as server:
        points = [asyncio.run(point(folder, files, server)) for files, folder in _each(FILES, quick)]
    titles = ("An ingest with nothing changed", "files", "seconds", "s")
    return Curve(*titles, "looked through", "read and hashed", tuple(points))


def searching(*, quick: bool) -> Curve:
    async def point(folder: Path, chunks: int) -> Point:
        await fill(folder, chunks)
        whole, bare = await searches(folder, QUESTIONS)
        return Point(chunks, whole * 1e3, bare * 1e3)

    points = [asyncio.run(point(folder, chunks)) for chunks, folder in _each(CHUNKS, quick)]
    titles = ("A hybrid search, p50", "chunks", "milliseconds", "ms")
    return Curve(*titles, "the whole search", "bare engine calls", tuple(points))


def chatting(*, quick: bool) -> Curve:
    """One reader gets answers of a second, so that there can be many; the others of eight: all are there at once."""
    points = []
    for short in (True, False):
        behaviour = REALISTIC | {"pieces": REALISTIC["rate"] if short else REALISTIC["pieces"]}
        with upstream(**behaviour) as server, both(server) as sides:
            crowds = [readers for readers in _sizes(READERS, quick) if (readers == 1) is short]
            points += [asyncio.run(_first_words(sides, readers)) for readers in crowds]
    titles = ("The first word of an answer, p95, 500 ms of it the model's", "readers at once", "milliseconds", "ms")
    return Curve(*titles, "/chat", "a bare relay", tuple(points))


async def _first_words(sides: Sides, readers: int) -> Point:
    times: dict[Served, list[float]] = {sides.relay: [], sides.application: []}
    await asyncio.gather(*(ask(side.port, question(0)) for side in times))
    for turn in range(1, 1 + max(1, _ANSWERS // readers)):
        for side, firsts in times.items():
            for answer in await at_once(side, (1000 + turn) * readers, readers):
                if isinstance(answer, BaseException):
                    raise answer
                firsts.append(answer.first)
    low, taken = (statistics.quantiles(firsts, n=20)[-1] * 1e3 for firsts in times.values())
    return Point(readers, taken, low)


def memory(*, quick: bool) -> Curve:
    points = []
    with upstream(plain=1) as server:
        for pages, folder in _each(PAGES, quick):
            write_book(folder / "content", pages, paragraphs=PARAGRAPHS)
            write_book(folder / "page", 1)
            highest, least = (
                watched_ingest(openai_parts(server, folder / book, folder / f"{book}-data"), "VmRSS")[1]
                for book in ("content", "page")
            )
            points.append(Point(texts_of(folder / "content")[1], highest, least))
    titles = ("Resident memory of the ingest worker, at the highest", "chunks", "megabytes", "MB")
    return Curve(*titles, "a first ingest", "a book of one page", tuple(points))


def _hashed(content: Path) -> float:
    """Seconds of the least that can tell that nothing has changed."""
    began = time.perf_counter()
    for path in sorted(content.rglob("*.md")):
        hashlib.sha256(path.read_bytes()).hexdigest()
    return time.perf_counter() - began


def _sizes(sizes: Sequence[int], quick: bool) -> Sequence[int]:
    return sizes[:2] if quick else sizes


def _each(sizes: Sequence[int], quick: bool) -> Iterator[tuple[int, Path]]:
    """Every size with a folder of its own."""
    for size in _sizes(sizes, quick):
        with tempfile.TemporaryDirectory() as folder:
            yield size, Path(folder)


CURVES: dict[str, Callable[..., Curve]] = {
    "chunking": chunking,
    "ingesting": ingesting,
    "again": again,
    "searching": searching,
    "chatting": chatting,
    "memory": memory,
}


if __name__ == "__main__":
    sys.exit(main())
