"""What may happen to the whole application: readers who leave, half requests, a Redis that goes, files that rot."""

import asyncio
import contextlib
import shutil
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx

from rag.ingest.jobs import IngestJobs
from rag.redis.connection import RedisConnection
from rag.redis.jobs import RedisJobCoordinator
from tests.chaos.registry import Outcome, Trial, scenario
from tests.rag.test_jobs import HAPPY, PRELUDE
from tests.support.app_process import AppProcess, app_process
from tests.support.books import write_book
from tests.support.damage import KINDS, damaged
from tests.support.openai_script import Limits
from tests.support.openai_server import OpenAIServer
from tests.support.redis_server import RedisServer

QUESTION = "What does soot on the lens do to the range of the light?"
ADMIN = {"x-admin-token": "keeper"}
SOAK_SECONDS = 60
READERS = 200


@contextlib.contextmanager
def _app(trial: Trial, server: OpenAIServer) -> Iterator[AppProcess]:
    """The application beside a loopback model server, once it has its index."""
    settings = {
        "CONTENT_DIR": str(write_book(trial.folder / "content")),
        "DATA_DIR": str(trial.folder / "data"),
        "ADMIN_TOKEN": "keeper",
        "RATE_LIMIT": "100000/minute",
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": server.key,
    }
    with app_process(trial.folder / "app", settings) as app:
        app.wait_until_it_answers()
        deadline = time.monotonic() + 90
        while httpx.get(f"{app.url}/health", timeout=10).json()["index"]["state"] != "ready":
            assert time.monotonic() < deadline, app.log.read_text(errors="replace")
            time.sleep(0.2)
        yield app


def _asked(url: str) -> str:
    answer = httpx.post(f"{url}/chat", json={"question": QUESTION, "stream": False}, timeout=60)
    return "answered" if answer.status_code == 200 and answer.json()["answered"] else str(answer.status_code)


def _open_sockets(app: AppProcess, port: int) -> int:
    """Connections of readers that the application still has."""
    rows = Path(f"/proc/{app.process.pid}/net/tcp").read_text().splitlines()[1:]
    return sum(row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "01" for row in rows)


@scenario("readers: leave at any moment")
def leaving(trial: Trial) -> Outcome:
    body = f'{{"question": "{QUESTION}"}}'
    head = f"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    request = (head + body).encode()
    with OpenAIServer(limits=Limits(native_dimensions=32, latency=0.05)) as server, _app(trial, server) as app:
        port = int(app.url.rpartition(":")[2])
        for _ in range(READERS):
            with socket.create_connection(("127.0.0.1", port), 10) as reader:
                reader.sendall(request[: trial.random.choice([len(request), trial.random.randrange(len(request))])])
                reader.settimeout(trial.random.random() * 0.3)
                with contextlib.suppress(OSError):
                    reader.recv(trial.random.choice([1, 65536]))
        last = _asked(app.url)
        deadline = time.monotonic() + 15
        while (left := _open_sockets(app, port)) and time.monotonic() < deadline:
            time.sleep(0.2)
    return Outcome(last == "answered" and not left, f"{READERS} left; {left} connections stay; then: {last}")


@scenario("readers: half-sent heads")
def half_heads(trial: Trial) -> Outcome:
    with OpenAIServer(limits=Limits(native_dimensions=32)) as server, _app(trial, server) as app:
        port = int(app.url.rpartition(":")[2])
        with contextlib.ExitStack() as halves:
            for _ in range(300):
                one = halves.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                one.sendall(b"GET /chat HTTP/1.1\r\nhost: x\r\nx-half: "[: trial.random.randrange(1, 36)])
            began = time.monotonic()
            httpx.get(f"{app.url}/health", timeout=20)
            health, last = time.monotonic() - began, _asked(app.url)
            time.sleep(max(0.0, began + 15 - time.monotonic()))
            left = _open_sockets(app, port)
    return Outcome(last == "answered" and not left, f"300: /health in {health:.2f} s, {left} open after 15 s; {last}")


@scenario("data: any file of DATA_DIR but the index", rounds=3)
def rotten_data(trial: Trial) -> Outcome:
    """Between two starts; the second one must be as well as the first."""
    kind = trial.random.choice(sorted(KINDS))
    with OpenAIServer(limits=Limits(native_dimensions=32)) as server:
        with _app(trial, server) as app:
            _asked(app.url)
        files = [path for path in (trial.folder / "data").iterdir() if path.is_file()]
        for path in files:
            if path.exists():
                damaged(path, kind, trial.random)
        with _app(trial, server) as app:
            last = _asked(app.url)
            again = httpx.post(f"{app.url}/ingest", headers=ADMIN, timeout=20).status_code
    names = ", ".join(sorted(path.name for path in files))
    return Outcome(last == "answered" and again < 300, f"{kind} ({names}): {last}, ingest {again}")


