"""A model server that costs next to nothing, so that what is measured is what stands before it.

`python -m benchmarks.upstream`, with PORT, DIMENSIONS, EMBED and FIRST (seconds), RATE (pieces a second, 0: at once),
PIECES and PLAIN in the environment. Every streamed piece holds the nanosecond at which it was sent. PLAIN takes
vectors drawn from the text's hash, for books that nobody asks; else texts that share words are near each other.
"""

import asyncio
import base64
import json
import os
import time
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np
import uvicorn

from tests.support import model_voice

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_DRAWN = 512
_HEAD = {"id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "upstream"}

_USAGE = (
    b"data: %b\n\n"
    % json.dumps(
        {**_HEAD, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
    ).encode()
)


class Upstream:
    def __init__(self) -> None:
        def number(name: str, default: float) -> float:
            return float(os.environ.get(name, default))

        self._dimensions, self._pieces = int(number("DIMENSIONS", 256)), int(number("PIECES", 60))
        self._embed, self._first, self._rate = number("EMBED", 0), number("FIRST", 0), number("RATE", 0)
        self._plain = bool(number("PLAIN", 0))
        drawn = np.random.default_rng(1).standard_normal((_DRAWN, self._dimensions)).astype("<f4")
        self._table = [base64.b64encode(row.tobytes()).decode() for row in drawn] if self._plain else []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _body(receive)
        if scope["path"].endswith("/embeddings"):
            await self._answer_vectors(json.loads(body), send)
        elif scope["path"].endswith("/chat/completions"):
            await self._answer_words(send)
        else:
            await _send_whole(send, '{"object": "list", "data": []}')

    async def _answer_vectors(self, body: dict[str, Any], send: Send) -> None:
        given = body["input"]
        texts = [given] if isinstance(given, str) else given
        due = time.perf_counter() + self._embed
        rows = [
            f'{{"object":"embedding","index":{number},"embedding":"{self._vector(text)}"}}'
            for number, text in enumerate(texts)
        ]
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        usage = '"usage":{"prompt_tokens":1,"total_tokens":1}'
        await _send_whole(send, f'{{"object":"list","data":[{",".join(rows)}],"model":"upstream",{usage}}}')

    def _vector(self, text: str) -> str:
        if self._plain:
            return self._table[zlib.crc32(text.encode()) % _DRAWN]
        return base64.b64encode(model_voice.embed(text, self._dimensions).astype("<f4").tobytes()).decode()

    async def _answer_words(self, send: Send) -> None:
        await asyncio.sleep(self._first)
        await _begin(send, b"text/event-stream")
        began = time.perf_counter()
        for number in range(self._pieces):
            if self._rate:
                await asyncio.sleep(max(0.0, began + number / self._rate - time.perf_counter()))
            await _send(send, _event({"content": f"w{time.time_ns()} "}))
        await _send(send, _event({}, "stop") + _USAGE + b"data: [DONE]\n\n", more=False)


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    return (
        b"data: %b\n\n"
        % json.dumps({**_HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()
    )


async def _body(receive: Receive) -> bytes:
    whole = bytearray()
    while True:
        message = await receive()
        whole += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(whole)


async def _begin(send: Send, kind: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _send_whole(send: Send, text: str) -> None:
    await _begin(send, b"application/json")
    await _send(send, text.encode(), more=False)


if __name__ == "__main__":
    uvicorn.run(Upstream(), host="127.0.0.1", port=int(os.environ["PORT"]), log_level="critical", lifespan="off")
