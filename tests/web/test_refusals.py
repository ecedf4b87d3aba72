"""Every refusal: its real status before the first byte, one shape on every route, CORS headers included."""

from typing import Any

import httpx
import pytest

from rag import errors
from rag.chat.sessions import MemorySessions
from tests.web.conftest import ADMIN, Start
from web.problems import STATUS, problem_of

ORIGIN = {"origin": "https://mrowaisabdullah.github.io"}
SHAPE = {"error", "code", "message", "retryable", "request_id"}

CASES: list[tuple[str, dict[str, Any], int, str]] = [
    ("POST /chat", {"content": b"{not json", "headers": {"content-type": "application/json"}}, 400, "malformed"),
    (
        "POST /chat",
        {"content": b"question=x", "headers": {"content-type": "text/plain"}},
        415,
        "unsupported_media_type",
    ),
    ("POST /chat", {"data": {"question": "x"}}, 415, "unsupported_media_type"),
    ("POST /chat", {"json": {}}, 422, "invalid_question"),
    ("POST /chat", {"json": {"question": "   "}}, 422, "invalid_question"),
    ("POST /chat", {"json": {"question": "x" * 2001}}, 422, "invalid_question"),
    ("POST /chat", {"json": {"question": 7}}, 422, "invalid_question"),
    ("POST /chat", {"json": {"question": "x", "top_k": 21}}, 422, "invalid_request"),
    ("POST /chat", {"json": {"question": "x", "context_window": 999}}, 422, "invalid_request"),
    ("POST /chat", {"json": {"question": "x", "session_id": "1"}}, 422, "invalid_request"),
    ("POST /chat", {"json": {"question": "x", "selection": "y" * 4001}}, 422, "invalid_request"),
    (
        "POST /chat",
        {"json": {"question": "x", "history": [{"role": "user", "content": ""}] * 21}},
        422,
        "invalid_request",
    ),
    ("POST /chat", {"json": {"question": "x", "history": [{"role": "system", "content": ""}]}}, 422, "invalid_request"),
    ("POST /chat", {"json": ["question"]}, 422, "invalid_request"),
    ("POST /chat", {"json": {"question": "x", "pad": "y" * 70_000}}, 413, "too_large"),
    ("POST /chat", {"json": {"question": "x"}, "headers": {"x-api-key": "wrong"}}, 401, "unauthorized"),
    ("GET /chat", {}, 405, "method_not_allowed"),
    ("PUT /chat", {}, 405, "method_not_allowed"),
    ("DELETE /search", {}, 405, "method_not_allowed"),
    ("GET /search", {}, 422, "invalid_question"),
    ("GET /search?q=x&k=0", {}, 422, "invalid_request"),
    ("GET /ingest", {}, 405, "method_not_allowed"),
    ("POST /ingest", {"json": {}}, 401, "unauthorized"),
    ("POST /ingest", {"json": {}, "headers": {"authorization": "Bearer wrong"}}, 401, "unauthorized"),
    ("POST /ingest", {"json": {"content_path": "../../etc"}, "headers": ADMIN}, 422, "content_error"),
    ("POST /ingest", {"json": {"content_path": "not/there"}, "headers": ADMIN}, 404, "no_such_path"),
    ("POST /ingest", {"json": {"content_path": "x" * 999}, "headers": ADMIN}, 404, "no_such_path"),
    ("POST /ingest", {"json": {"content_path": "/etc/passwd"}, "headers": ADMIN}, 422, "content_error"),
    ("POST /ingest", {"json": {"content_path": "a\x00b"}, "headers": ADMIN}, 422, "content_error"),
    ("POST /ingest", {"json": {"force_reindex": "perhaps"}, "headers": ADMIN}, 422, "invalid_request"),
    ("GET /ingest/status", {}, 401, "unauthorized"),
    ("GET /ingest/status?task_id=none", {"headers": ADMIN}, 404, "no_task"),
    ("GET /ingest/status", {"headers": ADMIN}, 404, "no_task"),
    ("POST /ingest/none/cancel", {"headers": ADMIN}, 404, "no_task"),
    ("POST /ingest/none/cancel", {}, 401, "unauthorized"),
    ("GET /documents", {}, 401, "unauthorized"),
    ("POST /health", {}, 405, "method_not_allowed"),
    ("GET /nothing/here", {}, 404, "not_found"),
    ("POST /nothing", {}, 404, "not_found"),
]


def test_every_refusal_has_the_one_shape(start: Start) -> None:
    app = start(ready=False, ingest_on_start=False, api_keys=["right"])
    failures = []
    for address, request, status, code in CASES:
        method, path = address.split(" ")
        headers = {**ORIGIN, **request.get("headers", {})}
        answer = httpx.request(method, app.url + path, **{**request, "headers": headers})
        try:
            body = answer.json()
            assert (answer.status_code, body["code"]) == (status, code)
            assert SHAPE <= set(body) <= SHAPE | {"retry_after", "details"}
            assert body["error"] == body["message"]
            assert body["request_id"] == answer.headers["x-request-id"]
            assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
            assert "retry-after" in answer.headers["access-control-expose-headers"].lower()
            if status == 405:
                assert answer.headers["allow"]
            if status == 422 and code != "content_error":
                assert body["details"]["field"]
            if code == "invalid_question":
                assert body["message"].startswith(("Please ask a question", "The question is too long"))
        except (AssertionError, KeyError, ValueError) as error:
            failures.append(f"{address} {request}: {answer.status_code} {answer.text[:200]} ({error!r})")
    assert not failures, "\n".join(failures)


