"""A walk through everything the running application answers: routes, events and tools, each open on purpose or closed.

What a newer Gradio or a new route of ours brings fails here until somebody has said who may use it, how often, and
what bounds it.
"""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from starlette.routing import Mount

from tests.support.running import Running
from tests.web.conftest import Start
from web.auth import INTERFACE
from web.ui.policy import EVENTS, ROUTES, event_rule_of, handler_of, rule_of

# What counts a caller's requests, and by that what bounds them. "files" is the limit of whatever is small and cheap.
OURS = {
    ("POST", "/chat"): "questions",
    ("GET", "/search"): "questions",
    ("POST", "/feedback"): "ratings",
    ("POST", "/ingest"): "admin token",
    ("GET", "/ingest/status"): "admin token",
    ("POST", "/ingest/{task_id}/cancel"): "admin token",
    ("GET", "/documents"): "admin token",
    ("GET", "/health"): "files",
    ("HEAD", "/health"): "files",
    ("GET", "/metrics"): "files",
    ("GET", "/docs"): "files",
    ("GET", "/openapi.json"): "files",
    ("HEAD", "/openapi.json"): "files",
    ("GET", "/widget.js"): "files",
    ("HEAD", "/widget.js"): "files",
    ("GET", "/widget-{name}.js"): "files",
    ("HEAD", "/widget-{name}.js"): "files",
}
MOUNTS = {"/docs/files", ""}
UNBOUND = {"/gradio_api/mcp", "/gradio_api/mcp/"}  # answer POST alone
GRADIOS = {
    "GET /",
    "HEAD /",
    "GET /config",
    "GET /theme.css",
    "GET /favicon.ico",
    "GET /robots.txt",
    "GET /assets/{path:path}",
    "GET /static/{path:path}",
    "GET /gradio_api/info",
    "POST /gradio_api/run/{api_name}",
    "POST /gradio_api/queue/join",
    "GET /gradio_api/queue/data",
    "POST /gradio_api/call/{api_name}",
    "POST /gradio_api/call/v2/{api_name}",
    "GET /gradio_api/call/{api_name}/{event_id}",
    "GET /gradio_api/call/v2/{api_name}/{event_id}",
    "POST /gradio_api/cancel",
    "POST /gradio_api/reset",
}
SAMPLES = {"api_name": "predict", "event_id": "0" * 32, "path": "a.js", "session_hash": "abcd"}


@pytest.fixture
def app(start: Start) -> Running:
    return start(mcp_server=True, ingest_on_start=False)


def routes(found: Any) -> Iterator[tuple[set[str] | None, str, Any]]:
    """Every route under an application, as (methods, path, route); those of an included router too."""
    for route in found:
        if (included := getattr(route, "original_router", None) or getattr(route, "router", None)) is not None:
            yield from routes(included.routes)
        else:
            yield getattr(route, "methods", None), route.path, route


def application(app: Running) -> Any:
    config: Any = app.server.config.app
    return config


def sample(path: str) -> str:
    """A concrete path of a route, whatever its parameters are called."""
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: SAMPLES.get(found[1], "100000"), path)


def test_every_route_of_ours_has_somebody_who_counts(app: Running) -> None:
    seen: set[tuple[str, str]] = set()
    for methods, path, route in routes(application(app).routes):
        if isinstance(route, Mount):
            assert path in MOUNTS, path
        elif not methods:
            refusal = type(route.endpoint).__name__ if hasattr(route, "endpoint") else ""
            assert path in UNBOUND or refusal == "_Refusal" or "_Refusal" in str(route.app), path
        elif path.endswith("/") and path.rstrip("/") in {known for _, known in OURS}:
            continue  # a redirect
        else:
            seen |= {(method, path) for method in methods}
    assert seen == set(OURS)


