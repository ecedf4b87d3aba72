"""The real application on a real socket: uvicorn in a thread, on a loopback port of its own, ended by itself."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import uvicorn

from app import server_options
from rag.build import build_pipeline, build_sessions
from rag.resilience import Timeouts
from rag.settings import Settings
from web.api import create_app
from web.services import Services
from web.ui import mount

START_SECONDS = 200


@dataclass(frozen=True)
class Running:
    url: str
    services: Services
    server: uvicorn.Server

    def wait_for_index(self, seconds: float = 200) -> None:
        """Until questions can be answered from a whole index."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = httpx.get(f"{self.url}/health", timeout=60).json()["index"]["state"]
            if state == "ready":
                return
            time.sleep(0.1)
        raise AssertionError(f"the index is {state} after {seconds} s")


@contextlib.contextmanager
def running_app(settings: Settings, timeouts: Timeouts | None = None, *, port: int = 0) -> Iterator[Running]:
    """What `app.build` builds; `timeouts` shortens what a reader waits for; `port` is one it has had before."""
    services = Services(settings, build_pipeline(settings, timeouts=timeouts), build_sessions(settings))
    app = mount(create_app(services), services)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        options = server_options(settings) | {"host": "127.0.0.1", "port": listener.getsockname()[1]}
        server = uvicorn.Server(uvicorn.Config(app, **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{options['port']}"
        try:
            _wait_until_it_answers(url, thread)
            yield Running(url, services, server)
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive(), "the application did not stop"


def _wait_until_it_answers(url: str, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert thread.is_alive(), "the application ended while starting"
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{url}/health", timeout=5)
            return
        time.sleep(0.05)
    raise AssertionError(f"the application did not answer within {START_SECONDS} s")
