"""The embedded index under several processes, kills and disks that do not take it."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.errors import IndexEmpty, IndexMismatch, IngestRunning, StoreUnavailable
from rag.store import edge
from rag.store import generations as module
from rag.store.edge import ENGINE, EdgeStore, edge_writer_for
from rag.store.files import copy_tree
from rag.store.generations import Generations
from rag.types import Chunk, DocumentRecord, Hit
from tests.support.indexed import CONFIG, page
from tests.support.store_process import QUERY, book, start

PAGES = 12
Content = tuple[list[DocumentRecord], list[list[Chunk]], dict[str, tuple[float, ...]]]


async def content(folder: Path) -> Content:
    """Everything a reader can see of an index."""
    store = EdgeStore(folder)
    await store.open()
    try:
        records = await store.documents()
        chunks = [await store.chunks_of(record.path) for record in records]
        hits = await store.search(QUERY, 500)
        scores = {h.chunk.id: (h.bm25, h.window_bm25, h.window_cosine, h.chunk_cosine) for h in hits}
        return records, chunks, dict(sorted(scores.items()))
    finally:
        await store.close()


async def written(folder: Path, version: str) -> None:
    async with edge_writer_for(folder)(CONFIG) as writer:
        for document in book(version, PAGES):
            await writer.replace(*document)
        await writer.publish()


def folders(folder: Path) -> set[str]:
    return {path.name for path in (folder / "index").iterdir() if path.is_dir()}


@contextlib.contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = start(*arguments)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill_after(folder: Path, step: int, delay: float) -> None:
    """Runs a writer until its line number `step`, and `delay` seconds more at most."""
    with running("write", folder, "new", PAGES) as process:
        for _ in range(step):
            line(process)
        time.sleep(delay)


PUBLISHING = PAGES + 2  # the line before the writer publishes
KILLS = [(1, 0.0), (2, 0.0), (8, 0.001), (PUBLISHING + 1, 0.0)]
KILLS += [(PUBLISHING, delay) for delay in (0.0, 0.02, 0.05, 0.1, 0.2)]


@pytest.mark.parametrize("first", [True, False], ids=["the first index", "over an old one"])
async def test_a_killed_writer_leaves_a_whole_index_and_the_next_run_the_same(first: bool, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    if not first:
        await written(undisturbed, "old")
        shutil.copytree(undisturbed, tmp_path / "old")
    old = None if first else await content(undisturbed)
    await written(undisturbed, "new")
    new = await content(undisturbed)
    for number, (step, delay) in enumerate(KILLS):
        folder = tmp_path / f"killed-{number}"
        if not first:
            shutil.copytree(tmp_path / "old", folder)
        kill_after(folder, step, delay)
        if first:
            with contextlib.suppress(IndexEmpty):
                assert await content(folder) == new
        else:
            assert await content(folder) in (old, new)
        await written(folder, "new")
        assert await content(folder) == new
        assert len(folders(folder)) == 1
        shutil.rmtree(folder)


async def test_readers_in_other_processes_never_notice_a_swap(tmp_path: Path) -> None:
    await written(tmp_path, "0")
    with running("read", tmp_path) as one, running("read", tmp_path) as two:
        for version in range(1, 7):
            await asyncio.sleep(0.3)
            await written(tmp_path, str(version))
        await asyncio.sleep(0.5)
        for reader in (one, two):
            out, _ = reader.communicate(timeout=30)
            counts = json.loads(out)
            assert counts["mixed"] == 0
            assert "6" in counts["seen"]
            assert len(counts["seen"]) > 2
    await written(tmp_path, "last")
    assert len(folders(tmp_path)) == 1


async def test_a_generation_in_use_stays_until_its_reader_has_gone(tmp_path: Path) -> None:
    await written(tmp_path, "held")
    held = folders(tmp_path)
    with running("hold", tmp_path) as reader:
        assert line(reader) == "open"
        for version in ("second", "third"):
            await written(tmp_path, version)
        assert held < folders(tmp_path)
        assert len(folders(tmp_path)) == 2
        assert reader.stdin is not None
        reader.stdin.write("search\n")
        reader.stdin.flush()
        assert int(line(reader)) > 10
    await written(tmp_path, "fourth")
    assert len(folders(tmp_path)) == 1


async def test_searches_under_way_end_on_the_generation_they_began_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "_NOTICED", 0.0)  # every call of the engine is one that others wait for
    await written(tmp_path, "old")
    store = EdgeStore(tmp_path)
    await store.open()
    before = by_id(await store.search(QUERY, 100))
    await written(tmp_path, "new")
    refreshing = asyncio.create_task(store.refresh())
    answers = []
    while not refreshing.done():
        searches = [asyncio.create_task(store.search(QUERY, 100)) for _ in range(3)]
        answers += [by_id(hits) for hits in await asyncio.gather(*searches)]
    assert await refreshing
    after = by_id(await store.search(QUERY, 100))
    assert after != before
    assert all(answer in (before, after) for answer in answers)
    assert answers[0] == before
    await written(tmp_path, "newer")
    await gone(tmp_path, 2)  # the one that is read and the newest: the first was let go
    await store.close()
    await gone(tmp_path, 1)


async def gone(folder: Path, left: int) -> None:
    """Waits until no more generations are left than that."""
    for _ in range(500):
        if len(folders(folder)) <= left:
            break
        await asyncio.sleep(0.02)
    assert len(folders(folder)) == left


def by_id(hits: list[Hit]) -> dict[str, Hit]:
    return {hit.chunk.id: hit for hit in hits}


async def test_a_second_writer_is_refused_and_a_killed_one_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "_LOCK_SECONDS", 0.1)
    with running("write", tmp_path, "one", 400) as process:
        assert line(process) == "begun"
        with pytest.raises(IngestRunning, match="already"):
            await written(tmp_path, "two")
    await written(tmp_path, "two")
    assert len(folders(tmp_path)) == 1


async def test_a_second_writer_waits_for_one_that_is_just_ending(tmp_path: Path) -> None:
    with running("write", tmp_path, "one", 4000) as process:
        assert line(process) == "begun"
        asyncio.get_running_loop().call_later(0.2, process.kill)
        async with edge_writer_for(tmp_path)(CONFIG) as writer:
            assert writer.rebuilding


async def test_nothing_is_touched_before_the_first_change(tmp_path: Path) -> None:
    await written(tmp_path, "one")
    before = folders(tmp_path)
    stamp = Generations(tmp_path, ENGINE).stamp()
    async with edge_writer_for(tmp_path)(CONFIG) as writer:
        assert len(await writer.manifest()) == PAGES
        assert folders(tmp_path) == before
        await writer.publish()
    assert Generations(tmp_path, ENGINE).stamp() == stamp


@pytest.mark.parametrize("damage", ["", "../../etc", "no such generation", "\xff\xfe", "deadbeefdeadbeef", None])
async def test_a_damaged_pointer_names_the_last_whole_generation_again(damage: str | None, tmp_path: Path) -> None:
    await written(tmp_path, "one")
    before = await content(tmp_path)
    pointer = tmp_path / "index" / "current"
    name = pointer.read_text()
    pointer.unlink()
    if damage is not None:
        pointer.write_bytes(damage.encode("latin-1"))
    assert await content(tmp_path) == before
    assert pointer.read_text() == name
    async with edge_writer_for(tmp_path)(CONFIG) as writer:
        assert not writer.rebuilding


async def test_a_damaged_pointer_to_nothing_is_named_and_healed(tmp_path: Path) -> None:
    await written(tmp_path, "one")
    pointer = tmp_path / "index" / "current"
    pointer.write_text("deadbeefdeadbeef")
    next((tmp_path / "index").glob("*/about.json")).unlink()
    store = EdgeStore(tmp_path)
    await store.open()
    with pytest.raises(IndexMismatch, match="built anew by the next ingest") as caught:
        await store.info()
    assert str(pointer) in str(caught.value)
    async with edge_writer_for(tmp_path)(CONFIG) as writer:
        assert writer.rebuilding
        await writer.replace(*page(1))
        await writer.publish()
    assert (await store.info()).chunks == 4
    assert len(folders(tmp_path)) == 1
    await store.close()


async def test_an_index_of_another_engine_is_named(tmp_path: Path) -> None:
    await written(tmp_path, "one")
    manifest = next((tmp_path / "index").glob("*/about.json"))
    manifest.write_text(manifest.read_text().replace(ENGINE, "qdrant-edge 0.0.1"))
    store = EdgeStore(tmp_path)
    await store.open()
    with pytest.raises(IndexMismatch, match=r"written by qdrant-edge 0\.0\.1 .* ingest again"):
        await store.search(QUERY, 3)


async def test_a_damaged_generation_gives_way_to_the_one_that_is_still_read(tmp_path: Path) -> None:
    await written(tmp_path, "one")
    store = EdgeStore(tmp_path)
    await store.open()
    before = by_id(await store.search(QUERY, 100))
    await written(tmp_path, "two")
    current = (tmp_path / "index" / "current").read_text()
    for path in (tmp_path / "index" / current / "shard").rglob("*.json"):
        path.write_text("{")
    await store.refresh()
    assert by_id(await store.search(QUERY, 100)) == before
    fresh = EdgeStore(tmp_path)
    await fresh.open()
    assert by_id(await fresh.search(QUERY, 100)) == before
    await written(tmp_path, "three")
    for reader in (store, fresh):
        await reader.refresh()
        assert by_id(await reader.search(QUERY, 100)) != before
        await reader.close()
    await gone(tmp_path, 1)


async def test_a_replaced_generation_goes_with_its_last_reader(tmp_path: Path) -> None:
    await written(tmp_path, "one")
    one, two = EdgeStore(tmp_path), EdgeStore(tmp_path)
    await one.open()
    await two.open()
    await written(tmp_path, "two")
    await one.refresh()
    assert len(folders(tmp_path)) == 2
    await two.refresh()
    await gone(tmp_path, 1)
    await one.close()
    await two.close()
    assert len(folders(tmp_path)) == 1


async def test_what_a_killed_reader_held_goes_at_the_next_start(tmp_path: Path) -> None:
    await written(tmp_path, "one")
    with running("hold", tmp_path) as reader:
        assert line(reader) == "open"
        await written(tmp_path, "two")
        assert len(folders(tmp_path)) == 2
    store = EdgeStore(tmp_path)
    await store.open()
    await gone(tmp_path, 1)
    await store.close()


async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be: root may write anywhere, so permissions alone would not show it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"file/index cannot be written: Not a directory"):
        async with edge_writer_for(tmp_path / "file")(CONFIG):
            pass
    store = EdgeStore(tmp_path / "file")
    await store.open()
    assert await store.config() is None


async def test_a_full_disk_is_named_and_keeps_the_index(small_disk: Path) -> None:
    async with edge_writer_for(small_disk)(CONFIG) as writer:
        await writer.replace(*page(1))
        await writer.publish()
    before = await content(small_disk)
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - module.ROOM + 2**20))
    with pytest.raises(
        StoreUnavailable, match=r"The disk that holds .*index is full: .* MB are needed and 6\d MB are free"
    ):
        await written(small_disk, "new")
    assert await content(small_disk) == before
    (small_disk / "filler").unlink()
    await written(small_disk, "new")


async def test_a_read_only_disk_is_named(small_disk: Path) -> None:
    async with edge_writer_for(small_disk)(CONFIG) as writer:
        await writer.replace(*page(1))
        await writer.publish()
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreUnavailable, match=r"index cannot be written: Read-only file system"):
        await written(small_disk, "new")
    store = EdgeStore(small_disk)
    await store.open()
    with pytest.raises(StoreUnavailable, match="index cannot be used: the folder is read-only"):
        await store.search(QUERY, 3)


def test_a_copy_keeps_bytes_and_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "empty").touch()
    sparse = source / "sparse"
    with sparse.open("wb") as file:
        file.write(b"start")
        file.seek(8 * 2**20)
        file.write(b"end")
        file.truncate(32 * 2**20)
    copy_tree(source, tmp_path / "copy")
    assert (tmp_path / "copy" / "sparse").read_bytes() == sparse.read_bytes()
    assert (tmp_path / "copy" / "sparse").stat().st_blocks <= sparse.stat().st_blocks + 16
    assert (tmp_path / "copy" / "inner" / "empty").exists()
