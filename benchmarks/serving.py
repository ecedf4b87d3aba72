"""The application and the relay side by side on the sample book, before the same model server."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import ROOT
from benchmarks.processes import Served, environment, served

TOKEN = "the benchmark's own"
_TOPICS = (
    "zero moment point", "PID controller", "series elastic actuator", "inertial measurement unit", "capture point",
    "harmonic drive", "Kalman filter", "reinforcement learning", "battery", "support polygon", "gripper", "lidar",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sides:
    application: Served
    relay: Served
    content: Path


def question(number: int) -> str:
    """Never the same twice, so that nothing is answered from memory, and always about the book."""
    return f"What is a {_TOPICS[number % len(_TOPICS)]} and why does a humanoid robot number {number} need it?"


@contextmanager
def upstream(**behaviour: float) -> Iterator[Served]:
    with served(["-m", "benchmarks.upstream"], behaviour, "/v1/models") as server:
        yield server


@contextmanager
def both(server: Served, content: Path = ROOT / "content") -> Iterator[Sides]:
    """Each in a process of its own, reading one index."""
    with tempfile.TemporaryDirectory() as folder:
        settings = openai_parts(server, content, Path(folder))
        ingested(settings)
        with served(["app.py"], settings) as application, served(["-m", "benchmarks.relay"], settings) as relay:
            yield Sides(application, relay, content)


def openai_parts(server: Served, content: Path, data: Path) -> dict[str, object]:
    return {
        "openai_base_url": f"{server.url}/v1",
        "content_dir": content,
        "data_dir": data,
        "rate_limit": "999999/second",
        "ingest_on_start": "false",
        "admin_token": TOKEN,
        "log_level": "error",
        "gradio_analytics_enabled": "False",
    }


def ingested(settings: dict[str, object], *arguments: str) -> None:
    command: Sequence[str] = [sys.executable, "-m", "rag", "ingest", "--events", *arguments]
    subprocess.run(command, env=environment(**settings), cwd=ROOT, stdout=subprocess.DEVNULL, check=True, timeout=600)
