"""The vectors that are kept: on a real file, shared by real processes, beside an embedder that counts its texts."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rag.embedding.base import Vectors
from rag.embedding.cache import CachedEmbedder
from rag.embedding.local import NoEmbedder
from rag.errors import ModelUnavailable
from tests.support import model_voice


class Counting:
    """A real, cheap embedder that remembers every text it was asked for."""

    def __init__(self, *, dimensions: int = 32, fingerprint: str = "hashed") -> None:
        self.dimensions = dimensions
        self.fingerprint = fingerprint
        self.documents: list[str] = []
        self.queries: list[str] = []

    async def open(self) -> None:
        return None

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.documents += texts
        return np.stack([model_voice.embed(text, self.dimensions) for text in texts])

    async def embed_query(self, text: str) -> Vectors:
        self.queries.append(text)
        return model_voice.embed(text, self.dimensions)

    async def close(self) -> None:
        return None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "vectors.sqlite"


async def test_a_text_is_embedded_once_within_a_call_and_across_runs(path: Path) -> None:
    first = Counting()
    cache = CachedEmbedder(first, path)
    vectors = await cache.embed_documents(["a", "b", "a", "c", "a"])
    assert first.documents == ["a", "b", "c"]
    np.testing.assert_array_equal(vectors[2], model_voice.embed("a", 32))
    np.testing.assert_array_equal(vectors[3], model_voice.embed("c", 32))
    await cache.embed_documents(["c", "d"])
    assert first.documents == ["a", "b", "c", "d"]
    await cache.close()

    second = Counting()
    again = CachedEmbedder(second, path)
    np.testing.assert_array_equal(await again.embed_documents(["a", "b", "a", "c", "a"]), vectors)
    assert second.documents == []
    await again.close()


async def test_callers_at_the_same_time_share_one_embedding(path: Path) -> None:
    counting = Counting()
    cache = CachedEmbedder(counting, path)
    await asyncio.gather(*(cache.embed_documents([f"own {n}", "licence of the book"]) for n in range(10)))
    assert sorted(counting.documents) == sorted(["licence of the book", *(f"own {n}" for n in range(10))])
    await cache.close()


async def test_who_waits_for_a_call_that_fails_or_leaves_is_served_all_the_same(path: Path) -> None:
    class Slow(Counting):
        async def embed_documents(self, texts: Sequence[str]) -> Vectors:
            await asyncio.sleep(0.2 if "slow" in texts else 0)
            if "fails" in texts:
                raise ModelUnavailable("down")
            return await super().embed_documents(texts)

    cache = CachedEmbedder(Slow(), path)
    leaving = asyncio.create_task(cache.embed_documents(["slow", "wanted"]))
    failing = asyncio.create_task(cache.embed_documents(["fails", "also wanted"]))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(cache.embed_documents(["wanted", "also wanted"]))
    await asyncio.sleep(0.05)
    leaving.cancel()
    assert (await waiting).shape == (2, 32)
    with pytest.raises(ModelUnavailable):
        await failing
    await cache.close()


async def test_models_and_lengths_do_not_mix(path: Path) -> None:
    for embedder in (Counting(), Counting(fingerprint="other"), Counting(dimensions=8)):
        cache = CachedEmbedder(embedder, path)
        vectors = await cache.embed_documents(["the same text"])
        assert embedder.documents == ["the same text"]
        assert vectors.shape == (1, embedder.dimensions)
        await cache.close()


async def test_many_texts_and_none(path: Path) -> None:
    counting = Counting()
    cache = CachedEmbedder(counting, path)
    texts = [f"text {n}" for n in range(1_700)]
    first = await cache.embed_documents(texts)
    np.testing.assert_array_equal(await cache.embed_documents(texts), first)
    assert len(counting.documents) == 1_700
    assert (await cache.embed_documents([])).shape == (0, 32)
    assert (await cache.embed_documents(["\ud800"])).shape == (1, 32)
    await cache.close()


async def test_pruning_drops_what_this_run_did_not_ask_for(path: Path) -> None:
    old = CachedEmbedder(Counting(), path)
    await old.embed_documents(["kept", "dropped"])
    await old.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE entry SET used = used - 100")
    counting = Counting()
    new = CachedEmbedder(counting, path)
    await new.embed_documents(["kept", "fresh"])
    assert await new.prune() == 1
    await new.embed_documents(["kept", "fresh", "dropped"])
    assert counting.documents == ["fresh", "dropped"]
    await new.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM vector").fetchone() == (3,)


async def test_questions_are_remembered_within_bounds() -> None:
    counting = Counting()
    cache = CachedEmbedder(counting, None, queries=2)
    for question in ("a", "b", "a", "c", "a", "b"):
        np.testing.assert_array_equal(await cache.embed_query(question), model_voice.embed(question, 32))
    assert counting.queries == ["a", "b", "c", "b"]
    with pytest.raises(ValueError, match="read-only"):
        (await cache.embed_query("a"))[0] = 1.0


async def test_without_a_path_nothing_is_kept_and_nothing_breaks() -> None:
    counting = Counting()
    cache = CachedEmbedder(counting)
    assert (await cache.embed_documents(["a", "a"])).shape == (2, 32)
    assert counting.documents == ["a"]
    assert await cache.prune() == 0
    await cache.close()


async def test_no_model_needs_no_file(path: Path) -> None:
    cache = CachedEmbedder(NoEmbedder(), path)
    assert (await cache.embed_documents(["a", "b"])).shape == (2, 0)
    await cache.close()
    assert not path.parent.exists()


async def test_a_file_that_cannot_be_made_costs_only_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("in the way")
    for path in (blocked / "vectors.sqlite", tmp_path):
        caplog.clear()
        counting = Counting()
        cache = CachedEmbedder(counting, path)
        for _ in range(2):
            assert (await cache.embed_documents(["a"])).shape == (1, 32)
        assert counting.documents == ["a", "a"]
        assert len(caplog.records) == 1
        assert "not kept" in caplog.text
        await cache.close()


async def test_a_damaged_file_is_started_anew(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is not a database at all " * 200)  # noqa: ASYNC240
    counting = Counting()
    cache = CachedEmbedder(counting, path)
    await cache.embed_documents(["a"])
    await cache.embed_documents(["a"])
    assert counting.documents == ["a"]
    await cache.close()


def test_a_full_disk_keeps_what_was_there_readable(path: Path) -> None:
    async def fill() -> None:
        cache = CachedEmbedder(Counting(dimensions=512), path)
        await cache.embed_documents(["kept"])
        await cache.close()

    asyncio.run(fill())
    program = """
