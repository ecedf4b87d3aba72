"""A loopback model server that fails in three dozen ways, byte by byte, and passes everything else on to a sound one.

with OpenAIServer() as sound, BrokenUpstream(sound.url) as server:
    server.base_url                                  # for OPENAI_BASE_URL
    server.fail("half an answer, then silence", parts=("chat",))
    server.mend()
"""

import asyncio
import gzip
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

ROUTES = {"/v1/chat/completions": "chat", "/v1/embeddings": "embeddings", "/v1/models": "models"}
Writer = asyncio.StreamWriter
Misbehave = Callable[[Writer, str], Awaitable[None]]


def _head(status: str = "200 OK", kind: str = "application/json", **headers: str) -> bytes:
    named = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items()), "connection: close"]
    return "\r\n".join([*lines, "", ""]).encode()


def _event(**fields: Any) -> bytes:
    return f"data: {json.dumps(fields)}\n\n".encode()


def _delta(text: str | None, reason: str | None = None) -> bytes:
    return _event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": reason}])


def _usual(part: str) -> bytes:
    """The head that a sound answer of this part begins with."""
    return _head(kind="text/event-stream" if part == "chat" else "application/json")


def _beginning(part: str) -> bytes:
    return _delta("Soot ") + _delta("halves ") if part == "chat" else b'{"object": "list", "data": [{"embedding": [0.1'


async def _send(writer: Writer, *pieces: bytes) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()


async def _silence(writer: Writer) -> None:
    await writer.drain()
    await asyncio.sleep(3600)


async def _reset(writer: Writer) -> None:
    """Close with RST instead of FIN."""
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _status(status: str, **headers: str) -> Misbehave:
    body = json.dumps({"error": {"message": "told to fail", "type": "server_error", "code": None}}).encode()

    async def answer(writer: Writer, part: str) -> None:
        await _send(writer, _head(status, **headers), body)

    return answer


def _body(of_chat: bytes, of_embeddings: bytes, kind: str | None = None) -> Misbehave:
    async def answer(writer: Writer, part: str) -> None:
        await _send(writer, _head(kind=kind) if kind else _usual(part), of_chat if part == "chat" else of_embeddings)

    return answer


def _forever(piece: bytes, pause: float = 0.0, begin: Callable[[str], bytes] = _usual) -> Misbehave:
    async def answer(writer: Writer, part: str) -> None:
        await _send(writer, begin(part))
        while True:
            await _send(writer, piece)
            await asyncio.sleep(pause)

    return answer


def _then(end: Callable[[Writer], Awaitable[None]], begin: Callable[[str], bytes]) -> Misbehave:
    async def answer(writer: Writer, part: str) -> None:
        await _send(writer, begin(part))
        await end(writer)

    return answer


async def _close(writer: Writer) -> None:
    await writer.drain()


def _vectors(*vectors: list[float]) -> bytes:
    return json.dumps({"data": [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]}).encode()


def _gzipped(body: bytes, length: int | None = None) -> Misbehave:
    packed = gzip.compress(body)[:length]

    async def answer(writer: Writer, part: str) -> None:
        await _send(writer, _head(content_encoding="gzip"), packed)

    return answer


async def _redirected(writer: Writer, part: str) -> None:
    route = next(path for path, name in ROUTES.items() if name == part)
    await _send(writer, _head("307 Temporary Redirect", location=route, content_length="0"))


