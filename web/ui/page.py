"""The page that holds the tabs, and how it is mounted: after every route, with everything unneeded off."""

import gradio as gr
from fastapi import FastAPI

from web.services import Services
from web.ui.banner import header
from web.ui.chat_tab import CONCURRENCY, ChatTab
from web.ui.theme import CSS, head, theme

QUEUE = 64


def build_ui(services: Services) -> gr.Blocks:
    title = services.pipeline.title
    with gr.Blocks(title=title, analytics_enabled=False) as demo:
        top = gr.HTML(header(title))
        with gr.Tab("Chat", id="chat"):
            chat = ChatTab(services, top)
        chat.connect(demo)
    page: gr.Blocks = demo
    page.queue(default_concurrency_limit=CONCURRENCY, max_size=QUEUE)
    return page


def mount(app: FastAPI, services: Services) -> FastAPI:
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        build_ui(services),
        path="/",
        theme=theme(),
        css_paths=CSS,
        head=head(),
        ssr_mode=False,
        pwa=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=["api"],
        max_file_size="1kb",
        show_error=False,
    )
    return mounted