import asyncio, resource, sys
from pathlib import Path
from rag.embedding.cache import CachedEmbedder
from tests.rag.test_embedding_cache import Counting

async def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))
    counting = Counting(dimensions=512)
    cache = CachedEmbedder(counting, Path(sys.argv[1]))
    shape = (await cache.embed_documents([f"new {n}" for n in range(40)] + ["kept"])).shape
    again = (await cache.embed_documents(["kept", "new 1"])).shape
    print(shape, again, "kept" in counting.documents, counting.documents.count("new 1"))
    await cache.close()

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "(41, 512) (2, 512) False 2", done.stderr
    assert "cannot be written" in done.stderr


def test_processes_share_the_file(path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from rag.embedding.cache import CachedEmbedder
from tests.rag.test_embedding_cache import Counting

async def main():
    counting = Counting()
    cache = CachedEmbedder(counting, Path(sys.argv[1]))
    for n in range(60):
        vectors = await cache.embed_documents([f"shared {n} {part}" for part in range(5)])
        assert vectors.shape == (5, 32)
    await cache.close()

asyncio.run(main())
"""
    runs = [
        subprocess.Popen([sys.executable, "-c", program, str(path)], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for run in runs:
        _, said = run.communicate(timeout=60)
        assert run.returncode == 0, said
        assert said == ""
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*), count(DISTINCT key) FROM entry").fetchone() == (300, 300)
        assert db.execute("SELECT count(*) FROM vector").fetchone() == (300,)


async def test_what_must_be_embedded_is_the_same_however_far_the_work_has_come(path: Path) -> None:
    first = CachedEmbedder(Counting(), path)
    assert await first.missing(["a", "b"], 32) == {"a", "b"}
    await first.embed_documents(["a"])
    assert await first.missing(["a", "b"], 32) == {"a", "b"}
    await first.close()
    second = CachedEmbedder(Counting(), path)
    assert await second.missing(["a", "b"], 32) == {"b"}
    assert await second.missing(["a", "b"], 16) == {"a", "b"}
    await second.close()
