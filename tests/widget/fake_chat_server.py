"""POST /chat as the public contract describes it, from an origin of its own, with every way to misbehave.

with FakeChatServer(allowed_origin=site.url) as server:
    server.next(Answer(pause=0.05))        # for the next question
    server.next(Refuse(429, "rate_limited", retry_after=3))
    server.received                        # what was asked, and who left before the end
    server.stop(); server.start()          # gone, and back on the same port
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.widget.loopback import LoopbackServer

WIDGET = Path(__file__).resolve().parents[2] / "web" / "static" / "widget.js"
SESSION = "6f1c1b6e-3a63-4a3e-9a7e-0c4f9a1d2b3c"

SOURCES: list[dict[str, Any]] = [
    {
        "n": 1,
        "title": "PID control",
        "url": "/part-2/control.html#pid-control",
        "breadcrumbs": ["Part 2", "Control", "PID control"],
        "path": "part-2/control.md",
        "score": 0.71,
        "snippet": "A PID loop corrects the error.",
    },
    {
        "n": 2,
        "title": "Tuning",
        "url": "/part-2/control.html#tuning",
        "breadcrumbs": ["Part 2", "Control", "Tuning"],
        "path": "part-2/control.md",
        "score": 0.52,
        "snippet": "Raise the gain until it oscillates.",
    },
    {
        "n": 3,
        "title": "Sensors",
        "url": "/index.html#sensors",
        "breadcrumbs": ["Part 1", "Sensors"],
        "path": "part-1/sensors.md",
        "score": 0.31,
        "snippet": "A sensor measures.",
    },
]

TEXT = """A **PID loop** corrects the error between where a joint *is* and where it *should be* [1].

It adds three terms:

1. the **proportional** term, which reacts to the error now,
2. the **integral** term, which remembers it,
3. the **derivative** term, which foresees it [1] [2].

```python
output = kp * error + ki * total + kd * change
```

Raise the gain until the loop oscillates, then halve it [2]. — “Ça suffit”, 制御 🙂."""


@dataclass(frozen=True)
class Answer:
    """A whole answer in pieces of `size` characters, `pause` seconds apart; `cut_after` pieces it just stops."""

    text: str = TEXT
    sources: list[dict[str, Any]] = field(default_factory=lambda: SOURCES)
    answered: bool = True
    pause: float = 0.0
    size: int = 12
    cut_after: int | None = None
    rude: bool = False
    notice: str = ""
    line_end: str = "\n"

    def events(self) -> list[dict[str, Any]]:
        cited = [source for source in self.sources if f"[{source['n']}]" in self.text]
        ids = {"session_id": SESSION, "message_id": "message-1"}
        definitions = "".join(f'\n[{s["n"]}]: {s["url"]} "{" › ".join(s["breadcrumbs"])}"' for s in cited)
        pieces = [self.text[start : start + self.size] for start in range(0, len(self.text), self.size)]
        return [
            {"type": "start", "v": 1, "request_id": "r", **ids},
            {"type": "status", "stage": "retrieving", "query": "q"},
            {"type": "sources", "grounded": self.answered, "sources": self.sources},
            *([{"type": "notice", "code": "degraded", "message": self.notice}] if self.notice else []),
            {"type": "something-new", "what": "clients ignore what they do not know"},
            *({"type": "chunk", "content": piece} for piece in pieces),
            *({"type": "citation", "citation": {"n": source["n"], "title": source["title"]}} for source in cited),
            {
                "type": "done",
                **ids,
                "answered": self.answered,
                "finish_reason": "stop",
                "citations": [source["n"] for source in cited] if self.answered else [],
                "answer": f"{self.text}\n{definitions}",
            },
        ]


@dataclass(frozen=True)
class Refuse:
    """A refusal before the first byte, in the one shape."""

    status: int
    code: str
    message: str = "The server's own sentence."
    retry_after: int | None = None


@dataclass(frozen=True)
class Page:
    """What a proxy says while the Space is asleep: a page, whatever was asked."""

    status: int = 503


@dataclass(frozen=True)
class Fail:
    """A stream that ends with an `error` event."""

    code: str
    message: str
    retry_after: int | None = None


@dataclass(frozen=True)
class Garbage:
    """A stream that is not JSON."""


Behaviour = Answer | Refuse | Page | Fail | Garbage


@dataclass
class Received:
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    left: bool = False


class FakeChatServer(LoopbackServer):
    def __init__(self, allowed_origin: str, widget: Path = WIDGET) -> None:
        self.received: list[Received] = []
        self.feedback_status = 404
        self._widget = widget
        self._next: deque[Behaviour] = deque()
        cors = Middleware(
            CORSMiddleware,
            allow_origins=[allowed_origin],
            allow_methods=["GET", "POST"],
            allow_headers=["content-type", "accept"],
        )
        routes = [
            Route("/widget.js", self._script),
            Route("/chat", self._chat, methods=["POST"]),
            Route("/feedback", self._feedback, methods=["POST"]),
        ]
        super().__init__(Starlette(routes=routes, middleware=[cors]))

    def next(self, *behaviours: Behaviour) -> None:
        self._next.extend(behaviours)

    @property
    def questions(self) -> list[Received]:
        return [received for received in self.received if received.path == "/chat"]

    async def _script(self, _request: Request) -> Response:
        return FileResponse(self._widget, media_type="text/javascript")

    async def _receive(self, request: Request) -> Received:
        received = Received(request.url.path, dict(request.headers), await request.json())
        self.received.append(received)
        return received

    async def _feedback(self, request: Request) -> Response:
        await self._receive(request)
        return JSONResponse({}, self.feedback_status)

    async def _chat(self, request: Request) -> Response:
        received = await self._receive(request)
        behaviour = self._next.popleft() if self._next else Answer()
        match behaviour:
            case Refuse(status, code, message, retry_after):
                problem = {"error": message, "code": code, "message": message, "retryable": True}
                headers = {"retry-after": str(retry_after)} if retry_after else {}
                return JSONResponse(problem | ({"retry_after": retry_after} if retry_after else {}), status, headers)
            case Page(status):
                return HTMLResponse("<html><title>Space is starting</title></html>", status)
            case _:
                return StreamingResponse(_stream(behaviour, received), media_type="text/event-stream")


async def _stream(behaviour: Answer | Fail | Garbage, received: Received) -> AsyncIterator[bytes]:
    try:
        async for event in _events(behaviour):
            yield event
    except asyncio.CancelledError:
        received.left = True
        raise


async def _events(behaviour: Answer | Fail | Garbage) -> AsyncIterator[bytes]:
    if isinstance(behaviour, Garbage):
        yield b'data: {"type":"chunk",\n\n'
        return
    if isinstance(behaviour, Fail):
        error = {"type": "error", "code": behaviour.code, "message": behaviour.message, "retryable": True}
        yield _frame(1, error | {"retry_after": behaviour.retry_after}, "\n")
        return
    chunks = 0
    yield b": ping\n\n"
    for number, event in enumerate(behaviour.events(), start=1):
        if event["type"] == "chunk":
            if chunks == behaviour.cut_after:
                if behaviour.rude:
                    raise ConnectionError("the connection is cut")
                return
            chunks += 1
            await asyncio.sleep(behaviour.pause)
        yield _frame(number, event, behaviour.line_end)


def _frame(number: int, event: dict[str, Any], end: str) -> bytes:
    return f"id: {number}{end}data: {json.dumps(event, ensure_ascii=False)}{end}{end}".encode()