def test_the_table_of_problems_is_total() -> None:
    from rag import openai_client  # noqa: F401 - it has an error of its own

    def kinds(kind: type[errors.RagError]) -> list[type[errors.RagError]]:
        return [kind, *(k for sub in kind.__subclasses__() for k in kinds(sub))]

    for kind in kinds(errors.RagError):
        error = kind.__new__(kind)
        errors.RagError.__init__(error, "A sentence.")
        problem = problem_of(error)
        assert problem.status == next((STATUS[k] for k in kind.__mro__ if k in STATUS), 500)
        assert problem.status != 500 or kind in {errors.RagError, errors.ConfigError}, kind
        assert problem.message == "A sentence."
        assert (problem.retry_after is not None) == (problem.status == 503)
    assert problem_of(ValueError("a secret")).code == "internal"
    assert "secret" not in problem_of(ValueError("a secret")).message


def test_the_eleventh_question_is_told_when_to_come_back(start: Start) -> None:
    app = start(rate_limit="10/minute", api_keys=["right"])
    codes = [
        httpx.post(f"{app.url}/chat", json={"question": "How far is the light seen?"}).status_code for _ in range(11)
    ]
    assert codes == [200] * 10 + [429]
    refused = httpx.post(f"{app.url}/chat", json={"question": "And now?"}, headers=ORIGIN)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["retry_after"] == int(refused.headers["retry-after"])
    assert refused.headers["access-control-allow-origin"] == ORIGIN["origin"]
    keyed = httpx.post(f"{app.url}/chat", json={"question": "And now?"}, headers={"x-api-key": "right"})
    assert keyed.status_code == 200


def test_a_refused_question_takes_no_place_among_the_conversations(start: Start) -> None:
    app = start(rate_limit="1/hour")
    conversations = app.services.conversations
    assert isinstance(conversations, MemorySessions)
    conversations._limit = 3
    question = {"question": "How far is the light seen?", "stream": False}
    session = httpx.post(f"{app.url}/chat", json=question, timeout=60).json()["session_id"]
    assert len(conversations.exchanges(session)) == 1
    assert {httpx.post(f"{app.url}/chat", json=question, timeout=60).status_code for _ in range(8)} == {429}
    assert len(conversations.exchanges(session)) == 1
    assert not conversations._issued


def test_searches_are_counted_apart_from_questions_and_say_whether_they_found_it(start: Start) -> None:
    app = start(rate_limit="1/minute")
    assert httpx.post(f"{app.url}/chat", json={"question": "How far is the light seen?"}).status_code == 200
    found = [httpx.get(f"{app.url}/search", params={"q": "the fresnel lens"}) for _ in range(60)]
    assert {answer.status_code for answer in found} == {200}
    assert found[0].json()["grounded"] is True
    assert httpx.get(f"{app.url}/search", params={"q": "fog"}).status_code == 429
    assert httpx.post(f"{app.url}/chat", json={"question": "How far?"}).status_code == 429


def test_forged_forwarding_does_not_lift_the_limit(start: Start) -> None:
    app = start(rate_limit_search="2/minute", forwarded_allow_ips=["192.0.2.0/24"])
    codes = [
        httpx.get(f"{app.url}/search", params={"q": "fog"}, headers={"x-forwarded-for": f"203.0.113.{n}"}).status_code
        for n in range(3)
    ]
    assert codes == [200, 200, 429]


def test_behind_a_trusted_proxy_every_reader_is_counted_alone(start: Start) -> None:
    app = start(rate_limit_search="2/minute", forwarded_allow_ips=["127.0.0.0/8"])

    def search(forwarded: str) -> int:
        headers = {"x-forwarded-for": forwarded}
        return httpx.get(f"{app.url}/search", params={"q": "fog"}, headers=headers).status_code

    assert [search("203.0.113.1") for _ in range(3)] == [200, 200, 429]
    assert search("203.0.113.2") == 200
    assert search("198.51.100.7, 203.0.113.1") == 429, "only the last untrusted address counts"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://mrowaisabdullah.github.io", True),
        ("http://localhost:3000", True),
        ("https://evil.example", False),
        ("https://mrowaisabdullah.github.io.evil.example", False),
        ("null", False),
    ],
)
def test_only_the_named_origins_may_read(start: Start, origin: str, allowed: bool) -> None:
    app = start(ready=False, ingest_on_start=False)
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    preflight = httpx.options(f"{app.url}/chat", headers=asked)
    answer = httpx.get(f"{app.url}/health", headers={"origin": origin})
    for response in (preflight, answer):
        assert response.headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert "access-control-allow-credentials" not in response.headers
        assert "set-cookie" not in response.headers
        assert response.headers["x-request-id"]
    assert preflight.is_success == allowed
