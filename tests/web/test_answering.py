"""Answers side by side, failures that are ours, and what a shutdown leaves: each is counted as what it was."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from rag.build import build_pipeline, build_sessions
from rag.events import ChatEvent, Failed, Started
from tests.support.small_book import book_settings, index
from web.chat_service import Caller
from web.metrics import QuestionOutcome
from web.services import Services
from web.ui.conversation import ActiveAnswers

CLIENT = Caller("192.0.2.1")
QUESTION = "How does a PID controller keep the robot upright?"


@pytest.fixture
async def services(tmp_path: Path) -> AsyncGenerator[Services, None]:
    settings = book_settings(tmp_path, ingest_on_start=False, rate_limit="1000/minute")
    assert (await index(settings)).status == "completed"
    made = Services(settings, build_pipeline(settings), build_sessions(settings))
    await made.open()
    yield made
    await made.close()


async def test_two_answers_in_one_session_both_come_to_their_end(services: Services) -> None:
    answering = ActiveAnswers(services.chat_service)

    async def turns() -> list[Any]:
        async with aclosing(answering.answer("one session", CLIENT, QUESTION, [])) as told:
            return [turn async for turn in told]

    first, second = await asyncio.gather(turns(), turns())
    assert (first[-1].ended, second[-1].ended) == ("whole", "whole")
    assert not answering.busy("one session")


async def test_an_internal_failure_is_no_reader_who_left(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[QuestionOutcome] = []
    services.on_asked.append(lambda asked, _: counted.append(asked))

    async def broken(*_: Any, **__: Any) -> AsyncGenerator[ChatEvent, None]:
        async def events() -> AsyncGenerator[ChatEvent, None]:
            yield Started("1")
            raise RuntimeError("a bug")

        return events()

    monkeypatch.setattr(services.pipeline, "chat", broken)
    events = await services.chat_service.ask(CLIENT, QUESTION)
    assert isinstance(await anext(events), Started)
    with pytest.raises(RuntimeError):
        await anext(events)
    assert [asked.outcome for asked in counted] == ["failed"]


async def test_after_a_shutdown_has_begun_every_answer_ends_at_once(services: Services) -> None:
    services.begin_shutdown()
    events = await services.chat_service.ask(CLIENT, QUESTION)
    async with aclosing(events):
        told = [event async for event in events]
    last = told[-1]
    assert isinstance(last, Failed)
    assert (last.code, last.retryable) == ("shutting_down", True)


async def test_the_title_stays_while_an_index_is_taken_up(services: Services) -> None:
    title = services.pipeline.title
    assert title != "Ask the Book"
    await services.pipeline.refresh()
    assert services.pipeline.title == title
