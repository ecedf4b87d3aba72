"""The page that holds the tabs, and how it is mounted: after every route, with everything unneeded off."""

import os
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from starlette.routing import Mount

from web.services import Services
from web.ui.admin_tab import AdminTab
from web.ui.admission import Admission
from web.ui.banner import header
from web.ui.chat_tab import CONCURRENCY, ChatTab, kept_in_browser
from web.ui.endpoints import Endpoints
from web.ui.gate import sign_in_offered
from web.ui.theme import CSS, FAVICON, head, theme
from web.ui.zero_gpu import report_start

QUEUE = 64
STATES = 64  # a session's is 90 kB, and nothing of ours is kept in it
APPLICATION = Path(__file__).resolve().parents[2]


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
    page: gr.Blocks = demo
    page.queue(default_concurrency_limit=CONCURRENCY, max_size=QUEUE)
    page.state_session_capacity = STATES
    return page


def mount(app: FastAPI, services: Services) -> FastAPI:
    """The application with its interface at "/"."""
    settings = services.settings
    os.environ["GRADIO_TEMP_DIR"] = str(services.gradio_dir)
    # Its figures of past events are drawn up anew, with pandas, after every event.
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
    page = build_ui(services)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=theme(),
        css_paths=CSS,
        head=head(),
        favicon_path=str(FAVICON),
        ssr_mode=False,
        pwa=False,
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        allowed_paths=[],
        blocked_paths=[str(path.resolve()) for path in (settings.data_dir, settings.content_dir, APPLICATION)],
        footer_links=["api"],
        max_file_size="1kb",
        show_error=False,
    )
    # `Blocks.launch` sets these, mounting does not; without them Gradio takes every path for an allowed one.
    page.has_launched = page.is_running = True
    interface = mounted.router.routes[-1]
    assert isinstance(interface, Mount)
    interface.app = Admission(interface.app, page, services.limits, sign_in=sign_in_offered())
    if settings.spaces_zero_gpu:
        report_start()
    return mounted
