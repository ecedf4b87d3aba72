"""POST /chat over a socket: the stream of the contract, offline and with a model, whole or as one answer."""

import re
import time
from typing import Any

import httpx
import pytest

from tests.support.openai_script import Stall
from tests.support.openai_server import OpenAIServer
from tests.web.conftest import Start, ask, only

QUESTION = "How often must the wick be trimmed?"


def assert_contract(events: list[dict[str, Any]]) -> None:
    """What holds for every stream, whoever wrote the answer."""
    kinds = [event["type"] for event in events]
    assert kinds[0] == "start"
    assert kinds.count("sources") == 1
    assert kinds[-1] in {"done", "error"}
    assert sum(kind in {"done", "error"} for kind in kinds) == 1
    if "chunk" in kinds:
        assert kinds.index("sources") < kinds.index("chunk")
    known = {source["n"] for source in only(events, "sources")["sources"]}
    seen: set[int] = set()
    for event in events:
        if event["type"] == "chunk":
            seen |= {int(n) for n in re.findall(r"\[(\d+)\]", event["content"])}
        if event["type"] == "citation":
            assert event["citation"]["n"] in seen, "a citation follows its marker"
    assert seen <= known


def test_offline_the_book_answers_in_its_own_words_with_links(start: Start) -> None:
    app = start()
    events = ask(app.url, QUESTION)
    assert_contract(events)
    done, sources = only(events, "done"), only(events, "sources")
    assert sources["grounded"] is True
    assert "four hours" in done["answer"]
    assert done["answered"] is True
    assert done["citations"]
    urls = {source["n"]: source["url"] for source in sources["sources"]}
    for number in done["citations"]:
        assert f"[{number}]: {urls[number]}" in done["answer"]
    assert urls[1].startswith("https://example.org/book/docs/lamp/oil")
    assert "".join(e["content"] for e in events if e["type"] == "chunk").strip() in done["answer"]
    source = sources["sources"][0]
    assert set(source) == {"n", "title", "url", "breadcrumbs", "path", "score", "snippet"}
    assert source["breadcrumbs"][0].startswith("Part 1")


def test_a_model_streams_and_cites(start: Start, openai_settings: dict[str, Any], openai_server: OpenAIServer) -> None:
    app = start(**openai_settings)
    events = ask(app.url, QUESTION)
    assert_contract(events)
    done = only(events, "done")
    assert len([e for e in events if e["type"] == "chunk"]) > 3, "it streams"
    assert done["citations"]
    assert done["usage"]["prompt_tokens"] > 0
    assert done["timings"]["first_token_ms"] <= done["timings"]["total_ms"]
    assert len(openai_server.requests("chat")) == 1


@pytest.mark.parametrize("way", ["stream", "accept"])
def test_one_json_answer_when_asked_for(start: Start, way: str) -> None:
    app = start()
    body: dict[str, Any] = {"question": QUESTION} | ({"stream": False} if way == "stream" else {})
    headers = {"accept": "application/json"} if way == "accept" else {}
    answer = httpx.post(f"{app.url}/chat", json=body, headers=headers)
    assert answer.status_code == 200
    whole = answer.json()
    assert "four hours" in whole["answer"]
    assert whole["citations"][0]["url"].startswith("https://example.org/book/docs/lamp/oil")
    assert whole["citations"][0]["source"]["path"] == "01-lamp/01-oil.md"
    assert whole["request_id"] == answer.headers["x-request-id"]


def test_what_the_book_does_not_hold_is_not_invented(start: Start) -> None:
    app = start()
    events = ask(app.url, "Who won the football world cup in 1998?")
    assert_contract(events)
    done = only(events, "done")
    assert (done["answered"], done["citations"]) == (False, [])
    assert "France" not in done["answer"]


def test_a_session_is_continued_and_the_callers_own_history_wins(start: Start) -> None:
    app = start()
    first = only(ask(app.url, "What happens in fog with the horn?"), "start")["session_id"]
    follow_up = ask(app.url, "And when it fails?", session_id=first)
    assert only(follow_up, "start")["session_id"] == first
    assert "three strokes a minute" in only(follow_up, "done")["answer"]
    history = [
        {"role": "user", "content": "How do I clean the lens?"},
        {"role": "assistant", "content": "With spirit."},
    ]
    own = ask(app.url, "And why never with water?", session_id=first, history=history)
    assert "scratches" in only(own, "done")["answer"]


def test_an_id_nobody_gave_out_begins_a_new_conversation(start: Start) -> None:
    app = start()
    chosen = "00000000-0000-4000-8000-000000000001"
    assert only(ask(app.url, QUESTION, session_id=chosen), "start")["session_id"] != chosen


def test_a_selection_says_what_this_means(start: Start) -> None:
    app = start()
    selection = "Compressed air comes from the red tank behind the stairs."
    events = ask(app.url, "Explain this", selection=selection, page={"url": "https://example.org/book/docs/sea/fog"})
    assert only(events, "sources")["sources"][0]["path"] == "02-sea/01-fog.md"


@pytest.mark.alone
def test_leaving_closes_the_models_call_within_a_second(
    start: Start, openai_settings: dict[str, Any], openai_server: OpenAIServer
) -> None:
    app = start(**openai_settings)
    openai_server.next(Stall(after=2), route="chat")
    with httpx.stream("POST", f"{app.url}/chat", json={"question": QUESTION}, timeout=30) as response:
        for line in response.iter_lines():
            if '"type":"chunk"' in line:
                break
    left = time.perf_counter()
    (call,) = openai_server.requests("chat")
    while not call.disconnected and time.perf_counter() - left < 5:
        time.sleep(0.01)
    assert call.disconnected
    assert call.left_at is not None
    assert call.left_at - left < 1.0


def test_the_same_question_costs_one_call(
    start: Start, openai_settings: dict[str, Any], openai_server: OpenAIServer
) -> None:
    app = start(**openai_settings)
    first, second = only(ask(app.url, QUESTION), "done"), only(ask(app.url, QUESTION), "done")
    assert first["answer"] == second["answer"]
    assert first["message_id"] != second["message_id"]
    assert len(openai_server.requests("chat")) == 1


def test_top_k_bounds_the_sources(start: Start) -> None:
    app = start()
    assert len(only(ask(app.url, "oil lamp lens fog horn wick", top_k=1), "sources")["sources"]) <= 1
