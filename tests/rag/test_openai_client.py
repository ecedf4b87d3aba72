"""The border to the SDK: nothing foreign passes it, no key is ever said, and policy has an end."""

import asyncio
import base64
import json
import logging
import time
from email.utils import formatdate

import httpx2
import openai
import pytest
from openai import OpenAIError

from rag.errors import ModelAuthError, ModelError, ModelRateLimited, ModelUnavailable, RagError
from rag.openai_client import CHECK, INGEST, READER, ModelRefused, OpenAIClient, RetryPolicy, retry_after
from tests.support.openai_script import Garbage, Refuse, Stall
from tests.support.openai_server import OpenAIServer

KEY = "sk-very-secret-key-0123456789"
QUICK = RetryPolicy(tries=4, max_wait=3.0, timeout=10.0)
REQUEST = httpx2.Request("POST", "https://models.example/v1/embeddings")


def _subclasses(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in _subclasses(child))]


def _made(kind: type[Exception]) -> Exception:
    """An exception of this class as the SDK makes it, with a secret in its words."""
    words = f"Incorrect API key provided: {KEY}"
    if issubclass(kind, openai.APIStatusError):
        status = getattr(kind, "status_code", None)
        response = httpx2.Response(status if isinstance(status, int) else 500, request=REQUEST)
        body = {"message": words, "code": "some_code"}
        return openai.OAuthError(response=response, body=body) if kind is openai.OAuthError else kind(
            words, response=response, body=body
        )  # fmt: skip
    error = kind.__new__(kind)
    error.args = (words,)
    if isinstance(error, openai.APIError):
        error.code = error.message = words  # the class sets neither without a response
    return error


SDK_ERRORS = sorted(set(_subclasses(OpenAIError)), key=lambda kind: kind.__name__)
LEAKS = [
    json.JSONDecodeError(KEY, KEY, 0),
    base64.binascii.Error(KEY),  # type: ignore[attr-defined]
    TimeoutError(KEY),
    ConnectionResetError(KEY),
    httpx2.RemoteProtocolError(KEY),
    httpx2.InvalidURL(KEY),
    TypeError(KEY),
    AttributeError(KEY),
    openai.InvalidWebhookSignatureError(KEY),
    RuntimeError(KEY),
]


def test_the_tree_of_the_sdk_is_all_there() -> None:
    names = {kind.__name__ for kind in SDK_ERRORS}
    assert names >= {
        "APIError",
        "APIStatusError",
        "APIConnectionError",
        "RateLimitError",
        "ContentFilterFinishReasonError",
    }
    assert len(names) > 18
    exported = {v for v in list(vars(openai).values()) if isinstance(v, type) and issubclass(v, OpenAIError)}
    assert exported <= set(SDK_ERRORS)


