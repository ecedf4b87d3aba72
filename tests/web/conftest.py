"""The application as its users meet it: over a socket, offline or beside a loopback model server."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag.answers.chat import Waits
from rag.settings import Settings
from tests.support.books import write_book
from tests.support.openai_server import OpenAIServer
from tests.support.running import Running, running_app

ADMIN = {"x-admin-token": "keeper"}
Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the application on a small book with the given settings, as often as a test needs."""
    content = write_book(tmp_path / "content")
    with ExitStack() as stack:

        def begin(ready: bool = True, waits: Waits | None = None, **settings: Any) -> Running:
            usual: dict[str, Any] = {
                "content_dir": content,
                "data_dir": tmp_path / "data",
                "admin_token": "keeper",
                "rate_limit": "10000/minute",
                "book_url": "https://example.org/book/",
            }
            running = stack.enter_context(running_app(Settings(**(usual | settings)), waits))
            if ready:
                running.wait_for_index()
            return running

        yield begin


@pytest.fixture
def openai_settings(openai_server: OpenAIServer) -> dict[str, Any]:
    return {"openai_base_url": openai_server.base_url, "openai_api_key": openai_server.key}


def events_of(response: httpx.Response) -> list[dict[str, Any]]:
    """As the simplest reader reads them."""
    return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]


def ask(url: str, question: str, headers: dict[str, str] | None = None, **fields: Any) -> list[dict[str, Any]]:
    body = {"question": question, **fields}
    with httpx.stream("POST", f"{url}/chat", json=body, headers=headers, timeout=30) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        return events_of(response)


def only(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [event for event in events if event["type"] == kind]
    return found
