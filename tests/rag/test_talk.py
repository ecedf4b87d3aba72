"""Greetings, thanks and "what can I ask?": what is talk, what is a question, and what is replied without a model."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from rag.build import build_pipeline
from rag.chat.talk import Talk, talk_of
from rag.events import ChatEvent, Done
from rag.pipeline import Pipeline
from tests.support.openai_server import OpenAIServer
from tests.support.small_book import book_settings, index


@pytest.mark.parametrize(
    ("message", "talk"),
    [
        ("hello", Talk("greeting", "en")),
        ("Hi there!", Talk("greeting", "en")),
        ("thanks", Talk("thanks", "en")),
        ("Thank you so much!!", Talk("thanks", "en")),
        ("Who are you?", Talk("identity", "en")),
        ("Hi, who are you?", Talk("identity", "en")),
        ("what can I ask", Talk("help", "en")),
        ("What can you do, please?", Talk("help", "en")),
        ("¿Qué puedo preguntar?", Talk("help", "es")),
        ("Vielen Dank!", Talk("thanks", "de")),
        ("Bonjour", Talk("greeting", "fr")),
        ("Кто ты?", Talk("identity", "ru")),
        ("شكراً", Talk("thanks", "ar")),
        ("آپ کون ہیں؟", Talk("identity", "ur")),
        ("你好！", Talk("greeting", "zh")),
        ("ありがとうございます。", Talk("thanks", "ja")),
        ("무엇을 물어볼 수 있나요?", Talk("help", "ko")),
    ],
)
def test_talk_is_known_in_its_language(message: str, talk: Talk) -> None:
    assert talk_of(message) == talk


@pytest.mark.parametrize(
    "question",
    [
        "hello, what is a servo?",
        "Hello, World!",
        "what can I ask a robot to do in the kitchen",
        "thanks to which law does the lens work",
        "who are you calling when the lamp fails",
        "help the keeper trim the wick",
        "robot",
        "?",
        "",
        "hello " * 400,
    ],
)
def test_a_question_is_no_talk(question: str) -> None:
    assert talk_of(question) is None


async def said(pipeline: Pipeline, message: str) -> Done:
    events = await pipeline.chat(message)
    found: list[ChatEvent] = []
    async with aclosing(events):
        found = [event async for event in events]
    assert [event.type for event in found] == ["started", "retrieved", "delta", "done"]
    assert isinstance(found[-1], Done)
    return found[-1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    assert asyncio.run(index(book_settings(folder))).status == "completed"
    return folder


@pytest.mark.parametrize("message", ["hello", "thanks", "who are you?", "what can I ask?", "¿Qué puedo preguntar?"])
async def test_the_reply_has_three_questions_that_the_book_answers(made: Path, message: str) -> None:
    async with build_pipeline(book_settings(made)) as pipeline:
        done = await said(pipeline, message)
        asked = [line.removeprefix("- ") for line in done.answer.splitlines() if line.startswith("- ")]
        assert len(asked) == 3
        assert done.answered
        assert ("¡Hola!" in done.answer) is message.startswith("¿")
        for question in asked:
            assert (await pipeline.search(question, 3)).grounded, question


async def test_no_model_is_asked(made: Path) -> None:
    with OpenAIServer() as server:
        settings = book_settings(made, openai_api_key=server.key, openai_base_url=server.base_url, embedder="local")
        async with build_pipeline(settings) as pipeline:
            assert pipeline.mode == "openai"
            assert "You are welcome!" in (await said(pipeline, "Thanks a lot!")).answer
        assert not [request for request in server.received if request.route == "chat"]
