"""Planted secrets are nowhere: in no response, page, metric, log line, file or command line of the real application."""

import json
import time
from pathlib import Path

import httpx
import pytest

from tests.support.app_process import app_process
from tests.support.openai_script import Refuse
from tests.support.openai_server import OpenAIServer
from tests.support.planted import secrets_of, spilled, spilled_by_files
from tests.support.small_book import PAGES

PASSWORD = "canary-base-url-password"
PLANTED = {
    "QDRANT_API_KEY": "canary-qdrant-api-key",
    "ADMIN_TOKEN": "canary-admin-token-value",
    "API_KEYS": "canary-api-key-number-one,canary-api-key-number-two",
}
PATHS = (
    "/",
    "/config",
    "/health",
    "/metrics",
    "/documents",
    "/ingest/status",
    "/search?q=PID",
    "/openapi.json",
    "/nothing",
)


@pytest.mark.parametrize(("as_json", "level"), [("true", "info"), ("false", "debug")])
def test_no_secret_is_told_by_anything(tmp_path: Path, openai_server: OpenAIServer, as_json: str, level: str) -> None:
    for name, text in PAGES.items():
        page = tmp_path / "content" / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text)
    address = openai_server.base_url.replace("://", f"://operator:{PASSWORD}@")
    settings = {
        **PLANTED,
        "OPENAI_API_KEY": openai_server.key,
        "OPENAI_BASE_URL": address,
        "EMBEDDER": "local",
        "CONTENT_DIR": str(tmp_path / "content"),
        "DATA_DIR": str(tmp_path / "run" / "data"),
        "LOG_JSON": as_json,
        "LOG_LEVEL": level,
    }
    openai_server.next(Refuse(400, message=f"Bad key {openai_server.key} for {address}"), route="chat")
    told: list[bytes] = []
    with app_process(tmp_path / "run", settings) as app:
        app.wait_until_it_answers()
        until_ready(app.url)
        bearer = {"Authorization": f"Bearer {PLANTED['ADMIN_TOKEN']}"}
        with httpx.Client(base_url=app.url, timeout=60) as client:
            for path in PATHS:
                for headers in ({}, bearer):
                    answer = client.get(path, headers=headers)
                    told += [answer.content, str(answer.headers).encode()]
            told += [
                client.post("/chat", json={"question": f"How does a PID controller work? {n}"}).content for n in "ab"
            ]
            told.append(client.post("/ingest", headers=bearer, json={"force_reindex": True}).content)
            until_ready(app.url)
            client.get("/%0aFORGED%1b[31m line", headers={"X-Request-Id": "x"})
        log = app.log.read_text()
    assert told
    for answered in told:
        assert not spilled(answered, settings), answered[:300]
    assert "\x1b" not in log
    assert not [line for line in log.splitlines() if line.startswith("FORGED")]
    if as_json == "true":
        assert all(json.loads(line) for line in log.splitlines() if line.startswith("{"))


def test_a_planted_secret_would_be_found(tmp_path: Path) -> None:
    settings = {**PLANTED, "REDIS_URL": "redis://:canary-redis-password@localhost/0"}
    assert "canary-redis-password" in secrets_of(settings)
    (tmp_path / "some.log").write_text("it is canary-api-key-number-two.")
    assert len(spilled_by_files(tmp_path, settings)) == 1


def until_ready(url: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if httpx.get(f"{url}/health", timeout=10).json()["index"]["state"] == "ready":
            return
        time.sleep(0.2)
    raise AssertionError("the index is not ready")
