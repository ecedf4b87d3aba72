"""SIGTERM: every open answer is told that it ends, and the process ends by itself, soon and with 0."""

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client  # type: ignore[import-untyped]

from tests.support.app_process import AppProcess, app_process
from tests.support.books import write_book
from tests.support.openai_script import Stall
from tests.support.openai_server import OpenAIServer
from tests.web.conftest import Indexes

QUESTION = "What does soot on the lens do to the range of the light?"


def settings_of(folder: Path, indexes: Indexes, server: OpenAIServer) -> dict[str, str]:
    content, data = write_book(folder / "content"), folder / "data"
    indexes.copy(data, hosted=True)
    return {
        "CONTENT_DIR": str(content),
        "DATA_DIR": str(data),
        "BOOK_URL": "https://example.org/book/",
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": server.key,
        "INGEST_ON_START": "false",
        "RATE_LIMIT": "10000/minute",
    }


def read_stream(app: AppProcess, events: list[dict[str, Any]]) -> None:
    with httpx.stream("POST", f"{app.url}/chat", json={"question": QUESTION}, timeout=30) as response:
        events.extend(json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))


def read_gradio(app: AppProcess, ended: list[str]) -> None:
    job = Client(app.url, verbose=False).submit(QUESTION + " Really?", api_name="/chat")
    try:
        job.result(timeout=30)
    except Exception as error:  # noqa: BLE001 - what the client raises is what its user reads
        ended.append(str(error))


@pytest.mark.alone
def test_every_open_stream_is_told_and_the_process_ends_with_0(
    tmp_path: Path, indexes: Indexes, openai_server: OpenAIServer
) -> None:
    openai_server.always(Stall(after=3), route="chat")
    with app_process(tmp_path / "run", settings_of(tmp_path, indexes, openai_server)) as app:
        app.wait_until_it_answers()
        events: list[dict[str, Any]] = []
        ended: list[str] = []
        readers = [
            threading.Thread(target=read_stream, args=(app, events)),
            threading.Thread(target=read_gradio, args=(app, ended)),
        ]
        for reader in readers:
            reader.start()
        deadline = time.monotonic() + 20
        while sum(one.pieces >= 3 for one in openai_server.requests("chat")) < 2:
            assert time.monotonic() < deadline, app.log.read_text(errors="replace")
            time.sleep(0.02)
        began = time.monotonic()
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(15) == 0
        assert time.monotonic() - began <= 4
        for reader in readers:
            reader.join(10)
    last = events[-1]
    assert (last["type"], last["code"], last["retryable"]) == ("error", "shutting_down", True)
    assert [event["type"] for event in events].count("error") == 1
    assert "restarting" in ended[0]
