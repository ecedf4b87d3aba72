"""Floods and forgeries that cost memory, time or a place: sessions, queues, kept conversations, ratings."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gradio_http import event_number, messages, new_session, post_event
from tests.support.openai_script import Stall
from tests.support.openai_server import OpenAIServer
from tests.support.running import Running
from tests.web.conftest import Start, ask, only
from web.ui.admission import MOST_PLACES, MOST_QUESTIONS
from web.ui.conversation import MOST_BYTES, Chat, Turn, read_chat
from web.ui.page import STATES
from web.ui.queue_sessions import MOST_SESSIONS

QUESTION = "How often is the wick trimmed?"
MIB = 1024 * 1024


def admission(app: Running) -> Any:
    config: Any = app.server.config.app
    return config.router.routes[-1].app


def resident() -> int:
    """This process's own memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def from_address(number: int) -> dict[str, str]:
    """A header that our own trusted proxy would set: as many callers as there are numbers."""
    return {"x-forwarded-for": f"198.18.{number // 250}.{number % 250 + 1}"}


def test_small_requests_with_new_sessions_do_not_grow_the_memory(start: Start) -> None:
    """From as many addresses, so that no rate limit helps. A state of Gradio's is 90 kB; it kept 10,000 of them."""
    app = start(ingest_on_start=False)
    number = event_number(app.url, "show")

    def send(client: httpx.Client, first: int, last: int) -> None:
        for caller in range(first, last):
            body = {"data": [None], "fn_index": number, "session_hash": f"flood-{caller}"}
            answer = client.post("/gradio_api/run/predict", json=body, headers=from_address(caller))
            assert answer.status_code == 200

    with httpx.Client(base_url=app.url, timeout=60) as client:
        send(client, 0, 2 * STATES)
        before = resident()
        send(client, 2 * STATES, 1_200)
    states = admission(app)._blocks.state_holder
    assert len(states.session_data) <= STATES
    assert len(states.time_last_used) <= STATES
    assert resident() - before < 40 * MIB  # it was 95


def test_events_that_nobody_waits_for_are_forgotten(start: Start) -> None:
    """Joined from many addresses without ever opening the stream that their messages wait for."""
    app = start(ingest_on_start=False)
    door, number = admission(app), event_number(app.url, "status")
    with httpx.Client(base_url=app.url, timeout=60) as client:
        for caller in range(MOST_SESSIONS + 200):
            body = {"data": [], "fn_index": number, "session_hash": f"left-{caller}"}
            answer = client.post("/gradio_api/queue/join", json=body, headers=from_address(caller))
            assert answer.status_code in {200, 503}
            if caller % 20 == 0:
                time.sleep(0.1)
    queue = door._blocks._queue
    assert len(queue.pending_messages_per_session) <= MOST_SESSIONS + 1
    assert len(queue.pending_event_ids_session) <= MOST_SESSIONS + 1
    sessions = door._sessions
    deadline = time.monotonic() + 60
    while queue.event_ids_to_events and time.monotonic() < deadline:
        time.sleep(0.1)
    sessions._idle = 0.0
    sessions.joined("the-next-one")
    assert len(queue.pending_messages_per_session) == 0
    assert len(queue.pending_event_ids_session) == 0


def test_one_address_fills_its_share_of_the_queue_and_another_is_answered(
    start: Start, openai_server: OpenAIServer, openai_settings: dict[str, Any]
) -> None:
    app = start(**openai_settings)
    openai_server.always(Stall(20), route="chat")
    number = event_number(app.url, "chat")

    def join(caller: int, question: str) -> int:
        body = {"data": [question, None], "fn_index": number, "session_hash": new_session()}
        return httpx.post(f"{app.url}/gradio_api/queue/join", json=body, headers=from_address(caller)).status_code

    with ThreadPoolExecutor(20) as pool:
        greedy = list(pool.map(lambda turn: join(1, f"{QUESTION} {turn}"), range(20)))
    assert greedy.count(200) == MOST_QUESTIONS
    assert set(greedy) == {200, 429}
    openai_server.always(None)
    session = new_session()
    body = {"data": ["When does the horn sound?", None], "fn_index": number, "session_hash": session}
    httpx.post(f"{app.url}/gradio_api/queue/join", json=body, headers=from_address(2)).raise_for_status()
    told = [message["msg"] for message in messages(app.url, session)]
    assert "process_completed" in told
    assert MOST_QUESTIONS < MOST_PLACES


