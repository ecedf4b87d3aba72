"""A loopback OpenAI-compatible server that answers, embeds and, when told to, misbehaves as real ones do.

    with OpenAIServer() as server:                         # listens on 127.0.0.1, a free port, in a thread
        server.base_url                                    # for OPENAI_BASE_URL
        server.key                                         # the one key it accepts
        server.next(Refuse(429, retry_after=1))            # for the next request
        server.next(Cut(after=3), route="chat")            # for the next chat request
        server.always(Refuse(503)); server.always(None)    # until told otherwise
        server.limits = Limits(max_inputs=16, dimensions=False)
        server.received                                    # what came in, and who left before the end

By hand and for benchmarks: `python -m tests.support.openai_server --port 8900 --latency 0.3 --rate 60`.
"""

import argparse
import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from rag.text import tokens
from tests.support import model_voice
from tests.support.openai_script import (
    Behaviour,
    Cut,
    Distort,
    Garbage,
    Limits,
    Received,
    Refuse,
    RouteName,
    Say,
    Stall,
    StreamError,
    distorted,
)

KEY = "sk-loopback-0123456789abcdef"


class _Bad(Exception):
    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.response = _error(status, message, code, param)


class OpenAIServer:
    """A context manager; `start` and `stop` do the same by hand. Every method is safe to call from any thread."""

    def __init__(self, *, port: int = 0, key: str = KEY, limits: Limits | None = None) -> None:
        self.key = key
        self.limits = limits or Limits()
        self.received: list[Received] = []
        self._port = port
        self._script: list[tuple[RouteName | None, Behaviour]] = []
        self._standing: dict[RouteName | None, Behaviour | None] = {}
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    # Telling it what to do

    def next(self, *behaviours: Behaviour, route: RouteName | None = None) -> None:
        """One behaviour per coming request, in order; with a route, per request there."""
        with self._lock:
            self._script.extend((route, behaviour) for behaviour in behaviours)

    def always(self, behaviour: Behaviour | None, *, route: RouteName | None = None) -> None:
        """For every request that no `next` is waiting for; None ends it."""
        with self._lock:
            self._standing[route] = behaviour

    def limit(self, **changes: Any) -> None:
        self.limits = replace(self.limits, **changes)

    def requests(self, route: RouteName) -> list[Received]:
        return [one for one in list(self.received) if one.route == route]

    def _behaviour(self, route: RouteName) -> Behaviour | None:
        with self._lock:
            for place, (wanted, behaviour) in enumerate(self._script):
                if wanted in (None, route):
                    del self._script[place]
                    return behaviour
            return self._standing.get(route) or self._standing.get(None)

    # Living

    @property
    def url(self) -> str:
        assert self._socket is not None, "the server is not started"
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def start(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", self._port))
        self._socket.listen(256)
        config = uvicorn.Config(self.app(), log_level="critical", timeout_graceful_shutdown=1, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)

    def stop(self) -> None:
        """Ends it at once, streams under way included; stopping twice does no harm."""
        if self._server is None or self._thread is None or self._socket is None:
            return
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=10)
        self._socket.close()
        self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/embeddings", self._embeddings, methods=["POST"]),
                Route("/v1/models", self._models),
            ]
        )

    # Answering

    async def _models(self, request: Request) -> Response:
        return await self._answered("models", request)

    async def _chat(self, request: Request) -> Response:
        return await self._answered("chat", request)

    async def _embeddings(self, request: Request) -> Response:
        return await self._answered("embeddings", request)

    async def _answered(self, route: RouteName, request: Request) -> Response:
        raw = await request.body()
        received = Received(route, json.loads(raw) if raw else {}, dict(request.headers))
        self.received.append(received)
        behaviour = self._behaviour(route)
        try:
            response = await self._respond(request, received, behaviour)
        except _Bad as refusal:
            response = refusal.response
        received.status = response.status_code
        received.done = not isinstance(response, StreamingResponse)
        return response

    async def _respond(self, request: Request, received: Received, behaviour: Behaviour | None) -> Response:
        if isinstance(behaviour, Refuse):
            return _refusal(behaviour)
        if self.limits.requires_key and received.headers.get("authorization") != f"Bearer {self.key}":
            raise _Bad(
                401, f"Incorrect API key provided: {received.headers.get('authorization')}", code="invalid_api_key"
            )
        streaming = received.route == "chat" and bool(received.body.get("stream"))
        if isinstance(behaviour, Stall) and not (streaming and behaviour.after):
            await self._silence(request, received, behaviour.seconds, behaviour.until)
        if self.limits.latency:
            await self._silence(request, received, self.limits.latency)
        if isinstance(behaviour, Garbage) and not streaming:
            return Response("<html>This is not JSON", media_type="application/json")
        if received.route == "models":
            return self._model_list()
        if received.route == "embeddings":
            return await asyncio.to_thread(self._embedded, received.body, behaviour)
        self._check_chat(received.body)
        return self._streamed(received, behaviour) if streaming else self._completed(received.body, behaviour)

    def _model_list(self) -> Response:
        if not self.limits.models_route:
            return Response("Not Found", status_code=404)
        return JSONResponse({"object": "list", "data": [{"id": "loopback", "object": "model"}]})

    async def _silence(
        self, request: Request, received: Received, seconds: float, until: threading.Event | None = None
    ) -> None:
        """Waits, and notices when the client leaves meanwhile, but for one who waits `until`."""
        if until is not None:
            await asyncio.to_thread(until.wait, seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                while (await request.receive())["type"] != "http.disconnect":
                    pass
            received.disconnected, received.left_at = True, time.perf_counter()
        except TimeoutError:
            return

    def _embedded(self, body: dict[str, Any], behaviour: Behaviour | None) -> Response:
        inputs = [body["input"]] if isinstance(body.get("input"), str) else list(body.get("input") or [])
        prompt_tokens = self._check_embeddings(body, inputs)
        dimensions = int(body.get("dimensions") or self.limits.native_dimensions)
        vectors = [model_voice.embed(text, dimensions) for text in inputs]
        encoded = body.get("encoding_format") == "base64" and self.limits.base64
        data = [
            {"object": "embedding", "index": n, "embedding": _encoded(vector, base64_format=encoded)}
            for n, vector in enumerate(vectors)
        ]
        if isinstance(behaviour, Distort):
            data = distorted(data, behaviour)
        usage = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
        return Response(
            json.dumps({"object": "list", "data": data, "model": body.get("model"), "usage": usage}),
            media_type="application/json",
        )

    def _check_embeddings(self, body: dict[str, Any], inputs: list[str]) -> int:
        limits = self.limits
        if not inputs or not all(isinstance(text, str) and text for text in inputs):
            raise _Bad(400, "'input' must be a non-empty string or a list of them", param="input")
        if limits.max_inputs is not None and len(inputs) > limits.max_inputs:
            raise _Bad(
                limits.batch_status, f"batch size {len(inputs)} > maximum allowed batch size {limits.max_inputs}"
            )
        if "dimensions" in body and not limits.dimensions:
            raise _Bad(limits.strict_status, "This model does not support specifying dimensions.", param="dimensions")
        if body.get("encoding_format") == "base64" and not limits.base64:
            raise _Bad(limits.strict_status, "encoding_format: only 'float' is supported", param="encoding_format")
        counts = [tokens.count(text) for text in inputs]
        if limits.max_input_tokens is not None and max(counts) > limits.max_input_tokens:
            raise _Bad(400, f"This model's maximum context length is {limits.max_input_tokens} tokens.", param="input")
        if limits.max_batch_tokens is not None and sum(counts) > limits.max_batch_tokens:
            raise _Bad(400, f"Requested {sum(counts)} tokens, max {limits.max_batch_tokens} tokens per request")
        return sum(counts)

    def _check_chat(self, body: dict[str, Any]) -> None:
        if not body.get("messages"):
            raise _Bad(400, "messages must not be empty", param="messages")
        for name in ("stream_options", "max_tokens", "max_completion_tokens", "temperature", "reasoning_effort"):
            if name in body and not getattr(self.limits, name):
                raise self._unsupported(f"Unsupported parameter: '{name}' is not supported with this model.", name)
        effort = body.get("reasoning_effort")
        if effort is not None and effort not in self.limits.efforts:
            words = f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model."
            raise self._unsupported(words, "reasoning_effort")

    def _unsupported(self, words: str, param: str) -> _Bad:
        """Some servers point at the parameter, some only name it."""
        pointed = param if self.limits.points_at_param else None
        return _Bad(self.limits.strict_status, words, code="unsupported_parameter", param=pointed)

    def _completed(self, body: dict[str, Any], behaviour: Behaviour | None) -> Response:
        said = _said(body, behaviour)
        text = "".join(said)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": behaviour.finish_reason if isinstance(behaviour, Say) else "stop",
        }
        return JSONResponse({**_envelope(body, "chat.completion"), "choices": [choice], "usage": _usage(body, text)})

    def _streamed(self, received: Received, behaviour: Behaviour | None) -> Response:
        async def lines() -> AsyncIterator[str]:
            try:
                async for line in self._stream(received, behaviour):
                    yield line
                received.done = True
            except (asyncio.CancelledError, GeneratorExit):
                received.disconnected, received.left_at = True, time.perf_counter()
                raise

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def _stream(self, received: Received, behaviour: Behaviour | None) -> AsyncIterator[str]:
        body, said = received.body, _said(received.body, behaviour)
        envelope = _envelope(body, "chat.completion.chunk")
        yield _event({**envelope, "choices": [_delta({"role": "assistant", "content": ""})]})
        for number, piece in enumerate([*said, None]):
            if behaviour is not None and getattr(behaviour, "after", None) == number:
                match behaviour:
                    case Stall():
                        await asyncio.sleep(behaviour.seconds)
                    case Cut(clean=True):
                        return
                    case Cut():
                        raise ConnectionAbortedError("told to cut")
                    case Garbage():
                        yield "data: {this is not JSON\n\n"
                    case StreamError():
                        yield _event(
                            {"error": {"message": behaviour.message, "code": behaviour.code, "type": "server_error"}}
                        )
                        return
            if piece is not None:
                yield _event({**envelope, "choices": [_delta({"content": piece})]})
                received.pieces += 1
                await asyncio.sleep(1 / self.limits.pieces_per_second if self.limits.pieces_per_second else 0)
        reason = behaviour.finish_reason if isinstance(behaviour, Say) else "stop"
        yield _event({**envelope, "choices": [_delta({}, reason)]})
        counted = (body.get("stream_options") or {}).get("include_usage")
        if counted and not (isinstance(behaviour, Say) and not behaviour.usage):
            yield _event({**envelope, "choices": [], "usage": _usage(body, "".join(said))})
        yield "data: [DONE]\n\n"


