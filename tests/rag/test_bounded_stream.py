"""What an upstream may send, over a real socket: endless bodies and lines end early, bombs are not inflated."""

import pytest

from rag.errors import ModelError
from rag.openai_client import ONCE, OpenAIClient
from tests.support.broken_upstream import BrokenUpstream
from tests.support.openai_server import OpenAIServer


@pytest.mark.parametrize("way", ["endless body", "a gzip bomb", "truncated gzip", "endless headers"])
async def test_an_answer_that_passes_its_bounds_is_a_failure(way: str, openai_server: OpenAIServer) -> None:
    with BrokenUpstream(openai_server.url) as server:
        server.fail(way)
        client = OpenAIClient(api_key=openai_server.key, base_url=server.base_url)
        with pytest.raises(ModelError, match=r"(cannot be reached, or broke the connection|not OpenAI's)\.$"):
            await client.call(
                lambda sdk: sdk.post("/embeddings", cast_to=object, body={"input": ["a"]}), ONCE, max_body=300_000
            )
        await client.close()


async def test_a_line_without_an_end_is_a_failure(openai_server: OpenAIServer) -> None:
    from openai import AsyncStream

    with BrokenUpstream(openai_server.url) as server:
        server.fail("endless line")
        client = OpenAIClient(api_key=openai_server.key, base_url=server.base_url)
        stream = await client.call(
            lambda sdk: sdk.post(
                "/chat/completions", cast_to=object, body={}, stream=True, stream_cls=AsyncStream[object]
            ),
            ONCE,
            max_body=1 << 30,
            max_line=100_000,
        )
        with pytest.raises(ModelError):
            await anext(client.events(stream, lambda: 20.0))
        await client.close()


async def test_a_whole_answer_that_is_compressed_is_read(openai_server: OpenAIServer) -> None:
    from tests.support import broken_upstream

    broken_upstream.WAYS["well, but compressed"] = broken_upstream._gzipped(b'{"data": [1, 2, 3]}')
    try:
        with BrokenUpstream(openai_server.url) as server:
            server.fail("well, but compressed")
            client = OpenAIClient(api_key=openai_server.key, base_url=server.base_url)
            answer = await client.call(lambda sdk: sdk.post("/embeddings", cast_to=object, body={}), ONCE)
            assert answer == {"data": [1, 2, 3]}
            await client.close()
    finally:
        del broken_upstream.WAYS["well, but compressed"]
