"""An ingest that cuts every file in any case does so while its embedder is being opened, and leaves nothing behind."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from rag.build import build_ingestion
from rag.errors import ContentError, ModelAuthError
from rag.events import Finished
from rag.ingest.ingest import ingest
from rag.ingest.prepare import Ingestion, prepare_ingest
from rag.settings import Settings
from tests.support.ingesting import children, write_book
from tests.support.openai_script import Refuse, Stall
from tests.support.openai_server import OpenAIServer

PAGES = 80  # enough for a process of its own


@pytest_asyncio.fixture
async def parts(tmp_path: Path, openai_server: OpenAIServer) -> AsyncIterator[Ingestion]:
    write_book(tmp_path / "content", PAGES, paragraphs=2)
    given = {"openai_base_url": openai_server.base_url, "openai_api_key": openai_server.key, "_env_file": None}
    folders = {"content_dir": tmp_path / "content", "data_dir": tmp_path / "data"}
    async with build_ingestion(Settings(**given, **folders)) as parts:  # type: ignore[arg-type]
        yield parts


async def finished(parts: Ingestion, *, force: bool = False) -> Finished:
    *_, last = [event async for event in ingest(parts, force=force)]
    assert isinstance(last, Finished)
    return last


async def started(before: set[int]) -> None:
    async with asyncio.timeout(20):
        while children() == before:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("force", [False, True])
async def test_pages_are_cut_while_the_embedder_is_opened(
    parts: Ingestion, openai_server: OpenAIServer, force: bool
) -> None:
    before, cutting = children(), threading.Event()
    openai_server.next(Stall(seconds=30.0, until=cutting), route="embeddings")
    run = asyncio.create_task(finished(parts, force=force))
    await started(before)
    assert len(openai_server.requests("embeddings")) <= 1  # the one that opens it
    cutting.set()
    assert (await run).added == PAGES
    assert children() == before


async def test_an_ingest_that_is_left_then_leaves_no_process(parts: Ingestion, openai_server: OpenAIServer) -> None:
    before = children()
    openai_server.next(Stall(seconds=30.0), route="embeddings")
    run = asyncio.create_task(finished(parts))
    await started(before)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert children() == before


async def test_an_embedder_that_cannot_be_opened_ends_it(parts: Ingestion, openai_server: OpenAIServer) -> None:
    before = children()
    openai_server.always(Refuse(401))
    with pytest.raises(ModelAuthError):
        await finished(parts)
    assert children() == before
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_folder_that_holds_no_book_ends_the_opening(parts: Ingestion, openai_server: OpenAIServer) -> None:
    openai_server.always(Stall(seconds=30.0))
    for page in parts.content_dir.rglob("*.md"):
        page.unlink()
    with pytest.raises(ContentError):
        await finished(parts)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_what_may_cut_nothing_waits_for_its_plan(parts: Ingestion, openai_server: OpenAIServer) -> None:
    """A preview asks nobody; nor does an ingest that finds nothing new."""
    async with prepare_ingest(parts, None, force=False, dry_run=True) as ready:
        assert ready.cutting is None
    assert openai_server.requests("embeddings") == []
    await finished(parts)
    asked = len(openai_server.requests("embeddings"))
    async with prepare_ingest(parts, None, force=False, dry_run=False) as ready:
        assert ready.cutting is None
    assert len(openai_server.requests("embeddings")) == asked
