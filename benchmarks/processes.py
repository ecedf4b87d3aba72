"""Servers in processes of their own, and what the kernel says of them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.figures import ROOT
from rag.settings import Settings

_START_SECONDS = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers. `seconds` of wall and `cpu` went from its start to its first answer."""

    port: int
    process: int
    seconds: float
    cpu: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def environment(**settings: object) -> dict[str, str]:
    """The machine's own, without any setting of the application, and with these."""
    ours = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return inherited | {"PYTHONPATH": str(ROOT)} | {name.upper(): str(value) for name, value in settings.items()}


@contextmanager
def served(arguments: Sequence[str], settings: Mapping[str, object], path: str = "/health") -> Iterator[Served]:
    """`python ARGUMENTS` with PORT set, until it answers on `path`; ended by its id."""
    port = _free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=environment(host="127.0.0.1", port=port, **settings),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, port, path)
        yield Served(port, process.pid, time.perf_counter() - began, cpu_seconds(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args!r} ended while starting"
        with suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", path)
            status = connection.getresponse().status
            connection.close()
            if status < 500:
                return
        time.sleep(0.01)
    raise AssertionError(f"{process.args!r} did not answer within {_START_SECONDS:g} s")


def cpu_seconds(process: int) -> float:
    """User and system time of the process and of its children that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def memory_with_children(process: int, field: str = "VmRSS") -> float:
    """Megabytes of the process and of those it has started."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        children = []
    return memory(process, field) + sum(memory_with_children(int(child), field) for child in children)


def memory(process: int, field: str = "VmRSS") -> float:
    """Megabytes; RssAnon are those that no file backs. 0 once the process has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(found[0]) / 1024 if found else 0.0
