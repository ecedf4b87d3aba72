"""The application and its ingest end together, and the next application takes the work up by itself."""

import fcntl
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.support.app_process import AppProcess, app_process
from tests.support.books import write_book
from tests.support.ingesting import children
from tests.support.openai_server import OpenAIServer
from tests.web.conftest import ADMIN


@pytest.fixture
def silent() -> Iterator[str]:
    """A model server that accepts and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def settings(folder: Path, base_url: str) -> dict[str, str]:
    content = folder / "content"
    if not content.exists():
        write_book(content)
    return {
        "CONTENT_DIR": str(content),
        "DATA_DIR": str(folder / "data"),
        "ADMIN_TOKEN": "keeper",
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": "sk-test",
    }


def worker_of(app: AppProcess) -> int:
    """The ingest, once it waits for the model."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in children(app.process.pid):
            if b"ingest" in Path(f"/proc/{child}/cmdline").read_bytes() and b"ESTAB" in _connections(child):
                return child
        time.sleep(0.1)
    raise AssertionError(app.log.read_text(errors="replace"))


def _connections(process: int) -> bytes:
    """Whether it has an open connection of its own."""
    sockets = {str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink()}
    inodes = {name[8:-1] for name in sockets if name.startswith("socket:[")}
    for row in Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if fields[3] == "01" and fields[9] in inodes:
            return b"ESTAB"
    return b""


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_ingest_dies_with_its_application_and_the_next_one_takes_it_up(
    tmp_path: Path, silent: str, openai_server: OpenAIServer
) -> None:
    with app_process(tmp_path / "one", settings(tmp_path, silent)) as first:
        first.wait_until_it_answers()
        worker = worker_of(first)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        killed = time.monotonic()
        while alive(worker):
            assert time.monotonic() - killed < 5, "the worker lives on"
            time.sleep(0.02)
    working = settings(tmp_path, openai_server.base_url) | {"OPENAI_API_KEY": openai_server.key}
    with app_process(tmp_path / "two", working) as second:
        second.wait_until_it_answers()
        ready(second)


def ready(app: AppProcess, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if httpx.get(f"{app.url}/health", timeout=10).json()["index"]["state"] == "ready":
            return
        time.sleep(0.1)
    raise AssertionError(app.log.read_text(errors="replace"))


def test_a_start_that_is_refused_the_lock_tries_again(tmp_path: Path, openai_server: OpenAIServer) -> None:
    working = settings(tmp_path, openai_server.base_url) | {"OPENAI_API_KEY": openai_server.key}
    index = tmp_path / "data" / "index"
    index.mkdir(parents=True)
    with (index / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as an ingest of another application
        with app_process(tmp_path / "two", working) as app:
            app.wait_until_it_answers()
            refused(app)
            fcntl.flock(lock, fcntl.LOCK_UN)
            ready(app)


def refused(app: AppProcess, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = httpx.get(f"{app.url}/ingest/status", headers=ADMIN, timeout=10).json()
        if job.get("status") == "failed":
            assert "being ingested already" in job["message"]
            return
        time.sleep(0.1)
    raise AssertionError(app.log.read_text(errors="replace"))