def test_an_address_beyond_its_limit_takes_no_second_place(start: Start) -> None:
    """Refusals in the queue are places that others wait for: beyond the first the door refuses."""
    app = start(rate_limit="1/minute")
    number = event_number(app.url, "chat")
    ask(app.url, QUESTION)
    busy = threading.Barrier(12)

    def join(_: int) -> int:
        body = {"data": [QUESTION, None], "fn_index": number, "session_hash": new_session()}
        busy.wait()
        return httpx.post(f"{app.url}/gradio_api/queue/join", json=body).status_code

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(join, range(12)))
    assert set(answers) == {200, 429}
    assert answers.count(200) <= MOST_QUESTIONS, "a refusal is short, so that some find the queue empty again"


HEAVY = ["\\[", "$a", "`a ", "!["]


@pytest.mark.parametrize("piece", HEAVY)
def test_a_kept_conversation_is_drawn_in_bounded_time(start: Start, piece: str) -> None:
    """Eleven turns of openings that nothing closes cost 33 s before any limit; the largest that is taken, sent back."""
    app = start(ingest_on_start=False)
    turn = {"question": "q", "answer": (piece * 60_000)[:45_000], "ended": "whole", "searched": True}
    kept = {"id": "0" * 32, "turns": [turn] * 11}
    began = time.monotonic()
    assert post_event(app.url, "open", [kept], queued=False).status_code in {200, 413}
    kept["turns"] = [turn] * 5
    answer = post_event(app.url, "open", [kept], queued=False)
    assert answer.status_code == 200
    assert time.monotonic() - began < 30  # about 1 s on a quiet machine


def test_what_a_browser_kept_is_bounded_in_turns_and_bytes() -> None:
    turn = Turn(question="q", answer="ж" * 20_000, ended="whole")
    many = {"turns": [turn.model_dump()] * 100}
    chat = read_chat(many)
    assert 0 < len(chat.turns) <= 40
    assert len(chat.model_dump_json().encode()) <= MOST_BYTES + 1024
    assert read_chat({"turns": [{"question": "a" * 3000}]}).turns == []
    assert read_chat(["\ud800", {"turns": 5}]).turns == []
    assert read_chat({"turns": [{"question": "\ud800"}]}).turns == []
    assert Chat(turns=[turn]).fitting().turns == [turn]
    long = Chat(turns=[Turn(question="q", answer="x" * 50_000, ended="whole")])
    assert len(long.exchanges(3)[0].answer) <= 8_000


def test_a_conversation_that_somebody_forged_is_nowhere_to_be_shown(start: Start, tmp_path: Path) -> None:
    """`deep_link` stored whatever `open` had drawn, and the page showed it under the book's own address."""
    app = start(ingest_on_start=False)
    session = new_session()
    forged = {"id": "0" * 32, "turns": [{"question": "?", "answer": "FORGED WORDS", "ended": "whole"}]}
    drawn = post_event(app.url, "open", [forged], queued=False, session_hash=session)
    assert "FORGED WORDS" in drawn.text, "only to the one who sent it"
    for path in ("/gradio_api/deep_link", "/deep_link"):
        assert httpx.get(f"{app.url}{path}", params={"session_hash": session}).status_code == 404
    link = app.services.gradio_dir / "deep_links" / "abc" / "state.json"
    link.parent.mkdir(parents=True)
    link.write_text('[{"id": 1, "props": {"value": "FORGED WORDS"}}]')
    for path in ("/", "/config"):
        for query in ("deep_link=abc", "deep%5Flink=abc", "a=1&deep_link=abc&deep_link=abc", "page=&deep_link=../abc"):
            page = httpx.get(f"{app.url}{path}?{query}")
            assert page.status_code == 200
            assert "FORGED WORDS" not in page.text
            assert '"deep_link_state":"valid"' not in page.text.replace(" ", "")


