"""The Dockerfile's steps without an engine: its files, read-only, its environment, its user, its command.

As root the command runs as uid 1000 without a right to write anywhere but in its two folders. The one privilege it may
be lent is to read: the interpreter of a virtual environment may live in a home that is closed to others.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.packaging.dockerfile import Ignored, Instruction, copied, read, variables
from tests.support.ports import free_port

INSTRUCTIONS = read((ROOT / "Dockerfile").read_text(encoding="utf-8"))
UID = 1000
DROPPED = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
READING = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
READY_SECONDS = 240
STOP_SECONDS = 4


@cache
def as_user() -> list[str]:
    """What a command is prefixed with so that it runs as the image's user; nothing for who is not root."""
    if os.geteuid() != 0:
        return []
    starts_another = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', '']))"
    for prefix in (DROPPED, [*DROPPED, *READING]):
        tried = subprocess.run([*prefix, sys.executable, "-c", starts_another], capture_output=True, check=False)
        if tried.returncode == 0:
            return prefix
    warnings.warn(f"uid {UID} cannot run {sys.executable}: the steps are replayed as root", stacklevel=2)
    return []


@dataclass(frozen=True)
class Container:
    """The image's folders as they are here, and how its commands are run."""

    app: Path
    home: Path
    data: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        here = {"HOME": str(self.home), "DATA_DIR": str(self.data), "HOST": "127.0.0.1", "PORT": str(self.port)}
        return variables(INSTRUCTIONS) | {"PATH": os.environ["PATH"]} | here

    def command(self, name: str) -> list[str]:
        """The words of CMD or HEALTHCHECK with this project's own interpreter."""
        (instruction,) = [item for item in INSTRUCTIONS if item.name == name]
        words = _words(instruction)
        assert words[0] == "python"
        return [*as_user(), sys.executable, *words[1:]]


def _words(instruction: Instruction) -> list[str]:
    words = instruction.exec_form
    assert words
    return words


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    root = Path(tempfile.mkdtemp(prefix="container-"))
    app, home, data = root / "app", root / "home", root / "data"
    try:
        for folder in (home, data):
            folder.mkdir()
        _copy(app)
        _make_read_only(app)
        if as_user():
            root.chmod(0o755)
            for folder in (home, data):
                os.chown(folder, UID, UID)
        yield Container(app, home, data, free_port())
    finally:
        for path in [app, *app.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(root)


def _copy(app: Path) -> None:
    ignored = Ignored((ROOT / ".dockerignore").read_text(encoding="utf-8"))
    app.mkdir()
    for source, destination in copied(INSTRUCTIONS):
        folder = app if (ROOT / source).is_file() else app / destination
        for name in ignored.files(ROOT, source):
            target = folder / Path(name).relative_to(source if (ROOT / source).is_dir() else Path(source).parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)


def _make_read_only(app: Path) -> None:
    for path in [*app.rglob("*"), app]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    found = {path: path.stat() for path in folder.rglob("*")}
    return {str(path): (status.st_size, status.st_mtime_ns) for path, status in found.items()}


@pytest.fixture(scope="module")
def process(container: Container, tmp_path_factory: pytest.TempPathFactory) -> Iterator["subprocess.Popen[bytes]"]:
    log = tmp_path_factory.mktemp("container") / "log"
    with log.open("wb") as output:
        started = subprocess.Popen(
            container.command("CMD"),
            cwd=container.app,
            env=container.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield started
        finally:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()
            print(log.read_text())  # shown when the test failed


def _health(container: Container) -> httpx.Response | None:
    try:
        return httpx.get(f"{container.url}/health", timeout=5)
    except httpx.TransportError:
        return None


def _wait_until_ready(container: Container, process: "subprocess.Popen[bytes]") -> httpx.Response:
    deadline = time.monotonic() + READY_SECONDS
    answer = None
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the command ended with {process.returncode}"
        answer = _health(container)
        if answer is not None and answer.json()["index"]["state"] == "ready":
            return answer
        time.sleep(0.5)
    raise AssertionError(f"not ready after {READY_SECONDS} s: {answer.text if answer else 'no answer'}")


@pytest.mark.timeout(READY_SECONDS + 60)
def test_it_serves_answers_and_stops(container: Container, process: "subprocess.Popen[bytes]") -> None:
    before = _files(container.app)
    health = _wait_until_ready(container, process)
    assert health.status_code == 200
    assert health.json()["documents_count"] == len(list((container.app / "content").rglob("*.md")))

    body = {"question": "How does a PID controller keep a humanoid upright?", "stream": False}
    answer = httpx.post(f"{container.url}/chat", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["answered"]
    assert answer.json()["citations"][0]["source"]["path"].startswith("03-control-and-learning/")
    assert httpx.get(f"{container.url}/", timeout=30).status_code == 200

    check = subprocess.run(container.command("HEALTHCHECK"), env=container.environment, timeout=60, check=False)
    assert check.returncode == 0, "the health check fails on a healthy service"

    _assert_runs_as_user(container, process)
    assert _files(container.app) == before, "the code was written to"
    assert _files(container.home) == {}, "something other than the data folder was written to"

    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = process.wait(STOP_SECONDS)
    assert time.monotonic() - began <= STOP_SECONDS
    assert code in {0, -signal.SIGTERM}
    check = subprocess.run(
        container.command("HEALTHCHECK"), env=container.environment, timeout=60, check=False, capture_output=True
    )
    assert check.returncode != 0, "the health check passes on a dead service"


def _assert_runs_as_user(container: Container, process: "subprocess.Popen[bytes]") -> None:
    token = container.data / "admin_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    expected = UID if as_user() else os.geteuid()
    assert token.stat().st_uid == expected
    status = Path(f"/proc/{process.pid}/status")
    if status.is_file():
        assert f"\nUid:\t{expected}\t{expected}\t" in status.read_text()
