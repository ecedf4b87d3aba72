"""The recipe for Docusaurus, on the sample book as Docusaurus builds it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.widget.docusaurus_site import BASE, DocusaurusSite
from tests.widget.fake_chat_server import Answer, FakeChatServer
from tests.widget.reader import Reader

pytestmark = pytest.mark.timeout(600)

CHAPTER = f"{BASE}docs/foundations/balance"
SOURCES = [
    {
        "n": 1,
        "title": "Tuning",
        "url": "/docs/control-and-learning/feedback-control#tuning",
        "breadcrumbs": ["Chapter 11", "Tuning"],
    },
    {"n": 2, "title": "The capture point", "url": f"{CHAPTER}#capture-point", "breadcrumbs": ["The capture point"]},
]


@pytest.fixture
def book_server(docusaurus: DocusaurusSite) -> Iterator[FakeChatServer]:
    with FakeChatServer(allowed_origin=docusaurus.url) as server:
        docusaurus.chat_url = server.url
        yield server


@pytest.fixture
def book_reader(page: Page, docusaurus: DocusaurusSite, book_server: FakeChatServer) -> Iterator[Reader]:
    book_server.next(Answer(text="Raise the gain [1], and step there [2].", sources=SOURCES))
    reader = Reader(page, docusaurus.url)
    reader.visit(CHAPTER)
    expect(page.locator("html")).to_have_attribute("data-has-hydrated", "true")
    page.evaluate("window.notReloaded = true")
    yield reader
    assert reader.complaints == []


def test_citations_open_their_headings_without_a_reload(book_reader: Reader) -> None:
    reader = book_reader
    reader.ask()
    reader.wait_for_answer()
    reader.answer.locator("a.cite").first.click()
    reader.page.wait_for_url("**/docs/control-and-learning/feedback-control#tuning")
    expect(reader.page.locator("h1")).to_contain_text("Chapter 11")
    expect(reader.page.locator("#tuning")).to_be_in_viewport()
    reader.answer.locator("a.cite").last.click()
    reader.page.wait_for_url("**/docs/foundations/balance#capture-point")
    expect(reader.page.locator("#capture-point")).to_be_in_viewport()
    reader.page.go_back()
    expect(reader.page.locator("h1")).to_contain_text("Chapter 11")
    assert reader.page.evaluate("window.notReloaded")
    expect(reader.answer).to_contain_text("Raise the gain")


def test_a_heading_of_the_page_one_is_on_is_found(book_reader: Reader) -> None:
    reader = book_reader
    reader.ask()
    reader.wait_for_answer()
    for _ in range(2):
        reader.page.evaluate("scrollTo(0, 0)")
        reader.answer.locator("a.cite").last.click()
        expect(reader.page.locator("#capture-point")).to_be_in_viewport()
    assert reader.page.evaluate("window.notReloaded")


def test_the_questions_and_the_page_follow_the_route(book_reader: Reader, book_server: FakeChatServer) -> None:
    reader = book_reader
    reader.open()
    suggestions = reader.panel.locator(".suggestions button")
    expect(suggestions.first).to_contain_text("Chapter 3")
    reader.page.get_by_role("link", name="4. Actuators").first.click()
    expect(suggestions.first).to_contain_text("Chapter 4")
    reader.ask()
    reader.wait_for_answer()
    page = book_server.questions[0].body["page"]
    assert page["url"].endswith(f"{BASE}docs/foundations/actuators")
    assert "Chapter 4" in page["title"]
    assert reader.page.evaluate("window.notReloaded")


def test_the_switch_of_the_theme_is_followed(book_reader: Reader) -> None:
    reader = book_reader
    theme = reader.page.locator("html").get_attribute("data-theme")
    assert theme
    expect(reader.frame).to_have_attribute("data-theme", theme)
    switch = reader.page.get_by_role("button", name="Switch between dark and light mode")
    for _ in range(3):
        switch.first.click()
        now = reader.page.locator("html").get_attribute("data-theme")
        assert now
        expect(reader.frame).to_have_attribute("data-theme", now)


def test_a_selection_in_a_chapter_travels(book_reader: Reader, book_server: FakeChatServer) -> None:
    reader = book_reader
    reader.select("article p >> nth=0")
    reader.button("Ask about this").click()
    reader.ask("In other words?")
    reader.wait_for_answer()
    assert len(book_server.questions[0].body["selection"]) > 50
