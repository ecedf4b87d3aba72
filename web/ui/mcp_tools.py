"""Two tools for programs that speak the Model Context Protocol: ask the book, and search it. They answer in Markdown.

The other endpoints answer in objects, which would reach a model as Python's spelling of them, so they are no tools.
"""

from contextlib import aclosing
from typing import Any

import gradio as gr
from gradio.events import api

from rag.errors import RagError
from rag.events import Done, Failed
from web.problems import Problem, problem_of_failure
from web.services import Services
from web.ui.endpoints import MOST_PASSAGES, client_of, refused


class McpTools:
    def __init__(self, services: Services) -> None:
        self._services = services

    def add(self, demo: gr.Blocks) -> None:
        """Call it inside the Blocks, after every other endpoint. Unqueued, so that the caller's address is seen."""
        functions: Any = demo.fns.values()
        for block in functions:
            if block.fn is not None:
                getattr(block.fn, "__func__", block.fn)._mcp_type = "none"
        api(self.ask_book, api_name="ask_book", queue=False)
        api(self.search_book, api_name="search_book", queue=False)

    async def ask_book(self, request: gr.Request, question: str) -> str:
        """Ask the book a question. Answers in Markdown, each claim linked to the place in the book it comes from.

        Args:
            question: 1 to 2,000 characters, in any language.
        """
        try:
            events = await self._services.asking.ask(client_of(request, "mcp"), question)
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Failed):
                        raise problem_of_failure(event)
                    if isinstance(event, Done):
                        return event.answer
        except (Problem, RagError) as refusal:
            raise refused(refusal) from None
        raise refused(RuntimeError("the chat ended without a terminal event"))

    async def search_book(self, request: gr.Request, query: str, k: int = 5) -> str:
        """Find passages of the book, best first, with their addresses.

        Args:
            query: 1 to 2,000 characters.
            k: How many passages, 1 to 50.
        """
        try:
            count = min(max(int(k), 1), MOST_PASSAGES)
            found = await self._services.asking.search(client_of(request, "mcp"), query, count)
        except (Problem, RagError) as refusal:
            raise refused(refusal) from None
        parts = [f"## {p.breadcrumb}\n{p.link}\n\n{p.text}" for p in found.passages]
        return "\n\n".join(parts) or "No part of the book is near enough to the question."
