"""The engine as its surfaces see it: states of index, model and documents, plans, examples, and refusals."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from rag.build import build_pipeline
from rag.errors import ContentError, IndexEmpty, StoreUnavailable
from rag.events import ChatEvent, Done, Notice, Retrieved
from rag.pipeline import Pipeline
from rag.settings import Settings
from tests.support.openai_script import Refuse, Stall
from tests.support.openai_server import OpenAIServer
from tests.support.small_book import PAGES, book_settings, index

UPRIGHT = "How does a PID controller keep the robot upright?"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    assert asyncio.run(index(book_settings(folder))).status == "completed"
    return folder


@pytest.fixture
def book(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "book")


@pytest.fixture
async def pipeline(book: Path) -> AsyncIterator[Pipeline]:
    async with build_pipeline(book_settings(book)) as opened:
        yield opened


async def told(pipeline: Pipeline, question: str = UPRIGHT) -> list[ChatEvent]:
    async with aclosing(await pipeline.chat(question)) as events:
        return [event async for event in events]


async def test_before_the_first_ingest_everything_says_so(tmp_path: Path) -> None:
    async with build_pipeline(book_settings(tmp_path)) as pipeline:
        with pytest.raises(IndexEmpty, match="not been ingested"):
            await pipeline.chat(UPRIGHT)
        assert pipeline.title == "Ask the Book"
        with pytest.raises(IndexEmpty):
            await pipeline.search("PID", 3)
        status = await pipeline.status()
        assert (status.store_connected, status.index_state, status.documents) == (True, "empty", 0)
        assert {document.status for document in await pipeline.documents()} == {"new"}
        assert await pipeline.examples() == []
        assert await pipeline.needs_ingest()
        assert await pipeline.count_files() == len(PAGES)


async def test_a_whole_index_is_ready(pipeline: Pipeline) -> None:
    assert pipeline.title == "Walking machines"
    status = await pipeline.status()
    assert (status.store_connected, status.mode, status.index_state) == (True, "offline", "ready")
    assert (status.documents, status.health) == (len(PAGES), "healthy")
    assert status.chunks >= len(PAGES)
    assert status.fingerprint
    assert not await pipeline.needs_ingest()


async def test_documents_are_told_from_index_and_folder(pipeline: Pipeline, book: Path) -> None:
    (book / "content/part-1/01-control.md").write_text("# Control\n\nAll new.\n", encoding="utf-8")
    (book / "content/part-1/02-walking.md").unlink()
    (book / "content/new.md").write_text("# New\n\nA page.\n", encoding="utf-8")
    states = {document.path: document for document in await pipeline.documents()}
    assert {path: state.status for path, state in states.items()} == {
        "index.md": "indexed",
        "new.md": "new",
        "part-1/01-control.md": "changed",
        "part-1/02-walking.md": "removed",
        "part-2/03-batteries.md": "indexed",
    }
    assert states["index.md"].title == "Walking machines"
    assert states["index.md"].chunks >= 1
    assert states["index.md"].ingested_at
    assert await pipeline.needs_ingest()


async def test_other_settings_make_the_index_stale_and_it_still_answers(book: Path) -> None:
    async with build_pipeline(book_settings(book, chunk_tokens=200)) as pipeline:
        assert (await pipeline.status()).index_state == "stale"
        assert (await pipeline.status()).health == "degraded"
        assert await pipeline.needs_ingest()
        assert isinstance((await told(pipeline))[-1], Done)


async def test_vectors_of_another_model_are_not_mixed(book: Path, openai_server: OpenAIServer) -> None:
    settings = book_settings(
        book, embedder="openai", generator="extractive", openai_base_url=openai_server.base_url,
        openai_api_key=openai_server.key, openai_embedding_dimensions=384,
    )  # fmt: skip
    async with build_pipeline(settings) as pipeline:
        assert (await pipeline.status()).index_state == "stale"
        events = await told(pipeline)
        assert [event.code for event in events if isinstance(event, Notice)] == ["degraded"]
        (retrieved,) = [event for event in events if isinstance(event, Retrieved)]
        assert retrieved.passages[0].chunk.title == "PID control"
        assert openai_server.requests("embeddings") == []


async def test_a_newer_index_is_taken_up(pipeline: Pipeline, book: Path) -> None:
    before = await told(pipeline)
    (book / "content/new.md").write_text("# Gyroscopes\n\nA gyroscope measures rotation.\n", encoding="utf-8")
    await index(book_settings(book))
    await pipeline.refresh()
    assert (await pipeline.status()).documents == len(PAGES) + 1
    found = await pipeline.search("What does a gyroscope measure?", 3)
    assert found.passages[0].chunk.path == "new.md"
    assert isinstance(before[-1], Done)


@pytest.mark.alone
async def test_the_model_s_state_is_checked_within_bounds(book: Path, openai_server: OpenAIServer) -> None:
    def settings() -> Settings:
        return book_settings(
            book, embedder="local", openai_base_url=openai_server.base_url, openai_api_key=openai_server.key
        )

    async with build_pipeline(settings()) as pipeline:
        status = await pipeline.status()
        assert (status.mode, status.model_connected, status.health) == ("openai", True, "healthy")
        for _ in range(5):
            await pipeline.status()
        assert len(openai_server.requests("models")) == 1, "what was found is kept for a while"
    for trouble in (Refuse(401), Stall()):
        openai_server.always(trouble)
        async with build_pipeline(settings()) as pipeline, asyncio.timeout(4):
            status = await pipeline.status()
            assert (status.model_connected, status.health) == (False, "degraded")


async def test_an_index_that_cannot_be_read_is_a_store_that_is_down(book: Path) -> None:
    shutil.rmtree(book / "data")
    (book / "data").write_text("in the way", encoding="utf-8")
    async with build_pipeline(book_settings(book)) as pipeline:
        with pytest.raises((StoreUnavailable, IndexEmpty)):
            await pipeline.chat(UPRIGHT)


async def test_a_plan_says_what_an_ingest_would_do(pipeline: Pipeline, book: Path) -> None:
    (book / "content/new.md").write_text("# Gyroscopes\n\nA gyroscope measures rotation.\n", encoding="utf-8")
    plan = await pipeline.plan()
    assert (plan.added, plan.changed, plan.removed, plan.unchanged) == (("new.md",), (), (), len(PAGES))
    assert plan.tokens > 0
    everything = await pipeline.plan(force=True)
    assert everything.rebuild
    assert everything.chunks_to_embed >= plan.chunks_to_embed


@pytest.mark.parametrize("path", ["../outside", "/etc", "part-1/../../x", "a\0b"])
async def test_a_path_cannot_leave_the_content_folder(pipeline: Pipeline, path: str) -> None:
    with pytest.raises(ContentError):
        await pipeline.plan(path=path)


async def test_examples_come_from_the_book(pipeline: Pipeline) -> None:
    examples = await pipeline.examples()
    assert "Why do steps need a plan?" in examples
    assert 2 <= len(examples) == len(set(examples)) <= 4
    for example in examples:
        assert (await pipeline.search(example, 3)).grounded, example


async def test_the_first_ingest_is_reported_by_who_asks(tmp_path: Path) -> None:
    async with build_pipeline(book_settings(tmp_path)) as pipeline:
        job = await pipeline.jobs.start()
        with pytest.raises(IndexEmpty, match="read for the first time"):
            await pipeline.chat(UPRIGHT)
        assert (await pipeline.status()).index_state == "building"
        last = [snapshot async for snapshot in pipeline.jobs.watch(job.snapshot.task_id)][-1]
        assert last.status == "completed", json.dumps(last.message)
        assert isinstance((await told(pipeline))[-1], Done)
        assert (await pipeline.status()).index_state == "ready"
