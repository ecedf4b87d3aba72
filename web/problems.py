"""A problem is an error as shown: one table from RagError to (status, code, sentence), one shape on every route.

Foreign exceptions become `internal` with a request id; what they say goes to the log only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from rag import errors
from rag.events import Failed

STATUS: Mapping[type[errors.RagError], int] = {
    errors.InvalidQuestion: 422,
    errors.IndexEmpty: 409,
    errors.IndexMismatch: 409,
    errors.IngestRunning: 409,
    errors.ContentError: 422,
    errors.StoreUnavailable: 503,
    errors.ModelError: 502,
    errors.ModelAuthError: 502,
    errors.ModelRateLimited: 503,
    errors.ModelUnavailable: 503,
    errors.BudgetExhausted: 503,
    errors.ConfigError: 500,
}
STATUS_OF_CODE: Mapping[str, int] = {kind.code: status for kind, status in STATUS.items()} | {"shutting_down": 503}
DEFAULT_RETRY_AFTER = 20.0


@dataclass(eq=False)
class Problem(Exception):
    """Raise it in a route or return `response()`; `retry_after` is in seconds."""

    status: int
    code: str
    message: str
    retryable: bool = False
    retry_after: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, request_id: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "error": self.message,
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "request_id": request_id,
        }
        if self.retry_after is not None:
            body["retry_after"] = whole_seconds(self.retry_after)
        if self.details:
            body["details"] = dict(self.details)
        return body

    def response(self, request_id: str) -> "ProblemResponse":
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["retry-after"] = str(whole_seconds(self.retry_after))
        return ProblemResponse(self.body(request_id), self.status, headers)


class ProblemResponse(JSONResponse):
    """Leaves a mark in the request's scope, so that a refusal in another shape can be told from it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["problem"] = True
        await super().__call__(scope, receive, send)


def whole_seconds(seconds: float) -> int:
    """Retry-After counts whole seconds, and at least one."""
    return max(1, -int(-seconds // 1))


def sentence(problem: Problem) -> str:
    """What a reader is told, with how long to wait where that is known."""
    wait = whole_seconds(problem.retry_after) if problem.retry_after else 0
    return (
        problem.message if not wait or f"{wait} s" in problem.message else f"{problem.message} Try again in {wait} s."
    )


def problem_of(error: BaseException) -> Problem:
    """The problem that an exception is shown as; total."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, errors.RagError):
        status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
        retry_after = error.retry_after or (DEFAULT_RETRY_AFTER if status == 503 else None)
        return Problem(status, error.code, error.message, error.retryable, retry_after)
    return internal()


def problem_of_failure(event: Failed) -> Problem:
    """The problem that a chat's terminal Failed is, for a caller who asked for one JSON answer."""
    return Problem(STATUS_OF_CODE.get(event.code, 500), event.code, event.message, event.retryable, event.retry_after)


def internal() -> Problem:
    message = "Something went wrong on our side. The request id names it in the log."
    return Problem(500, "internal", message, retryable=True)


def not_found() -> Problem:
    return Problem(404, "not_found", "There is nothing at this address.")


def method_not_allowed(allowed: str) -> Problem:
    return Problem(405, "method_not_allowed", f"This address answers {allowed} only.", headers={"allow": allowed})
