"""Credentials and rate limits: closed unless the token is right, counted per reader, never guessed."""

import asyncio
import stat
import time
from pathlib import Path

import pytest

from rag.redis.connection import PAUSE_SECONDS
from rag.settings import Settings
from tests.support.redis_server import RedisServer
from web.api import allowed_origins
from web.auth import AdminToken, MonotonicStorage, RateLimits, client_key, offered_token
from web.problems import Problem


def opened(configured: str | None, data_dir: Path) -> AdminToken:
    admin = AdminToken(configured, data_dir)
    admin.open()
    return admin


def test_a_configured_token_opens_and_nothing_else_does(tmp_path: Path) -> None:
    admin = opened("correct horse", tmp_path)
    assert admin.opens("correct horse")
    assert not any(admin.opens(wrong) for wrong in (None, "", "correct", "correct horse ", "ünïcode"))
    assert not (tmp_path / "admin_token").exists()


def test_without_a_token_one_is_made_kept_for_its_owner_only_and_never_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    admin = opened(None, tmp_path / "data")
    file = tmp_path / "data" / "admin_token"
    token = file.read_text().strip()
    assert len(token) >= 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert str(file) in caplog.text
    assert token not in caplog.text
    assert admin.opens(token)
    assert opened(None, tmp_path / "data").opens(token), "the next start keeps it"


def test_where_no_token_can_be_kept_everything_stays_locked(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    admin = opened(None, blocked)
    assert not admin.opens("")
    assert not admin.opens("None")


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"x-admin-token": "a"}, "a"),
        ({"authorization": "Bearer b"}, "b"),
        ({"authorization": "bearer  c "}, "c"),
        ({"authorization": "Basic d"}, None),
        ({}, None),
    ],
)
def test_where_a_token_is_looked_for(headers: dict[str, str], token: str | None) -> None:
    assert offered_token(headers) == token


def test_a_reader_is_an_address_or_an_ipv6_network() -> None:
    assert client_key("203.0.113.9") == "203.0.113.9"
    assert client_key("2001:db8::1") == client_key("2001:db8::ffff") != client_key("2001:db8:0:1::1")
    assert client_key("::ffff:203.0.113.9") == "203.0.113.9"
    assert client_key(None) == "unknown"


async def test_the_eleventh_question_in_a_minute_waits_and_other_readers_do_not() -> None:
    limits = RateLimits("10/minute", "100/minute", ["k1"])
    for _ in range(10):
        await limits.admit("203.0.113.9")
    with pytest.raises(Problem) as refused:
        await limits.admit("203.0.113.9")
    assert (refused.value.status, refused.value.code, refused.value.retryable) == (429, "rate_limited", True)
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= 60
    await limits.admit("203.0.113.10")


async def test_a_key_lifts_the_limit_and_a_wrong_one_is_refused() -> None:
    limits = RateLimits("1/minute", "3/minute", ["right key"])
    for _ in range(3):
        await limits.admit("203.0.113.9", "right key")
    with pytest.raises(Problem) as refused:
        await limits.admit("203.0.113.9", "right key")
    assert refused.value.status == 429
    with pytest.raises(Problem) as unknown:
        await limits.admit("203.0.113.9", "wrong key")
    assert unknown.value.status == 401


async def test_guessing_the_admin_token_is_limited(tmp_path: Path) -> None:
    limits, admin = RateLimits("10/minute", "100/minute", []), opened("right", tmp_path)
    statuses = []
    for guess in range(21):
        with pytest.raises(Problem) as refused:
            await limits.require_admin(admin, {"x-admin-token": str(guess)}, "203.0.113.9")
        statuses.append(refused.value.status)
    assert statuses == [401] * 20 + [429]
    await limits.require_admin(admin, {"x-admin-token": "right"}, "203.0.113.9")


async def test_a_redis_that_is_gone_does_not_stop_readers() -> None:
    limits = RateLimits("1/minute", "1/minute", [], "redis://127.0.0.1:1/0")
    await limits.admit("203.0.113.9")
    with pytest.raises(Problem) as refused:
        await limits.admit("203.0.113.9")
    assert refused.value.status == 429


async def test_two_processes_count_together_through_redis(redis_server: RedisServer) -> None:
    one, two = (RateLimits("3/minute", "100/minute", [], redis_server.url) for _ in range(2))
    for limits in (one, two, one):
        await limits.admit("203.0.113.9")
    for limits in (one, two):
        with pytest.raises(Problem) as refused:
            await limits.admit("203.0.113.9")
        assert refused.value.status == 429
    await two.admit("203.0.113.10")
    await one.close()
    await two.close()


async def test_limits_outlive_redis_and_are_shared_again_when_it_is_back(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = (RateLimits("3/minute", "100/minute", [], redis_server.url) for _ in range(2))
    await one.admit("203.0.113.9")
    await two.admit("203.0.113.9")
    redis_server.stop()
    for _ in range(3):
        await one.admit("203.0.113.9")
    with pytest.raises(Problem):
        await one.admit("203.0.113.9")
    assert len(caplog.records) == 1
    redis_server.start()
    await asyncio.sleep(PAUSE_SECONDS)
    for limits in (two, one, two):
        await limits.admit("203.0.113.9")
    with pytest.raises(Problem):
        await one.admit("203.0.113.9")
    await one.close()
    await two.close()


async def test_a_clock_that_is_set_back_locks_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits("2/second", "100/minute", [])
    for _ in range(2):
        await limits.admit("192.0.2.7")
    with pytest.raises(Problem) as refused:
        await limits.admit("192.0.2.7")
    assert refused.value.retry_after == pytest.approx(1.0, abs=0.1)
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() - 3600)
    await asyncio.sleep(1.05)
    await limits.admit("192.0.2.7")


async def test_addresses_that_asked_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.auth.MOST_WINDOWS", 50)
    storage = MonotonicStorage()
    for number in range(200):
        await storage.acquire_entry(f"address-{number}", 2, 0)
    assert len(storage._windows) <= 51


@pytest.mark.parametrize(
    ("book_url", "origin"),
    [
        ("https://Book.example/docs/", "https://book.example"),
        ("http://book.example:8080", "http://book.example:8080"),
        ("https://book.example:443/", "https://book.example"),
    ],
)
def test_the_origin_of_the_book_may_ask_beside_those_that_are_named(tmp_path: Path, book_url: str, origin: str) -> None:
    settings = Settings(data_dir=tmp_path, book_url=book_url)
    assert allowed_origins(settings) == [*Settings().allowed_origins, origin]
    assert allowed_origins(Settings(data_dir=tmp_path, allowed_origins=[origin], book_url=book_url)) == [origin]
    assert allowed_origins(Settings(data_dir=tmp_path)) == Settings().allowed_origins
