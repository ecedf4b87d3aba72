"""Connections are bounded in time and in number, below the application: uvicorn itself waits for a head for ever.

A connection waits while no answer is under way on it: before its first request, between two, or in the middle of a head
or of a body that nobody reads any more. A waiting connection is closed after a while however slowly bytes go on coming,
and is the first to go when there are too many. What is being answered is never cut off for a newcomer.
"""

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from web.auth import client_key

log = logging.getLogger(__name__)

HEAD_SECONDS = 10.0  # for a whole head, from the first byte or from connecting
STALL_SECONDS = 60.0  # a reader may take to read what was sent before more can be sent
MOST = 2048  # connections at once, if the system allows as many files
MOST_OF_ADDRESS = 128  # an address may be that of many readers behind one router
RESERVED = 32  # beyond the bound, for this machine and for proxies: what looks after the service must reach it
_FILES_KEPT = 128  # open files that are left for everything else
_LOOPBACK = ("127.", "::1", "::ffff:127.")

_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def allow_many_files() -> None:
    """Raise the soft limit of open files as far as the system lets us: a connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MOST if hard == resource.RLIM_INFINITY else min(4 * MOST, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(RESERVED, min(MOST, soft - _FILES_KEPT - RESERVED))


@dataclass(eq=False)
class _Open:
    """The connections of one server. `waiting` has the oldest first."""

    most: int = field(default_factory=most_connections)
    addresses: Counter[str] = field(default_factory=Counter)
    waiting: dict["BoundedProtocol", None] = field(default_factory=dict)


_servers: WeakKeyDictionary[ServerState, _Open] = WeakKeyDictionary()


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with the bounds above; `trusted` addresses of proxies have no bound of their own."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._open = _servers.setdefault(server_state, _Open())
        self._address = ""
        self._head: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        allowed = config.forwarded_allow_ips or ()
        self._trusted: Collection[str] = allowed.split(",") if isinstance(allowed, str) else allowed

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        self._address = client_key(host)
        self._open.addresses[self._address] += 1
        self._wait()
        ours = host.startswith(_LOOPBACK) or host in self._trusted
        if not ours and self._open.addresses[self._address] > MOST_OF_ADDRESS:
            self._make_room(self._address)
        elif len(self.connections) > self._open.most:
            self._make_room(None, reserved=RESERVED if ours else 0)

    def _make_room(self, address: str | None, *, reserved: int = 0) -> None:
        """Ends the one that has waited longest, of that address or of all; without any, this one."""
        for other in self._longest_waiting(address):
            other._end(b"")
            return
        if address is not None or len(self.connections) > self._open.most + reserved:
            log.warning("a connection of %s was refused: there are %d", self._address, len(self.connections))
            self._end(_TOO_MANY)

    def _longest_waiting(self, address: str | None) -> Iterator["BoundedProtocol"]:
        for other in self._open.waiting:
            if other is not self and address in (None, other._address):
                yield other

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_answering():
            self._open.waiting[self] = None  # uvicorn's own clock runs until the next byte

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:  # noqa: ANN401
        self._forget()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _look(self) -> None:
        if self._is_answering() or self._address == "":
            self._stop_waiting()
        elif self._head is None and not self.transport.is_closing():
            self._wait()

    def _wait(self) -> None:
        self._open.waiting.setdefault(self)
        self._head = self.loop.call_later(HEAD_SECONDS, self._end, _TIMED_OUT)

    def _stop_waiting(self) -> None:
        self._open.waiting.pop(self, None)
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _forget(self) -> None:
        """Nothing of this connection is counted or timed any more."""
        self._stop_waiting()
        if self._stalled is not None:
            self._stalled.cancel()
        if self._address:
            self._open.addresses[self._address] -= 1
            if not self._open.addresses[self._address]:
                del self._open.addresses[self._address]
            self._address = ""

    def _end(self, answer: bytes) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            if answer:
                self.transport.write(answer)
            self.transport.close()
