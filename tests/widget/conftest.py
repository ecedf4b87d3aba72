"""A real Chromium in front of a static book on one origin and a chat server on another."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.widget import docusaurus_site
from tests.widget.docusaurus_site import DocusaurusSite
from tests.widget.fake_chat_server import FakeChatServer
from tests.widget.reader import Reader
from tests.widget.static_site import StaticSite

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
WIDGET_SOURCE = Path(__file__).resolve().parents[2] / "widget"
PHONE = {"width": 390, "height": 844}


def absent(what: str) -> None:
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(f"a browser test is required but {what}")
    pytest.skip(f"{what}: the widget was not tried in a real browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.is_file():
        absent(f"there is no Chromium at {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe_source() -> Path:
    path = WIDGET_SOURCE / "node_modules" / "axe-core" / "axe.min.js"
    if not path.is_file():
        absent("axe-core is not installed (npm ci in widget/)")
    return path


@pytest.fixture
def site() -> Iterator[StaticSite]:
    with StaticSite() as site:
        yield site


@pytest.fixture
def server(site: StaticSite) -> Iterator[FakeChatServer]:
    with FakeChatServer(allowed_origin=site.url) as server:
        site.chat_url = server.url
        yield server


@pytest.fixture(scope="session")
def built_book(sample_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample book as Docusaurus builds it, once for all tests."""
    if not docusaurus_site.is_installed():
        absent("Docusaurus is not installed (npm install in widget/examples/docusaurus)")
    out = tmp_path_factory.mktemp("docusaurus") / "build"
    docusaurus_site.build(sample_book, out)
    return out


@pytest.fixture
def docusaurus(built_book: Path) -> Iterator[DocusaurusSite]:
    with DocusaurusSite(built_book) as site:
        yield site


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(8000)
    yield context.new_page()
    context.close()


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="light")  # type: ignore[arg-type]
    context.set_default_timeout(8000)
    yield context.new_page()
    context.close()


@pytest.fixture
def reader(page: Page, site: StaticSite, server: FakeChatServer) -> Iterator[Reader]:
    """A reader at a desk; whatever the page's policy refuses, and whatever breaks, fails the test."""
    reader = Reader(page, site.url)
    yield reader
    assert reader.complaints == []


@pytest.fixture
def phone_reader(phone: Page, site: StaticSite, server: FakeChatServer) -> Iterator[Reader]:
    reader = Reader(phone, site.url)
    yield reader
    assert reader.complaints == []