def test_what_ours_counts_is_counted(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from limits import parse

    monkeypatch.setitem(INTERFACE, "files", parse("60/day"))  # by the minute, places come free while this runs
    app = start(rate_limit="1/minute", rate_limit_search="1/minute", ingest_on_start=False)
    while httpx.get(f"{app.url}/health").status_code != 429:
        pass
    for (method, path), counted in OURS.items():
        address = f"{app.url}{sample(path)}"
        tries = {"questions": 2, "ratings": 31, "admin token": 1, "files": 1}[counted]
        body = {"question": "wick", "message_id": "0" * 8 + "-0000-4000-8000-" + "0" * 12, "rating": "up"}
        sent: dict[str, Any] = {"json": body} if method == "POST" else {"params": {"q": "wick"}}
        answers = [httpx.request(method, address, **sent).status_code for _ in range(tries)]
        assert answers[-1] in ({401, 429} if counted == "admin token" else {429}), (method, path, answers)


def test_every_route_of_gradios_is_open_on_purpose_or_answers_404(app: Running) -> None:
    mount = application(app).router.routes[-1]
    assert isinstance(mount, Mount)
    known: set[str] = set()
    with httpx.Client(base_url=app.url, follow_redirects=False) as client:
        for methods, path, _ in routes(mount._base_app.routes):  # type: ignore[attr-defined]
            for method in methods or {"GET", "HEAD", "POST", "PUT", "DELETE"}:
                known.add(f"{method} {path}")
                open_here = rule_of(method, sample(path), sign_in=False)
                if open_here is None:
                    if path not in {"/openapi.json", "/gradio_api/mcp"}:  # of ours, before Gradio's is reached
                        assert client.request(method, sample(path)).status_code == 404, (method, path)
                else:
                    assert f"{method} {path}" in GRADIOS, f"{method} {path} is open and nobody said why"
                    assert open_here[0].limit in INTERFACE
    assert len(known) > 60, "the walk missed Gradio's routers"
    assert known >= GRADIOS


def test_other_methods_are_closed(app: Running) -> None:
    for path in ("/", "/config", "/gradio_api/queue/join", "/assets/a.js", "/gradio_api/info"):
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"):
            assert httpx.request(method, f"{app.url}{path}").status_code == 404, (method, path)


def test_every_event_is_named(app: Running) -> None:
    blocks = application(app).router.routes[-1].app._blocks
    handlers = {handler_of(function) for function in blocks.fns.values()}
    assert handlers - {None} <= set(EVENTS)
    assert set(EVENTS) - handlers == {"LoginButton._check_login_status"}, "an event that is no more is still open"


def test_an_event_of_the_browser_alone_or_on_the_wrong_route_is_not_called(app: Running) -> None:
    blocks = application(app).router.routes[-1].app._blocks
    for number, function in blocks.fns.items():
        own = "run/predict" if function.queue is False else "queue/join"
        other = "queue/join" if own == "run/predict" else "run/predict"
        body = {"data": [None] * len(function.inputs), "fn_index": number, "session_hash": "abcd"}
        closed = {other} if event_rule_of(function) else {own, other}
        for route in closed:
            assert httpx.post(f"{app.url}/gradio_api/{route}", json=body).status_code == 404, (number, route)
    for number in (-1, 10_000, "0", True, None, 1.5):
        body = {"data": [], "fn_index": number, "session_hash": "abcd"}
        assert httpx.post(f"{app.url}/gradio_api/run/predict", json=body).status_code == 404


@pytest.mark.parametrize("kind", sorted({rule.limit for rule in ROUTES}))
def test_every_kind_of_gradios_routes_is_limited_per_address(
    start: Start, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from limits import parse

    monkeypatch.setitem(INTERFACE, kind, parse("3/minute"))
    app = start(ingest_on_start=False)
    (rule, *_) = [rule for rule in ROUTES if rule.limit == kind and not rule.sign_in]
    path = rule.path.pattern
    method = min(rule.methods)
    one, other = ({"x-forwarded-for": address} for address in ("203.0.113.76", "203.0.113.77"))
    statuses = [httpx.request(method, f"{app.url}{path}", headers=one).status_code for _ in range(4)]
    assert (statuses[0] == 429, statuses[-1]) == (False, 429)
    assert httpx.request(method, f"{app.url}{path}", headers=other).status_code != 429


async def test_the_tools_are_these_two_and_no_other_can_be_called(app: Running) -> None:
    async with (
        streamablehttp_client(f"{app.url}/gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        assert {tool.name for tool in (await session.list_tools()).tools} == {"ask_book", "search_book"}
        for name in ("chat", "unlock", "ingest", "documents", "begin", "status", "search", "preview_plan"):
            for arguments in ({}, {"token": "keeper"}, {"force_reindex": True}):
                answer = await session.call_tool(name, arguments)
                assert answer.isError
                assert answer.content[0].text == "There is no such tool."  # type: ignore[union-attr]
    assert app.services.pipeline.jobs.latest() is None


def test_the_tools_answer_post_alone(app: Running) -> None:
    for path in ("/gradio_api/mcp", "/gradio_api/mcp/"):
        for method in ("GET", "DELETE", "PUT"):
            answer = httpx.request(method, f"{app.url}{path}", headers={"accept": "text/event-stream"}, timeout=5)
            assert answer.status_code == 405, (method, path)
    for path in ("sse", "messages", "schema", "http"):
        assert httpx.get(f"{app.url}/gradio_api/mcp/{path}").status_code == 404
