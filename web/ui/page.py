"""The page that holds the tabs, and how it is mounted: after every route, with everything unneeded off."""

import logging
import os
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from starlette.routing import Mount

from web.services import Services
from web.ui.admin_session import sign_in_offered
from web.ui.admin_tab import AdminTab
from web.ui.admission import Admission
from web.ui.banner import header
from web.ui.chat_tab import CONCURRENCY, ChatTab, kept_in_browser
from web.ui.client_api import ClientApi

QUEUE = 64
STATES = 64  # a session's is 90 kB, and nothing of ours is kept in it
APPLICATION = Path(__file__).resolve().parents[2]


def build_ui(services: Services) -> gr.Blocks:
    title = services.pipeline.title
    with gr.Blocks(title=title, analytics_enabled=False) as demo:
        top = gr.HTML(header(title))
        session_token = kept_in_browser(services.settings, "admin", "")
        with gr.Tab("Chat", id="chat"):
            chat = ChatTab(services, top)
        with gr.Tab("Admin", id="admin") as admin_tab:
            admin = AdminTab(services, session_token)
        chat.connect(demo)
        admin.connect(demo, admin_tab)
        ClientApi(services).add()
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


log = logging.getLogger(__name__)


def report_start() -> None:
    """Sends the report; a Space without the `spaces` package is told so in the log and goes on."""
    try:
        import spaces  # type: ignore[import-not-found]  # there on ZeroGPU hardware only
        from spaces.zero import startup  # type: ignore[import-not-found]
    except ImportError:
        log.warning("SPACES_ZERO_GPU is set, but there is no `spaces` package here: nothing was reported")
        return

    @spaces.GPU  # type: ignore[untyped-decorator]
    def idle() -> None:
        """The Space refuses to run without one function like this."""

    startup()


STATIC = Path(__file__).parent.parent / "static"
CSS = STATIC / "ui.css"
FAVICON = STATIC / "favicon.png"


def theme() -> gr.themes.Base:
    return gr.themes.Default(
        primary_hue="indigo",
        secondary_hue="indigo",
        neutral_hue="slate",
        font=(gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=(gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"),
    ).set(  # white on Gradio's own indigo of 500 has a contrast of 4.47:1; 4.5:1 is what WCAG asks for
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )


def head() -> str:
    """The script of the page. It is small, and in the page it needs no route of its own."""
    return f"<script>{(STATIC / 'ui.js').read_text(encoding='utf-8')}</script>"