@pytest.mark.parametrize("error", [*map(_made, SDK_ERRORS), *LEAKS], ids=lambda error: type(error).__name__)
def test_every_foreign_exception_becomes_a_sentence_of_ours(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = OpenAIClient(api_key=KEY, base_url="https://reader:hunter2@models.example:8443/v1?token=abc")
    with pytest.raises(ModelError) as caught, client.translated():
        raise error
    sentence = str(caught.value)
    assert sentence.startswith("The model server at https://models.example:8443/v1 ")
    assert sentence.endswith(".")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    for secret in (KEY, KEY[:12], "hunter2", "abc", "Incorrect"):
        assert secret not in sentence
    assert KEY not in caplog.text


@pytest.mark.parametrize(("kind", "expected"), [
    (openai.AuthenticationError, ModelAuthError),
    (openai.PermissionDeniedError, ModelAuthError),
    (openai.RateLimitError, ModelRateLimited),
    (openai.InternalServerError, ModelUnavailable),
    (openai.ConflictError, ModelUnavailable),
    (openai.APIConnectionError, ModelUnavailable),
    (openai.APITimeoutError, ModelUnavailable),
    (openai.BadRequestError, ModelRefused),
    (openai.NotFoundError, ModelRefused),
    (openai.UnprocessableEntityError, ModelRefused),
])  # fmt: skip
def test_the_class_says_what_a_caller_can_do(kind: type[Exception], expected: type[RagError]) -> None:
    with pytest.raises(expected), OpenAIClient().translated():
        raise _made(kind)


def test_what_is_ours_and_what_is_asyncios_passes_untouched() -> None:
    for passing in (ModelUnavailable("ours"), StopAsyncIteration(), asyncio.CancelledError(), KeyboardInterrupt()):
        with pytest.raises(type(passing)) as caught, OpenAIClient().translated():
            raise passing
        assert caught.value is passing


def test_openai_itself_is_called_by_its_name() -> None:
    sentence = r"^OpenAI refused the key \(401\); none is configured\.$"
    with pytest.raises(ModelAuthError, match=sentence), OpenAIClient().translated():
        raise _made(openai.AuthenticationError)


@pytest.mark.parametrize(("base_url", "shown"), [
    ("http://localhost:11434/v1/", "http://localhost:11434/v1"),
    ("https://me:secret@models.example/v1?key=secret#secret", "https://models.example/v1"),
    ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ("http://127.0.0.1:99999/v1", "an address that is not valid"),
])  # fmt: skip
def test_an_address_is_shown_without_its_secrets(base_url: str, shown: str) -> None:
    assert OpenAIClient(base_url=base_url).where == f"The model server at {shown}"


# RetryPolicy


async def _probe(client: OpenAIClient, policy: RetryPolicy = QUICK) -> object:
    return await client.call(
        lambda client: client.post("/embeddings", cast_to=object, body={"model": "m", "input": ["a"]}), policy
    )


@pytest.mark.parametrize(("refusals", "least"), [
    ([Refuse(429, retry_after=1)], 1.0),
    ([Refuse(429, retry_after_ms=200)], 0.2),
    ([Refuse(503, retry_after="0.3"), Refuse(500)], 0.8),
    ([Refuse(429, retry_after=0)] * 3, 0.0),  # waits of its own would be too long for QUICK
    ([Refuse(408), Refuse(502)], 1.4),
])  # fmt: skip
async def test_it_waits_as_long_as_the_server_asks(
    openai_server: OpenAIServer, refusals: list[Refuse], least: float
) -> None:
    client = OpenAIClient(api_key=openai_server.key, base_url=openai_server.base_url)
    openai_server.next(*refusals)
    began = time.perf_counter()
    assert isinstance(await _probe(client), dict)
    assert time.perf_counter() - began >= least
    await client.close()


async def test_patience_ends_by_number_and_by_time(openai_server: OpenAIServer) -> None:
    client = OpenAIClient(api_key=openai_server.key, base_url=openai_server.base_url)
    openai_server.always(Refuse(429, retry_after=0))
    with pytest.raises(ModelRateLimited):
        await _probe(client)
    assert len(openai_server.received) == QUICK.tries
    openai_server.always(Refuse(503, retry_after=3600))
    began = time.perf_counter()
    with pytest.raises(ModelUnavailable) as caught:
        await _probe(client)
    assert caught.value.retry_after == 3600
    assert time.perf_counter() - began < 30
    await client.close()


@pytest.mark.parametrize("refusal", [Refuse(401), Refuse(403), Refuse(404), Refuse(400), Refuse(422), Garbage()])
async def test_what_will_not_pass_is_not_tried_again(openai_server: OpenAIServer, refusal: Refuse | Garbage) -> None:
    client = OpenAIClient(api_key=openai_server.key, base_url=openai_server.base_url)
    openai_server.always(refusal)
    with pytest.raises(ModelError):
        await _probe(client)
    assert len(openai_server.received) == 1
    await client.close()


async def test_silence_is_bounded_and_the_connection_closed(openai_server: OpenAIServer) -> None:
    client = OpenAIClient(api_key=openai_server.key, base_url=openai_server.base_url)
    openai_server.always(Stall())
    with pytest.raises(ModelUnavailable, match="did not answer in time"):
        await _probe(client, RetryPolicy(tries=1, max_wait=0.0, timeout=0.8))
    await asyncio.sleep(0.5)
    assert openai_server.received[-1].disconnected
    await client.close()


def test_somebody_who_reads_waits_less_than_a_job() -> None:
    assert CHECK.timeout <= 2 < READER.timeout < INGEST.timeout
    assert READER.max_wait < 10 < INGEST.max_wait


async def test_the_check_is_real(openai_server: OpenAIServer) -> None:
    client = OpenAIClient(api_key=openai_server.key, base_url=openai_server.base_url)
    await client.check()
    openai_server.limit(models_route=False)
    await client.check()
    openai_server.always(Refuse(503))
    with pytest.raises(ModelUnavailable):
        await client.check()
    await client.close()
    wrong = OpenAIClient(api_key=KEY, base_url=openai_server.base_url)
    openai_server.always(None)
    with pytest.raises(ModelAuthError):
        await wrong.check()
    await wrong.close()


async def test_a_server_that_needs_no_key(openai_server: OpenAIServer) -> None:
    openai_server.limit(requires_key=False)
    client = OpenAIClient(base_url=openai_server.base_url)
    await client.check()
    await client.close()
    await client.close()


@pytest.mark.parametrize("base_url", ["http://", "http://[::1", "http://exa mple/v1", "http://127.0.0.1:99999/v1"])
async def test_an_address_that_is_none_is_a_sentence_too(base_url: str) -> None:
    with pytest.raises(ModelError, match=r"^The model server at (http://|an address that is not valid )"):
        await _probe(OpenAIClient(base_url=base_url), CHECK)


async def test_the_key_stays_out_of_the_log(openai_server: OpenAIServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = OpenAIClient(api_key=KEY, base_url=openai_server.base_url)
    for refusal in (None, Refuse(400, message=f"bad {KEY} and sk-other-9876543210"), Refuse(500, body=KEY)):
        openai_server.always(refusal)
        with pytest.raises(ModelError):
            await _probe(client, CHECK)
    await client.close()
    assert "answered 400: " in caplog.text
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("rag"))
    assert KEY not in caplog.text
    assert "9876543210" not in ours


# Retry-After


@pytest.mark.parametrize(("headers", "seconds"), [
    ({"retry-after": "7"}, 7.0),
    ({"retry-after": "0.5"}, 0.5),
    ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
    ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
    ({}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "-3"}, None),
    ({"retry-after": "inf"}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
])  # fmt: skip
def test_the_header_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_in_the_future() -> None:
    seconds = retry_after({"retry-after": formatdate(time.time() + 30, usegmt=True)})
    assert seconds == pytest.approx(30, abs=1.5)
