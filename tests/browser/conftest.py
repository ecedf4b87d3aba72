"""The running application in front of a real Chromium. One of each per module, so that the whole stays quick."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from rag.settings import Settings
from tests.browser.chromium import AXE, CHROMIUM, absent, chromium
from tests.browser.visitor import BOOK, Visitor
from tests.support.books import write_book
from tests.support.openai_script import Limits
from tests.support.openai_server import OpenAIServer
from tests.support.running import Running, running_app

Visit = Callable[..., Visitor]
StartApp = Callable[..., Running]
PATIENCE = 20_000  # milliseconds: a page beside an ingest on a busy machine takes its time


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.is_file():
        absent(f"there is no Chromium at {CHROMIUM}")
    if not AXE.is_file():
        absent("axe-core is not installed (npm ci in widget/)")
    with chromium() as browser:
        expect.set_options(timeout=PATIENCE)
        yield browser
        expect.set_options(timeout=5000)


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture(autouse=True)
def well_behaved(model: OpenAIServer) -> None:
    """No test leaves the model in a mood."""
    model.always(None)
    model.limits = Limits()


@pytest.fixture(scope="module")
def start_app(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[StartApp]:
    """Starts the application on the lighthouse's book with the given settings; the machine's own do not matter."""
    environment = pytest.MonkeyPatch()
    for name in Settings.model_fields:
        environment.delenv(name.upper(), raising=False)
    environment.setitem(Settings.model_config, "env_file", None)
    with ExitStack() as stack:

        def start(ready: bool = True, **settings: Any) -> Running:
            folder = tmp_path_factory.mktemp("app")
            usual: dict[str, Any] = {
                "data_dir": folder / "data",
                "admin_token": "keeper",
                "rate_limit": "10000/minute",
                "book_url": BOOK,
            }
            if "content_dir" not in settings:
                usual["content_dir"] = write_book(folder / "content")
            running = stack.enter_context(running_app(Settings(**(usual | settings))))
            if ready:
                running.wait_for_index(120)
            return running

        yield start
    environment.undo()


@pytest.fixture(scope="module")
def model_settings(model: OpenAIServer) -> dict[str, Any]:
    return {"openai_base_url": model.base_url, "openai_api_key": model.key}


@pytest.fixture(scope="module")
def app(start_app: StartApp, model_settings: dict[str, Any]) -> Running:
    return start_app(**model_settings)


@pytest.fixture
def visit(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Opens the page as a new person would; whatever the page complains about fails the test."""
    visitors: list[Visitor] = []

    def arrive(app: Running, **how: Any) -> Visitor:
        visitor = Visitor(browser, app.url, **how)
        visitors.append(visitor)
        return visitor.arrive()

    yield arrive
    pictures = os.environ.get("BROWSER_PICTURES")
    for number, visitor in enumerate(visitors):
        if pictures:
            Path(pictures).mkdir(parents=True, exist_ok=True)
            visitor.page.screenshot(path=Path(pictures) / f"{request.node.name[:80]}-{number}.png")
        visitor.leave()
