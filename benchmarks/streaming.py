"""Streamed pieces a second against a minimal relay, and the longest stall of a stream while the book is ingested anew.

Pieces: a model server that sends 2,000 as fast as they are taken, one answer from each side in turns. Stall: every
piece says when it was sent; while 5,000 chunks are ingested beside them, a stream of the application and one of the
relay wait for the same model server. The relay's stalls, which are the machine's doing, are told beside the figure.
"""

import asyncio
import statistics
import tempfile
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.processes import Served
from benchmarks.reader import ask
from benchmarks.serving import TOKEN, Sides, both, question, upstream
from tests.support.ingesting import write_book

PAGES, PARAGRAPHS = 1000, 8  # five chunks a page


def measure(*, quick: bool) -> list[Figure]:
    with upstream(pieces=2000) as server, both(server) as sides:
        pieces = asyncio.run(_pieces(sides, 3 if quick else 9))
    with tempfile.TemporaryDirectory() as folder:
        content = Path(folder) / "content"
        write_book(content, 20)
        with upstream(pieces=150, rate=30) as server, both(server, content) as sides:
            write_book(content, PAGES // 10 if quick else PAGES, paragraphs=PARAGRAPHS, seed=2)
            return [pieces, asyncio.run(_stall(sides))]


async def _pieces(sides: Sides, rounds: int) -> Figure:
    ours, floor = list[float](), list[float]()
    for number in range(rounds + 1):
        for side, rates in ((sides.relay, floor), (sides.application, ours)):
            answer = await ask(side.port, question(number))
            if number:
                rates.append(answer.pieces_per_second)
    low, taken = statistics.median(floor), statistics.median(ours)
    measured = f"{low:,.0f}/s relayed, {taken:,.0f}/s here"
    return Figure(
        "pieces", "Streamed pieces a second ÷ a bare relay's", taken / low, 0.6, at_least=True, sides=measured
    )


async def _stall(sides: Sides) -> Figure:
    """The highest lateness of a piece over the whole of the ingest."""
    await asyncio.gather(*(ask(side.port, "What is the motor?") for side in (sides.relay, sides.application)))
    ingest = asyncio.create_task(asyncio.to_thread(_ingest, sides.application))
    highest, answers = [0.0, 0.0], 0
    while not ingest.done():
        words = f"What is the motor and the sensor in case {answers}?"
        pair = await asyncio.gather(ask(sides.relay.port, words), ask(sides.application.port, words))
        highest = [max(high, *answer.late) for high, answer in zip(highest, pair, strict=True)]
        answers += 1
    await ingest
    relayed, here = (seconds * 1e3 for seconds in highest)
    says = "Longest stall of a stream while 5,000 chunks are ingested"
    measured = f"{relayed:.0f} ms relayed beside it, {answers} answers of five seconds"
    return Figure("stall", says, here, 50.0, "ms", sides=measured)


def _ingest(application: Served) -> None:
    """Starts the job and watches it to its end."""
    connection = HTTPConnection("127.0.0.1", application.port, timeout=600)
    headers = {"x-admin-token": TOKEN, "content-type": "application/json"}
    connection.request("POST", "/ingest", "{}", headers)
    assert connection.getresponse().read()
    with suppress(ConnectionError):
        connection.request("GET", "/ingest/status", headers={**headers, "accept": "text/event-stream"})
        seen = connection.getresponse().read()
        assert b'"completed"' in seen[-4000:], seen[-400:]
    connection.close()
