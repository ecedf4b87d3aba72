"""When the model or the store fails: the book's own words with a notice, or an honest error; never a hang."""

import time
from typing import Any

import httpx
import pytest

from rag.resilience import Timeouts
from tests.support.openai_script import Behaviour, Cut, Garbage, Refuse, Stall, StreamError
from tests.support.openai_server import OpenAIServer
from tests.web.conftest import Start, ask, only

QUESTION = "What does soot on the lens do to the range of the light?"
BEFORE: dict[str, Behaviour] = {
    "the key is refused": Refuse(401),
    "too many requests": Refuse(429, retry_after=120),
    "the quota is spent": Refuse(429, code="insufficient_quota"),
    "the server fails": Refuse(500),
    "the server is away": Refuse(503),
    "nonsense comes back": Garbage(),
}


def wait_until_well(url: str, seconds: float = 60) -> None:
    """Until nothing is down any more: a breaker's probe finds out, and no reader."""
    deadline = time.monotonic() + seconds
    while down := httpx.get(f"{url}/health", timeout=10).json()["down"]:
        assert time.monotonic() < deadline, f"{down} is still down"
        time.sleep(0.2)


@pytest.mark.parametrize("behaviour", BEFORE.values(), ids=BEFORE.keys())
def test_before_the_first_token_the_book_itself_answers(
    start: Start, openai_settings: dict[str, Any], openai_server: OpenAIServer, behaviour: Behaviour
) -> None:
    app = start(**openai_settings)
    openai_server.always(behaviour, route="chat")
    events = ask(app.url, QUESTION)
    notice = only(events, "notice")
    assert notice["code"] == "degraded"
    assert openai_server.key not in str(events)
    done = only(events, "done")
    assert "halves the range" in done["answer"]
    assert httpx.get(f"{app.url}/health", timeout=10).json()["down"] == ["chat"]
    openai_server.always(None, route="chat")
    wait_until_well(app.url)
    assert not [e for e in ask(app.url, QUESTION + " Tell me.") if e["type"] == "notice"], "recovery needs nobody"


@pytest.mark.parametrize("behaviour", [Cut(after=3), StreamError(after=3)], ids=["cut", "error"])
def test_in_mid_stream_it_is_an_error_and_not_a_whole_answer(
    start: Start, openai_settings: dict[str, Any], openai_server: OpenAIServer, behaviour: Behaviour
) -> None:
    app = start(**openai_settings)
    openai_server.next(behaviour, route="chat")
    events = ask(app.url, QUESTION)
    error = events[-1]
    assert error["type"] == "error"
    assert error["retryable"] is True
    assert error["error"] == error["message"]
    assert "request_id" in error
    wait_until_well(app.url)
    openai_server.next(behaviour, route="chat")
    answer = httpx.post(f"{app.url}/chat", json={"question": QUESTION, "stream": False}, timeout=30)
    assert answer.status_code in {502, 503}
    assert "answer" not in answer.json()
    wait_until_well(app.url)
    assert only(ask(app.url, QUESTION), "done")["answered"], "a broken answer is not kept"


def test_a_model_gone_for_good_still_lets_the_book_be_asked(
    start: Start, openai_settings: dict[str, Any], openai_server: OpenAIServer
) -> None:
    app = start(**openai_settings)
    openai_server.stop()
    events = ask(app.url, QUESTION)
    assert only(events, "done")["answered"]
    assert any(e["type"] == "notice" and e["code"] == "degraded" for e in events)
    health = httpx.get(f"{app.url}/health", timeout=10)
    deadline = time.monotonic() + 60
    while health.json()["openai_connected"] and time.monotonic() < deadline:
        time.sleep(0.5)
        health = httpx.get(f"{app.url}/health", timeout=10)
    assert health.status_code == 200
    assert (health.json()["status"], health.json()["openai_connected"]) == ("degraded", False)


def test_a_spent_budget_is_said_and_survived(
    start: Start, openai_settings: dict[str, Any], openai_server: OpenAIServer
) -> None:
    app = start(daily_token_budget=1, **openai_settings)
    ask(app.url, QUESTION)
    calls = len(openai_server.requests("chat"))
    events = ask(app.url, "How many litres of oil does a December night take?")
    assert only(events, "notice")["code"] == "degraded"
    assert "nine litres" in only(events, "done")["answer"]
    assert len(openai_server.requests("chat")) == calls, "nothing more is spent"


def test_a_silent_model_does_not_hold_a_reader(
    start: Start, openai_settings: dict[str, Any], openai_server: OpenAIServer
) -> None:
    app = start(timeouts=Timeouts(question=2.0), **openai_settings)
    openai_server.always(Stall(), route="chat")
    began = time.perf_counter()
    events = ask(app.url, QUESTION)
    assert time.perf_counter() - began < 20
    assert only(events, "notice")["code"] == "degraded"


def test_without_a_reachable_store_everybody_is_told(start: Start) -> None:
    app = start(ready=False, qdrant_url="http://127.0.0.1:1")
    answer = httpx.post(f"{app.url}/chat", json={"question": QUESTION}, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    health = httpx.get(f"{app.url}/health", timeout=10)
    assert health.status_code == 503
    assert (health.json()["status"], health.json()["qdrant_connected"]) == ("unhealthy", False)


def test_an_empty_index_says_so_with_its_own_status(start: Start) -> None:
    app = start(ready=False, ingest_on_start=False)
    answer = httpx.post(f"{app.url}/chat", json={"question": QUESTION})
    assert (answer.status_code, answer.json()["code"]) == (409, "index_empty")
    assert httpx.get(f"{app.url}/health").json()["index"]["state"] == "empty"
