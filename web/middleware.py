"""Pure ASGI middleware: request id, security headers, the log line, the body limit, and unforeseen exceptions.

`RequestContextMiddleware` is the outermost layer and `BodyLimitMiddleware` the innermost, with CORS between them: every
refusal carries the request id, and those of the innermost layer carry CORS headers too.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from web.auth import RateLimits
from web.problems import Problem, internal, not_found

log = logging.getLogger("askthebook.requests")
request_id: ContextVar[str] = ContextVar("request_id", default="-")

BODY_LIMIT = 64 * 1024
GRADIO_BODY_LIMIT = 512 * 1024
BODY_SECONDS = 15.0
# The routes that count questions, ratings or events of the interface.
LIMITED_ELSEWHERE = ("/chat", "/search", "/feedback", "/gradio_api/", "/assets/", "/static/")
DRAINED_BYTES = 32 * 1024 * 1024
DRAINED_SECONDS = 5.0
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "form-action 'self'",
        "base-uri 'self'",
        "object-src 'none'",
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space",
    ]
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_SAID_BY_PROXIES = (b"x-forwarded-", b"forwarded", b"x-real-ip", b"x-original-", b"x-rewrite-")
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class TrustedProxies:
    """Believes what trusted proxies say of a request's origin, and removes what anybody else says of it.

    Gradio builds addresses out of `X-Forwarded-Host`, whoever sends it.
    """

    def __init__(self, app: ASGIApp, trusted: list[str]) -> None:
        self.app = app
        self._proxied = ProxyHeadersMiddleware(app, trusted_hosts=trusted)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        if scope["type"] != "http" or (peer and peer[0] in self._proxied.trusted_hosts):
            return await self._proxied(scope, receive, send)  # type: ignore[arg-type]
        headers = [(name, value) for name, value in scope["headers"] if not name.startswith(_SAID_BY_PROXIES)]
        return await self.app({**scope, "headers": headers}, receive, send)


class RequestContextMiddleware:
    """Names the request, adds the headers, writes the one log line. `scope["log"]` takes further fields for it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        offered = Headers(scope=scope).get("x-request-id", "")
        name = offered if _ACCEPTABLE_ID.fullmatch(offered) else uuid4().hex
        fields: MutableMapping[str, Any] = {}
        scope["request_id"], scope["log"] = name, fields
        token, began, status = request_id.set(name), time.perf_counter(), 0

        async def labelled(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = name
                for key, value in SECURITY_HEADERS.items():
                    headers.setdefault(key, value)
            await send(message)

        try:
            return await self.app(scope, receive, labelled)
        finally:
            fields.update(
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round((time.perf_counter() - began) * 1e3, 1),
            )
            level = logging.DEBUG if _is_quiet(scope["path"]) else logging.INFO
            log.log(
                level, "%s %s %s %sms", scope["method"], scope["path"], status, fields["ms"], extra={"fields": fields}
            )
            request_id.reset(token)


class BodyLimitMiddleware:
    """Reads bodies up to their limit, and turns an unforeseen exception into a problem."""

    def __init__(self, app: ASGIApp, limits: RateLimits | None = None) -> None:
        self.app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = lost = False

        async def watched(message: Message) -> None:
            nonlocal started, lost
            if message["type"] == "http.response.start":
                started, lost = True, _is_lost(scope, message["status"])
                if lost:
                    await not_found().response(scope["request_id"])(scope, receive, send)
            if not lost:
                await send(message)

        try:
            if self._limits is not None and not scope["path"].startswith(LIMITED_ELSEWHERE):
                await self._limits.admit_interface("files", scope["client"][0] if scope["client"] else None)
            return await self.app(scope, await _read_body(scope, receive), watched)
        except Problem as problem:
            if started:
                raise
            return await problem.response(scope["request_id"])(scope, receive, send)
        except Exception:
            log.exception("unforeseen failure of %s %s", scope["method"], scope["path"])
            if started:
                raise
            return await internal().response(scope["request_id"])(scope, receive, send)


def _is_lost(scope: Scope, status: int) -> bool:
    """What the interface mounted at "/" refuses in words of its own: nobody has a route there."""
    return status in {404, 405} and not scope.get("problem") and not scope["path"].startswith("/gradio_api/")


async def _read_body(scope: Scope, receive: Receive) -> Receive:
    """The same request with its body already read. Raises Problem 413 when it is too long, 408 when too slow."""
    if scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        return receive
    limit = GRADIO_BODY_LIMIT if scope["path"].startswith("/gradio_api/") else BODY_LIMIT
    declared = Headers(scope=scope).get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        await _drain(receive)
        raise _too_large(limit)
    pieces: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return receive
                pieces.append(message.get("body", b""))
                size, more = size + len(pieces[-1]), message.get("more_body", False)
                if size > limit:
                    break
    except TimeoutError:
        raise Problem(408, "timeout", "The request's body did not arrive in time.", True) from None
    if size > limit:
        pieces.clear()
        if more:
            await _drain(receive)
        raise _too_large(limit)
    return replay(b"".join(pieces), receive)


async def _drain(receive: Receive) -> None:
    """Drops the rest of a body, up to a bound: closed with bytes unread, a connection is reset and the answer lost."""
    dropped, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAINED_SECONDS):
            while more and dropped < DRAINED_BYTES:
                message = await receive()
                dropped += len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives `body` first, as one message, and then what `receive` gives."""
    read = False

    async def replayed() -> Message:
        nonlocal read
        if read:
            return await receive()
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _too_large(limit: int) -> Problem:
    # The rest of the body may not have been read, so the connection cannot be used again.
    message = f"The request's body is larger than {limit // 1024} KiB."
    return Problem(413, "too_large", message, headers={"connection": "close"})


def _is_quiet(path: str) -> bool:
    """What a browser tab asks for all the time."""
    return path.startswith(("/gradio_api/", "/assets/", "/static/", "/svelte/", "/theme.css")) or path == "/health"
