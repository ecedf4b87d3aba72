"""The recipe for Docusaurus, on the sample book as Docusaurus builds it: once, and so all in one file."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from playwright.sync_api import Page, expect
from pydantic import SecretStr

from rag.settings import Settings
from tests.support.openai_server import OpenAIServer
from tests.support.running import Running, running_app
from tests.widget.docusaurus_site import BASE, DocusaurusSite
from tests.widget.fake_chat_server import Answer, FakeChatServer
from tests.widget.reader import Reader

pytestmark = pytest.mark.timeout(600)

PATIENCE = 30_000  # milliseconds: the application's answers are real ones
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


def test_a_citation_finds_its_heading_on_a_site_of_docusaurus(
    docusaurus: DocusaurusSite, page: Page, sample_book: Path, tmp_path: Path, openai_server: OpenAIServer
) -> None:
    with running_app(_of_docusaurus(docusaurus, sample_book, tmp_path, openai_server)) as app:
        app.wait_for_index(120)
        docusaurus.chat_url = app.url
        page.context.set_default_timeout(PATIENCE)
        reader = Reader(page, docusaurus.url)
        reader.visit(f"{BASE}docs/foundations/balance")
        expect(page.locator("html")).to_have_attribute("data-has-hydrated", "true")
        page.evaluate("window.notReloaded = true")
        reader.ask("How do I tune the gains of a PID loop?")
        expect(reader.exchanges.last.locator(".tools")).to_be_visible(timeout=PATIENCE)
        reader.answer.locator("a.cite").first.click()
        page.wait_for_url(f"**{BASE}docs/control-and-learning/feedback-control#*")
        expect(page.locator(f"[id='{page.url.partition('#')[2]}']")).to_be_in_viewport()
        assert page.evaluate("window.notReloaded")
        assert reader.complaints == []
        nowhere = {
            f"{docusaurus.url}{BASE}docs/{page}" for page in ("foundations/balance#no-such-heading", "no-such-page")
        }
        assert set(_lost(_links(app) | nowhere, docusaurus.url)) == nowhere


def _of_docusaurus(site: DocusaurusSite, book: Path, folder: Path, openai_server: OpenAIServer) -> Settings:
    return Settings(
        content_dir=book,
        data_dir=folder / "data",
        rate_limit="10000/minute",
        book_url=site.url + BASE,
        allowed_origins=[site.url],
        openai_base_url=openai_server.base_url,
        openai_api_key=SecretStr(openai_server.key),
    )


def _links(app: Running) -> set[str]:
    """Links into every part of the book, as a search gives them."""
    questions = [
        "robot balance",
        "joint motor torque",
        "camera and IMU",
        "learning a policy",
        "walking",
        "safety",
        "ROS 2",
    ]
    links: set[str] = set()
    for question in questions:
        found = httpx.get(f"{app.url}/search", params={"q": question, "k": 50}, timeout=60).json()["passages"]
        links.update(passage["url"] for passage in found)
    assert len(links) > 60
    return links


def _lost(links: set[str], site_url: str) -> list[str]:
    """The links whose page or heading the site does not have."""
    pages: dict[str, str] = {}
    lost = []
    for link in sorted(links):
        address, _, heading = link.partition("#")
        assert address.startswith(site_url), link
        if address not in pages:
            pages[address] = httpx.get(address, timeout=30).text
        is_there = "Page Not Found" not in pages[address]
        if not is_there or (
            heading and not re.search(rf"""id=["']?{re.escape(unquote(heading))}["'\s>]""", pages[address])
        ):
            lost.append(link)
    return lost
