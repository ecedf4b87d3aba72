"""The real application as its operators start it: `python app.py` in a process of its own, on a loopback port."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from rag.settings import Settings
from tests.conftest import ROOT
from tests.support.planted import spilled_by_files, spilled_by_processes
from tests.support.ports import free_port

START_SECONDS = 240


@dataclass(frozen=True)
class AppProcess:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text(errors="replace")
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{self.url}/health", timeout=5)
                return
            time.sleep(0.1)
        raise AssertionError(f"the application did not answer within {START_SECONDS} s")


@contextlib.contextmanager
def app_process(folder: Path, settings: Mapping[str, str]) -> Iterator[AppProcess]:
    """Runs in `folder`, where its log is kept, and need not answer yet; ended as a service is ended.

    Fails when a secret among the settings is in a file it leaves in `folder`, its log included, or in a command line.
    """
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    environment = {**kept, **settings, "HOST": "127.0.0.1", "PORT": str(port)}
    log = folder / f"app-{port}.log"
    with log.open("wb") as out:
        command = [sys.executable, str(ROOT / "app.py")]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield AppProcess(f"http://127.0.0.1:{port}", process, log)
            told = spilled_by_processes(process.pid, environment)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
                raise
    assert not told, told
    spilled = spilled_by_files(folder, environment)
    assert not spilled, spilled
