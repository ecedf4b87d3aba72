"""A book of any size through the real command and the real application: `python -m benchmarks.scale --pages 20000`.

Ten chunks a page. Tells how long the ingest took and how much memory of its own it held at the most, how long the
application takes to start on the index, and how long it searches; nothing is extrapolated to another size. The vectors
come from a loopback model server that draws them from the texts' hashes; `--dimensions` says how long they are. With
`--folder` the book and its index stay there, and a second run only starts and searches.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from benchmarks.figures import ROOT, Figure
from benchmarks.processes import cpu_seconds, environment, memory_with_children, served
from benchmarks.serving import openai_parts, upstream
from tests.support.ingesting import write_book

PARAGRAPHS = 19  # a title and nine headings above two paragraphs each: ten chunks
SEARCHES = 200
_EVERY = 0.1  # seconds between two looks at the worker's memory
_TEXT = "actuator balance battery bearing camera controller damping drive encoder friction gait gyro inertia torque"
_WORDS = _TEXT.split()


def main() -> int:
    given = _arguments()
    with (
        nullcontext(given.folder) if given.folder else tempfile.TemporaryDirectory() as folder,
        upstream(plain=1, dimensions=given.dimensions) as server,
    ):
        content, data, told = (Path(folder) / name for name in ("content", "data", "ingested.json"))
        settings = openai_parts(server, content, data)
        if not told.exists():
            write_book(content, given.pages, paragraphs=PARAGRAPHS)
            told.write_text(json.dumps(watched_ingest(settings)))
        seconds, highest = json.loads(told.read_text())
        with served(["app.py"], settings) as application:
            found = _get(application.url, "/health")
            spent = cpu_seconds(application.process)
            searches = _searches(application.url)
            spent = (cpu_seconds(application.process) - spent) / len(searches)
    size = f"{found['documents_count']:,} pages, {found['chunks_count']:,} chunks, {given.dimensions} dimensions"
    print(f"{size}; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; ingested in {seconds:,.0f} s")
    middle, slow = statistics.median(searches) * 1e3, statistics.quantiles(searches, n=20)[-1] * 1e3
    figures = [
        Figure("worker memory", "", highest, 1024.0, "MB", sides="anonymous, at the most"),
        Figure(
            "search",
            "",
            slow,
            50.0,
            "ms",
            sides=f"p95 of {SEARCHES} over HTTP, p50 {middle:.0f} ms, CPU {spent * 1e3:.1f} ms",
        ),
        Figure("start", "", application.seconds, 10.0, "s", sides=f"{application.cpu:.1f} s CPU"),
    ]
    for figure in figures:
        print(figure.line())
    return int(not all(figure.passed for figure in figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--folder", type=Path, help="kept, with room for the book and its index")
    return parser.parse_args()


def watched_ingest(settings: dict[str, object], field: str = "RssAnon") -> tuple[float, float]:
    """Seconds, and the megabytes of memory at the highest, the process that cuts included: of their own, or of another
    kind that the kernel tells.
    """
    began, highest = time.monotonic(), 0.0
    command = [sys.executable, "-m", "rag", "ingest", "--events"]
    process = subprocess.Popen(command, env=environment(**settings), cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        highest = max(highest, memory_with_children(process.pid, field))
        time.sleep(_EVERY)
    assert process.returncode == 0, f"the ingest ended with {process.returncode}"
    return time.monotonic() - began, highest


def _searches(url: str) -> list[float]:
    times = []
    for number in range(SEARCHES + 5):
        words = " ".join(_WORDS[(number * step) % len(_WORDS)] for step in (1, 3, 5))
        began = time.perf_counter()
        assert _get(url, f"/search?{urlencode({'q': f'How does the {words} of case {number} work?', 'k': 5})}")[
            "passages"
        ]
        times.append(time.perf_counter() - began)
    return times[5:]  # the first ones load and calibrate


def _get(url: str, path: str) -> Any:
    with urlopen(url + path, timeout=60) as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())
