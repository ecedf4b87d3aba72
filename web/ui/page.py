"""The page that holds the tabs, and how it is mounted: after every route, with everything unneeded off."""

import gradio as gr
from fastapi import FastAPI

from web.services import Services
from web.ui.admin_tab import AdminTab
from web.ui.banner import header
from web.ui.chat_tab import CONCURRENCY, ChatTab, kept_in_browser
from web.ui.endpoints import Endpoints
from web.ui.mcp_tools import McpTools
from web.ui.theme import CSS, FAVICON, head, theme
from web.ui.zero_gpu import report_start

QUEUE = 64


def build_ui(services: Services) -> gr.Blocks:
    title = services.pipeline.title
    with gr.Blocks(title=title, analytics_enabled=False) as demo:
        top = gr.HTML(header(title))
        ticket = kept_in_browser(services.settings, "admin", "")
        with gr.Tab("Chat", id="chat"):
            chat = ChatTab(services, top)
        with gr.Tab("Admin", id="admin") as admin_tab:
            admin = AdminTab(services, ticket)
        chat.connect(demo)
        admin.connect(demo, admin_tab)
        Endpoints(services).add()
        if services.settings.mcp_server:
            McpTools(services).add(demo)
    page: gr.Blocks = demo
    page.queue(default_concurrency_limit=CONCURRENCY, max_size=QUEUE)
    return page


def mount(app: FastAPI, services: Services) -> FastAPI:
    """The application with its interface at "/"."""
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        build_ui(services),
        path="/",
        theme=theme(),
        css_paths=CSS,
        head=head(),
        favicon_path=str(FAVICON),
        ssr_mode=False,
        pwa=False,
        run_history=False,
        enable_monitoring=False,
        mcp_server=services.settings.mcp_server,
        footer_links=["api"],
        max_file_size="1kb",
        show_error=False,
    )
    if services.settings.spaces_zero_gpu:
        report_start()
    return mounted
