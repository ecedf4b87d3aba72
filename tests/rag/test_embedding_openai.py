"""Embeddings over real sockets: bounds, order, what servers cannot do, and answers that are not what was asked for."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import numpy as np
import pytest
import pytest_asyncio

from rag.embedding.openai import MAX_BATCH_TOKENS, OpenAIEmbedder
from rag.errors import ModelAuthError, ModelError, ModelUnavailable
from rag.openai_client import OpenAIClient
from rag.text import tokens
from tests.support import model_voice
from tests.support.openai_script import Distort, Garbage, Refuse, Stall
from tests.support.openai_server import OpenAIServer

Make = Callable[..., OpenAIEmbedder]


@pytest_asyncio.fixture
async def make(openai_server: OpenAIServer) -> AsyncIterator[Make]:
    made: list[OpenAIEmbedder] = []

    def embedder(**options: Any) -> OpenAIEmbedder:
        made.append(OpenAIEmbedder(OpenAIClient(api_key=openai_server.key, base_url=openai_server.base_url), **options))
        return made[-1]

    yield embedder
    for one in made:
        await one.close()


def sizes(server: OpenAIServer) -> list[int]:
    return [len(request.body["input"]) for request in server.requests("embeddings")]


async def test_vectors_are_the_servers_normalised_and_in_order(make: Make, openai_server: OpenAIServer) -> None:
    embedder = make()
    assert embedder.dimensions == 0
    await embedder.open()
    assert embedder.dimensions == 1536
    assert embedder.fingerprint == "openai:text-embedding-3-small:own"
    texts = [f"joint number {n}" for n in range(50)]
    vectors = await embedder.embed_documents(texts)
    assert vectors.shape == (50, 1536)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [model_voice.embed(text, 1536) for text in texts], atol=1e-6)
    np.testing.assert_allclose(await embedder.embed_query(texts[7]), vectors[7], atol=1e-6)
    assert (await embedder.embed_documents([])).shape == (0, 1536)
    assert openai_server.received[-1].body["encoding_format"] == "base64"
    assert "dimensions" not in openai_server.received[-1].body


async def test_fewer_dimensions_on_request(make: Make, openai_server: OpenAIServer) -> None:
    embedder = make(dimensions=256)
    await embedder.open()
    assert embedder.dimensions == 256
    assert embedder.fingerprint.endswith(":256")
    assert (await embedder.embed_documents(["a", "b"])).shape == (2, 256)
    assert openai_server.received[-1].body["dimensions"] == 256


async def test_batches_keep_to_both_bounds(make: Make, openai_server: OpenAIServer) -> None:
    embedder = make(dimensions=8)
    await embedder.open()
    await embedder.embed_documents([f"w{n}" for n in range(4_500)])
    assert sorted(sizes(openai_server)[1:]) == [404, 2048, 2048]
    openai_server.received.clear()
    long = [f"{n} " + "torque and angle " * 2_000 for n in range(120)]  # about 6,000 tokens each
    vectors = await embedder.embed_documents(long)
    assert len(sizes(openai_server)) >= 3
    for request in openai_server.received:
        assert request.status == 200
        assert sum(map(tokens.count, request.body["input"])) <= MAX_BATCH_TOKENS
    np.testing.assert_allclose(vectors[119], model_voice.embed(long[119], 8), atol=1e-6)


async def test_several_requests_are_in_flight_but_not_all(make: Make, openai_server: OpenAIServer) -> None:
    embedder = make(dimensions=8, in_flight=3)
    await embedder.open()
    openai_server.always(Stall())
    work = asyncio.create_task(embedder.embed_documents([f"w{n}" for n in range(2_048 * 5 + 1)]))
    async with asyncio.timeout(30):
        while len(openai_server.received) < 4:  # noqa: ASYNC110 - the server lives in another thread
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert len(openai_server.received) == 4  # the word that opened it and three batches
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_a_text_that_is_too_long_is_cut_loudly(
    make: Make, openai_server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = make(dimensions=8)
    await embedder.open()
    text = "The gyroscope drifts. " * 5_000
    (vector,) = await embedder.embed_documents([text])
    np.testing.assert_allclose(vector, model_voice.embed(tokens.truncate(text, 8192), 8), atol=1e-6)
    assert "only its first 8192 tokens are embedded" in caplog.text
    assert openai_server.received[-1].status == 200


async def test_odd_texts_do_not_spoil_a_batch(make: Make) -> None:
    embedder = make(dimensions=64)
    await embedder.open()
    vectors = await embedder.embed_documents(["", "  \n", "\ud800", "<|endoftext|>", "real text"])
    assert vectors.shape == (5, 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


# What a server cannot do


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_small_batches_are_learnt_and_remembered(make: Make, openai_server: OpenAIServer, status: int) -> None:
    openai_server.limit(max_inputs=16, batch_status=status)
    embedder = make(dimensions=8, in_flight=1)
    await embedder.open()
    texts = [f"text {n}" for n in range(100)]
    vectors = await embedder.embed_documents(texts)
    np.testing.assert_allclose(vectors, [model_voice.embed(text, 8) for text in texts], atol=1e-6)
    openai_server.received.clear()
    await embedder.embed_documents(texts)
    assert all(request.status == 200 for request in openai_server.received)
    assert max(sizes(openai_server)) <= 16
    assert len(sizes(openai_server)) <= 10


@pytest.mark.parametrize("status", [400, 422])
async def test_unknown_parameters_are_left_out(make: Make, openai_server: OpenAIServer, status: int) -> None:
    openai_server.limit(dimensions=False, base64=False, strict_status=status, native_dimensions=48)
    embedder = make(dimensions=256)
    await embedder.open()
    assert embedder.dimensions == 48
    before = len(openai_server.received)
    assert (await embedder.embed_documents(["a", "b"])).shape == (2, 48)
    assert len(openai_server.received) == before + 1
    assert "dimensions" not in openai_server.received[-1].body
    assert openai_server.received[-1].body["encoding_format"] == "float"


async def test_a_model_that_reads_less_gets_shorter_texts(
    make: Make, openai_server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    openai_server.limit(max_input_tokens=512)
    embedder = make(dimensions=8)
    await embedder.open()
    texts = ["short", "The gyroscope drifts slowly. " * 400, "also short"]
    vectors = await embedder.embed_documents(texts)
    assert vectors.shape == (3, 8)
    np.testing.assert_allclose(vectors[2], model_voice.embed("also short", 8), atol=1e-6)
    assert "only its first" in caplog.text
    openai_server.received.clear()
    await embedder.embed_documents(texts)
    assert [request.status for request in openai_server.received] == [200]


async def test_one_refused_text_does_not_shrink_the_batches(make: Make, openai_server: OpenAIServer) -> None:
    embedder = make(dimensions=8)
    await embedder.open()
    openai_server.next(*[Refuse(400, message="bad")] * 4)
    with pytest.raises(ModelError, match=r"refused the request \(400\)"):
        await embedder.embed_documents([f"t{n}" for n in range(8)])
    openai_server.received.clear()
    await embedder.embed_documents([f"t{n}" for n in range(8)])
    assert sizes(openai_server) == [8]


# What goes wrong


@pytest.mark.parametrize("how", ["fewer", "more", "same_index", "other_dimensions", "ragged", "nan", "zero", "text"])
async def test_an_answer_that_is_not_what_was_asked_for_is_refused(
    make: Make,
    openai_server: OpenAIServer,
    how: Literal["fewer", "more", "same_index", "other_dimensions", "ragged", "nan", "zero", "text"],
) -> None:
    embedder = make()
    await embedder.open()
    openai_server.next(Distort(how))
    with pytest.raises(ModelError, match=r"answered|did not answer"):
        await embedder.embed_documents(["a", "b", "c"])


@pytest.mark.parametrize("how", ["shuffled", "no_index"])
async def test_any_order_is_understood(
    make: Make, openai_server: OpenAIServer, how: Literal["shuffled", "no_index"]
) -> None:
    embedder = make(dimensions=8)
    await embedder.open()
    openai_server.next(Distort(how))
    vectors = await embedder.embed_documents(["a", "b", "c"])
    np.testing.assert_allclose(vectors, [model_voice.embed(text, 8) for text in "abc"], atol=1e-6)


@pytest.mark.parametrize("behaviour", [Garbage(), Refuse(200, body="[]"), Refuse(200, body='{"data": [null]}')])
async def test_an_answer_that_is_no_answer(make: Make, openai_server: OpenAIServer, behaviour: Any) -> None:
    openai_server.always(behaviour)
    with pytest.raises(ModelError, match="The model server at"):
        await make().open()


async def test_rate_limits_are_waited_out_and_nothing_is_lost(make: Make, openai_server: OpenAIServer) -> None:
    embedder = make(dimensions=8)
    await embedder.open()
    openai_server.next(Refuse(429, retry_after_ms=300), Refuse(503), Refuse(500))
    began = time.perf_counter()
    vectors = await embedder.embed_documents([f"w{n}" for n in range(2_048 * 2 + 7)])
    assert time.perf_counter() - began > 0.3
    assert vectors.shape == (4_103, 8)


async def test_the_first_failure_ends_the_others(make: Make, openai_server: OpenAIServer) -> None:
    embedder = make(dimensions=8)
    await embedder.open()
    openai_server.limit(latency=60.0)
    openai_server.next(Refuse(401))
    with pytest.raises(ModelAuthError):
        await embedder.embed_documents([f"w{n}" for n in range(2_048 * 12)])
    seen = len(openai_server.received)
    await asyncio.sleep(0.7)
    assert len(openai_server.received) <= seen + 4
    assert all(request.status == 401 or request.disconnected for request in openai_server.received[1:])


async def test_a_wrong_key_and_an_absent_server_are_said_at_once(openai_server: OpenAIServer) -> None:
    wrong = OpenAIEmbedder(OpenAIClient(api_key="sk-wrong", base_url=openai_server.base_url))
    with pytest.raises(ModelAuthError, match=r"refused the key \(401\)"):
        await wrong.open()
    await wrong.close()
    absent = OpenAIEmbedder(OpenAIClient(base_url="http://127.0.0.1:9/v1"))
    began = time.perf_counter()
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        await absent.open()
    assert time.perf_counter() - began < 20
    await absent.close()


async def test_a_key_of_the_wrong_model_is_seen_in_the_log_only(
    make: Make, openai_server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    openai_server.always(Refuse(404, message="The model `nope` does not exist"))
    with pytest.raises(ModelError, match="does not know the model") as caught:
        await make(model="nope").open()
    assert "nope" not in str(caught.value)
    assert "`nope` does not exist" in caplog.text
