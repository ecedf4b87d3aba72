"""Connections that never become requests: closed in time, bounded in number, and never in the way of others."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.web.conftest import Start
from web import connections

HALF = b"GET /health HTTP/1.1\r\nhost: x\r\nx-half: "


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@contextmanager
def connected(port: int, count: int, sent: bytes, address: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5, source_address=(address, 0)))
            one.sendall(sent)
            made.append(one)
        yield made


def closed_within(one: socket.socket, seconds: float) -> bytes | None:
    """All that came before the other side closed; None when it did not."""
    received, until = b"", time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        one.settimeout(left)
        try:
            piece = one.recv(65536)
        except TimeoutError:
            return None
        except ConnectionError:
            return received
        if not piece:
            return received
        received += piece
    return None


def healthy(url: str, seconds: float) -> None:
    began = time.monotonic()
    assert httpx.get(f"{url}/health", timeout=seconds).status_code == 200
    assert time.monotonic() - began < seconds


def test_three_hundred_half_heads_are_closed_and_keep_nobody_waiting(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 3.0)
    app = start(ready=False, ingest_on_start=False)
    with connected(port_of(app.url), 300, HALF) as halves:
        healthy(app.url, 5)
        for one in halves:
            answer = closed_within(one, 15)
            assert answer is not None, "still open"
            assert answer.startswith(b"HTTP/1.1 408 ")
        healthy(app.url, 5)


TRICKLES = {
    "a head": (HALF, b"a"),
    "nothing at all": (b"", b""),
    "a second head": (b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", b"G"),
    "a body that nobody reads": (b"GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n", b"x"),
}


@pytest.mark.parametrize(("first", "more"), TRICKLES.values(), ids=TRICKLES.keys())
def test_a_trickle_of_bytes_keeps_no_connection_open(
    start: Start, monkeypatch: pytest.MonkeyPatch, first: bytes, more: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 2.0)
    app = start(ready=False, ingest_on_start=False)
    with connected(port_of(app.url), 1, first) as (one,):
        until = time.monotonic() + 20
        try:
            while time.monotonic() < until:
                if closed_within(one, 0.3) is not None:
                    break
                one.sendall(more)
        except ConnectionError:
            pass
        assert time.monotonic() < until, "still open"


def test_a_slow_head_within_its_time_is_answered(start: Start) -> None:
    app = start(ready=False, ingest_on_start=False)
    with connected(port_of(app.url), 1, b"") as (one,):
        for piece in (b"GET /health HTTP/1.1\r\n", b"host: x\r\nconnection", b": close\r\n", b"\r\n"):
            one.sendall(piece)
            time.sleep(0.3)
        answer = closed_within(one, 10)
    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_beyond_the_bound_those_go_that_wait_and_health_answers(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 40)
    app = start(ready=False, ingest_on_start=False)
    with connected(port_of(app.url), 120, HALF) as halves:
        for _ in range(5):
            healthy(app.url, 5)
        ended = [one for one in halves[:70] if closed_within(one, 5) is not None]
        assert len(ended) == 70, "the oldest went first"


def test_one_address_takes_its_own_room_alone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_OF_ADDRESS", 10)
    monkeypatch.setattr(connections, "_LOOPBACK", ("::1",))  # so that an address of this machine is a stranger's
    app = start(ready=False, ingest_on_start=False)
    port = port_of(app.url)
    with connected(port, 5, HALF, "127.0.0.3") as others, connected(port, 30, HALF, "127.0.0.2") as many:
        assert all(closed_within(one, 5) is not None for one in many[:20])
        assert closed_within(many[-1], 0.5) is None
        assert all(closed_within(one, 0.1) is None for one in others)
        healthy(app.url, 5)


def test_many_requests_on_one_connection_are_all_answered(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    app = start(ready=False, ingest_on_start=False)
    with httpx.Client(base_url=app.url) as client:
        for pause in (0.0, 0.8, 0.8, 2.0, 0.0):
            time.sleep(pause)
            assert client.get("/health").status_code == 200
