"""The named endpoints of gradio_client, with the types and descriptions that the API page shows.

An answer grows: every message of `/chat` is the answer so far in its final shape, the last one is the whole.

What is `path` over HTTP is `file` here: gradio_client takes any object with a `path` for a file, and downloads it.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypedDict

import gradio as gr
from gradio.events import api
from pydantic import BaseModel

import rag
from rag.errors import RagError
from rag.events import Cited, Delta, Done, Failed, Retrieved
from rag.types import Exchange
from web.chat_service import Caller, Surface
from web.problems import Problem, problem_of, problem_of_failure, sentence
from web.schemas import citation_of, document_of, passage_of, source_of, status_of
from web.services import Services
from web.ui.chat_tab import CONCURRENCY

MOST_PASSAGES = 50


class SourceDict(TypedDict):
    """A place in the book; `n` is what a marker [n] means."""

    n: int
    title: str
    url: str
    breadcrumbs: list[str]
    file: str
    score: float
    snippet: str


class PassageDict(SourceDict):
    text: str


class CitationDict(TypedDict):
    n: int
    text: str
    source: dict[str, str]
    title: str
    url: str
    relevance_score: float
    chunk_id: str


class ChatDict(TypedDict):
    """`answer` is Markdown with markers [n]; the last message's ends with their link definitions."""

    answer: str
    sources: list[SourceDict]
    citations: list[CitationDict]
    session_id: str
    answered: bool


class SearchDict(TypedDict):
    query: str
    grounded: bool
    passages: list[PassageDict]


class StatusDict(TypedDict):
    status: str
    version: str
    title: str
    mode: str
    index_state: str
    fingerprint: str
    documents: int
    chunks: int


class DocumentDict(TypedDict):
    file: str
    title: str
    url: str
    chunks: int
    tokens: int
    status: str
    ingested_at: str | None
    error: str | None


class JobDict(TypedDict):
    """The ingest job as `GET /ingest/status` shows it."""

    task_id: str
    status: str
    stage: str
    progress: dict[str, Any]
    documents: dict[str, int]
    started_at: str | None
    finished_at: str | None
    estimated_completion: str | None
    message: str


class ClientApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def add(self) -> None:
        """Call it inside the Blocks."""
        offer(self.chat, "chat", ChatDict, concurrency_limit=CONCURRENCY, concurrency_id="chat")
        offer(self.search, "search", SearchDict, concurrency_limit=CONCURRENCY)
        offer(self.ingest, "ingest", JobDict, concurrency_limit=CONCURRENCY)
        offer(self.status, "status", StatusDict, concurrency_limit=CONCURRENCY)
        offer(self.documents, "documents", list[DocumentDict], concurrency_limit=CONCURRENCY)

    async def chat(
        self, request: gr.Request, question: str, session_id: str | None = None
    ) -> AsyncGenerator[ChatDict, None]:
        """Ask the book. Streams the answer as it grows; the last message is the whole answer.

        Args:
            question: 1 to 2,000 characters.
            session_id: Continues a conversation: what an earlier answer returned. Left out: a new one.
        """
        services = self._services
        try:
            await services.chat_service.admit(caller_of(request))
            named, history = await services.conversations.resume(session_id)
            events = await services.chat_service.ask(caller_of(request), question, history, admitted=True)
            reply = ChatDict(answer="", sources=[], citations=[], session_id=named, answered=False)
            async with aclosing(events):
                async for event in events:
                    match event:
                        case Retrieved():
                            reply["sources"] = [client_form(source_of(p)) for p in event.passages]
                        case Delta():
                            reply["answer"] += event.text
                        case Cited():
                            reply["citations"].append(client_form(citation_of(event.citation)))
                            continue
                        case Done():
                            reply |= {"answer": event.answer, "answered": event.answered}
                            await remember(services, named, question, event)
                        case Failed():
                            raise problem_of_failure(event)
                        case _:
                            continue
                    yield ChatDict(**{**reply, "citations": [*reply["citations"]]})
        except (Problem, RagError) as refusal:
            raise refused(refusal) from None

    async def search(self, request: gr.Request, query: str, k: int = 10) -> SearchDict:
        """Find the passages for a question, best first. No model is asked.

        Args:
            query: 1 to 2,000 characters.
            k: How many passages, 1 to 50.
        """
        if not 1 <= int(k) <= MOST_PASSAGES:
            raise gr.Error(f"k must be 1 to {MOST_PASSAGES}.", print_exception=False)
        try:
            found = await self._services.chat_service.search(caller_of(request), query, int(k))
        except (Problem, RagError) as refusal:
            raise refused(refusal) from None
        passages = [client_form(passage_of(passage)) for passage in found.passages]
        return SearchDict(query=found.query, grounded=found.grounded, passages=passages)

    async def ingest(self, request: gr.Request, force_reindex: bool = False) -> AsyncGenerator[JobDict, None]:
        """Bring the index up to date and watch it. Needs the header X-Admin-Token.

        Joins the ingest that is running, if one is. Leaving does not stop it.

        Args:
            force_reindex: Embeds everything again, changed or not.
        """
        services = self._services
        try:
            await self._require_admin(request)
            job = await services.start_ingest(force=force_reindex)
        except (Problem, RagError) as refusal:
            raise refused(refusal) from None
        async for snapshot in services.pipeline.jobs.watch(job.snapshot.task_id):
            yield client_form(status_of(snapshot))

    async def status(self) -> StatusDict:
        """Whether questions can be answered, by what, and from how much."""
        status = await self._services.pipeline.status()
        return StatusDict(
            status=status.health,
            version=rag.__version__,
            title=self._services.pipeline.title,
            mode=status.mode,
            index_state=status.index_state,
            fingerprint=status.fingerprint,
            documents=status.documents,
            chunks=status.chunks,
        )

    async def documents(self, request: gr.Request) -> list[DocumentDict]:
        """Every document of the book and its state. Needs the header X-Admin-Token."""
        try:
            await self._require_admin(request)
            return [client_form(document_of(document)) for document in await self._services.pipeline.documents()]
        except (Problem, RagError) as refusal:
            raise refused(refusal) from None

    async def _require_admin(self, request: gr.Request) -> None:
        await self._services.limits.require_admin(self._services.admin, dict(request.headers), caller_of(request).host)


async def remember(services: Services, session_id: str, question: str, done: Done) -> None:
    cited = tuple(citation.passage.chunk.id for citation in done.citations)
    await services.conversations.remember(session_id, Exchange(question, done.answer, cited))


def client_form(model: BaseModel) -> Any:  # noqa: ANN401 - one of the TypedDicts above
    """As a plain object without any `path`."""
    return _without_path(model.model_dump())


def _without_path(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {"file" if key == "path" else key: _without_path(item) for key, item in value.items()}
    return [_without_path(item) for item in value] if isinstance(value, list) else value


def caller_of(request: gr.Request, surface: Surface = "client") -> Caller:
    return Caller(request.client.host if request.client else None, request.headers.get("x-api-key"), surface)


def refused(refusal: BaseException) -> gr.Error:
    """The refusal as gradio_client raises it: a sentence, with the wait where there is one."""
    return gr.Error(sentence(problem_of(refusal)), print_exception=False)


def offer(method: Callable[..., Any], name: str, returned: object, **options: Any) -> None:  # noqa: ANN401
    """Makes an endpoint of a method; for a stream the type of one message is what the API page shows."""

    described: Any = getattr(method, "__func__", method)
    described.__annotations__["return"] = returned
    api(method, api_name=name, api_description=method.__doc__, **options)
