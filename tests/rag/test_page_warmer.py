"""What a search jumps about in is mapped beforehand, by who answers many questions."""

import asyncio
import mmap
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.processes import memory
from rag.store.edge import EdgeStore, edge_writer_for
from rag.store.page_warmer import PageWarmer
from rag.store.shard import segment_files
from tests.support.indexed import CONFIG, indexed

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="pages are mapped beforehand on Linux only"
)

SIZE = 24 * 2**20
DIMENSIONS = 1024
SECONDS = 60.0


def mapped(files: list[Path]) -> tuple[int, int]:
    """Kilobytes of the files' mappings in this process: touched, and whole."""
    names = {str(path.resolve()) for path in files}
    touched = whole = 0
    counted = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        fields = line.split(maxsplit=5)
        if not fields[0].endswith(":"):
            counted = fields[-1] in names
        elif counted and fields[0] == "Size:":
            whole += int(fields[1])
        elif counted and fields[0] == "Rss:":
            touched += int(fields[1])
    return touched, whole


def test_the_mappings_of_the_files_are_populated_and_no_others(tmp_path: Path) -> None:
    wanted, other = tmp_path / "wanted file", tmp_path / "other"
    for path in (wanted, other):
        path.write_bytes(bytes(SIZE))
    with wanted.open("rb") as one, other.open("rb") as two:
        held = [mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) for file in (one, two)]
        assert mapped([wanted]) == (0, SIZE // 1024)
        PageWarmer([wanted]).thread.join(SECONDS)
        assert mapped([wanted]) == (SIZE // 1024, SIZE // 1024)
        assert mapped([other]) == (0, SIZE // 1024)
        for memory in held:
            memory.close()


def test_room_to_grow_is_not_mapped(tmp_path: Path) -> None:
    growing = tmp_path / "growing"
    with growing.open("wb") as made:
        made.write(bytes(2**20))
        made.seek(2**20, os.SEEK_CUR)
        made.write(bytes(2**20))
        made.truncate(SIZE)
    with growing.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        PageWarmer([growing]).thread.join(SECONDS)
        assert mapped([growing]) == (2 * 2**10, SIZE // 1024)


def test_files_that_would_fill_the_memory_are_left(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"1" * SIZE)
    share = SIZE / (os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    assert PageWarmer([large], share / 2).thread.ident is None
    assert PageWarmer([large], share * 2).thread.ident is not None


async def written(folder: Path, pages: int) -> None:
    """An index of 4 kB vectors; a few hundred of them are compacted."""
    config = replace(CONFIG, dimensions=DIMENSIONS)
    async with edge_writer_for(folder)(config) as writer:
        for number in range(pages):
            await writer.replace(*indexed(f"page-{number}.md", [f"Page {number}.", "More."], dimensions=DIMENSIONS))
        await writer.publish()


async def opened(folder: Path, *, page_warmer: bool) -> tuple[int, int]:
    """Kilobytes of its files' mappings when all that is mapped beforehand is."""
    store = EdgeStore(folder, page_warmer=page_warmer)
    await store.open()
    assert store._reader is not None
    if (running := store._reader.page_warmer) is not None:
        await asyncio.to_thread(running.thread.join, SECONDS)
    found = mapped(segment_files(store._reader.lease.shard))
    await store.close()
    return found


async def test_an_index_is_mapped_for_the_application_and_not_for_an_ingest(tmp_path: Path) -> None:
    await written(tmp_path, 300)
    touched, whole = await opened(tmp_path, page_warmer=True)
    loaded, _ = await opened(tmp_path, page_warmer=False)
    assert touched > loaded + DIMENSIONS * 2 * 300 / 1024
    assert touched < whole / 10  # the rest is room to grow


async def test_the_room_that_a_small_index_has_to_grow_takes_no_memory(tmp_path: Path) -> None:
    await written(tmp_path, 3)
    before = memory(os.getpid(), "VmRSS")
    touched, whole = await opened(tmp_path, page_warmer=True)
    loaded, _ = await opened(tmp_path, page_warmer=False)
    assert touched < loaded + 2**10
    assert touched < whole / 10
    assert memory(os.getpid(), "VmRSS") < before + 20