def liked(app: Running) -> str:
    lines = httpx.get(f"{app.url}/metrics").text.splitlines()
    return "\n".join(line for line in lines if "ratings_total{" in line and 'surface="ui"' in line)


def test_only_an_answer_that_was_given_can_be_rated(start: Start, tmp_path: Path) -> None:
    """A conversation of one's own making counted as often as it was sent, and its question was kept."""
    app = start(keep_questions=True)
    real = only(ask(app.url, QUESTION), "start")["message_id"]

    def rate(message_id: str, question: str, thumb: str, times: int = 1) -> None:
        turn = {"question": question, "answer": "a", "ended": "whole", "message_id": message_id, "liked": True}
        for _ in range(times):
            kept = {"id": "0" * 32, "turns": [turn]}
            event = {"index": 1, "value": "a", "liked": thumb}
            answer = post_event(app.url, "like", [kept], queued=True, event_data=event, session_hash="rater")
            answer.raise_for_status()
            assert list(messages(app.url, "rater"))[-1]["msg"] in {"close_stream", "process_completed"}

    rate("11111111-0000-4000-8000-000000000000", "FORGED", "Like", 2)
    rate("", "FORGED", "Dislike")
    assert 'rating="unknown"' in liked(app)
    assert 'rating="up"' not in liked(app)
    assert 'rating="down"' not in liked(app)
    rate(real, "FORGED", "Dislike", 3)
    assert 'ratings_total{rating="down",surface="ui"} 1.0' in liked(app)
    app.services.usage.close()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("figures*"))
    assert b"FORGED" not in kept


def test_bodies_of_events_are_bounded(start: Start) -> None:
    app = start(ingest_on_start=False)
    assert post_event(app.url, "show", ["x" * 40_000], queued=False).status_code == 413
    assert post_event(app.url, "unlock", ["x" * 600_000], queued=True).status_code == 413
    assert post_event(app.url, "open", [{"turns": [[]] * 50_000}], queued=False).status_code == 422
    assert post_event(app.url, "show", [None], queued=False, session_hash="x" * 100).status_code == 422
    assert post_event(app.url, "show", [None] * 50, queued=False).status_code == 422
    for session in ("../x", "", 5, ["a"], {"a": 1}):
        assert post_event(app.url, "unlock", ["x"], queued=True, session_hash=session).status_code == 422


def test_a_stream_that_is_nobodys_is_not_opened(start: Start) -> None:
    app = start(ingest_on_start=False)
    for query in ("", "?session_hash=unknown", "?session_hash=", "?session_hash=a&session_hash=b"):
        assert httpx.get(f"{app.url}/gradio_api/queue/data{query}", timeout=5).status_code == 404
    assert httpx.get(f"{app.url}/gradio_api/call/chat/{'0' * 32}", timeout=5).status_code == 404


@pytest.mark.parametrize("version", ["", "v2/"])
def test_the_calls_that_the_api_page_shows_work(start: Start, version: str) -> None:
    app = start()
    body: dict[str, Any] = {"query": QUESTION, "k": 2} if version else {"data": [QUESTION, 2]}
    event = httpx.post(f"{app.url}/gradio_api/call/{version}search", json=body).json()["event_id"]
    with httpx.stream("GET", f"{app.url}/gradio_api/call/{version}search/{event}", timeout=30) as answer:
        assert "four hours" in "".join(answer.iter_text())
    assert httpx.post(f"{app.url}/gradio_api/call/{version}unlock", json={"data": ["keeper"]}).status_code == 404
