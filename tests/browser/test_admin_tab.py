"""The author's tab: locked, then live; one ingest for every browser, through reloads, to its end or its cancelling."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from rag.generation.base import NOT_IN_BOOK as SIGN
from tests.browser.chromium import PHONE
from tests.browser.conftest import StartApp, Visit
from tests.browser.visitor import Visitor
from tests.support.books import many_pages, write_book
from tests.support.openai_script import Say
from tests.support.openai_server import OpenAIServer
from tests.support.running import Running

BROKEN = "broken.md"
PAGES = 90
UNTOUCHED = {'{"__type__": "update"}', '{"props": {"__type__": "update"}, "__type__": "update"}'}


@pytest.fixture(scope="module")
def app(start_app: StartApp, model_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Running:
    """A book that takes a while, with a page that cannot be read."""
    content = many_pages(write_book(tmp_path_factory.mktemp("book")), pages=PAGES, sections=2)
    (content / BROKEN).write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(200))
    return start_app(content_dir=content, keep_questions=True, **model_settings)


@pytest.fixture
def author(app: Running, visit: Visit) -> Visitor:
    visitor = visit(app)
    visitor.open_admin()
    expect(visitor.documents).to_contain_text("Oil and wick")
    return visitor


def slow(app: Running, model: OpenAIServer) -> None:
    """Every page is new to the model, which takes its time."""
    model.limit(latency=2.5)
    content = app.services.settings.content_dir
    for number, page in enumerate(sorted(content.glob("part-*/*.md"))):
        page.write_text(page.read_text(encoding="utf-8") + f"\nStorm {number}.\n" * 20, encoding="utf-8")


def ended(visitor: Visitor, status: str) -> None:
    expect(visitor.job).to_have_attribute("data-status", status, timeout=60_000)


def test_the_tab_is_locked_and_a_wrong_token_opens_nothing(app: Running, visit: Visit) -> None:
    visitor = visit(app)
    visitor.open_admin("not the token")
    expect(visitor.page.get_by_test_id("toast-body")).to_contain_text("That is not the admin token.")
    expect(visitor.button("Re-ingest")).to_have_count(0)
    expect(visitor.documents).to_have_count(0)
    visitor.page.get_by_label("Admin token").fill("keeper")
    visitor.page.keyboard.press("Enter")
    expect(visitor.button("Re-ingest")).to_be_visible()
    expect(visitor.page.get_by_label("Admin token")).to_have_count(0)
    visitor.page.reload()
    visitor.open_admin(token=None)
    expect(visitor.button("Re-ingest")).to_be_visible()
    visitor.button("Lock").click()
    expect(visitor.page.get_by_label("Admin token")).to_be_visible()
    visitor.page.reload()
    visitor.open_admin(token=None)
    expect(visitor.page.get_by_label("Admin token")).to_be_visible()


def test_a_locked_tab_is_left_as_it_is_so_that_nobody_types_a_token_in_vain(app: Running, visit: Visit) -> None:
    """A result that only drew the door anew would empty the box in it."""
    visitor = visit(app)
    with visitor.page.expect_response(lambda response: "Admin" in (response.request.post_data or "")) as answer:
        visitor.open_admin(token=None)
    assert {json.dumps(output) for output in answer.value.json()["data"]} <= UNTOUCHED


def test_every_handler_checks_for_itself(app: Running) -> None:
    """Whoever calls them without the page gets nothing and starts nothing."""
    config = httpx.get(f"{app.url}/config").json()
    before = app.services.pipeline.jobs.latest()
    names = {"begin", "end", "preview_plan", "filter", "try_search", "plot", "list_questions", "show", "tick"}
    called = 0
    for dependency in config["dependencies"]:
        if dependency["api_name"] not in names:
            continue
        called += 1
        kinds = {item["id"]: item["type"] for item in config["components"]}
        for ticket in ("", "1.2", "9999999999." + "0" * 64):
            data = [ticket if kinds[i] == "browserstate" else _empty(kinds[i]) for i in dependency["inputs"]]
            events = _call(app.url, dependency["id"], data)
            for word in ("Oil and wick", "Nothing yet", "task", "broken.md", "Preview"):
                assert word not in events, (dependency["api_name"], word)
    assert called >= len(names)
    assert app.services.pipeline.jobs.latest() == before


def _empty(kind: str) -> object:
    return {"checkbox": True, "slider": 3, "timer": 1.0, "dropdown": "all"}.get(kind, "wick")


def _call(url: str, number: int, data: list[object]) -> str:
    session = f"s{number}{abs(hash(str(data)))}"
    body = {"data": data, "fn_index": number, "session_hash": session}
    direct = httpx.post(f"{url}/gradio_api/run/predict", json=body).text
    httpx.post(f"{url}/gradio_api/queue/join", json=body)
    with httpx.stream("GET", f"{url}/gradio_api/queue/data", params={"session_hash": session}, timeout=20) as response:
        told = ""
        for line in response.iter_lines():
            told += line
            if "process_completed" in line or "close_stream" in line or "unexpected_error" in line:
                break
    return direct + told


def test_guesses_are_counted(start_app: StartApp) -> None:
    app = start_app(ready=False)
    config = httpx.get(f"{app.url}/config").json()
    (unlock, *_) = [item["id"] for item in config["dependencies"] if item["api_name"] == "unlock"]
    told = [_call(app.url, unlock, [f"guess {number}"]) for number in range(22)]
    assert "That is not the admin token." in told[0]
    assert "wait" in told[-1], told[-1]


def test_the_numbers_and_the_documents(author: Visitor) -> None:
    overview = author.page.locator("#overview")
    expect(overview).to_contain_text(re.compile(rf"Documents\s*{PAGES + 4}"))
    expect(overview).to_contain_text("gpt-5.4-mini")
    expect(overview).to_contain_text("1 failed")
    failed = author.documents.locator("tr", has_text=BROKEN)
    expect(failed.locator(".state")).to_have_text("failed")
    expect(failed.locator(".error")).not_to_be_empty()
    expect(author.documents.get_by_role("link", name="Oil and wick")).to_have_attribute("href", re.compile("lamp/oil$"))
    author.page.get_by_label("Path or title holds").fill("fresnel")
    author.page.keyboard.press("Enter")
    expect(author.documents.locator("tbody tr")).to_have_count(1)
    author.page.get_by_label("Path or title holds").fill("")
    author.page.get_by_label("State").click()
    author.page.get_by_role("option", name="failed").click()
    expect(author.documents.locator("tbody tr")).to_have_count(1)
    expect(author.documents).to_contain_text(BROKEN)


def test_a_search_shows_passages_with_their_scores(author: Visitor, model: OpenAIServer) -> None:
    before = len(model.requests("chat"))
    author.section("Search")
    author.page.get_by_label("Question", exact=True).fill("How often is the wick trimmed?")
    author.button("Search").click()
    first = author.page.locator("#found li").first
    expect(first).to_contain_text(re.compile(r"\d\.\d{3}"))
    expect(author.page.locator("#found")).to_contain_text("wick")
    assert len(model.requests("chat")) == before


def test_a_preview_costs_and_changes_nothing(author: Visitor, app: Running, model: OpenAIServer) -> None:
    before, jobs = len(model.requests("embeddings")), app.services.pipeline.jobs.latest()
    page = app.services.settings.content_dir / "01-lamp" / "01-oil.md"
    page.write_text(page.read_text(encoding="utf-8") + "\nA new line about oil.\n", encoding="utf-8")
    author.button("Preview").click()
    plan = author.page.locator("#plan")
    expect(plan).to_contain_text("Changed: 1 file", timeout=30_000)
    expect(plan).to_contain_text("cost")
    assert len(model.requests("embeddings")) == before
    assert app.services.pipeline.jobs.latest() == jobs


def test_one_ingest_is_live_in_every_browser_and_through_a_reload(
    author: Visitor, app: Running, model: OpenAIServer, visit: Visit
) -> None:
    slow(app, model)
    author.button("Re-ingest").click()
    expect(author.job).to_have_attribute("data-status", "processing", timeout=30_000)
    expect(author.button("Re-ingest")).to_be_disabled()
    task = author.job.get_attribute("data-task")
    author.page.reload()
    author.open_admin(token=None)
    expect(author.job).to_have_attribute("data-task", str(task))
    other = visit(app)
    expect(other.note().first).to_contain_text(re.compile(r"brought up to date: \d+ %"))
    other.open_admin()
    expect(other.job).to_have_attribute("data-task", str(task))
    bar = other.job.get_by_role("progressbar", name="Ingest")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"[1-9]\d?"), timeout=30_000)
    other.button("Cancel").click()
    ended(other, "cancelled")
    ended(author, "cancelled")
    expect(author.button("Re-ingest")).to_be_enabled()
    model.limit(latency=0.0)
    author.button("Re-ingest").click()
    ended(author, "completed")
    expect(author.job.locator(".errors")).to_contain_text(BROKEN)
    expect(author.documents.locator(".state.changed")).to_have_count(0)
    ended(other, "completed")
    author.section("Chat")
    expect(author.note()).to_have_count(0, timeout=15_000)


def test_the_figures_and_the_questions_without_an_answer(author: Visitor, app: Running, model: OpenAIServer) -> None:
    author.section("Unanswered")
    expect(author.page.locator("#open-questions")).to_contain_text("So far the book had an answer")
    author.section("Chat")
    model.next(Say(f"{SIGN} The book does not say."), route="chat")
    author.ask("=HYPERLINK(1) who is the emperor of Xanadu?")
    author.wait_for_answer()
    author.section("Admin")
    author.section("Documents")
    author.section("Unanswered")
    expect(author.page.locator("#open-questions")).to_contain_text("emperor of Xanadu")
    with author.page.expect_download() as download:
        author.page.get_by_role("link", name="Export as CSV").click()
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))
    assert rows[0] == ["question", "why", "times", "last asked (UTC)"]
    assert rows[1][:3] == ["'=HYPERLINK(1) who is the emperor of Xanadu?", "not_found", "1"]
    author.section("Figures")
    expect(author.page.get_by_role("img", name=re.compile("^Questions a day: at most"))).to_be_visible()


@pytest.mark.parametrize(("theme", "size"), [("light", None), ("dark", PHONE)], ids=["desk", "phone"])
def test_axe_finds_nothing_serious_and_nothing_is_cut_off(
    app: Running, visit: Visit, model: OpenAIServer, theme: str, size: dict[str, int] | None, browser: Browser
) -> None:
    visitor = visit(app, size=size, theme=theme)
    expect(visitor.examples.first).to_be_visible()
    assert visitor.serious() == []
    assert visitor.overflow() <= 0
    visitor.ask("How often is the wick trimmed?")
    visitor.wait_for_answer()
    visitor.sources.click()
    visitor.history.get_by_text("Earlier chats").click()
    assert visitor.serious() == []
    assert visitor.overflow() <= 0
    visitor.open_admin()
    expect(visitor.documents).to_contain_text("Oil and wick")
    assert visitor.serious() == []
    assert visitor.overflow() <= 0