HTML = b"<!doctype html><html><body><h1>Sign in to the network</h1></body></html>"
STOP = _delta("", "stop") + b"data: [DONE]\n\n"
WAYS: dict[str, Misbehave] = {
    "reset at once": _then(_reset, lambda _: b""),
    "closed at once": _then(_close, lambda _: b""),
    "accepted, never answered": _then(_silence, lambda _: b""),
    "500": _status("500 Internal Server Error"),
    "502": _status("502 Bad Gateway"),
    "503": _status("503 Service Unavailable"),
    "504": _status("504 Gateway Timeout"),
    "429": _status("429 Too Many Requests"),
    "429, retry after 1 s": _status("429 Too Many Requests", retry_after="1"),
    "429, retry after an hour": _status("429 Too Many Requests", retry_after="3600"),
    "400": _status("400 Bad Request"),
    "401": _status("401 Unauthorized"),
    "403": _status("403 Forbidden"),
    "404": _status("404 Not Found"),
    "422": _status("422 Unprocessable Entity"),
    "204, nothing": _then(_close, lambda _: _head("204 No Content")),
    "slow headers": _forever(b"x", 0.5, lambda _: b"HTTP/1.1 200 OK\r\nx-slow: "),
    "endless headers": _forever(b"x-more: " + b"y" * 1000 + b"\r\n", 0.0, lambda _: b"HTTP/1.1 200 OK\r\n"),
    "100 Continue for ever": _forever(b"HTTP/1.1 100 Continue\r\n\r\n", 0.2, lambda _: b""),
    "slow drip": _forever(b" ", 0.4),
    "half an event, then silence": _then(_silence, lambda part: _usual(part) + b'data: {"choices": [{"del'),
    "half an answer, then silence": _then(_silence, lambda part: _usual(part) + _beginning(part)),
    "half an answer, then reset": _then(_reset, lambda part: _usual(part) + _beginning(part)),
    "half an answer, then the end": _then(_close, lambda part: _usual(part) + _beginning(part)),
    "invalid JSON": _body(b"data: {this is not JSON\n\n", b"{this is not JSON"),
    "wrong content type": _body(b"All is well.", b"All is well.", "text/plain"),
    "an HTML page": _body(HTML, HTML, "text/html"),
    "empty body": _body(b"", b""),
    "empty choices": _body(_event(choices=[]) + b"data: [DONE]\n\n", b'{"data": []}'),
    "no words, NaN": _body(STOP, _vectors([float("nan")] * 1536)),
    "blank words, wrong dimensions": _body(_delta("  ") + STOP, _vectors([0.5] * 7)),
    "error in the stream, wrong count": _body(
        _event(error={"message": "told to fail", "code": None}), _vectors([0.5] * 1536, [0.5] * 1536)
    ),
    "null everywhere": _body(b"data: null\n\n" + _event(choices=None), b"null"),
    "redirected for ever": _redirected,
    "endless body": _forever(b" " * 65_536),
    "endless line": _forever(b"x" * 65_536, 0.0, lambda part: _usual(part) + b"data: "),
    "heartbeats for ever": _forever(b": ping\n\n", 0.1),
    "heartbeats as fast as they go": _forever(b": ping\n\n" * 8_000),
    "truncated gzip": _gzipped(json.dumps({"data": ["x" * 50_000]}).encode(), 60),
    "a gzip bomb": _gzipped(b" " * 200_000_000),
    "no HTTP at all": _forever(b"\x00\xff\x16\x03" * 64, 0.1, lambda _: b"SSH-2.0-OpenSSH_9.9\r\n"),
}
ANSWERS_HALF = {way for way in WAYS if way.startswith("half an answer")}


class BrokenUpstream:
    """Listens on a loopback port, in a thread of its own. `sent` counts the bytes of failing answers."""

    def __init__(self, sound_url: str) -> None:
        self._sound = urlsplit(sound_url)
        self._way: Misbehave | None = None
        self._parts: Collection[str] = ()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._tasks: set[asyncio.Task[Any]] = set()

    def fail(self, way: str, parts: Collection[str] = ("chat", "embeddings", "models")) -> None:
        """From now on, on the routes of these parts, in this way of WAYS."""
        self._parts, self._way = parts, WAYS[way]

    def mend(self) -> None:
        """From now on all is well; what hangs is let go."""
        self._way = None
        self._loop.call_soon_threadsafe(self._let_go)

    @property
    def base_url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self._ready.set()
        self._loop.run_forever()
        self._let_go()
        self._server.close()
        self._loop.run_until_complete(asyncio.sleep(0.05))

    def _let_go(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        part = ROUTES.get(lines[0].split(" ")[1].partition("?")[0], "")
        way = self._way
        if way is not None and part in self._parts:
            await way(writer, part)
            return
        kept = [line for line in lines if line and not line.lower().startswith("connection:")]
        async for piece in self._passed_on("\r\n".join([*kept, "connection: close", "", ""]).encode("latin-1") + body):
            await _send(writer, piece)

    async def _passed_on(self, request: bytes) -> AsyncIterator[bytes]:
        reader, writer = await asyncio.open_connection(self._sound.hostname, self._sound.port)
        try:
            await _send(writer, request)
            while piece := await reader.read(65_536):
                yield piece
        finally:
            writer.close()
