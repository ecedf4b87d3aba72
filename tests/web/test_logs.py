"""Log lines: one per event, without secrets, and nobody's but ours."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from rag.settings import Settings
from web import logs

SECRETS = Settings.model_validate(
    {
        "openai_api_key": "key-of-the-model-server",
        "openai_base_url": "http://operator:p%40ss-word-1@model.example/v1",
        "redis_url": "redis://:redis-password@cache.example/0",
        "api_keys": "first-api-key,second-api-key",
        "admin_token": "the-admin-token",
        "qdrant_api_key": "qdrant-key",
    }
).secrets


@pytest.fixture(params=[False, True], ids=["plain", "json"])
def log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    root.handlers.clear()
    logs.configure("info", request.param, SECRETS)
    yield out
    root.handlers[:] = kept
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.mark.parametrize("secret", sorted(SECRETS | {"p@ss-word-1", "p%40ss-word-1"}))
def test_no_secret_gets_into_a_line(log: io.StringIO, secret: str) -> None:
    logger = logging.getLogger("anything")
    logger.info("in an argument: %s", f"x{secret}y")
    logger.info("in a field", extra={"fields": {"url": f"http://{secret}@host/", "list": [secret]}})
    try:
        raise ValueError(f"in an exception: {secret}")
    except ValueError:
        logger.exception("it failed")
    assert secret not in log.getvalue()
    assert log.getvalue().count("***") >= 4


def test_the_user_of_any_address_is_taken_out(log: io.StringIO) -> None:
    logging.getLogger("httpx2").warning("POST %s", "https://me:not-a-setting@host.example/v1 and ftp://a@b@c/")
    assert "not-a-setting" not in log.getvalue()
    assert "https://***@host.example/v1 and ftp://***@c/" in log.getvalue()


def test_http_clients_do_not_tell_every_request(log: io.StringIO) -> None:
    for name in ("httpx", "httpx2", "httpcore"):
        logging.getLogger(name).info("HTTP Request: POST http://host/")
    assert not log.getvalue()


@pytest.mark.parametrize("control", ["\n", "\r", "\x1b[31m", "\x85", "\u2028", "\u202e", "\0", "\x9b"])
def test_nobody_writes_a_line_of_their_own(log: io.StringIO, control: str) -> None:
    forged = f"a{control}2026-01-01T00:00:00Z INFO    - all is well"
    logging.getLogger("x").info("%s", forged, extra={"fields": {"path": forged}})
    try:
        raise ValueError(forged)
    except ValueError:
        logging.getLogger("x").exception("it failed")
    written = log.getvalue()
    assert control[0] == "\n" or control[0] not in written
    lines = written.splitlines()
    assert not [line for line in lines if line.startswith("2026-01-01")]
    if lines[0].startswith("{"):
        assert len(lines) == 2
        assert json.loads(lines[0])["message"] == forged
