"""What the page says about the state it is in: offline, being built, empty, refusing."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import StartApp, Visit
from tests.support.books import many_pages
from tests.support.openai_server import OpenAIServer


def test_offline_the_page_says_so_and_quotes_the_book(start_app: StartApp, visit: Visit) -> None:
    visitor = visit(start_app(rate_limit="1/hour"))
    expect(visitor.note()).to_contain_text("Offline mode: no language model is used.")
    visitor.ask("How often is the wick trimmed?")
    visitor.wait_for_answer()
    expect(visitor.answer).to_contain_text("every four hours")
    expect(visitor.answer.locator("a.cite").first).to_be_visible()
    visitor.box.fill("And who trims it?")
    visitor.box.press("Enter")
    refusal = visitor.page.get_by_test_id("toast-body")
    expect(refusal).to_contain_text(re.compile(r"wait \d+ s"))
    expect(visitor.box).to_have_value("And who trims it?")
    expect(visitor.questions).to_have_count(1)


def test_while_the_first_index_is_built_the_page_shows_how_far_it_is(
    start_app: StartApp, visit: Visit, model: OpenAIServer, model_settings: dict[str, str], tmp_path_factory: object
) -> None:
    assert hasattr(tmp_path_factory, "mktemp")
    content = many_pages(tmp_path_factory.mktemp("slow"), pages=90, sections=2)
    model.limit(latency=2.5)
    visitor = visit(start_app(ready=False, content_dir=content, **model_settings))
    expect(visitor.note().first).to_contain_text(re.compile(r"read for the first time: \d+ %"))
    bar = visitor.page.get_by_role("progressbar", name="Reading the book")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"[1-9]\d?"), timeout=30_000)
    expect(visitor.conversation).to_contain_text("Questions can be asked in a moment.")
    expect(visitor.examples).to_have_count(0)
    model.limit(latency=0.0)
    expect(visitor.examples.first).to_be_visible(timeout=60_000)
    expect(visitor.note()).to_have_count(0, timeout=15_000)
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Page 0")


def test_without_an_index_the_page_says_who_can_help(start_app: StartApp, visit: Visit) -> None:
    visitor = visit(start_app(ready=False, ingest_on_start=False))
    expect(visitor.note().first).to_contain_text("The book has not been read yet.")
    visitor.box.fill("How often?")
    visitor.box.press("Enter")
    expect(visitor.page.get_by_test_id("toast-body")).to_contain_text("has not been ingested")
    expect(visitor.box).to_have_value("How often?")
