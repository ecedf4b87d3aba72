"""How the memory of an ingest grows with the book: its anonymous memory at the highest, for books of several sizes.

`python -m benchmarks.ingest_memory 500 4000` runs the real command against the loopback model server.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.processes import memory_with_children
from tests.support.ingesting import command, environment, write_book
from tests.support.openai_script import Limits
from tests.support.openai_server import OpenAIServer

_EVERY = 0.05  # seconds between two looks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=int, nargs="+")
    parser.add_argument("--dimensions", type=int, default=256)
    given = parser.parse_args()
    print(f"{'pages':>8} {'seconds':>8} {'anonymous MB':>13}")
    for pages in given.pages:
        with tempfile.TemporaryDirectory() as folder:
            seconds, highest = measure(Path(folder), pages, given.dimensions)
        print(f"{pages:>8} {seconds:>8.1f} {highest:>13.0f}", flush=True)


def measure(folder: Path, pages: int, dimensions: int) -> tuple[float, float]:
    """Seconds and megabytes of one first ingest."""
    content = folder / "content"
    write_book(content, pages)
    with OpenAIServer(limits=Limits(native_dimensions=dimensions)) as server:
        settings = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.key}
        began = time.monotonic()
        process = subprocess.Popen(
            command("--events"), env=environment(content, folder / "data", **settings), stdout=subprocess.DEVNULL
        )
        highest = 0.0
        while process.poll() is None:
            highest = max(highest, memory_with_children(process.pid, "RssAnon"))
            time.sleep(_EVERY)
    assert process.returncode == 0
    return time.monotonic() - began, highest


if __name__ == "__main__":
    main()
