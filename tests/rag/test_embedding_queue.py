"""Documents embedded while others are still being cut: order, bounds, and an end that leaves nothing under way."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import numpy as np
import pytest
import pytest_asyncio

from rag.embedding.cache import CachedEmbedder
from rag.embedding.openai import OpenAIEmbedder
from rag.errors import ContentError, ModelAuthError
from rag.ingest.chunk_worker import ChunkedDocument
from rag.ingest.embedding_queue import EmbeddingQueue
from rag.openai_client import OpenAIClient
from rag.types import Chunk, DocumentRecord, SparseVector
from tests.support import model_voice
from tests.support.openai_script import Refuse, Stall
from tests.support.openai_server import OpenAIServer


@pytest_asyncio.fixture
async def embedder(openai_server: OpenAIServer) -> AsyncIterator[CachedEmbedder]:
    client = OpenAIClient(api_key=openai_server.key, base_url=openai_server.base_url)
    embedder = CachedEmbedder(OpenAIEmbedder(client, dimensions=8))
    await embedder.open()
    openai_server.received.clear()
    yield embedder
    await embedder.close()


def cut(number: int, texts: int = 2, said: tuple[str, ...] | None = None) -> ChunkedDocument:
    path = f"page-{number}.md"
    chunk = Chunk(f"{number:032x}", path, ("Page",), f"/{number}", None, 0, (0, 1), (0, 9), "some text", 2)
    record = DocumentRecord(path, "Page", f"/{number}", "0", (), 1, 2, 0.0)
    said = said or tuple(f"text {number} {part}" for part in range(texts))
    return ChunkedDocument(record, (chunk,), (said,), (SparseVector((), ()),), ((),), ((),))


class Pages:
    """Documents as they are cut; `taken` counts those that were asked for, `left` says that nobody asks any more."""

    def __init__(self, documents: Sequence[ChunkedDocument], failure: Exception | None = None) -> None:
        self.documents, self.failure = documents, failure
        self.taken, self.left = 0, False

    async def cut(self) -> AsyncGenerator[ChunkedDocument, None]:
        try:
            for document in self.documents:
                self.taken += 1
                yield document
            if self.failure is not None:
                raise self.failure
        finally:
            self.left = True


async def everything(embeddings: EmbeddingQueue) -> list[str]:
    seen = []
    async for document, vectors in embeddings.vectors():
        expected = [model_voice.embed(text, 8) for text in document.every_text()]
        np.testing.assert_allclose(vectors, np.array(expected).reshape(-1, 8), atol=1e-6)
        seen.append(document.record.path)
    return seen


async def received(server: OpenAIServer, requests: int) -> None:
    async with asyncio.timeout(20):
        while len(server.received) < requests:  # noqa: ASYNC110 - the server lives in another thread
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("most", [5, 20, 1000])
async def test_every_document_gets_its_own_vectors_in_full_batches(
    embedder: CachedEmbedder, openai_server: OpenAIServer, most: int
) -> None:
    documents = [cut(number, texts=number % 13) for number in range(40)]
    async with EmbeddingQueue(embedder, Pages(documents).cut(), batch=5, in_flight=2, most=most) as embeddings:
        assert await everything(embeddings) == [document.record.path for document in documents]
    sizes = [len(request.body["input"]) for request in openai_server.received]
    assert sum(sizes) == sum(number % 13 for number in range(40))
    assert sizes.count(5) >= len(sizes) - 1


async def test_calls_are_under_way_before_anybody_asks_for_a_vector(
    embedder: CachedEmbedder, openai_server: OpenAIServer
) -> None:
    openai_server.always(Stall())
    pages = Pages([cut(number) for number in range(20)])
    async with EmbeddingQueue(embedder, pages.cut(), batch=4, in_flight=3):
        await received(openai_server, 3)
        await asyncio.sleep(0.3)
        assert [len(request.body["input"]) for request in openai_server.received] == [4, 4, 4]
    assert pages.left
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_nobody_is_asked_for_more_than_may_wait(embedder: CachedEmbedder, openai_server: OpenAIServer) -> None:
    openai_server.always(Stall())
    pages = Pages([cut(number) for number in range(100)])
    async with EmbeddingQueue(embedder, pages.cut(), batch=4, in_flight=3, most=20):
        await received(openai_server, 3)
        await asyncio.sleep(0.3)
        assert pages.taken == 10


async def test_after_a_refusal_nobody_asks_again(embedder: CachedEmbedder, openai_server: OpenAIServer) -> None:
    openai_server.always(Refuse(401))
    pages = Pages([cut(number) for number in range(20)])
    async with EmbeddingQueue(embedder, pages.cut(), batch=2, in_flight=1) as embeddings:
        with pytest.raises(ModelAuthError):
            await everything(embeddings)
    assert len(openai_server.received) == 1


async def test_who_waits_for_a_text_that_is_refused_does_not_ask_for_it(
    embedder: CachedEmbedder, openai_server: OpenAIServer
) -> None:
    openai_server.always(Refuse(401))
    pages = Pages([cut(1, said=("same", "one")), cut(2, said=("same",))])
    async with EmbeddingQueue(embedder, pages.cut(), batch=2, in_flight=2) as embeddings:
        await received(openai_server, 1)
        await asyncio.sleep(0.3)  # the store is busy meanwhile
        with pytest.raises(ModelAuthError):
            await everything(embeddings)
    assert [request.body["input"] for request in openai_server.received] == [["same", "one"]]


async def test_what_ends_the_documents_comes_out(embedder: CachedEmbedder) -> None:
    pages = Pages([cut(number) for number in range(5)], ContentError("The folder went away."))
    async with EmbeddingQueue(embedder, pages.cut(), batch=4, in_flight=1) as embeddings:
        with pytest.raises(ContentError, match="went away"):
            await everything(embeddings)


async def test_nothing_to_embed_is_nothing(embedder: CachedEmbedder) -> None:
    for documents, paths in (([], []), ([cut(1, texts=0)], ["page-1.md"])):
        async with EmbeddingQueue(embedder, Pages(documents).cut(), batch=2, in_flight=1) as embeddings:
            assert await everything(embeddings) == paths
