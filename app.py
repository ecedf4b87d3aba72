"""Ask the Book: `python app.py` serves the chat, the admin tab and the API on one port."""

import os
import sys
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import uvicorn
from fastapi import FastAPI

from rag.build import build_conversations, build_pipeline
from rag.errors import ConfigError
from rag.memory import hoard_little, settle
from rag.settings import Settings
from web import logs
from web.api import create_app
from web.services import Services
from web.ui import mount

SHUTDOWN_SECONDS = 3  # an open browser tab holds an endless stream
SPACE_PROXIES = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.1"]


def build(settings: Settings) -> FastAPI:
    """The application: settings, engine, surfaces. Nothing is opened before it is served."""
    services = Services(settings, build_pipeline(settings), build_conversations(settings))
    return mount(create_app(services), services)


def server_options(settings: Settings) -> dict[str, Any]:
    """What uvicorn needs. On a Space the proxy's private addresses are trusted unless the setting says otherwise."""
    on_space = "SPACE_ID" in os.environ and "forwarded_allow_ips" not in settings.model_fields_set
    return {
        "host": settings.host,
        "port": settings.port,
        "timeout_graceful_shutdown": SHUTDOWN_SECONDS,
        "forwarded_allow_ips": SPACE_PROXIES if on_space else settings.forwarded_allow_ips,
        "access_log": False,
        "log_config": None,
        "server_header": False,
    }


def main() -> int:
    try:
        settings = Settings.load()
    except ConfigError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    os.umask(0o077)  # whatever this process and its children write is their owner's alone
    hoard_little()
    logs.configure(settings.log_level, settings.log_json)
    app = build(settings)
    settle()
    uvicorn.run(app, **server_options(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
