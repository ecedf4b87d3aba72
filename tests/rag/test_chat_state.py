"""What a question leaves behind: the tokens it took of the day's budget, and the name its answer is kept under."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

import rag
from rag import pipeline as engine
from rag.build import build_pipeline
from rag.chat import chat as chatting
from rag.chat.budget import DailyBudget
from rag.chat.chat import REWRITE_TOKENS, Chat, ChatRequest
from rag.errors import BudgetExhausted
from rag.events import Done
from rag.pipeline import Pipeline
from rag.types import Exchange
from tests.support.openai_script import Behaviour, Garbage, Refuse, Say, Stall
from tests.support.openai_server import OpenAIServer
from tests.support.small_book import book_settings, index

UPRIGHT = "How does a PID controller keep the robot upright?"
FOLLOW_UP = ChatRequest("Why must it?", "Walking machines", history=(Exchange("What is a step?", "A plan [1]."),))


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexed")
    assert asyncio.run(index(book_settings(folder))).status == "completed"
    return folder


@pytest.fixture
async def pipeline(indexed: Path, tmp_path: Path, openai_server: OpenAIServer) -> AsyncIterator[Pipeline]:
    folder = shutil.copytree(indexed, tmp_path / "book")
    settings = book_settings(
        folder, embedder="local", openai_base_url=openai_server.base_url, openai_api_key=openai_server.key
    )
    async with build_pipeline(settings) as opened:
        yield opened


def with_a_budget_of_one_rewriting(pipeline: Pipeline) -> Chat:
    return replace(pipeline._chat, budget=DailyBudget(REWRITE_TOKENS))


@pytest.mark.parametrize("trouble", [Refuse(503), Refuse(400), Garbage(), Stall()], ids=repr)
async def test_a_rewriting_that_fails_takes_nothing_of_the_day(
    pipeline: Pipeline, openai_server: OpenAIServer, trouble: Behaviour
) -> None:
    chat = with_a_budget_of_one_rewriting(pipeline)
    openai_server.always(trouble, route="chat")
    assert await chatting._standalone(chat, FOLLOW_UP) is None
    await chat.budget.reserve(REWRITE_TOKENS)


async def test_a_reader_who_leaves_during_a_rewriting_takes_nothing_of_the_day(
    pipeline: Pipeline, openai_server: OpenAIServer
) -> None:
    chat = with_a_budget_of_one_rewriting(pipeline)
    before = len(openai_server.requests("chat"))
    openai_server.next(Stall(), route="chat")
    rewriting = asyncio.create_task(chatting._standalone(chat, FOLLOW_UP))
    async with asyncio.timeout(30):
        while len(openai_server.requests("chat")) == before:  # noqa: ASYNC110 - the server lives in another thread
            await asyncio.sleep(0.01)
    rewriting.cancel()
    await asyncio.wait({rewriting})
    await chat.budget.reserve(REWRITE_TOKENS)


async def test_a_rewriting_that_is_used_is_paid(pipeline: Pipeline, openai_server: OpenAIServer) -> None:
    chat = with_a_budget_of_one_rewriting(pipeline)
    openai_server.next(Say("Why must the zero moment point stay inside?"), route="chat")
    assert await chatting._standalone(chat, FOLLOW_UP) == "Why must the zero moment point stay inside?"
    with pytest.raises(BudgetExhausted):
        await chat.budget.reserve(1)


@pytest.mark.parametrize("changed", ["the application", "the prompt"])
async def test_an_answer_is_kept_for_one_version_of_application_and_prompt(
    pipeline: Pipeline, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    async def asked() -> bool:
        """Whether the answer was kept from before."""
        async with aclosing(await pipeline.chat(UPRIGHT)) as events:
            last = [event async for event in events][-1]
        assert isinstance(last, Done)
        return last.cached

    assert [await asked(), await asked()] == [False, True]
    if changed == "the application":
        monkeypatch.setattr(rag, "__version__", "another")
    else:
        monkeypatch.setattr(engine, "prompt_version", lambda: "another")
    assert [await asked(), await asked()] == [False, True]
