"""A chat model over real sockets: what streams, what is refused, what breaks, and what is left behind: nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import pytest_asyncio
from hypothesis import example, given
from hypothesis import strategies as st

from rag.errors import ModelAuthError, ModelError, ModelRateLimited, ModelUnavailable
from rag.generation.base import NOT_IN_BOOK, AnswerRequest, Generator, StreamEnd, TextDelta
from rag.generation.messages import rewritten
from rag.generation.openai import OpenAIGenerator
from rag.generation.sentinel import NoAnswerFilter
from rag.openai_client import OpenAIClient
from rag.resilience import Timeouts
from rag.types import Exchange, Message, Retrieval
from tests.support.openai_script import Cut, Garbage, Limits, Refuse, Say, Stall, StreamError
from tests.support.openai_server import OpenAIServer

TIMEOUTS = Timeouts(question=1.6, between=0.6, whole=5.0, rewrite=1.0)
PROMPT = """<passage-77 number="1" heading="Control">
A PID controller corrects the error between the wanted and the measured angle. Bread is baked elsewhere.
</passage-77>

<passage-77 number="2" heading="Gains">
The derivative gain of the controller damps the swing of a joint.
</passage-77>

The question:

How does a PID controller correct the error of a joint?"""


@pytest_asyncio.fixture
async def generator(openai_server: OpenAIServer) -> AsyncIterator[OpenAIGenerator]:
    made = OpenAIGenerator(
        OpenAIClient(api_key=openai_server.key, base_url=openai_server.base_url), model="loopback", timeouts=TIMEOUTS
    )
    yield made
    await made.close()


def asked(prompt: str = PROMPT) -> AnswerRequest:
    messages = (Message("system", "Answer from the passages."), Message("user", prompt))
    return AnswerRequest("How?", Retrieval("How?", (), grounded=True), messages=messages)


async def read(generator: Generator, prompt: str = PROMPT) -> tuple[list[TextDelta], StreamEnd]:
    pieces: list[TextDelta] = []
    async with aclosing(generator.answer(asked(prompt))) as items:
        async for item in items:
            if isinstance(item, StreamEnd):
                return pieces, item
            pieces.append(item)
    raise AssertionError("an answer must end with Ended or an error")


def text_of(pieces: list[TextDelta]) -> str:
    return "".join(piece.text for piece in pieces)


async def test_an_answer_streams_in_pieces_and_counts_its_tokens(
    generator: OpenAIGenerator, openai_server: OpenAIServer
) -> None:
    pieces, ended = await read(generator)
    assert text_of(pieces) == (
        "A PID controller corrects the error between the wanted and the measured angle. [1] "
        "The derivative gain of the controller damps the swing of a joint. [2]"
    )
    assert len(pieces) > 20
    assert ended.finish_reason == "stop"
    assert ended.answered
    assert ended.usage.prompt_tokens > 50
    assert ended.usage.completion_tokens > 20
    (request,) = openai_server.requests("chat")
    assert request.body["model"] == generator.name == "loopback"
    assert request.body["max_completion_tokens"] == 2_000
    assert [message["role"] for message in request.body["messages"]] == ["system", "user"]


async def test_words_are_passed_on_as_they_come(generator: OpenAIGenerator, openai_server: OpenAIServer) -> None:
    openai_server.limit(pieces_per_second=50.0)
    began = time.perf_counter()
    async with aclosing(generator.answer(asked())) as items:
        await anext(items)
        first = time.perf_counter() - began
        async for _ in items:
            pass
    assert time.perf_counter() - began > first + 0.4


# What a server cannot do


@pytest.mark.parametrize(("strict", "points"), [(400, True), (422, False)])
@pytest.mark.parametrize("lacking", [
    {"stream_options"},
    {"max_completion_tokens"},
    {"temperature"},
    {"max_completion_tokens", "max_tokens"},
    {"reasoning_effort"},
    {"stream_options", "max_completion_tokens", "max_tokens", "temperature", "reasoning_effort"},
])  # fmt: skip
async def test_parameters_that_a_server_refuses_are_left_out_and_stay_out(
    generator: OpenAIGenerator, openai_server: OpenAIServer, lacking: set[str], strict: int, points: bool
) -> None:
    openai_server.limit(strict_status=strict, points_at_param=points, **dict.fromkeys(lacking, False))
    pieces, ended = await read(generator)
    assert "PID" in text_of(pieces)
    assert ended.usage.completion_tokens > 10
    before = len(openai_server.received)
    assert before == 1 + len(lacking) + ("reasoning_effort" in lacking)  # that one is tried in two forms
    await read(generator)
    assert len(openai_server.received) == before + 1
    sent = openai_server.received[-1].body
    assert not lacking & set(sent)
    assert ("max_tokens" in sent) == ("max_completion_tokens" in lacking and "max_tokens" not in lacking)


async def test_a_model_that_must_think_thinks_little(generator: OpenAIGenerator, openai_server: OpenAIServer) -> None:
    await read(generator)
    assert openai_server.received[-1].body["reasoning_effort"] == "none"
    openai_server.limit(efforts=("minimal", "low", "medium", "high"), temperature=False)
    await read(generator)
    assert openai_server.received[-1].body["reasoning_effort"] == "low"
    assert await generator.rewrite("How is it tuned?", HISTORY)
    assert "temperature" not in openai_server.received[-1].body


async def test_the_parameter_that_a_refusal_points_at_counts(
    generator: OpenAIGenerator, openai_server: OpenAIServer
) -> None:
    openai_server.next(Refuse(400, message="reasoning_effort needs another temperature", param="reasoning_effort"))
    await read(generator)
    sent = openai_server.received[-1].body
    assert (sent["temperature"], sent["reasoning_effort"]) == (0.2, "low")


async def test_a_server_that_does_not_say_what_it_minds_gets_the_plainest_request(
    generator: OpenAIGenerator, openai_server: OpenAIServer
) -> None:
    openai_server.next(Refuse(400, message="bad request"))
    assert "PID" in text_of((await read(generator))[0])
    assert set(openai_server.received[-1].body) == {"model", "messages", "stream"}


async def test_a_request_that_is_bad_in_itself_is_refused_once_and_for_all(
    generator: OpenAIGenerator, openai_server: OpenAIServer
) -> None:
    openai_server.always(Refuse(400, message="no"))
    with pytest.raises(ModelError, match=r"refused the request \(400\)"):
        await read(generator)
    openai_server.always(None)
    await read(generator)
    assert "max_completion_tokens" in openai_server.received[-1].body
    openai_server.always(Refuse(400, code="context_length_exceeded", message="max_tokens"))
    before = len(openai_server.received)
    with pytest.raises(ModelError, match="too long for the model"):
        await read(generator)
    assert len(openai_server.received) == before + 1


# What goes wrong


async def test_a_wrong_key_is_said_without_the_key(openai_server: OpenAIServer) -> None:
    generator = OpenAIGenerator(OpenAIClient(api_key="sk-wrong-1234", base_url=openai_server.base_url))
    with pytest.raises(ModelAuthError, match=r"refused the key \(401\)") as caught:
        await read(generator)
    assert "1234" not in str(caught.value)
    await generator.close()


async def test_a_passing_trouble_is_waited_out(generator: OpenAIGenerator, openai_server: OpenAIServer) -> None:
    openai_server.next(Refuse(503), Refuse(429, retry_after_ms=150))
    began = time.perf_counter()
    assert "PID" in text_of((await read(generator))[0])
    assert time.perf_counter() - began > 0.15


@pytest.mark.parametrize(("behaviour", "error", "words"), [
    (Refuse(429, retry_after=60), ModelRateLimited, "fewer requests"),
    (Refuse(429, code="insufficient_quota"), ModelRateLimited, "no quota left"),
    (Refuse(500, body="<h1>Oops</h1>"), ModelUnavailable, "trouble of its own"),
    (Refuse(404), ModelError, "does not know the model"),
    (Stall(), ModelUnavailable, "did not answer in time"),
    (Stall(after=4), ModelUnavailable, "did not answer in time"),
    (Cut(after=4), ModelUnavailable, "broke the connection"),
    (Cut(after=4, clean=True), ModelUnavailable, "cut the answer off"),
    (Garbage(after=4), ModelError, "not OpenAI's"),
    (Garbage(after=0), ModelError, "not OpenAI's"),
    (StreamError(after=4), ModelUnavailable, "broke off"),
    (StreamError(after=4, code="rate_limit_exceeded"), ModelRateLimited, "fewer requests"),
    (Say("Half", finish_reason=None), ModelUnavailable, "cut the answer off"),
    (Say("Half", finish_reason="content_filter"), ModelError, "withheld"),
])  # fmt: skip
async def test_every_failure_is_ours_in_one_sentence_and_in_time(
    generator: OpenAIGenerator, openai_server: OpenAIServer, behaviour: object, error: type[ModelError], words: str
) -> None:
    openai_server.always(behaviour)  # type: ignore[arg-type]
    began = time.perf_counter()
    with pytest.raises(error, match=words) as caught:
        await read(generator)
    assert type(caught.value).code == error.code
    assert str(caught.value).startswith(f"The model server at {openai_server.base_url} ")
    assert "told to" not in str(caught.value)
    assert time.perf_counter() - began < 20


async def test_a_retry_after_reaches_the_caller(generator: OpenAIGenerator, openai_server: OpenAIServer) -> None:
    openai_server.always(Refuse(429, retry_after=60))
    with pytest.raises(ModelRateLimited) as caught:
        await read(generator)
    assert caught.value.retry_after == 60
    assert len(openai_server.received) == 1


async def test_a_server_that_is_not_there() -> None:
    generator = OpenAIGenerator(OpenAIClient(base_url="http://127.0.0.1:9/v1"), timeouts=TIMEOUTS)
    with pytest.raises(ModelUnavailable, match=r"http://127\.0\.0\.1:9/v1 cannot be reached"):
        await read(generator)
    await generator.close()


async def test_an_answer_that_reaches_its_length_says_so(
    generator: OpenAIGenerator, openai_server: OpenAIServer
) -> None:
    openai_server.next(Say("A long tale", finish_reason="length"))
    pieces, ended = await read(generator)
    assert (text_of(pieces), ended.finish_reason) == ("A long tale", "length")


async def test_an_endless_answer_is_ended(generator: OpenAIGenerator, openai_server: OpenAIServer) -> None:
    openai_server.limit(pieces_per_second=100.0)
    openai_server.next(Say(("robots " * 2_000,) * 50))
    pieces, ended = await read(generator)
    assert ended.finish_reason == "length"
    assert len(text_of(pieces)) < 100_000
    await asyncio.sleep(0.2)
    assert openai_server.received[-1].pieces < 50


async def test_what_is_missing_after_the_last_word_does_no_harm(
    generator: OpenAIGenerator, openai_server: OpenAIServer
) -> None:
    openai_server.next(Say("All said.", usage=False))
    pieces, ended = await read(generator)
    assert text_of(pieces) == "All said."
    assert ended.usage.prompt_tokens > 50
    assert ended.usage.completion_tokens == 3


# Leaving


async def test_leaving_closes_the_upstream_call_at_once(
    generator: OpenAIGenerator, openai_server: OpenAIServer
) -> None:
    openai_server.limit(pieces_per_second=20.0)
    items = generator.answer(asked())
    await anext(items)
    await items.aclose()
    await asyncio.sleep(0.3)
    (request,) = openai_server.received
    assert request.disconnected
    assert request.pieces < 15


async def test_cancelling_before_the_first_word_closes_it_too(
    generator: OpenAIGenerator, openai_server: OpenAIServer
) -> None:
    openai_server.next(Stall())
    waiting = asyncio.create_task(read(generator))
    await asyncio.sleep(0.2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0.3)
    assert openai_server.received[-1].disconnected


# The sign


@pytest.mark.parametrize("said", [
    (f"{NOT_IN_BOOK} The book is silent.",),
    ("[", "[not-", "in", "-book]", "] ", "The book is silent."),
    (f"**{NOT_IN_BOOK}**\n\nThe book is silent.",),
    ("\n[not-in-book]. The book is silent.",),
    ("[[NOT-in-Book]]", "The book is silent."),
])  # fmt: skip
async def test_the_sign_is_taken_out_and_reported(
    generator: OpenAIGenerator, openai_server: OpenAIServer, said: tuple[str, ...]
) -> None:
    openai_server.next(Say(said))
    pieces, ended = await read(generator)
    assert text_of(pieces) == "The book is silent."
    assert not any(piece.answered for piece in pieces)
    assert not ended.answered


async def test_a_question_without_an_answer_in_the_passages(generator: OpenAIGenerator) -> None:
    pieces, ended = await read(generator, "There are no passages.\n\nWho won the football cup?")
    assert not ended.answered
    assert NOT_IN_BOOK not in text_of(pieces)


@example("[[not-in-book]]", [], True)  # what stands around the sign would be one
@given(st.text(alphabet="[]not-ibk *a\n", max_size=40), st.lists(st.integers(1, 6), max_size=30), st.booleans())
def test_the_filter_gives_the_same_wherever_the_text_is_cut(text: str, sizes: list[int], with_sign: bool) -> None:
    if with_sign:
        text = text[: len(text) // 2] + NOT_IN_BOOK + text[len(text) // 2 :]
    whole = NoAnswerFilter()
    expected = whole.feed(text) + whole.finish()
    cut = NoAnswerFilter()
    out, rest = "", text
    for size in sizes:
        out += cut.feed(rest[:size])
        rest = rest[size:]
    out += cut.feed(rest) + cut.finish()
    assert (out, cut.answered) == (expected, whole.answered)
    assert NOT_IN_BOOK not in expected
    if with_sign:
        assert not whole.answered


@pytest.mark.parametrize("text", ["Use `x[0]` [1].", "[1] says so", "** bold **", "[[wiki]] [not-in]", "a [n", "*"])
def test_text_without_the_sign_is_left_alone(text: str) -> None:
    sign = NoAnswerFilter()
    assert sign.feed(text) + sign.finish() == text
    assert sign.answered


# Follow-ups

HISTORY = (Exchange("What is a PID controller?", "It corrects errors. [1]"),)


async def test_a_follow_up_becomes_a_standalone_question(
    generator: OpenAIGenerator, openai_server: OpenAIServer
) -> None:
    assert await generator.rewrite("How is it tuned?", HISTORY) == "How is it tuned regarding pid controller?"
    assert not openai_server.received[-1].body.get("stream")


async def test_a_first_question_is_not_rewritten(generator: OpenAIGenerator, openai_server: OpenAIServer) -> None:
    assert await generator.rewrite("What is a PID controller?", ()) is None
    assert openai_server.received == []


async def test_rewriting_waits_but_shortly(generator: OpenAIGenerator, openai_server: OpenAIServer) -> None:
    openai_server.next(Stall())
    began = time.perf_counter()
    with pytest.raises(ModelUnavailable):
        await generator.rewrite("How is it tuned?", HISTORY)
    assert time.perf_counter() - began < 10
    openai_server.next(Say(""))
    assert await generator.rewrite("How is it tuned?", HISTORY) is None


@pytest.mark.parametrize(("answer", "believed"), [
    ("How is a PID controller tuned?", "How is a PID controller tuned?"),
    ('Standalone question: "How is a PID controller tuned?"\n', "How is a PID controller tuned?"),
    ("如何调整PID控制器？", "如何调整PID控制器？"),
    ("Part 2: what does it say?", "Part 2: what does it say?"),
    ("", None),
    ("?!", None),
    ("Sure!\n\nA PID controller is tuned by hand.", None),
    ("word " * 400, None),
])  # fmt: skip
def test_only_a_question_is_believed(answer: str, believed: str | None) -> None:
    assert rewritten(answer, "How is it tuned?") == believed


def test_limits_name_what_the_requests_carry() -> None:
    """The loopback server refuses by name; a name it does not know would make these tests prove nothing."""
    assert {"stream_options", "max_completion_tokens", "max_tokens", "temperature", "reasoning_effort"} <= set(
        vars(Limits())
    )
