"""The Gradio interface: a chat tab on the same engine as the API, mounted after every route."""

import itertools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import gradio as gr
from fastapi import FastAPI

from rag.errors import RagError
from rag.events import Delta, Done, Failed
from rag.types import Exchange
from web.asking import Client
from web.problems import Problem
from web.services import Services


def build_ui(services: Services) -> Any:
    async def answer(question: str, history: list[dict[str, Any]], request: gr.Request) -> AsyncGenerator[str, None]:
        client = Client(request.client.host if request.client else None, surface="ui")
        try:
            events = await services.asking.ask(client, question, _exchanges(history))
        except (Problem, RagError) as problem:
            raise gr.Error(problem.message, print_exception=False) from None
        shown = ""
        async with aclosing(events):
            async for event in events:
                match event:
                    case Delta():
                        shown += event.text
                        yield shown
                    case Done():
                        yield event.answer
                    case Failed():
                        raise gr.Error(event.message, print_exception=False)
                    case _:
                        pass

    with gr.Blocks(title=services.pipeline.title) as demo:
        gr.ChatInterface(answer, title=services.pipeline.title, concurrency_limit=8, api_visibility="private")
    demo.queue(default_concurrency_limit=8, max_size=64)
    return demo


def _exchanges(history: list[dict[str, Any]]) -> list[Exchange]:
    turns = [(m["role"], m["content"]) for m in history if isinstance(m.get("content"), str)]
    return [Exchange(q, a) for (role, q), (_, a) in itertools.pairwise(turns) if role == "user"]


def mount(app: FastAPI, services: Services) -> FastAPI:
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        build_ui(services),
        path="/",
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=["api"],
        max_file_size="1kb",
    )
    return mounted
