"""What may happen to an index on disk: files that rot, writers that are killed, disks that are full."""

import asyncio
import contextlib
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rag.errors import IndexMismatch
from rag.store.checksums import checksums
from rag.store.edge import EdgeStore, edge_writer_for
from tests.chaos.registry import Outcome, Trial, add, scenario
from tests.support.damage import KINDS, damaged
from tests.support.indexed import CONFIG
from tests.support.ingesting import command, contents, environment, finished, ingest, write_book
from tests.support.model_voice import embed
from tests.support.openai_script import Limits
from tests.support.openai_server import OpenAIServer
from tests.support.store_process import QUERY, book, start

PAGES = 12
FILES = 6  # damaged in one round


async def _written(folder: Path, version: str = "one") -> None:
    async with edge_writer_for(folder)(CONFIG) as writer:
        for document in book(version, PAGES):
            await writer.replace(*document)
        await writer.publish()


async def _seen(folder: Path) -> object:
    """Everything a reader can see of an index, without times."""
    store = EdgeStore(folder)
    try:
        records = {record.path: record.sha256 for record in await store.documents()}
        chunks = [await store.chunks_of(path) for path in sorted(records)]
        hits = await store.search(QUERY, 500)
        scores = {hit.chunk.id: (hit.bm25, hit.window_bm25, hit.window_cosine, hit.chunk_cosine) for hit in hits}
        return records, chunks, dict(sorted(scores.items()))
    finally:
        await store.close()


def _rot(kind: str, trial: Trial) -> Outcome:
    return asyncio.run(_rotten(kind, trial))


async def _rotten(kind: str, trial: Trial) -> Outcome:
    whole = trial.folder / "whole"
    await _written(whole)
    before = await _seen(whole)
    index = whole / "index"
    generation = (index / "current").read_text()
    places = [f"{generation}/{name}" for name in checksums(index / generation)] + ["current", "lock"]
    named = harmless = 0
    wrong: list[str] = []
    for place in trial.random.sample(places, FILES):
        folder = trial.folder / "damaged"
        shutil.copytree(whole, folder)
        damaged(folder / "index" / place, kind, trial.random)
        try:
            if await _seen(folder) == before:
                harmless += 1
            else:
                wrong.append(f"{place}: other answers")
        except IndexMismatch:
            named += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, no reader may see it
            wrong.append(f"{place}: {type(error).__name__}")
        await _written(folder)  # the next ingest, not forced
        if await _seen(folder) != before:
            wrong.append(f"{place}: not mended")
        shutil.rmtree(folder)
    seen = f"{FILES} files: {named} named, {harmless} harmless or answered by a whole one"
    return Outcome(not wrong, "; ".join([seen, *wrong]))


for each in KINDS:
    add(f"files: {each}", partial(_rot, each), rounds=3)


@scenario("kills: a writer at a random moment", rounds=50)
def killed_writer(trial: Trial) -> Outcome:
    """Over an old index or none; whatever is left is the old index or the new one, and the next run ends as always."""
    old, new = trial.folder / "data", trial.folder / "new"
    over = trial.random.random() < 0.5
    asyncio.run(_written(new, "new"))
    expected = [asyncio.run(_seen(new))]
    if over:
        asyncio.run(_written(old, "old"))
        expected.append(asyncio.run(_seen(old)))
    process = start("write", old, "new", PAGES)
    assert process.stdout is not None
    steps = trial.random.randrange(PAGES + 3)
    for _ in range(steps):
        process.stdout.readline()
    time.sleep(trial.random.random() * (0.3 if steps == PAGES + 2 else 0.01))
    process.kill()
    process.communicate()
    left = asyncio.run(_seen(old)) if (old / "index" / "current").exists() else None
    asyncio.run(_written(old, "new"))
    held = (left in expected or (left is None and not over)) and asyncio.run(_seen(old)) == expected[0]
    folders = sum(path.is_dir() for path in (old / "index").iterdir())
    return Outcome(held and folders == 1, f"{'over an old index' if over else 'the first'}, after {steps} steps")


class _Hashed:
    """The vectors of the loopback server's model, for questions."""

    fingerprint, dimensions = "hashed", 32

    async def open(self) -> None:
        return None

    async def embed_documents(self, texts: object) -> object:
        raise NotImplementedError

    async def embed_query(self, text: str) -> object:
        return embed(text, self.dimensions)

    async def close(self) -> None:
        return None


@scenario("kills: a whole ingest at a random moment", rounds=10)
def killed_ingest(trial: Trial) -> Outcome:
    content, data = trial.folder / "content", trial.folder / "data"
    write_book(content, 12)
    with OpenAIServer(limits=Limits(native_dimensions=32, latency=0.02)) as server:
        settings = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.key}
        began = time.monotonic()
        finished(ingest(content, trial.folder / "whole", "--events", **settings))
        after = trial.random.random() * (time.monotonic() - began)
        process = subprocess.Popen(
            command("--events"),
            env=environment(content, data, **settings),
            cwd=trial.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after)
        process.kill()
        process.wait()
        end = finished(ingest(content, data, "--events", **settings))
        whole, mended = (contents(each, ["page 3"], _Hashed()) for each in (trial.folder / "whole", data))  # type: ignore[arg-type]
        mended.assert_same(whole)
    return Outcome(end.status == "completed" and end.failed == 0, f"after {after:.2f} s; the next run: {end.message}")


@scenario("disk: as large as a file may be", rounds=5)
def small_files(trial: Trial) -> Outcome:
    """A limit on the size of a file stands for the disk: writing past it fails in the same places."""
    content, data = trial.folder / "content", trial.folder / "data"
    write_book(content, 40)
    limit = trial.random.randrange(10_000, 2_000_000)
    with OpenAIServer(limits=Limits(native_dimensions=32)) as server:
        settings = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.key}
        done = subprocess.run(
            command(),
            env=environment(content, data, **settings),
            cwd=trial.folder,
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        said = (done.stderr.strip().splitlines() or [""])[-1]
        after = finished(ingest(content, data, "--events", **settings))
    held = done.returncode == 1 and "Traceback" not in done.stderr and after.status == "completed"
    return Outcome(held, f"{limit} bytes: {said[:90]}")


@contextlib.contextmanager
def _disk(folder: Path, size: int) -> Iterator[bool]:
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)], capture_output=True)
    try:
        yield made.returncode == 0
    finally:
        if made.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@scenario("disk: full at a random moment", rounds=5)
def full_disk(trial: Trial) -> Outcome:
    content, disk = trial.folder / "content", trial.folder / "disk"
    write_book(content, 40)
    size = trial.random.randrange(64_000, 140_000)  # kB
    with _disk(disk, size) as mounted, OpenAIServer(limits=Limits(native_dimensions=32)) as server:
        if not mounted:
            return Outcome(True, "no file system can be mounted here: not tried")
        settings = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.key}
        done = ingest(content, disk / "data", **settings)
        said = (done.stderr.strip().splitlines() or [""])[-1]
        held = done.returncode == 0 or (done.returncode == 1 and "full" in said and "Traceback" not in done.stderr)
    return Outcome(held, f"{size} kB: {done.returncode} {said[:90]}")