@scenario("data: an index that rotted between two starts", rounds=3)
def rotten_index(trial: Trial) -> Outcome:
    """Nobody forces or deletes anything: the start makes the index anew, from kept vectors."""
    kind = trial.random.choice(["random bytes", "all random", "cut short", "zeroed", "deleted"])
    with OpenAIServer(limits=Limits(native_dimensions=32)) as server:
        with _app(trial, server) as app:
            _asked(app.url)
        files = [path for path in (trial.folder / "data" / "index").glob("*/shard/**/*") if path.is_file()]
        chosen = trial.random.sample(files, 3)
        for path in chosen:
            damaged(path, kind, trial.random)
        with _app(trial, server) as app:
            last = _asked(app.url)
            named = "is damaged (" in app.log.read_text(errors="replace")
    return Outcome(last == "answered" and named, f"{kind} in {len(chosen)} files: {last}, named: {named}")


@scenario("redis: gone and back while two processes ingest", rounds=3)
def redis_away(trial: Trial) -> Outcome:
    return asyncio.run(_redis_away(trial))


async def _redis_away(trial: Trial) -> Outcome:
    if shutil.which("redis-server") is None:
        return Outcome(True, "redis-server is not installed: not tried")
    with RedisServer() as redis:
        boards = [RedisJobCoordinator(RedisConnection(redis.url), "book", lock_seconds=2) for _ in range(2)]
        command = [sys.executable, "-c", PRELUDE + HAPPY.replace("progress(n)", "progress(n); time.sleep(.05)")]
        both = [
            IngestJobs(command, trial.folder / str(n), coordinator=coordinator) for n, coordinator in enumerate(boards)
        ]
        ends: Counter[str] = Counter()
        for jobs in both:
            await jobs.open()
        for _ in range(6):
            if trial.random.random() < 0.5:
                redis.stop()
            job = await trial.random.choice(both).start()
            await asyncio.sleep(trial.random.random() * 0.5)
            with contextlib.suppress(AssertionError):
                redis.stop()
                redis.start()
            async with asyncio.timeout(60):
                for jobs in both:
                    async for snapshot in jobs.watch(job.snapshot.task_id):
                        if snapshot.terminal:
                            ends[snapshot.status] += 1
            await asyncio.sleep(trial.random.random() * 2.5)
        for jobs in both:
            await jobs.close()
    return Outcome(ends["completed"] >= 6, f"6 ingests, as seen by both: {dict(ends)}")


@scenario("soak: readers, leavers, half heads and ingests at once")
def soak(trial: Trial) -> Outcome:
    seen: Counter[str] = Counter()
    with OpenAIServer(limits=Limits(native_dimensions=32, latency=0.02)) as server, _app(trial, server) as app:
        until = time.monotonic() + SOAK_SECONDS
        port = int(app.url.rpartition(":")[2])

        def readers() -> None:
            while time.monotonic() < until:
                with contextlib.suppress(httpx.TransportError):
                    seen[_asked(app.url)] += 1

        def leavers() -> None:
            while time.monotonic() < until:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as one:
                    one.sendall(b"POST /chat HTTP/1.1\r\nhost: x\r\n")
                    time.sleep(0.1)

        threads = [threading.Thread(target=work) for work in (readers, readers, readers, leavers)]
        for thread in threads:
            thread.start()
        while time.monotonic() < until:
            page = trial.folder / "content" / f"soak-{trial.random.randrange(5)}.md"
            page.write_text(f"# Soak {trial.random.random()}\n\nKeepers wait.\n")
            httpx.post(
                f"{app.url}/ingest", headers=ADMIN, json={"force_reindex": trial.random.random() < 0.2}, timeout=20
            )
            time.sleep(trial.random.random() * 3)
        for thread in threads:
            thread.join()
        generations = [path for path in (trial.folder / "data" / "index").iterdir() if path.is_dir()]
    return Outcome(
        set(seen) == {"answered"}, f"{SOAK_SECONDS} s: {dict(seen)}, {len(generations)} generations at the end"
    )
