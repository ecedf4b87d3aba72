"""The service as its operators meet it: health, metrics, documents of the API, many readers, a clean end."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import ROOT
from tests.support.books import many_pages, write_book
from tests.support.openai_server import OpenAIServer
from tests.support.ports import free_port
from tests.web.conftest import ADMIN, Start, ask, only

QUESTION = "How often must the wick be trimmed?"


def test_health_says_what_is(start: Start) -> None:
    app = start()
    answer = httpx.get(f"{app.url}/health")
    health = answer.json()
    assert answer.status_code == 200
    assert (health["status"], health["mode"], health["qdrant_connected"]) == ("healthy", "offline", True)
    assert health["index"]["state"] == "ready"
    assert health["index"]["fingerprint"]
    assert health["documents_count"] == 4
    assert health["chunks_count"] >= 4
    assert set(health) == {
        "status", "version", "uptime", "qdrant_connected", "openai_connected", "mode", "index", "documents_count",
        "chunks_count",
        "down",
    }  # fmt: skip
    head = httpx.head(f"{app.url}/health")
    assert (head.status_code, head.content) == (200, b"")


def test_with_a_model_the_mode_is_openai(start: Start, openai_settings: dict[str, Any]) -> None:
    health = httpx.get(f"{start(**openai_settings).url}/health").json()
    assert (health["mode"], health["openai_connected"], health["status"]) == ("openai", True, "healthy")


def test_a_changed_setting_makes_the_index_stale_until_it_is_rebuilt(start: Start) -> None:
    start()
    app = start(ready=False, ingest_on_start=False, chunk_tokens=300)
    health = httpx.get(f"{app.url}/health").json()
    assert (health["index"]["state"], health["status"]) == ("stale", "degraded")
    httpx.post(f"{app.url}/ingest", headers=ADMIN).raise_for_status()
    app.wait_for_index()


def test_while_the_first_index_is_built_the_service_answers(start: Start, tmp_path: Path) -> None:
    many_pages(tmp_path / "content", 30)
    app = start(ready=False)
    seen = set()
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and "ready" not in seen:
        seen.add(httpx.get(f"{app.url}/health").json()["index"]["state"])
        answer = httpx.post(f"{app.url}/chat", json={"question": QUESTION})
        assert answer.status_code in {200, 409}
        time.sleep(0.05)
    assert {"building", "ready"} <= seen


def test_metrics_count_what_happened(start: Start) -> None:
    app = start(new=True, rate_limit="2/minute")
    ask(app.url, QUESTION)
    ask(app.url, "Who won the football world cup in 1998?")
    httpx.post(f"{app.url}/chat", json={"question": QUESTION})
    text = httpx.get(f"{app.url}/metrics").text
    assert 'questions_total{outcome="answered",surface="api"} 1.0' in text
    assert 'questions_total{outcome="not_found",surface="api"} 1.0' in text
    assert 'rate_limited_total{surface="api"} 1.0' in text
    assert "first_token_seconds_count" in text
    assert 'answer_cache_total{result="miss"} 2.0' in text
    assert "retrieval_seconds_count 2.0" in text
    assert 'ingests_total{status="completed"} 1.0' in text
    assert re.search(r"index_chunks [1-9]", text)


def test_the_contract_in_the_repository_is_the_running_one() -> None:
    from web.openapi import document

    kept = (ROOT / "specs/1-rag-backend/contracts/openapi.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(kept) == yaml.safe_load(document()), "run `make openapi`"


PATHS = {
    "/chat", "/feedback", "/search", "/ingest", "/ingest/status", "/ingest/{task_id}/cancel", "/documents", "/health",
    "/metrics",
}  # fmt: skip


def test_every_listed_route_is_served_by_us_and_not_by_the_interface(start: Start) -> None:
    app = start(ready=False, ingest_on_start=False)
    paths = httpx.get(f"{app.url}/openapi.json").json()["paths"]
    assert set(paths) == PATHS
    for path, methods in paths.items():
        for method in methods:
            answer = httpx.request(method, app.url + path.replace("{task_id}", "none"), headers=ADMIN)
            assert answer.status_code != 405
            assert "detail" not in answer.text[:20], f"{method} {path} is answered by somebody else"


def test_the_documentation_page_loads_nothing_from_elsewhere(start: Start) -> None:
    app = start(ready=False, ingest_on_start=False)
    page = httpx.get(f"{app.url}/docs").text
    assert "http://" not in page.replace(app.url, "")
    assert "https://" not in page
    for file in re.findall(r'(?:src|href)="(/docs/[^"]+)"', page):
        assert httpx.get(app.url + file).is_success


def test_a_trailing_slash_leads_to_the_route(start: Start) -> None:
    app = start(ready=False, ingest_on_start=False)
    assert httpx.get(f"{app.url}/health/", follow_redirects=True).json()["status"]


def test_a_hundred_readers_stream_at_once(
    start: Start, openai_settings: dict[str, Any], openai_server: OpenAIServer
) -> None:
    app = start(**openai_settings)
    openai_server.limit(latency=0.1, pieces_per_second=60)

    def read(n: int) -> dict[str, Any]:
        return only(ask(app.url, "How often must the wick be trimmed" + "?" * (n + 1)), "done")

    with ThreadPoolExecutor(100) as readers:
        answers = list(readers.map(read, range(100)))
    assert all(answer["answered"] for answer in answers)
    assert len({answer["message_id"] for answer in answers}) == 100


def test_identical_questions_at_once_share_one_call(
    start: Start, openai_settings: dict[str, Any], openai_server: OpenAIServer
) -> None:
    app = start(**openai_settings)
    openai_server.limit(latency=0.5)
    with ThreadPoolExecutor(10) as readers:
        answers = list(readers.map(lambda _: only(ask(app.url, QUESTION), "done")["answer"], range(10)))
    assert len(set(answers)) == 1
    assert len(openai_server.requests("chat")) == 1


@pytest.fixture
def process(tmp_path: Path) -> Any:
    """`python app.py` itself, with a stream left open when it is told to stop."""
    port = free_port()
    content = write_book(tmp_path / "content")
    environment = {
        **os.environ, "CONTENT_DIR": str(content), "DATA_DIR": str(tmp_path / "data"), "PORT": str(port),
        "HOST": "127.0.0.1", "LOG_JSON": "true", "ADMIN_TOKEN": "keeper",
    }  # fmt: skip
    child = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    yield child, f"http://127.0.0.1:{port}"
    if child.poll() is None:
        child.kill()
    child.wait()


@pytest.mark.alone
def test_the_end_is_clean_within_four_seconds_with_streams_open(process: tuple[subprocess.Popen[str], str]) -> None:
    child, url = process
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health").json()["index"]["state"] == "ready":
                break
        except httpx.TransportError:
            time.sleep(0.1)
    opened = threading.Event()

    def hold() -> None:
        with httpx.stream("GET", f"{url}/gradio_api/heartbeat/abc", timeout=120) as stream:
            opened.set()
            try:
                for _ in stream.iter_bytes():
                    pass
            except httpx.TransportError:
                pass

    tab = threading.Thread(target=hold, daemon=True)
    tab.start()
    assert opened.wait(60)
    began = time.monotonic()
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=60)
    assert time.monotonic() - began < 15  # a second or so; the tab would hold it for ever
    assert "Traceback" not in errors
    assert "keeper" not in errors


def test_bad_settings_end_the_start_with_a_line_each(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "PORT": "seven",
        "BOOK_URL": "ftp://x",
        "RATE_LIMIT": "lots",
    }
    ended = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    lines = ended.stderr.strip().splitlines()
    assert {line.split(":")[0] for line in lines} == {"PORT", "BOOK_URL", "RATE_LIMIT"}
