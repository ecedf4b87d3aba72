"""The HTTP routes. Each is a few lines: read the request, ask the engine, shape the answer."""

import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.responses import JSONResponse

import rag
from rag.ingest.job_snapshot import JobSnapshot
from web.chat_service import ChatSession, caller_of, open_chat, wants_json, whole_answer, wire_events
from web.problems import Problem
from web.schemas import (
    VISIBLE,
    ChatAnswer,
    ChatRequest,
    DocumentList,
    FeedbackRequest,
    Health,
    IndexState,
    IngestPlan,
    IngestRequest,
    IngestStarted,
    JobStatusOut,
    ProblemOut,
    SearchAnswer,
    document_of,
    passage_of,
    plan_of,
    status_of,
)
from web.services import Services
from web.sse import EventStream


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may refuse with, for the OpenAPI document."""
    return {status: {"model": ProblemOut, "description": _MEANING[status]} for status in statuses}


_MEANING = {
    400: "The body is not JSON",
    401: "A credential is missing or wrong",
    404: "There is no such thing",
    408: "The body did not arrive in time",
    409: "The index is empty or stale, or an ingest is running elsewhere",
    413: "The body is larger than 64 KiB",
    415: "The body is not declared as JSON",
    422: "A field is not valid; `details` names it",
    429: "Too many requests; see Retry-After",
    500: "Something went wrong; the request id names it in the log",
    502: "The model refused",
    503: "The store or the model is unavailable; see Retry-After",
}
_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "1, 2, 3, …"},
        "data": {"type": "string", "contentMediaType": "application/json", "description": "One JSON object"},
    },
}
_STREAM = {
    "text/event-stream": {
        "schema": _EVENT,
        "example": 'id: 1\ndata: {"type":"start","v":1,"session_id":"…","message_id":"…","request_id":"…"}\n\n',
    }
}


# These two only document: the routes themselves ask for the token, and count wrong ones.
_BEARER = HTTPBearer(auto_error=False, scheme_name="AdminBearer", description="The admin token.")
_ADMIN_HEADER = APIKeyHeader(name="X-Admin-Token", auto_error=False, scheme_name="AdminToken")


def reader_routes(services: Services) -> APIRouter:
    """What readers use: /chat, /feedback and /search."""
    router = APIRouter(tags=["reader"])

    @router.post(
        "/chat",
        summary="Ask the book",
        response_model=ChatAnswer,
        responses={
            200: {"content": _STREAM, "description": "The stream of events, or one answer when asked for JSON"},
            **refusals(400, 401, 408, 409, 413, 415, 422, 429, 500, 502, 503),
        },
    )
    async def chat(body: ChatRequest, request: Request) -> Response:
        """Streams the answer as Server-Sent Events; one object with `stream: false` or `Accept: application/json`."""
        await services.chat_service.admit(
            caller_of(request)
        )  # before a session is looked up, or a flood would reach them all
        place = await ChatSession.resume(services.conversations, body)
        events = await open_chat(services.chat_service, request, body, place)
        request_id: str = request.scope["request_id"]
        if wants_json(request, body):
            answer = await whole_answer(events, place, body.question, request_id)
            return JSONResponse(answer.model_dump())
        return EventStream(wire_events(events, place, body.question, request_id))

    @router.post(
        "/feedback",
        summary="Rate an answer",
        status_code=204,
        response_class=Response,
        responses={
            204: {"description": "Heard; an answer that is no longer remembered is not counted"},
            **refusals(400, 408, 413, 415, 422, 429, 500),
        },
    )
    async def feedback(body: FeedbackRequest, request: Request) -> Response:
        """One rating for each answer: the last one counts. No text is kept, neither the question's nor the answer's."""
        await services.ratings.rate(caller_of(request), str(body.message_id), body.rating)
        return Response(status_code=204)

    @router.get("/search", summary="The retrieval alone, no model", responses=refusals(401, 409, 422, 429, 500, 503))
    async def search(
        request: Request,
        q: Annotated[str, Query(min_length=1, max_length=2000, pattern=VISIBLE)],
        k: Annotated[int, Query(ge=1, le=50)] = 10,
    ) -> SearchAnswer:
        """Limited apart from the questions, at 60 a minute, so that a search box can use it."""
        found = await services.chat_service.search(caller_of(request), q, k)
        return SearchAnswer(
            query=found.query, grounded=found.grounded, passages=[passage_of(p) for p in found.passages]
        )

    return router


def admin_routes(services: Services) -> APIRouter:
    """What authors use. Every route asks for the admin token before it looks at anything else."""

    class AdminRoute(APIRoute):
        """Asks before FastAPI reads the body, whose faults are nobody's business without the token."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                await services.limits.require_admin(services.admin, request.headers, caller_of(request).host)
                return await handle(request)

            return guarded

    credentials = [Security(_BEARER), Security(_ADMIN_HEADER)]
    router = APIRouter(tags=["admin"], dependencies=credentials, route_class=AdminRoute)
    jobs = services.pipeline.jobs

    def job_of(task_id: str | None) -> JobSnapshot:
        job = jobs.get(task_id) if task_id else jobs.latest()
        if job is None:
            raise Problem(404, "no_task", "There is no such ingest task.")
        return job

    @router.post(
        "/ingest",
        summary="Bring the index up to date",
        status_code=202,
        response_model=IngestStarted,
        responses={
            200: {"model": IngestPlan, "description": "The plan and its cost (`dry_run`)"},
            **refusals(400, 401, 404, 408, 409, 413, 415, 422, 429, 500, 502, 503),
        },
    )
    async def ingest(body: IngestRequest | None = None) -> Response:
        """Starts the one ingest job, or joins the one that runs. `dry_run` answers with the plan instead."""
        wanted = body or IngestRequest()
        services.check_path(wanted.content_path)
        if wanted.dry_run:
            plan = await services.pipeline.plan(force=wanted.force_reindex, path=wanted.content_path)
            return JSONResponse(plan_of(plan).model_dump())
        job = await services.start_ingest(force=wanted.force_reindex, path=wanted.content_path)
        started = IngestStarted(
            status="in_progress" if job.joined else "started",
            task_id=job.snapshot.task_id,
            message="An ingest is running already; this is its task." if job.joined else "The ingest has started.",
            estimated_files=job.snapshot.progress.total_files or await services.pipeline.count_files(),
        )
        return JSONResponse(started.model_dump(), 202)

    @router.get(
        "/ingest/status",
        summary="Where the ingest is",
        response_model=JobStatusOut,
        responses={
            200: {"content": _STREAM, "description": "One snapshot, or a stream of them"},
            **refusals(401, 404, 422, 429, 500),
        },
    )
    async def ingest_status(request: Request, task_id: Annotated[str | None, Query(max_length=64)] = None) -> Response:
        """The latest job without an id. `Accept: text/event-stream` streams the snapshots until the job has ended."""
        job = job_of(task_id)
        if "text/event-stream" in request.headers.get("accept", ""):
            return EventStream(_snapshots(services, job.task_id))
        return JSONResponse(status_of(job).model_dump())

    @router.post(
        "/ingest/{task_id}/cancel",
        summary="Stop the ingest; the index stays usable",
        status_code=202,
        response_model=JobStatusOut,
        responses=refusals(401, 404, 408, 413, 422, 429, 500),
    )
    async def cancel(task_id: str) -> Response:
        job = await jobs.cancel(job_of(task_id).task_id)
        return JSONResponse(status_of(job or job_of(task_id)).model_dump(), 202)

    @router.get("/documents", summary="Every document and its state", responses=refusals(401, 422, 429, 500, 503))
    async def documents() -> DocumentList:
        return DocumentList(documents=[document_of(d) for d in await services.pipeline.documents()])

    return router


def operator_routes(services: Services) -> APIRouter:
    """What watches the service: /health and /metrics."""
    router = APIRouter(tags=["operator"])

    @router.head("/health", include_in_schema=False)
    @router.get(
        "/health",
        summary="Really checked, bounded in time, kept for a few seconds",
        response_model=Health,
        responses={503: {"model": Health, "description": "Questions cannot be answered"}},
    )
    async def health() -> Response:
        status = await services.pipeline.status()
        shown = Health(
            status=status.health,
            version=rag.__version__,
            uptime=round(time.monotonic() - services.began, 1),
            qdrant_connected=status.store_connected,
            openai_connected=status.model_connected,
            mode=status.mode,
            index=IndexState(state=status.index_state, fingerprint=status.fingerprint),
            documents_count=status.documents,
            chunks_count=status.chunks,
            down=list(status.down),
        )
        return JSONResponse(shown.model_dump(), 503 if shown.status == "unhealthy" else 200)

    @router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(await services.measured(), media_type=services.metrics.content_type)

    return router


async def _snapshots(services: Services, task_id: str) -> AsyncGenerator[dict[str, Any], None]:
    async for job in services.pipeline.jobs.watch(task_id):
        yield status_of(job).model_dump()
