"""Ask the Book: `python app.py` serves the chat, the admin tab and the API on one port."""

import os
import signal
import socket
import sys
from types import FrameType
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import uvicorn
from fastapi import FastAPI

from rag.build import build_pipeline, build_sessions
from rag.errors import ConfigError
from rag.memory import freeze_gc, limit_malloc_arenas
from rag.settings import Settings
from web import logs
from web.api import create_app
from web.connections import BoundedProtocol, allow_many_files
from web.services import Services
from web.ui import mount

SHUTDOWN_SECONDS = 2  # for answers to be told that they end; an open browser tab holds an endless stream
START_FAILED = 3  # as uvicorn.run has it


class Server(uvicorn.Server):
    """Tells the application before it waits for open connections, and ends with 0 when it was asked to end."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        services: Services = self.config.app.state.services  # type: ignore[union-attr]
        services.begin_shutdown()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        # uvicorn's own raises the signal once more when all is closed, and the process would end with -15.
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def build(settings: Settings) -> FastAPI:
    """The application: settings, engine, surfaces. Nothing is opened before it is served."""
    services = Services(settings, build_pipeline(settings), build_sessions(settings))
    return mount(create_app(services), services)


def server_options(settings: Settings) -> dict[str, Any]:
    """What uvicorn needs."""
    return {
        "host": settings.host,
        "port": settings.port,
        "http": BoundedProtocol,
        "timeout_graceful_shutdown": SHUTDOWN_SECONDS,
        "proxy_headers": False,  # web.middleware.TrustedProxies reads them, and removes those of everybody else
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
    allow_many_files()
    limit_malloc_arenas()
    logs.configure(settings.log_level, settings.log_json, settings.secrets)
    app = build(settings)
    freeze_gc()
    server = Server(uvicorn.Config(app, **server_options(settings)))
    server.run()
    return 0 if server.started else START_FAILED


if __name__ == "__main__":
    sys.exit(main())
