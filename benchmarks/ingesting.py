"""Ingest through the OpenAI parts against the bare embedding calls of its texts, and a repeat with nothing changed.

The bare calls are the SDK's own, of as many texts each and as many at once as the ingest's. The model server takes
100 ms for each and stands in a process of its own. Both sides are taken on the clock.
"""

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from openai import AsyncOpenAI

from benchmarks.figures import Figure
from benchmarks.processes import Served, served
from rag.book.corpus import scan
from rag.book.routes import Site
from rag.build import build_ingestion
from rag.ingest.cutting import Cutter
from rag.ingest.ingestion import ingest
from rag.lexical import Lexicon
from rag.settings import Settings
from tests.support.ingesting import write_book

PAGES, PARAGRAPHS = 1000, 8  # five chunks a page
BATCH, IN_FLIGHT = 64, 4
LATENCY = 0.1
DIMENSIONS = 1536


def measure(*, quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        upstream = served(
            ["-m", "benchmarks.upstream"], {"embed": LATENCY, "dimensions": DIMENSIONS, "plain": 1}, "/v1/models"
        )
        with upstream as server:
            return asyncio.run(_measure(Path(folder), server, PAGES // 10 if quick else PAGES, 1 if quick else 2))


async def _measure(folder: Path, server: Served, pages: int, rounds: int) -> list[Figure]:
    content = folder / "content"
    write_book(content, pages, paragraphs=PARAGRAPHS)
    texts, chunks = texts_of(content)
    times: tuple[list[float], list[float], list[float]] = ([], [], [])
    await bare_calls(texts[:BATCH], server)  # loads the SDK, as the tables are loaded by cutting
    for _ in range(rounds):
        settings = settings_of(content, folder / "data", server)
        times[0].append(await bare_calls(texts, server))
        times[1].append(await timed_ingest(settings))
        times[2].append(await timed_ingest(settings) * 1000 / pages)
        shutil.rmtree(folder / "data")
    bare, whole, again = map(statistics.median, times)
    sides = f"{bare:.1f} s bare, {whole:.1f} s ingested: {chunks:,} chunks, {len(texts):,} texts"
    return [
        Figure("ingest", "Ingest through OpenAI's parts ÷ its bare embedding calls", whole / bare, 1.15, sides=sides),
        Figure("ingest again", "Ingest with nothing changed, 1,000 files", again, 1.0, "s", sides=f"{pages:,} files"),
    ]


def settings_of(content: Path, data: Path, server: Served) -> Settings:
    given = {"openai_base_url": f"{server.url}/v1", "content_dir": content, "data_dir": data, "_env_file": None}
    return Settings(**given)  # type: ignore[arg-type]


def texts_of(content: Path) -> tuple[list[str], int]:
    """Every text that the ingest embeds, and the number of chunks they are of."""
    cutter = Cutter(Lexicon("english", 1.0), 500, 50, True)
    documents = [cutter.cut(source) for source in scan(content, Site()).sources]
    texts = [text for document in documents for text in document.every_text()]
    return list(dict.fromkeys(texts)), sum(len(document.chunks) for document in documents)


async def bare_calls(texts: Sequence[str], server: Served) -> float:
    """Seconds of the calls alone."""
    batches = iter([texts[start : start + BATCH] for start in range(0, len(texts), BATCH)])
    async with AsyncOpenAI(api_key="none", base_url=f"{server.url}/v1") as client:

        async def worker() -> None:
            for batch in batches:
                await client.embeddings.create(model="text-embedding-3-small", input=list(batch))

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        return time.perf_counter() - began


async def timed_ingest(settings: Settings) -> float:
    began = time.perf_counter()
    async with build_ingestion(settings) as parts, aclosing(ingest(parts)) as events:
        async for _ in events:
            pass
    return time.perf_counter() - began
