"""A writer, a reader or a holder of the embedded index as a process of its own, told by its arguments and lines.

python -m tests.support.store_process write DATA_DIR VERSION PAGES    a line per step
python -m tests.support.store_process read DATA_DIR                   searches until its input closes, tells what it saw
python -m tests.support.store_process hold DATA_DIR                   a line; at each line of input a search and a line
"""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

from rag.errors import IndexEmpty
from rag.store.base import StoreQuery
from rag.store.edge import EdgeStore, edge_writer_for
from tests.support.indexed import CONFIG, LEXICON, Indexed, indexed, page, vector

ROOT = Path(__file__).resolve().parents[2]
QUERY = StoreQuery(LEXICON.query("robot plans balance"), vector("robot plans"))


def book(version: str, pages: int) -> list[Indexed]:
    """The same pages in every version, but for a sentence in every second one."""
    return [
        page(number)
        if number % 2
        else indexed(f"page-{number:04}.md", [f"Version {version} of robot {number}", "It plans."], version=version)
        for number in range(pages)
    ]


async def write(folder: Path, version: str, pages: int) -> None:
    async with edge_writer_for(folder)(CONFIG) as writer:
        say("begun")
        for document in book(version, pages):
            await writer.replace(*document)
            say("replaced")
        say("publishing")
        await writer.publish()
        say("published")
    say("ended")


async def read(folder: Path) -> None:
    """Counts searches, the versions they came from and answers of mixed versions."""
    closed = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        closed.set()

    threading.Thread(target=wait, daemon=True).start()
    store = EdgeStore(folder)
    await store.open()
    seen: dict[str, int] = {}
    mixed = 0
    while not closed.is_set():
        await store.refresh()
        try:
            hits = await store.search(QUERY, 50)
        except IndexEmpty:
            continue
        versions = {hit.chunk.text.split()[1] for hit in hits if hit.chunk.text.startswith("Version")}
        mixed += len(versions) != 1
        for version in versions:
            seen[version] = seen.get(version, 0) + 1
        await asyncio.sleep(0)
    await store.close()
    say(json.dumps({"seen": seen, "mixed": mixed}))


async def hold(folder: Path) -> None:
    store = EdgeStore(folder)
    await store.open()
    say("open")
    for _ in sys.stdin:
        say(str(len(await store.search(QUERY, 50))))


def say(line: str) -> None:
    print(line, flush=True)


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.store_process", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


if __name__ == "__main__":
    kind, data_dir, *rest = sys.argv[1:]
    if kind == "write":
        asyncio.run(write(Path(data_dir), rest[0], int(rest[1])))
    else:
        asyncio.run((read if kind == "read" else hold)(Path(data_dir)))
