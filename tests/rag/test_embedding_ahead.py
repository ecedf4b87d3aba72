"""Documents embedded while others are still being cut: order, bounds, and an end that leaves nothing under way."""

import asyncio
from collections.abc import AsyncIterator
from itertools import islice

import numpy as np
import pytest
import pytest_asyncio

from rag.embedding.openai import OpenAIEmbedder
from rag.errors import ModelAuthError
from rag.ingest.indexing import Embeddings
from rag.ingest.spool import CutDocument
from rag.provider import Provider
from rag.types import Chunk, DocumentRecord
from tests.support import model_voice
from tests.support.openai_script import Refuse, Stall
from tests.support.openai_server import OpenAIServer


@pytest_asyncio.fixture
async def embedder(openai_server: OpenAIServer) -> AsyncIterator[OpenAIEmbedder]:
    provider = Provider(api_key=openai_server.key, base_url=openai_server.base_url)
    embedder = OpenAIEmbedder(provider, dimensions=8)
    await embedder.open()
    openai_server.received.clear()
    yield embedder
    await embedder.close()


def cut(number: int, texts: int = 2) -> CutDocument:
    path = f"page-{number}.md"
    chunk = Chunk(f"{number:032x}", path, ("Page",), f"/{number}", None, 0, (0, 1), (0, 9), "some text", 2)
    record = DocumentRecord(path, "Page", f"/{number}", "0", (), 1, 2, 2, 0.0)
    return CutDocument(record, (chunk,), (tuple(f"text {number} {part}" for part in range(texts)),))


async def everything(ahead: Embeddings, rest: list[CutDocument]) -> list[str]:
    seen = []
    async for document, vectors in ahead.vectors(iter(rest)):
        expected = [model_voice.embed(text, 8) for text in document.every_text()]
        np.testing.assert_allclose(vectors, np.array(expected).reshape(-1, 8), atol=1e-6)
        seen.append(document.record.path)
    return seen


async def test_what_was_offered_comes_first_and_what_did_not_fit_after_it(embedder: OpenAIEmbedder) -> None:
    documents = [cut(number, texts=number % 4) for number in range(40)]
    async with Embeddings(embedder, batch=5, in_flight=2, most=20) as ahead:
        for document in documents:
            ahead.offer(document)
        assert 0 < ahead.taken < 40
        rest = list(islice(documents, ahead.taken, None))
        assert await everything(ahead, rest) == [document.record.path for document in documents]


async def test_calls_are_under_way_before_anybody_asks_for_a_vector(
    embedder: OpenAIEmbedder, openai_server: OpenAIServer
) -> None:
    openai_server.always(Stall())
    async with Embeddings(embedder, batch=4, in_flight=3) as ahead:
        for number in range(20):
            ahead.offer(cut(number))
        async with asyncio.timeout(20):
            while len(openai_server.received) < 3:  # noqa: ASYNC110 - the server lives in another thread
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        assert [len(request.body["input"]) for request in openai_server.received] == [4, 4, 4]
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_after_a_refusal_nobody_asks_again(embedder: OpenAIEmbedder, openai_server: OpenAIServer) -> None:
    openai_server.always(Refuse(401))
    async with Embeddings(embedder, batch=2, in_flight=1) as ahead:
        for number in range(20):
            ahead.offer(cut(number))
        with pytest.raises(ModelAuthError):
            await everything(ahead, [])
    assert len(openai_server.received) == 1


async def test_nothing_to_embed_is_nothing(embedder: OpenAIEmbedder) -> None:
    async with Embeddings(embedder, batch=2, in_flight=1) as ahead:
        assert await everything(ahead, []) == []
        assert await everything(ahead, [cut(1, texts=0)]) == ["page-1.md"]
