"""Ingest through the OpenAI parts against the bare embedding calls of its texts, and a repeat with nothing changed.

The book is the sample book twenty-six times over. The bare calls are the SDK's own, of as many texts each and as many
at once as the ingest's. The model server takes 100 ms for each and stands in a process of its own. Both sides are taken
on the clock. `python -m benchmarks.ingesting .4` measures with a server that takes 400 ms, as a real one may.
"""

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from openai import AsyncOpenAI

from benchmarks.copies import write_copies
from benchmarks.figures import Figure
from benchmarks.processes import Served, served
from rag.build import build_ingestion
from rag.corpus.routes import Site
from rag.corpus.scan import scan
from rag.ingest.chunk_worker import ChunkedDocument, DocumentChunker
from rag.ingest.fingerprint import average_words
from rag.ingest.ingest import ingest
from rag.settings import Settings
from tests.support.ingesting import write_book

COPIES = 26  # 5,000 chunks
FILES, PARAGRAPHS = 1000, 8  # five chunks a page
BATCH, IN_FLIGHT = 64, 4
LATENCY = 0.1
DIMENSIONS = 1536


def measure(*, quick: bool, latency: float = LATENCY) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        upstream = served(
            ["-m", "benchmarks.upstream"], {"embed": latency, "dimensions": DIMENSIONS, "plain": 1}, "/v1/models"
        )
        with upstream as server:
            return asyncio.run(_measure(Path(folder), server, quick=quick))


async def _measure(folder: Path, server: Served, *, quick: bool) -> list[Figure]:
    return [
        await _against_calls(folder / "book", server, COPIES // 8 if quick else COPIES, 1 if quick else 3),
        await _again(folder / "files", server, FILES // 10 if quick else FILES),
    ]


async def _against_calls(folder: Path, server: Served, copies: int, rounds: int) -> Figure:
    write_copies(folder / "content", copies)
    texts, chunks = texts_of(folder / "content")
    settings = settings_of(folder / "content", folder / "data", server)
    times: tuple[list[float], list[float]] = ([], [])
    await bare_calls(texts[:BATCH], server)  # loads the SDK, as the tables are loaded by cutting
    for _ in range(rounds):
        times[0].append(await bare_calls(texts, server))
        times[1].append(await timed_ingest(settings))
        shutil.rmtree(folder / "data")
    bare, whole = map(statistics.median, times)
    sides = f"{bare:.1f} s bare, {whole:.1f} s ingested: {chunks:,} chunks, {len(texts):,} texts"
    return Figure("ingest", "Ingest through OpenAI's parts ÷ its bare embedding calls", whole / bare, 1.15, sides=sides)


async def _again(folder: Path, server: Served, files: int) -> Figure:
    write_book(folder / "content", files, paragraphs=PARAGRAPHS)
    settings = settings_of(folder / "content", folder / "data", server)
    await timed_ingest(settings)
    again = statistics.median([await timed_ingest(settings) for _ in range(3)]) * 1000 / files
    return Figure("ingest again", "Ingest with nothing changed, 1,000 files", again, 1.0, "s", sides=f"{files:,} files")


def settings_of(content: Path, data: Path, server: Served) -> Settings:
    given = {"openai_base_url": f"{server.url}/v1", "content_dir": content, "data_dir": data, "_env_file": None}
    return Settings(**given)  # type: ignore[arg-type]


def texts_of(content: Path) -> tuple[list[str], int]:
    """Every text that the ingest embeds, and the number of chunks they are of."""
    cutter = DocumentChunker(500, 50, windowed=True, language="english", average_words=average_words(500))
    cut = [cutter.cut(source) for source in scan(content, Site()).sources]
    documents = [document for document in cut if isinstance(document, ChunkedDocument)]
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


if __name__ == "__main__":
    for figure in measure(quick=False, latency=float(sys.argv[1])):
        print(figure.line())
