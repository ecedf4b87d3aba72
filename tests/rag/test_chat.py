"""A question through the real engine: offline, against a model server, and against one that fails in every way."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rag.build import build_pipeline
from rag.chat.chat import MOST_CHARACTERS, _within_bounds
from rag.errors import InvalidQuestion
from rag.events import ChatEvent, Cited, Delta, Done, Failed, Notice, Retrieved, Searching, Started
from rag.generation.base import NOT_IN_BOOK, StreamEnd, TextDelta
from rag.pipeline import Pipeline
from rag.resilience import Timeouts
from rag.settings import Settings
from rag.types import Exchange
from tests.support.openai_script import Behaviour, Cut, Garbage, Refuse, Say, Stall, StreamError
from tests.support.openai_server import OpenAIServer
from tests.support.small_book import PAGES, book_settings, index

UPRIGHT = "How does a PID controller keep the robot upright?"
OFF_TOPIC = "Which wine goes with grilled salmon?"
PID_LINK = "https://book.example/docs/part-1/control#pid"
QUICK = Timeouts(question=10.0, rewrite=5.0, embed=4.0, search=30.0, between=4.0)

Event = TypeVar("Event")
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small book, indexed once with the local model."""
    folder = tmp_path_factory.mktemp("indexed")
    assert asyncio.run(index(book_settings(folder))).status == "completed"
    return folder