def _said(body: dict[str, Any], behaviour: Behaviour | None) -> list[str]:
    if isinstance(behaviour, Say):
        return model_voice.pieces(behaviour.text) if isinstance(behaviour.text, str) else list(behaviour.text)
    return model_voice.pieces(model_voice.reply(body["messages"]))


def _envelope(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-loopback", "object": kind, "created": 1_700_000_000, "model": body.get("model", "loopback")}


def _delta(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _usage(body: dict[str, Any], text: str) -> dict[str, int]:
    prompt = sum(tokens.count(str(message.get("content", ""))) for message in body["messages"])
    written = tokens.count(text)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _error(status: int, message: str, code: str | None = None, param: str | None = None) -> Response:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return JSONResponse({"error": error}, status_code=status)


def _refusal(refuse: Refuse) -> Response:
    response = _error(refuse.status, refuse.message, refuse.code, refuse.param)
    if refuse.body is not None:
        response = Response(refuse.body, status_code=refuse.status, media_type="text/html")
    if refuse.retry_after is not None:
        response.headers["retry-after"] = str(refuse.retry_after)
    if refuse.retry_after_ms is not None:
        response.headers["retry-after-ms"] = str(refuse.retry_after_ms)
    return response


def _encoded(vector: np.typing.NDArray[np.float32], *, base64_format: bool) -> Any:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if base64_format else vector.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description="A loopback OpenAI-compatible server.")
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--key", default=KEY)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before the first byte")
    parser.add_argument("--rate", type=float, default=None, help="pieces per second")
    given = parser.parse_args()
    limits = Limits(latency=given.latency, pieces_per_second=given.rate)
    with OpenAIServer(port=given.port, key=given.key, limits=limits) as server:
        print(f"OPENAI_BASE_URL={server.base_url} OPENAI_API_KEY={server.key}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
