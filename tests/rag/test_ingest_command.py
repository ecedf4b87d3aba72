"""`python -m rag ingest` as people and the application use it."""

import os
import pty
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.events import Finished, Planned, decode
from rag.ingest.jobs import IngestJobs
from tests.support.ingesting import command, environment, events, finished, ingest, write_book
from tests.support.openai_script import Distort, Limits, Stall
from tests.support.openai_server import OpenAIServer


@pytest.fixture
def content(tmp_path: Path) -> Path:
    write_book(tmp_path / "content", 4)
    return tmp_path / "content"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def slow_server() -> Iterator[OpenAIServer]:
    with OpenAIServer(limits=Limits(native_dimensions=32, latency=30.0)) as server:
        yield server


def hosted(server: OpenAIServer) -> dict[str, str]:
    return {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.key}


def test_a_summary_and_nothing_configured(content: Path, data: Path) -> None:
    done = ingest(content, data)
    assert done.returncode == 0, done.stderr
    assert "4 added" in done.stdout
    assert "chunks" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    again = ingest(content, data)
    assert again.stdout.startswith("Nothing changed in 4 files")


def test_events_are_lines_of_json(content: Path, data: Path) -> None:
    told = events(ingest(content, data, "--events"))
    assert any(isinstance(event, Planned) for event in told)
    assert isinstance(told[-1], Finished)
    assert told[-1].status == "completed"


def test_a_dry_run_is_a_table(content: Path, data: Path) -> None:
    done = ingest(content, data, "--dry-run", OPENAI_API_KEY="sk-never-used")
    assert done.returncode == 0, done.stderr
    rows = {line[:18].strip(): line[18:].strip() for line in done.stdout.splitlines() if line[:18].strip()}
    assert rows["added"] == "4"
    assert rows["whole index anew"] == "yes"
    assert re.fullmatch(r"about \$0\.\d{4}", rows["cost"])
    assert int(rows["tokens to embed"].removeprefix("about ").replace(",", "")) > 100
    assert "part-0/page-00000.md" in done.stdout
    assert not (data / "index").exists()


def test_force_and_path(content: Path, data: Path) -> None:
    assert finished(ingest(content, data, "--events")).added == 4
    assert finished(ingest(content, data, "--events", "--force")).unchanged == 4
    (content / "part-0" / "page-00001.md").write_text("# One\n\nChanged.\n")
    (content / "part-0" / "page-00002.md").write_text("# Two\n\nChanged.\n")
    assert finished(ingest(content, data, "--events", "--path", "part-0/page-00001.md")).changed == 1
    assert finished(ingest(content, data, "--events")).changed == 1


def test_a_bar_on_a_terminal(content: Path, data: Path) -> None:
    shown, terminal = pty.openpty()
    process = subprocess.Popen(
        command(), env=environment(content, data), cwd=content.parent, stdout=subprocess.PIPE, stderr=terminal
    )
    os.close(terminal)
    seen = b""
    while True:
        try:
            piece = os.read(shown, 4096)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        seen += piece
    os.close(shown)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    text = seen.decode()
    assert "█" in text
    assert "Embedding" in text
    assert text.endswith("\r\x1b[2K"), "the bar is gone when it is done"
    assert b"4 added" in out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_it(content: Path, data: Path, slow_server: OpenAIServer, number: signal.Signals) -> None:
    process = subprocess.Popen(
        command("--events"),
        env=environment(content, data, **hosted(slow_server)),
        cwd=content.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not slow_server.received and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    began = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 20  # the call under way takes 30 s
    assert process.returncode == 130, err
    last = decode(out.splitlines()[-1])
    assert isinstance(last, Finished)
    assert last.status == "cancelled"
    assert "as it was" in last.message
    assert "Traceback" not in err
    assert not (data / "index" / "current").exists()


def test_a_listener_who_leaves_ends_it(content: Path, data: Path) -> None:
    write_book(content, 60)
    process = subprocess.Popen(
        command("--events"),
        env=environment(content, data),
        cwd=content.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(200) == 1
    assert "Traceback" not in err
    assert "Broken" not in err


def test_a_second_ingest_waits_for_nobody(content: Path, data: Path, slow_server: OpenAIServer) -> None:
    slow_server.limit(latency=0.0)
    assert ingest(content, data, **hosted(slow_server)).returncode == 0
    (content / "new.md").write_text("# New\n\nThis is new.\n")
    tried = threading.Event()
    stall = Stall(seconds=60.0, until=tried)
    slow_server.next(Distort("shuffled"), stall, route="embeddings")  # the probe, then the page
    before = len(slow_server.received)
    first = subprocess.Popen(
        command("--events"),
        env=environment(content, data, **hosted(slow_server)),
        cwd=content.parent,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(slow_server.received) < before + 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    second = ingest(content, data, **hosted(slow_server))
    assert second.returncode == 1
    assert "already" in second.stderr
    assert first.poll() is None
    tried.set()
    assert first.wait(200) == 0


@pytest.mark.alone
def test_a_second_run_of_a_thousand_files_is_quick(tmp_path: Path) -> None:
    """Python's start, the imports and the hashing of every file included; nothing is embedded, loaded or written."""
    content, data = tmp_path / "content", tmp_path / "data"
    write_book(content, 1000, paragraphs=2)
    with OpenAIServer(limits=Limits(native_dimensions=16)) as server:
        settings = hosted(server)
        assert ingest(content, data, **settings).returncode == 0
    generation = (data / "index" / "current").read_text()
    seconds = []
    for _ in range(3):
        before = worked()
        done = ingest(content, data, "--events", **settings)
        seconds.append(worked() - before)
        end = finished(done)
        assert (end.status, end.unchanged, end.chunks_created) == ("completed", 1000, 0)
    assert min(seconds) < 1.0, seconds
    assert (data / "index" / "current").read_text() == generation


def worked() -> float:
    """Seconds of a core that ended children took: what they take on an idle machine, however busy this one is."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


HEAVY = ("onnxruntime", "tokenizers", "openai", "qdrant_client", "grpc", "fastapi", "gradio")


@pytest.mark.parametrize("settings", [{}, {"OPENAI_API_KEY": "sk-never-used"}], ids=["local", "hosted"])
def test_nothing_heavy_is_loaded_for_nothing(content: Path, data: Path, settings: dict[str, str]) -> None:
    with OpenAIServer(limits=Limits(native_dimensions=16)) as server:
        settings = settings and hosted(server)
        assert ingest(content, data, **settings).returncode == 0
        code = (
            "import sys; from rag.__main__ import main; code = main(['ingest']); "
            f"print(code, sorted(set({HEAVY}) & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(content, data, **settings),
            cwd=content.parent,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr


async def test_the_application_watches_the_real_command(
    content: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTENT_DIR", str(content))
    monkeypatch.setenv("DATA_DIR", str(data))
    jobs = IngestJobs(command("--events"), data)
    first = await jobs.start()
    snapshots = [snapshot async for snapshot in jobs.watch(first.snapshot.task_id)]
    last = snapshots[-1]
    assert (last.status, last.documents.added, last.progress.percent) == ("completed", 4, 100)
    assert last.progress.total_files == 4
    assert any(snapshot.stage == "embedding" for snapshot in snapshots)
    (content / "empty-folder").mkdir()
    second = await jobs.start(path="empty-folder")
    *_, last = [snapshot async for snapshot in jobs.watch(second.snapshot.task_id)]
    assert last.status == "failed"
    assert "empty-folder" in last.message
    await jobs.close()