@pytest.fixture
async def opened(indexed: Path, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a pipeline on a copy of the index."""
    shutil.copytree(indexed, tmp_path / "book")
    async with AsyncExitStack() as stack:

        async def open_pipeline(server: OpenAIServer | None = None, **changes: Any) -> Pipeline:
            settings = settings_for(tmp_path / "book", server, **changes)
            pipeline = await stack.enter_async_context(build_pipeline(settings, timeouts=QUICK))
            await pipeline._embedder.open()  # or a busy machine's first question goes on without the local model
            return pipeline

        yield open_pipeline


def settings_for(folder: Path, server: OpenAIServer | None = None, **changes: Any) -> Settings:
    if server is not None:
        changes = {"embedder": "local", "openai_base_url": server.base_url, "openai_api_key": server.key} | changes
    return book_settings(folder, **changes)


async def told(pipeline: Pipeline, question: str = UPRIGHT, *args: Any, **options: Any) -> list[ChatEvent]:
    async with aclosing(await pipeline.chat(question, *args, **options)) as events:
        return [event async for event in events]


def only(events: list[ChatEvent], kind: type[Event]) -> Event:
    found = [event for event in events if isinstance(event, kind)]
    assert len(found) == 1, events
    return found[0]


def text_of(events: list[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def prompt_of(server: OpenAIServer, place: int = -1) -> str:
    return str(server.requests("chat")[place].body["messages"][-1]["content"])


# Without a model


async def test_offline_the_book_s_own_words_answer_with_linked_citations(opened: Open) -> None:
    events = await told(await opened())
    assert [type(event) for event in events[:3]] == [Started, Searching, Retrieved]
    retrieved, done = only(events, Retrieved), only(events, Done)
    assert retrieved.grounded
    assert [passage.number for passage in retrieved.passages] == list(range(1, len(retrieved.passages) + 1))
    assert retrieved.passages[0].chunk.link == PID_LINK
    assert done is events[-1]
    assert done.answered
    assert "A PID controller keeps the robot upright by correcting the error" in text_of(events)
    assert done.answer.startswith(text_of(events).rstrip())
    cited = [event.citation for event in events if isinstance(event, Cited)]
    assert cited
    assert sorted(cited, key=lambda citation: citation.number) == list(done.citations)
    for citation in cited:
        assert citation.quote
        assert citation.quote in citation.passage.text
        assert f"\n[{citation.number}]: {citation.url} " in done.answer
    assert PID_LINK in {citation.url for citation in cited}
    assert not [event for event in events if isinstance(event, Notice)]
    assert done.timings.first_token_ms is not None
    assert 0 < done.timings.retrieval_ms <= done.timings.first_token_ms <= done.timings.total_ms
    assert done.message_id == only(events, Started).message_id


async def test_offline_what_is_not_in_the_book_is_said_so(opened: Open) -> None:
    events = await told(await opened(), OFF_TOPIC)
    done = only(events, Done)
    assert not only(events, Retrieved).grounded
    assert not done.answered
    assert done.citations == ()
    assert not [event for event in events if isinstance(event, Cited)]
    assert "[1]" not in done.answer
    assert done.answer


async def test_offline_a_follow_up_is_understood(opened: Open) -> None:
    pipeline = await opened()
    first = only(await told(pipeline, "What is the zero moment point?"), Done)
    cited = tuple(citation.passage.chunk.id for citation in first.citations)
    history = [Exchange("What is the zero moment point?", first.answer, cited)]
    events = await told(pipeline, "Where must it stay?", history)
    assert only(events, Retrieved).passages[0].chunk.title == "The zero moment point"
    assert "support polygon" in text_of(events)


@pytest.mark.parametrize("question", ["", "  \n ", "\0", "a" * 2001])
async def test_a_bad_question_is_refused_before_anything_is_told(opened: Open, question: str) -> None:
    pipeline = await opened()
    with pytest.raises(InvalidQuestion):
        await pipeline.chat(question)


async def test_the_longest_question_is_answered(opened: Open) -> None:
    question = (UPRIGHT + " ") * 40
    events = await told(await opened(), question.strip()[:2000])
    assert isinstance(events[-1], Done)


# With a model


async def test_a_model_streams_and_is_cited(opened: Open, openai_server: OpenAIServer) -> None:
    pipeline = await opened(openai_server)
    events = await told(pipeline)
    done = only(events, Done)
    assert len([event for event in events if isinstance(event, Delta)]) > 3
    assert done.answered
    assert PID_LINK in {citation.url for citation in done.citations}
    assert done.usage.prompt_tokens > 100
    assert done.usage.completion_tokens > 3
    assert not done.cached
    assert prompt_of(openai_server).endswith(UPRIGHT)
    for passage in only(events, Retrieved).passages:
        assert passage.text in prompt_of(openai_server)
    assert "- Feedback control\n- Walking\n- Batteries" in prompt_of(openai_server)


async def test_what_a_model_invents_never_gets_out(opened: Open, openai_server: OpenAIServer) -> None:
    openai_server.next(
        Say("It corrects the error [1][99], see [this](http://evil.example).\n\n[1]: http://evil.example"), route="chat"
    )
    done = only(await told(await opened(openai_server)), Done)
    assert done.answer.startswith(
        "It corrects the error [1], see this.\n\n[1]\\: http:\\//evil.example\n\n[1]: https://book"
    )
    assert [citation.number for citation in done.citations] == [1]


async def test_a_model_that_finds_nothing_cites_nothing(opened: Open, openai_server: OpenAIServer) -> None:
    openai_server.next(
        Say(f"{NOT_IN_BOOK} The book does not say; the nearest section is PID control [1]."), route="chat"
    )
    events = await told(await opened(openai_server))
    done = only(events, Done)
    assert not done.answered
    assert done.citations == ()
    assert done.answer == "The book does not say; the nearest section is PID control."
    assert not [event for event in events if isinstance(event, Cited)]


async def test_no_tokens_are_spent_on_what_is_not_in_the_book(opened: Open, openai_server: OpenAIServer) -> None:
    done = only(await told(await opened(openai_server), OFF_TOPIC), Done)
    assert not done.answered
    assert openai_server.requests("chat") == []


async def test_a_selection_grounds_the_question(opened: Open, openai_server: OpenAIServer) -> None:
    selection = "Lithium cells must never be charged below zero degrees Celsius"
    events = await told(await opened(openai_server), "What does this mean?", selection=selection)
    assert only(events, Retrieved).passages[0].chunk.title == "Charging safely"
    assert selection in prompt_of(openai_server)
    assert only(events, Done).answer


async def test_a_follow_up_is_rewritten_and_its_failure_harms_nothing(
    opened: Open, openai_server: OpenAIServer
) -> None:
    pipeline = await opened(openai_server)
    history = [Exchange("What is the zero moment point?", "It must stay inside the support polygon [1].")]
    openai_server.next(Say("Why must the zero moment point stay inside the support polygon?"), route="chat")
    events = await told(pipeline, "Why must it?", history)
    assert only(events, Searching).query == "Why must the zero moment point stay inside the support polygon?"
    assert only(events, Retrieved).passages[0].chunk.title == "The zero moment point"
    assert prompt_of(openai_server).endswith("Why must it?")
    for trouble in (Refuse(503), Stall(), Garbage()):
        openai_server.next(trouble, route="chat")
        events = await told(pipeline, "Why must it?", history)
        assert only(events, Searching).query == "Why must it?"
        assert only(events, Retrieved).passages[0].chunk.title == "The zero moment point"
        assert isinstance(events[-1], Done)


async def test_passages_that_do_not_fit_the_window_are_no_sources(opened: Open, openai_server: OpenAIServer) -> None:
    pipeline = await opened(openai_server)
    wide = only(await told(pipeline, "What is this book about?"), Retrieved)
    narrow = only(await told(pipeline, "What is this book about?", context_window=120), Retrieved)
    assert 0 < len(narrow.passages) < len(wide.passages)
    assert narrow.passages == wide.passages[: len(narrow.passages)]


# A model in trouble


@pytest.mark.parametrize(
    "trouble",
    [
        Refuse(401),
        Refuse(429, retry_after=60),
        Refuse(500, retry_after=60),
        Refuse(400),
        Stall(),
        Garbage(),
        StreamError(after=0),
        Cut(after=0),
        Say(""),
        Say("   "),
    ],
    ids=repr,
)
async def test_trouble_before_the_first_word_gives_the_book_s_own_words(
    opened: Open, openai_server: OpenAIServer, trouble: Behaviour
) -> None:
    pipeline = await opened(openai_server)
    openai_server.always(trouble, route="chat")
    async with asyncio.timeout(60):
        events = await told(pipeline)
    notice, done = only(events, Notice), only(events, Done)
    assert notice.code == "degraded"
    assert "own words" in notice.message
    assert events.index(notice) < next(place for place, event in enumerate(events) if isinstance(event, Delta))
    assert done.answered
    assert "A PID controller keeps the robot upright" in done.answer
    openai_server.always(None, route="chat")
    await recovered(pipeline)
    assert not [event for event in await told(pipeline) if isinstance(event, Notice)], "what is degraded is not kept"


@pytest.mark.parametrize("trouble", [Cut(), Cut(clean=True), Stall(after=3), StreamError(), Garbage(after=3)], ids=repr)
async def test_trouble_in_mid_stream_is_never_a_whole_answer(
    opened: Open, openai_server: OpenAIServer, trouble: Behaviour
) -> None:
    pipeline = await opened(openai_server)
    openai_server.next(trouble, route="chat")
    async with asyncio.timeout(60):
        events = await told(pipeline)
    assert text_of(events)
    failed = only(events, Failed)
    assert failed is events[-1]
    assert failed.retryable
    assert failed.code in ("model_unavailable", "model_error")
    assert not [event for event in events if isinstance(event, Done)]
    await recovered(pipeline)
    assert isinstance((await told(pipeline))[-1], Done), "a failed answer is not kept"


async def test_an_answer_at_its_length_limit_says_so(opened: Open, openai_server: OpenAIServer) -> None:
    openai_server.next(Say("It corrects the error [1] and", finish_reason="length"), route="chat")
    events = await told(await opened(openai_server))
    assert only(events, Notice).code == "length"
    assert only(events, Done).finish_reason == "length"


async def test_over_the_daily_budget_the_book_s_own_words_answer(opened: Open, openai_server: OpenAIServer) -> None:
    pipeline = await opened(openai_server, daily_token_budget=1_000)
    events = await told(pipeline)
    assert "budget" in only(events, Notice).message
    assert only(events, Done).answered
    assert openai_server.requests("chat") == []


async def test_the_budget_is_spent_by_what_was_used(opened: Open, openai_server: OpenAIServer) -> None:
    pipeline = await opened(openai_server, daily_token_budget=3_500)
    outcomes = []
    for number in range(5):
        events = await told(pipeline, f"{UPRIGHT} Case {number}")
        outcomes.append(any(isinstance(event, Notice) for event in events))
    assert outcomes == sorted(outcomes), "once it is spent it stays spent"
    assert outcomes[0] is False
    assert outcomes[-1] is True
    used = sum(outcome is False for outcome in outcomes)
    assert len(openai_server.requests("chat")) == used


async def test_without_vectors_the_words_are_searched(openai_server: OpenAIServer, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, openai_server, embedder="openai")
    assert (await index(settings)).status == "completed"
    async with build_pipeline(settings, timeouts=QUICK) as pipeline:
        assert not [event for event in await told(pipeline) if isinstance(event, Notice)]
        for trouble in (Refuse(503, retry_after=60), Stall()):
            openai_server.always(trouble, route="embeddings")
            events = await told(pipeline, "How does the PID controller keep a robot upright?", top_k=4)
            assert only(events, Notice).code == "degraded"
            assert only(events, Retrieved).passages[0].chunk.link == PID_LINK
            assert only(events, Done).answered
            assert (await pipeline.search("PID controller keeps robots upright", 3)).passages[0].chunk.link == PID_LINK
    openai_server.always(Refuse(401))
    async with build_pipeline(settings, timeouts=QUICK) as pipeline:
        events = await told(pipeline)
        assert [event.code for event in events if isinstance(event, Notice)] == ["degraded", "degraded"]
        assert only(events, Done).answered


async def recovered(pipeline: Pipeline) -> None:
    """Until nothing is down any more: the probes' business, and nobody's else."""
    async with asyncio.timeout(60):
        while (await pipeline.status()).down:  # noqa: ASYNC110 - it is asked for
            await asyncio.sleep(0.05)


async def test_only_one_question_waits_for_a_silent_embedder(openai_server: OpenAIServer, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, openai_server, embedder="openai")
    assert (await index(settings)).status == "completed"
    async with build_pipeline(settings, timeouts=QUICK) as pipeline:
        await told(pipeline)
        openai_server.always(Stall(), route="embeddings")
        asked = len(openai_server.requests("embeddings"))
        for number in range(4):
            events = await told(pipeline, f"How does the PID controller keep robot {number} upright?")
            assert only(events, Notice).code == "degraded"
        sent = [one.body["input"] for one in openai_server.requests("embeddings")[asked:]]
        words = [texts for texts in sent if len(texts) == 1 and texts != ["book"]]
        assert len(words) == 1, "the others are the breaker's own probes"
        assert "embeddings" in (await pipeline.status()).down


async def test_leaving_closes_the_call_to_the_model(opened: Open, openai_server: OpenAIServer) -> None:
    pipeline = await opened(openai_server)
    openai_server.next(Stall(after=3), route="chat")
    events = await pipeline.chat(UPRIGHT)
    async for event in events:
        if isinstance(event, Delta):
            break
    await events.aclose()
    (request,) = openai_server.requests("chat")
    async with asyncio.timeout(10):
        while not request.disconnected:  # noqa: ASYNC110 - the server lives in another thread
            await asyncio.sleep(0.01)


# One call for one question


async def test_the_same_question_costs_one_call(opened: Open, openai_server: OpenAIServer) -> None:
    pipeline = await opened(openai_server)
    first, again = await told(pipeline), await told(pipeline, f"  {UPRIGHT}\n")
    assert len(openai_server.requests("chat")) == 1
    one, two = only(first, Done), only(again, Done)
    assert (one.answer, one.citations) == (two.answer, two.citations)
    assert (one.cached, two.cached) == (False, True)
    assert two.usage.prompt_tokens == 0
    assert one.message_id != two.message_id == only(again, Started).message_id
    assert "".join(event.text for event in first if isinstance(event, Delta)) == "".join(
        event.text for event in again if isinstance(event, Delta)
    )
    others = [[type(event) for event in events if not isinstance(event, Delta)] for events in (first, again)]
    assert others[0] == others[1]


async def test_readers_at_the_same_time_share_one_call(opened: Open, openai_server: OpenAIServer) -> None:
    pipeline = await opened(openai_server)
    openai_server.limit(pieces_per_second=200.0)
    leaving = await pipeline.chat(UPRIGHT)
    staying = [asyncio.create_task(told(pipeline)) for _ in range(5)]
    async for event in leaving:
        if isinstance(event, Delta):
            break
    await leaving.aclose()
    answers = [only(events, Done).answer for events in await asyncio.gather(*staying)]
    assert len(set(answers)) == 1
    assert len(openai_server.requests("chat")) == 1
    assert not openai_server.requests("chat")[0].disconnected


async def test_what_depends_on_the_reader_is_not_shared(opened: Open, openai_server: OpenAIServer) -> None:
    pipeline = await opened(openai_server)
    await told(pipeline)
    await told(pipeline, selection="The integral part")
    await told(pipeline, top_k=1)
    await told(pipeline, UPRIGHT, [Exchange("What is PID?", "A loop.")])
    answers = [one for one in openai_server.requests("chat") if one.body.get("stream")]
    assert len(answers) == 4


async def test_a_new_index_is_answered_anew(opened: Open, openai_server: OpenAIServer, tmp_path: Path) -> None:
    pipeline = await opened(openai_server)
    await told(pipeline)
    page = tmp_path / "book" / "content" / "part-1" / "01-control.md"
    page.write_text(PAGES["part-1/01-control.md"].replace("torso angle", "ankle angle"), encoding="utf-8")
    await index(settings_for(tmp_path / "book"))
    await pipeline.refresh()
    events = await told(pipeline)
    assert not only(events, Done).cached
    assert "ankle angle" in prompt_of(openai_server)


@pytest.mark.parametrize("text", ["x " * 500_000, "[" * 60_000, "![a](" * 12_000], ids=["1 MB", "[", "![a]("])
async def test_a_huge_answer_ends_at_its_greatest_length(opened: Open, openai_server: OpenAIServer, text: str) -> None:
    pipeline = await opened(openai_server)
    openai_server.next(Say(tuple(text[at : at + 4_000] for at in range(0, len(text), 4_000))))
    events = await told(pipeline)
    done = only(events, Done)
    assert 0 < len(done.answer) <= 2 * MOST_CHARACTERS


async def test_pieces_are_filtered_between_turns_of_the_event_loop() -> None:
    async def items() -> AsyncGenerator[TextDelta | StreamEnd, None]:
        yield TextDelta("![a](" * 100_000)
        yield StreamEnd("stop", answered=True)

    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    pieces = [item async for item in _within_bounds(items())]
    counting.cancel()
    await asyncio.gather(counting, return_exceptions=True)
    assert turns >= MOST_CHARACTERS // 2_000 - 1
    assert sum(len(piece.text) for piece in pieces if isinstance(piece, TextDelta)) == MOST_CHARACTERS
    assert pieces[-1] == StreamEnd("length", answered=True)
