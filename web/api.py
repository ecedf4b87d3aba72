"""The FastAPI application: middleware, problems, routes, and the Gradio interface mounted after all of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import fastapi_swagger
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import rag
from rag.errors import RagError
from rag.settings import Settings
from web.auth import trusted_proxies
from web.middleware import BodyLimitMiddleware, RequestContextMiddleware, TrustedProxies
from web.problems import Problem, internal, method_not_allowed, not_found, problem_of
from web.routes import admin_routes, operator_routes, reader_routes
from web.services import Services
from web.widget import widget_routes

if TYPE_CHECKING:
    from web.mcp import McpEndpoint

DESCRIPTION = "Ask a book written in Markdown: streamed answers, every claim linked to the heading it came from."
SWAGGER_FILES = Path(fastapi_swagger.__file__).parent / "resources"


def create_app(services: Services) -> FastAPI:
    """The whole service without its Gradio interface; `web.ui.mount` adds that, last."""

    tools = _mcp_endpoint(services)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.open()
        try:
            async with tools.running() if tools else nullcontext():
                yield
        finally:
            await services.close()

    app = FastAPI(
        title="Ask the Book",
        description=DESCRIPTION,
        version=rag.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    _add_middleware(app, services)
    _add_problem_handlers(app)
    _add_docs(app)
    routers = [reader_routes(services), admin_routes(services), operator_routes(services), widget_routes()]
    for router in routers:
        app.include_router(router)
    for router in [app.router, *routers]:
        _refuse_other_methods(app, router)
    if tools:
        app.router.routes.extend(tools.routes())
    return app


def _mcp_endpoint(services: Services) -> "McpEndpoint | None":
    if not services.settings.mcp_server:
        return None
    from web.mcp import McpEndpoint  # a second of imports that most starts do without

    return McpEndpoint(services.chat_service, services.limits)


def _add_middleware(app: FastAPI, services: Services) -> None:
    """Outermost last. CORSMiddleware is there even without origins: Gradio would reflect any origin otherwise."""
    settings = services.settings
    app.add_middleware(BodyLimitMiddleware, limits=services.limits)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=allowed_origins(settings),
        allow_methods=["GET", "HEAD", "POST", "OPTIONS"],
        allow_headers=["accept", "authorization", "content-type", "x-admin-token", "x-api-key", "x-request-id"],
        expose_headers=["retry-after", "x-request-id"],
        max_age=3600,
    )
    app.add_middleware(RequestContextMiddleware)
    app.add_middleware(TrustedProxies, trusted=trusted_proxies(settings))


def allowed_origins(settings: Settings) -> list[str]:
    """Those that were named, and the book's own: its widget asks from there."""
    book = urlsplit(settings.book_url or "")
    own = f"{book.scheme}://{book.netloc.rpartition('@')[2]}".lower()
    default = ":80" if book.scheme.lower() == "http" else ":443"
    return list(dict.fromkeys([*settings.allowed_origins, *([own.removesuffix(default)] if book.netloc else [])]))


def _add_problem_handlers(app: FastAPI) -> None:
    async def rag_error(request: Request, error: Exception) -> Response:
        return problem_of(error).response(request.scope["request_id"])

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _http_problem(request, error).response(request.scope["request_id"])

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _invalid(request, error).response(request.scope["request_id"])

    app.add_exception_handler(Problem, rag_error)
    app.add_exception_handler(RagError, rag_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)


def _http_problem(request: Request, error: HTTPException) -> Problem:
    """What the framework itself refuses: no such address, another method, a body it cannot read."""
    if error.status_code == 404:
        return not_found()
    if error.status_code == 405:
        return method_not_allowed((error.headers or {}).get("Allow", "other methods"))
    if error.status_code >= 500:
        return internal()
    return _malformed() if _is_json(request) else _not_json()


def _malformed() -> Problem:
    return Problem(400, "malformed", "The request's body is not valid JSON.")


def _not_json() -> Problem:
    return Problem(415, "unsupported_media_type", "Send JSON, with the header `Content-Type: application/json`.")


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _invalid(request: Request, error: RequestValidationError) -> Problem:
    """The first thing that is wrong, in a sentence; `details` names every field. What was sent is not repeated."""
    problems = error.errors()
    in_body = any(item["loc"][:1] == ("body",) for item in problems)
    if in_body and not _is_json(request) and request.headers.get("content-length", "0") != "0":
        return _not_json()
    if any(item["type"] == "json_invalid" for item in problems):
        return _malformed()
    fields = {".".join(str(part) for part in item["loc"][1:]) or "body": item["msg"] for item in problems}
    details = {"field": next(iter(fields)), "fields": fields}
    if details["field"] in {"question", "q"}:
        too_long = problems[0]["type"] == "string_too_long"
        sentence = "The question is too long: at most 2,000 characters." if too_long else "Please ask a question."
        return Problem(422, "invalid_question", sentence, details=details)
    return Problem(422, "invalid_request", "{}: {}.".format(*next(iter(fields.items()))), details=details)


def _add_docs(app: FastAPI) -> None:
    """Swagger's page from files of our own."""
    app.mount("/docs/files", StaticFiles(directory=SWAGGER_FILES), name="docs-files")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Ask the Book: API",
            swagger_js_url="/docs/files/swagger-ui-bundle.js",
            swagger_css_url="/docs/files/swagger-ui.css",
            swagger_favicon_url="/docs/files/favicon-32x32.png",
        )


def _refuse_other_methods(app: FastAPI, router: APIRouter) -> None:
    """A real 405, and a redirect for a trailing slash: the interface mounted at "/" would swallow both as 404."""
    methods: dict[str, set[str]] = {}
    for route in router.routes:
        if isinstance(route, Route):
            methods.setdefault(route.path, set()).update(route.methods or ())
    for path, allowed in methods.items():
        app.router.routes.append(Route(path, _Refusal(allowed), include_in_schema=False))
        if "{" not in path:
            app.router.routes.append(_redirect(path))


class _Refusal:
    """An ASGI endpoint, so that its route answers every method there is."""

    def __init__(self, allowed: set[str]) -> None:
        self._allowed = ", ".join(sorted(allowed))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await method_not_allowed(self._allowed).response(scope["request_id"])(scope, receive, send)


def _redirect(path: str) -> Route:
    async def redirect(request: Request) -> Response:
        return RedirectResponse(request.url.replace(path=path), 307)

    return Route(f"{path}/", redirect, methods=["GET", "HEAD", "POST"], include_in_schema=False)
