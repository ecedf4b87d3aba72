"""The application as its users meet it: over a socket, offline or beside a loopback model server."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag.resilience import Timeouts
from rag.settings import Settings
from tests.support.books import write_book
from tests.support.openai_server import OpenAIServer
from tests.support.running import Running, running_app
from tests.support.small_book import index

ADMIN = {"x-admin-token": "keeper"}
BOOK_URL = "https://example.org/book/"
Start = Callable[..., Running]


class Indexes:
    """The small book's index with the local model and with a model server's, each made once by the real ingest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy(self, data_dir: Path, *, hosted: bool) -> None:
        made = self._folder / ("hosted" if hosted else "local")
        if not made.exists():
            self._make(made, hosted=hosted)
        shutil.copytree(made, data_dir)

    def _make(self, data_dir: Path, *, hosted: bool) -> None:
        content = write_book(self._folder / "content")
        with OpenAIServer() as server:
            model = openai_settings_of(server) if hosted else {}
            settings = Settings(content_dir=content, data_dir=data_dir, book_url=BOOK_URL, **model)
            assert asyncio.run(index(settings)).status == "completed"


@pytest.fixture(scope="session")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Indexes:
    return Indexes(tmp_path_factory.mktemp("indexes"))


@pytest.fixture
def start(tmp_path: Path, indexes: Indexes) -> Iterator[Start]:
    """Starts the application on a small book with the given settings, as often as a test needs.

    It begins with the book's index, unless it need not be `ready` or is `new`: then its own first ingest makes it.
    """
    content, data = write_book(tmp_path / "content"), tmp_path / "data"
    with ExitStack() as stack:

        def begin(ready: bool = True, new: bool = False, timeouts: Timeouts | None = None, **settings: Any) -> Running:
            if ready and not new and not data.exists():
                indexes.copy(data, hosted="openai_base_url" in settings)
            usual: dict[str, Any] = {
                "content_dir": content,
                "data_dir": data,
                "admin_token": "keeper",
                "rate_limit": "10000/minute",
                "book_url": BOOK_URL,
            }
            running = stack.enter_context(running_app(Settings(**(usual | settings)), timeouts))
            if ready:
                running.wait_for_index()
            return running

        yield begin


@pytest.fixture
def openai_settings(openai_server: OpenAIServer) -> dict[str, Any]:
    return openai_settings_of(openai_server)


def openai_settings_of(server: OpenAIServer) -> dict[str, Any]:
    return {"openai_base_url": server.base_url, "openai_api_key": server.key}


def events_of(response: httpx.Response) -> list[dict[str, Any]]:
    """As the simplest reader reads them."""
    return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]


def ask(url: str, question: str, headers: dict[str, str] | None = None, **fields: Any) -> list[dict[str, Any]]:
    body = {"question": question, **fields}
    with httpx.stream("POST", f"{url}/chat", json=body, headers=headers, timeout=120) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        return events_of(response)


def only(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [event for event in events if event["type"] == kind]
    return found
