"""What surrounds every request: its name, its headers, its size, and what happens when everything else fails."""

import json
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from web import logs
from web.middleware import BODY_LIMIT, BodyLimitMiddleware, RequestContextMiddleware
from web.problems import Problem


async def _echo(request: Request) -> Response:
    return JSONResponse({"size": len(await request.body())})


async def _fails(_: Request) -> Response:
    raise RuntimeError("the secret sk-123 is in here")


async def _refuses(_: Request) -> Response:
    raise Problem(418, "teapot", "No coffee here.", details={"field": "pot"})


async def _show(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response(request.scope["request_id"])


@pytest.fixture
def client() -> httpx.AsyncClient:
    routes = [Route("/echo", _echo, methods=["POST"]), Route("/fails", _fails), Route("/refuses", _refuses)]
    app = Starlette(routes=routes, exception_handlers={Problem: _show})
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(RequestContextMiddleware)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://book")


async def test_every_answer_carries_a_request_id_and_the_security_headers(client: httpx.AsyncClient) -> None:
    answer = await client.post("/echo", content=b"x")
    assert len(answer.headers["x-request-id"]) == 32
    assert "frame-ancestors 'self' https://huggingface.co" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "x-frame-options" not in answer.headers, "a Space is shown in a frame"


async def test_a_callers_own_request_id_is_kept_unless_it_is_odd(client: httpx.AsyncClient) -> None:
    assert (await client.post("/echo", headers={"x-request-id": "trace-12345"})).headers[
        "x-request-id"
    ] == "trace-12345"
    odd = (await client.post("/echo", headers={"x-request-id": "a b\tc<script>"})).headers["x-request-id"]
    assert len(odd) == 32


@pytest.mark.parametrize(("size", "status"), [(BODY_LIMIT, 200), (BODY_LIMIT + 1, 413)])
async def test_a_body_is_read_up_to_its_limit(client: httpx.AsyncClient, size: int, status: int) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * (size - 1)
        yield b"x"

    declared, chunked = await client.post("/echo", content=b"x" * size), await client.post("/echo", content=pieces())
    assert declared.status_code == chunked.status_code == status
    if status == 413:
        assert chunked.json()["code"] == "too_large"


async def test_an_unforeseen_failure_tells_nobody_anything(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.get("/fails")
    assert answer.status_code == 500
    body = answer.json()
    assert (body["code"], body["error"]) == ("internal", body["message"])
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "sk-123" not in answer.text
    assert "Traceback" not in answer.text
    assert "unforeseen failure of GET /fails" in caplog.text


async def test_a_problem_is_shown_with_its_details(client: httpx.AsyncClient) -> None:
    answer = await client.get("/refuses")
    assert answer.status_code == 418
    assert answer.json() == {
        "error": "No coffee here.",
        "message": "No coffee here.",
        "code": "teapot",
        "retryable": False,
        "request_id": answer.headers["x-request-id"],
        "details": {"field": "pot"},
    }


async def test_the_one_log_line_names_the_request(
    client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    try:
        logs.configure("info", as_json=True)
        answer = await client.post("/echo?q=a+private+question", content=b"x")
    finally:
        root.handlers[:] = before[1]
        root.setLevel(before[0])
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (line,) = [line for line in lines if line["logger"] == "askthebook.requests"]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/echo", 200)
    assert "private" not in json.dumps(lines)
