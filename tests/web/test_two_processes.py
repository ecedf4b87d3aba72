"""Two processes of the application and one Redis: what a reader or an author does at one is known at the other."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.app_process import AppProcess, app_process
from tests.support.books import many_pages, write_book
from tests.support.openai_server import OpenAIServer
from tests.support.redis_server import RedisServer
from tests.web.conftest import ADMIN, ask, only

QUESTION = "How often must the wick be trimmed?"
Pair = tuple[AppProcess, AppProcess]


@pytest.fixture
def pair(tmp_path: Path, redis_server: RedisServer, openai_server: OpenAIServer) -> Iterator[Callable[..., Pair]]:
    """Both start at once on the same small book and share its index; what is given changes their settings."""
    content = write_book(tmp_path / "content")
    with ExitStack() as stack:

        def start(**changes: str) -> Pair:
            settings = {
                "CONTENT_DIR": str(content),
                "DATA_DIR": str(tmp_path / "data"),
                "ADMIN_TOKEN": "keeper",
                "RATE_LIMIT": "10000/minute",
                "REDIS_URL": redis_server.url,
                "OPENAI_BASE_URL": openai_server.base_url,
                "OPENAI_API_KEY": openai_server.key,
                **changes,
            }
            one = stack.enter_context(app_process(tmp_path / "one", settings))
            two = stack.enter_context(app_process(tmp_path / "two", settings))
            for app in (one, two):
                app.wait_until_it_answers()
                wait_for_index(app)
            return one, two

        yield start


def wait_for_index(app: AppProcess, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if httpx.get(f"{app.url}/health", timeout=10).json()["index"]["state"] == "ready":
            return
        time.sleep(0.1)
    raise AssertionError(app.log.read_text(errors="replace"))


def started(app: AppProcess) -> dict[str, Any]:
    answer = httpx.post(f"{app.url}/ingest", headers=ADMIN, json={"force_reindex": True}, timeout=10)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def status(app: AppProcess) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{app.url}/ingest/status", headers=ADMIN, timeout=10).json()
    return found


def until(app: AppProcess, wanted: str, seconds: float = 90) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    found: dict[str, Any] = {}
    while time.monotonic() < deadline:
        found = status(app)
        if found.get("status") == wanted:
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def test_a_conversation_goes_on_in_the_other_process_and_answers_are_given_again(
    pair: Callable[..., Pair], openai_server: OpenAIServer, redis_server: RedisServer
) -> None:
    one, two = pair()
    first = ask(one.url, QUESTION)
    session = only(first, "start")["session_id"]
    asked = len(openai_server.requests("chat"))
    assert asked == 1

    again = only(ask(two.url, QUESTION), "done")
    assert len(openai_server.requests("chat")) == asked, "the other process' answer is given again"
    assert again["answer"] == only(first, "done")["answer"]

    ask(two.url, "And what happens if it is late?", session_id=session)
    sent = [str(request.body["messages"]) for request in openai_server.requests("chat")[asked:]]
    assert sent
    assert any(QUESTION in messages for messages in sent), "what was asked in the first process is known"
    third = ask(one.url, "Why is that?", session_id=session)
    assert only(third, "start")["session_id"] == session

    redis_server.stop()
    fourth = ask(one.url, "And what soots the lens?", session_id=session)
    assert only(fourth, "start")["session_id"] == session
    assert only(fourth, "done")["finish_reason"] == "stop"
    redis_server.start()
    time.sleep(1.1)
    ask(one.url, "What halves the range of the light?", session_id=session)
    fifth = ask(two.url, "And who trims it?", session_id=session)
    assert only(fifth, "start")["session_id"] == session
    said = one.log.read_text(errors="replace")
    assert "Traceback" not in said
    assert said.count("alone with conversations") == 1


def test_one_reader_has_one_rate_limit(pair: Callable[..., Pair]) -> None:
    one, two = pair(RATE_LIMIT="3/minute")
    for app in (one, two, one):
        ask(app.url, QUESTION)
    for app in (one, two):
        refused = httpx.post(f"{app.url}/chat", json={"question": QUESTION}, timeout=10)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1


def test_one_ingest_runs_for_both_either_cancels_it_and_both_show_its_end(
    pair: Callable[..., Pair], openai_server: OpenAIServer, tmp_path: Path
) -> None:
    one, two = pair()
    many_pages(tmp_path / "content", 30)
    openai_server.limit(latency=1.0)
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(started, (one, two)))
    assert sorted(answer["status"] for answer in answers) == ["in_progress", "started"]
    assert answers[0]["task_id"] == answers[1]["task_id"]
    joined = next(answer for answer in answers if answer["status"] == "in_progress")
    assert joined["message"] == "An ingest is running already; this is its task."

    elsewhere, runs = (two, one) if answers[0]["status"] == "started" else (one, two)
    until(elsewhere, "processing")
    cancelled = httpx.post(f"{elsewhere.url}/ingest/{joined['task_id']}/cancel", headers=ADMIN, timeout=10)
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert status(runs)["status"] == "cancelled"

    openai_server.limit(latency=0.1)
    task = started(elsewhere)["task_id"]
    ends = [until(app, "completed") for app in (one, two)]
    assert [end["task_id"] for end in ends] == [task, task]
    assert ends[0]["documents"] == ends[1]["documents"]
    counts = [httpx.get(f"{app.url}/health", timeout=10).json()["documents_count"] for app in (one, two)]
    assert counts == [34, 34]
