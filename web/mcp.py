"""Two tools for programs that speak the Model Context Protocol: ask the book, and search it. They answer in Markdown.

They run in this process, on the same `ChatService` as every other surface, with the address and the key of the HTTP
request that called them. Gradio's own MCP server is not used: it calls any endpoint, listed or not, through an HTTP
client, at the address that the first request named.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import rag
from rag.errors import RagError
from rag.events import Done, Failed
from web.auth import RateLimits
from web.chat_service import Caller, ChatService
from web.problems import Problem, internal, method_not_allowed, problem_of, problem_of_failure, sentence

log = logging.getLogger(__name__)

MCP_PATH = "/gradio_api/mcp"
MOST_PASSAGES = 50
_QUESTION = {"type": "string", "description": "1 to 2,000 characters, in any language."}
TOOLS = [
    types.Tool(
        name="ask_book",
        description=(
            "Ask the book a question. Answers in Markdown, each claim linked to the place in the book it comes from."
        ),
        inputSchema={"type": "object", "properties": {"question": _QUESTION}, "required": ["question"]},
    ),
    types.Tool(
        name="search_book",
        description="Find passages of the book, best first, with their addresses.",
        inputSchema={
            "type": "object",
            "properties": {
                "query": _QUESTION,
                "k": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MOST_PASSAGES,
                    "default": 5,
                    "description": f"How many passages, 1 to {MOST_PASSAGES}.",
                },
            },
            "required": ["query"],
        },
    ),
]


class McpEndpoint:
    """The ASGI endpoint of both tools: stateless, one JSON answer for every POST. `running` brackets its life."""

    def __init__(self, chat_service: ChatService, limits: RateLimits) -> None:
        self._chat_service, self._limits = chat_service, limits
        self._server: Server[Any, Request] = Server("ask-the-book", version=rag.__version__)
        self._server.list_tools()(self._list)  # type: ignore[no-untyped-call]
        self._server.call_tool()(self._call)
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        # A manager serves one life only.
        self._manager = StreamableHTTPSessionManager(self._server, json_response=True, stateless=True)
        async with self._manager.run():
            yield

    def routes(self) -> list[Route]:
        return [Route(path, self, include_in_schema=False) for path in (MCP_PATH, f"{MCP_PATH}/")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            # A GET would open a stream on which a stateless server has nothing to say.
            raise method_not_allowed("POST")
        await self._limits.admit_interface("events", scope["client"][0] if scope["client"] else None)
        assert self._manager is not None
        await self._manager.handle_request(scope, receive, send)

    async def _list(self) -> list[types.Tool]:
        return TOOLS

    async def _call(self, name: str, arguments: dict[str, Any]) -> list[types.TextContent]:
        """What is raised here is shown to the caller by its text alone."""
        try:
            client = _client(self._server.request_context.request)
            match name:
                case "ask_book":
                    text = await self._ask(client, arguments)
                case "search_book":
                    text = await self._search(client, arguments)
                case _:
                    raise Problem(404, "not_found", "There is no such tool.")
        except (Problem, RagError) as refusal:
            raise ToolRefused(sentence(problem_of(refusal))) from None
        except Exception:  # the outermost boundary: the server would send the exception's own text
            log.exception("unforeseen failure of the tool %s", name)
            raise ToolRefused(internal().message) from None
        return [types.TextContent(type="text", text=text)]

    async def _ask(self, client: Caller, arguments: Mapping[str, Any]) -> str:
        async with aclosing(await self._chat_service.ask(client, arguments["question"])) as events:
            async for event in events:
                if isinstance(event, Failed):
                    raise problem_of_failure(event)
                if isinstance(event, Done):
                    return event.answer
        raise RuntimeError("the chat ended without a terminal event")

    async def _search(self, client: Caller, arguments: Mapping[str, Any]) -> str:
        found = await self._chat_service.search(client, arguments["query"], int(arguments.get("k", 5)))
        parts = [f"## {p.breadcrumb}\n{p.link}\n\n{p.text}" for p in found.passages]
        return "\n\n".join(parts) or "No part of the book is near enough to the question."


class ToolRefused(Exception):
    """A refusal in a sentence."""


def _client(request: Request | None) -> Caller:
    if request is None:
        return Caller(None, surface="mcp")
    return Caller(request.client.host if request.client else None, request.headers.get("x-api-key"), "mcp")
