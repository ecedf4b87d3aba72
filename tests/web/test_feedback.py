"""POST /feedback: one rating counts for each answer this service has given, and no text is kept."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.support.running import Running
from tests.web.conftest import Start, ask, only
from web.analytics import Ratings, UsageStore
from web.auth import RateLimits
from web.chat_service import Caller
from web.metrics import Metrics

QUESTION = "How often must the wick be trimmed?"
SITE = "https://reader.example"


def rate(app: Running, message_id: str, rating: str, **more: str) -> httpx.Response:
    body = {"message_id": message_id, "rating": rating, **more}
    return httpx.post(f"{app.url}/feedback", json=body, headers={"origin": SITE})


def counted(app: Running, rating: str) -> int:
    lines = httpx.get(f"{app.url}/metrics").text.splitlines()
    found = [line for line in lines if line.startswith(f'ratings_total{{rating="{rating}",surface="api"}}')]
    return int(float(found[0].split()[-1])) if found else 0


def thumbs(app: Running) -> tuple[int, int]:
    """Today's answers that were liked and disliked."""
    [today] = asyncio.run(app.services.usage.days(1))
    return today.liked, today.disliked


def soon(look: Callable[[], object], wanted: object) -> None:
    """Figures are written a moment later."""
    deadline = time.monotonic() + 10
    while (seen := look()) != wanted:
        assert time.monotonic() < deadline, f"{seen} is not {wanted}"
        time.sleep(0.02)


def test_the_last_rating_of_an_answer_counts_and_counts_once(start: Start) -> None:
    app = start(allowed_origins=[SITE])
    done = only(ask(app.url, QUESTION), "done")
    for rating in ("up", "up", "down", "down"):
        answer = rate(app, done["message_id"], rating, session_id=done["session_id"])
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == SITE
        assert answer.headers["x-request-id"]
    assert (counted(app, "up"), counted(app, "down")) == (1, 1)
    soon(lambda: thumbs(app), (0, 1))


def test_an_answer_given_at_once_can_be_rated_as_a_streamed_one(start: Start) -> None:
    app = start()
    answer = httpx.post(f"{app.url}/chat", json={"question": QUESTION, "stream": False}, timeout=30).json()
    rate(app, answer["message_id"].upper(), "up")
    soon(lambda: thumbs(app), (1, 0))


def test_what_was_never_answered_is_not_counted(start: Start) -> None:
    app = start()
    assert rate(app, str(uuid4()), "up").status_code == 204
    assert (counted(app, "up"), counted(app, "unknown")) == (0, 1)
    assert thumbs(app) == (0, 0)


def test_a_reader_who_rates_too_often_waits_and_can_still_ask(start: Start) -> None:
    app = start()
    message_id = only(ask(app.url, QUESTION), "done")["message_id"]
    answers = [rate(app, message_id, "up") for _ in range(31)]
    assert [answer.status_code for answer in answers] == [204] * 30 + [429]
    refusal = answers[-1].json()
    assert (refusal["code"], refusal["retryable"]) == ("rate_limited", True)
    assert int(answers[-1].headers["retry-after"]) == refusal["retry_after"] >= 1
    assert 'rate_limited_total{surface="api"} 1.0' in httpx.get(f"{app.url}/metrics").text
    assert only(ask(app.url, QUESTION), "done")["answered"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"rating": "up"},
        {"message_id": str(uuid4())},
        {"message_id": str(uuid4()), "rating": "sideways"},
        {"message_id": "x" * 5000, "rating": "up"},
        {"message_id": str(uuid4()), "rating": "up", "session_id": "1"},
        ["up"],
    ],
)
def test_what_is_no_rating_is_refused_in_the_one_shape(start: Start, body: object) -> None:
    app = start(ready=False, ingest_on_start=False)
    answer = httpx.post(f"{app.url}/feedback", json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"
    assert answer.json()["details"]["field"]


def test_a_page_may_rate_from_an_allowed_origin_only(start: Start) -> None:
    app = start(ready=False, ingest_on_start=False, allowed_origins=[SITE])
    wish = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    allowed = httpx.options(f"{app.url}/feedback", headers={"origin": SITE, **wish})
    refused = httpx.options(f"{app.url}/feedback", headers={"origin": "https://elsewhere.example", **wish})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, SITE)
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers


def test_no_question_is_kept_because_its_answer_was_rated(start: Start, tmp_path: Path) -> None:
    app = start(keep_questions=True)
    rate(app, only(ask(app.url, QUESTION), "done")["message_id"], "down")
    soon(lambda: thumbs(app), (0, 1))
    with closing(sqlite3.connect(tmp_path / "data" / "figures.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM questions").fetchone() == (0,)


async def test_only_the_latest_answers_are_remembered(tmp_path: Path) -> None:
    metrics, usage = Metrics(), UsageStore(tmp_path / "figures.sqlite3")
    ratings = Ratings(RateLimits("10/minute", "10/minute", []), metrics, usage, remembered=2)
    for message_id in ("first", "second", "third"):
        ratings.given(message_id, "a question")
    for message_id in ("first", "second", "third"):
        await ratings.rate(Caller("203.0.113.9"), message_id, "up")
    text = metrics.text().decode()
    assert 'ratings_total{rating="unknown",surface="api"} 1.0' in text
    assert 'ratings_total{rating="up",surface="api"} 2.0' in text


async def test_only_an_answer_that_was_given_is_rated_and_what_was_heard_last_counts(tmp_path: Path) -> None:
    metrics = Metrics()
    ratings = Ratings(RateLimits("10/minute", "10/minute", []), metrics, UsageStore(tmp_path / "figures.sqlite3"))
    reader = Caller("203.0.113.9", surface="ui")
    ratings.given("the answer", "a question")
    for liked in (True, False, False, None):
        await ratings.change(reader, "the answer", liked, "a question")
    await ratings.change(reader, "an answer of nobody's", True, "a question")
    text = metrics.text().decode()
    for rating in ("up", "down", "taken_back"):
        assert f'ratings_total{{rating="{rating}",surface="ui"}} 1.0' in text
