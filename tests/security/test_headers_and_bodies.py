"""Lies in headers, bodies that are too long, lines forged into the log, and who may read the data folder."""

import io
import json
import logging
import socket
import stat
from pathlib import Path

import httpx
import pytest

from tests.support.app_process import app_process
from tests.support.books import write_book
from tests.web.conftest import ADMIN, Start, ask, only
from web.logs import _Text

EVIL = "evil.example"
LIES = {
    "x-forwarded-host": EVIL,
    "x-forwarded-proto": "https",
    "x-forwarded-prefix": f"/{EVIL}",
    "forwarded": f"host={EVIL};proto=https",
    "x-gradio-server": f"http://{EVIL}/",
    "x-original-url": f"/{EVIL}",
}


@pytest.mark.parametrize(
    "path", ["/", "/config", "/gradio_api/info", "/login/huggingface", "/logout", "/login", "/chat/"]
)
def test_nobody_but_a_trusted_proxy_says_what_our_address_is(start: Start, path: str) -> None:
    app = start(forwarded_allow_ips=["192.0.2.1"], ingest_on_start=False)
    answer = httpx.get(f"{app.url}{path}", headers=LIES, params={"_target_url": f"//{EVIL}/x"})
    assert EVIL not in answer.text
    assert EVIL not in answer.headers.get("location", "").partition("?")[0]
    assert not answer.headers.get("location", "").startswith("https:")
    assert EVIL not in httpx.get(f"{app.url}{path}").text, "kept for the next reader"


def test_a_trusted_proxy_is_believed_but_not_by_way_of_gradios_header(start: Start) -> None:
    app = start(forwarded_allow_ips=["127.0.0.1"], ingest_on_start=False)
    behind = {"x-forwarded-host": "book.example", "x-forwarded-proto": "https"}
    assert httpx.get(f"{app.url}/config", headers=behind).json()["root"] == "https://book.example"
    assert EVIL not in httpx.get(f"{app.url}/config", headers={"x-gradio-server": f"http://{EVIL}"}).text


def test_the_api_page_keeps_nothing_of_the_first_caller(start: Start) -> None:
    """Gradio remembers the first answer of /info, with the address its caller named in `Host`."""
    app = start(ingest_on_start=False)
    for query in ("", "?page=", "?page=x", "?all_endpoints=true"):
        httpx.get(f"{app.url}/gradio_api/info{query}", headers={"host": EVIL})
    assert EVIL not in httpx.get(f"{app.url}/gradio_api/info").text


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"force_reindex": "x"}', b"\xff", b"x" * 100], ids=range(5))
@pytest.mark.parametrize("path", ["/ingest", "/ingest/x/cancel"])
def test_without_the_token_nothing_is_said_about_the_body(start: Start, path: str, content: bytes) -> None:
    app = start(ingest_on_start=False)
    for headers in ({}, {"x-admin-token": "guess"}, {"content-type": "application/json"}):
        assert httpx.post(f"{app.url}{path}", content=content, headers=headers).status_code == 401
    assert httpx.get(f"{app.url}/ingest/status", params={"task_id": "x" * 100}).status_code == 401
    if path == "/ingest" and content == b"{":
        typed = ADMIN | {"content-type": "application/json"}
        assert httpx.post(f"{app.url}{path}", content=content, headers=typed).status_code == 400


@pytest.mark.parametrize("path", ["/chat", "/gradio_api/queue/join", "/feedback", "/nowhere"])
@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_at_once_are_refused_and_not_cut_off(start: Start, path: str, chunked: bool) -> None:
    """Sent whole before the answer is read: a server that closes without having read them resets the connection."""
    app = start(ingest_on_start=False)
    host, port = app.url.removeprefix("http://").split(":")
    body = b"x" * 10_000_000
    length = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % len(body)
    with socket.create_connection((host, int(port)), 30) as raw:
        raw.sendall(b"POST %s HTTP/1.1\r\nhost: x\r\n%s\r\n\r\n" % (path.encode(), length))
        raw.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
        assert b" 413 " in raw.makefile("rb").readline()


def test_a_line_of_the_log_is_one_line() -> None:
    """A path, a question or an exception's text with a line of its own in it, as the log's text form writes it."""
    forged = "/x\n2026-01-01T00:00:00Z WARNING abc admin token opened\x1b[2K\u2028\u202eevil"
    handler = logging.StreamHandler(out := io.StringIO())
    handler.setFormatter(_Text())
    record = logging.LogRecord("a", logging.INFO, "", 0, "GET %s", (forged,), None)
    record.request_id, record.fields = "0" * 32, {"question": forged}
    handler.handle(record)
    try:
        raise ValueError(forged)
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    handler.handle(record)
    lines = out.getvalue().splitlines()
    assert sum(line.startswith("2026-01-01") for line in lines) == 0
    assert "\x1b" not in lines[0]
    assert "\\x1b" in lines[0]


def test_nobody_forges_a_line_over_http_or_reads_the_data_folder(tmp_path: Path) -> None:
    """As its operators start it, over folders that an earlier version left open."""
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    (data / "figures.sqlite3").touch(0o644)
    settings = {"CONTENT_DIR": str(write_book(tmp_path / "content")), "DATA_DIR": str(data), "LOG_QUESTIONS": "true"}
    with app_process(tmp_path / "run", settings) as app:
        app.wait_until_it_answers()
        for _ in range(100):
            if httpx.get(f"{app.url}/health").json()["index"]["state"] == "ready":
                break
        httpx.get(f"{app.url}/x%0A2001-01-01T00:00:00Z%20INFO%20forged")
        only(ask(app.url, "wick?\n2001-01-01T00:00:00Z INFO forged"), "done")
        opened = [path for path in [data, *data.rglob("*")] if stat.S_IMODE(path.lstat().st_mode) & 0o077]
        assert opened == []
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
    log = app.log.read_text()
    assert "forged" in log, json.dumps(log)
    assert not [line for line in log.splitlines() if line.startswith("2001-01-01")]
