"""`ask` and `search` as they are typed: in a process of their own, on a real index."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.openai_script import Cut
from tests.support.openai_server import OpenAIServer
from tests.support.small_book import book_settings, index

ROOT = Path(__file__).resolve().parents[2]
UPRIGHT = "How does a PID controller keep the robot upright?"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    assert asyncio.run(index(book_settings(folder))).status == "completed"
    return folder


def rag(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    settings = {
        "CONTENT_DIR": str(folder / "content"),
        "DATA_DIR": str(folder / "data"),
        "BOOK_URL": "https://book.example",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, "-m", "rag", *arguments],
        env=kept | settings | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_ask_prints_the_answer_and_its_sources(book: Path) -> None:
    done = rag(book, "ask", UPRIGHT)
    assert (done.returncode, done.stderr) == (0, "")
    answer, _, sources = done.stdout.partition("\n\nSources\n")
    assert "A PID controller keeps the robot upright" in answer
    assert "[1]" in answer
    assert "  [1] Feedback control › PID control\n      https://book.example/docs/part-1/control#pid" in sources


def test_ask_prints_json(book: Path) -> None:
    done = json.loads(rag(book, "ask", UPRIGHT, "--json").stdout)
    assert done["type"] == "done"
    assert done["answered"] is True
    assert 1 in done["citations"]
    assert done["answer"].count("\n[1]: https://book.example/docs/part-1/control#pid ") == 1
    assert done["sources"][0]["url"] == "https://book.example/docs/part-1/control#pid"
    assert set(done["timings"]) == {"retrieval_ms", "first_token_ms", "total_ms"}


def test_search_prints_passages(book: Path) -> None:
    found = json.loads(rag(book, "search", "charging lithium cells", "-k", "2", "--json").stdout)
    assert found["query"] == "charging lithium cells"
    assert 1 <= len(found["passages"]) <= 2
    assert found["passages"][0]["path"] == "part-2/03-batteries.md"
    assert "below zero" in found["passages"][0]["text"]
    shown = rag(book, "search", "charging lithium cells")
    assert shown.stdout.startswith(" 1. Batteries › Charging safely")


def test_ask_answers_with_a_model(book: Path, openai_server: OpenAIServer) -> None:
    model = {
        "OPENAI_BASE_URL": openai_server.base_url,
        "OPENAI_API_KEY": openai_server.key,
        "EMBEDDER": "local",
    }
    done = rag(book, "ask", UPRIGHT, **model)
    assert done.returncode == 0
    assert "https://book.example/docs/part-1/control#pid" in done.stdout
    assert len(openai_server.requests("chat")) == 1
    openai_server.next(Cut(), route="chat")
    cut = rag(book, "ask", UPRIGHT, **model)
    assert cut.returncode == 1
    assert cut.stderr.count("\n") == 1
    assert "Sources" not in cut.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "sentence"),
    [
        (["ask", " "], {}, 1, "Please ask a question."),
        (["ask", "a" * 2001], {}, 1, "The question is too long: at most 2,000 characters."),
        (["ask", UPRIGHT], {"DATA_DIR": "nothing-here"}, 1, "The book has not been ingested yet."),
        (["search", UPRIGHT], {"DATA_DIR": "nothing-here"}, 1, "The book has not been ingested yet."),
        (["ask", UPRIGHT], {"TOP_K": "0"}, 2, "TOP_K"),
        (["search", UPRIGHT, "-k", "0"], {}, 2, "must be 1 to 50"),
        (["search"], {}, 2, "search"),
    ],
)
def test_trouble_is_one_sentence(
    book: Path, arguments: list[str], environment: dict[str, str], code: int, sentence: str
) -> None:
    done = rag(book, *arguments, **environment)
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
