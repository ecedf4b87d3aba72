"""How the memory of an ingest grows with the book: its anonymous memory at the highest, for books of several sizes.

`python -m benchmarks.ingest_memory 500 4000` runs the real command against the loopback model server.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

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
            highest = max(highest, anonymous(process.pid))
            time.sleep(_EVERY)
    assert process.returncode == 0
    return time.monotonic() - began, highest


def anonymous(process: int) -> float:
    """Megabytes that are backed by no file; 0 once the process has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(found[0]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
