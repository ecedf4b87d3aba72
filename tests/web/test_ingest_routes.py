"""The ingest job over HTTP: one at a time, joined, watched, cancelled, remembered."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.books import many_pages
from tests.web.conftest import ADMIN, Start, events_of

TIMES = {"started_at", "finished_at", "estimated_completion"}
FIELDS = {"task_id", "status", "stage", "progress", "documents", "message"} | TIMES


def status(url: str, task_id: str | None = None) -> dict[str, Any]:
    params = {"task_id": task_id} if task_id else {}
    answer = httpx.get(f"{url}/ingest/status", headers=ADMIN, params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def wait_for_end(url: str, task_id: str, seconds: float = 200) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = status(url, task_id)
        if job["status"] in {"completed", "failed", "cancelled"}:
            return job
        time.sleep(0.05)
    raise AssertionError(f"still {job}")


def test_an_ingest_is_started_watched_and_done(start: Start) -> None:
    app = start(ready=False, ingest_on_start=False)
    answer = httpx.post(f"{app.url}/ingest", headers=ADMIN)
    assert answer.status_code == 202
    started = answer.json()
    assert (started["status"], started["estimated_files"]) == ("started", 4)
    job = wait_for_end(app.url, started["task_id"])
    assert set(job) == FIELDS
    assert job["status"] == "completed"
    assert job["documents"] == {"added": 4, "changed": 0, "unchanged": 0, "removed": 0, "failed": 0}
    assert job["progress"]["percent"] == 100
    assert status(app.url)["task_id"] == started["task_id"]
    documents = httpx.get(f"{app.url}/documents", headers=ADMIN).json()["documents"]
    assert {d["path"]: d["status"] for d in documents}["01-lamp/01-oil.md"] == "indexed"
    assert httpx.get(f"{app.url}/health").json()["documents_count"] == 4


def test_the_stream_of_snapshots_ends_with_the_job(start: Start) -> None:
    app = start(ready=False, ingest_on_start=False)
    task = httpx.post(f"{app.url}/ingest", headers=ADMIN, json={}).json()["task_id"]
    headers = {**ADMIN, "accept": "text/event-stream"}
    with httpx.stream(
        "GET", f"{app.url}/ingest/status", params={"task_id": task}, headers=headers, timeout=60
    ) as answer:
        snapshots = events_of(answer)
    assert snapshots[-1]["status"] == "completed"
    percents = [s["progress"]["percent"] for s in snapshots]
    assert percents == sorted(percents)


def test_a_dry_run_says_what_would_change_and_changes_nothing(start: Start, tmp_path: Path) -> None:
    app = start()
    (tmp_path / "content" / "02-sea" / "02-tide.md").write_text("# Tides\n\nThe tide turns every six hours.\n")
    (tmp_path / "content" / "02-sea" / "01-fog.md").unlink()
    plan = httpx.post(f"{app.url}/ingest", headers=ADMIN, json={"dry_run": True}, timeout=30)
    assert plan.status_code == 200
    shown = plan.json()
    assert (shown["added"], shown["removed"], shown["unchanged"]) == (["02-sea/02-tide.md"], ["02-sea/01-fog.md"], 3)
    assert shown["tokens"] > 0
    assert shown["cost_usd"] == 0
    states = {d["path"]: d["status"] for d in httpx.get(f"{app.url}/documents", headers=ADMIN).json()["documents"]}
    assert states["02-sea/02-tide.md"] == "new"
    assert states["02-sea/01-fog.md"] == "removed"


@pytest.mark.alone
def test_a_second_call_joins_and_cancel_stops_within_a_second(start: Start, tmp_path: Path) -> None:
    app = start()
    many_pages(tmp_path / "content", 300)
    first = httpx.post(f"{app.url}/ingest", headers=ADMIN, json={}).json()
    second = httpx.post(f"{app.url}/ingest", headers=ADMIN, json={}).json()
    assert second["status"] == "in_progress"
    assert second["task_id"] == first["task_id"]
    deadline = time.monotonic() + 120
    while status(app.url)["status"] != "processing" and time.monotonic() < deadline:
        time.sleep(0.02)
    began = time.monotonic()
    cancelled = httpx.post(f"{app.url}/ingest/{first['task_id']}/cancel", headers=ADMIN)
    assert cancelled.status_code == 202
    assert wait_for_end(app.url, first["task_id"])["status"] == "cancelled"
    assert time.monotonic() - began < 10  # .2 s; the whole ingest takes longer
    found = httpx.get(f"{app.url}/search", params={"q": "fog horn"}).json()["passages"]
    assert found[0]["path"] == "02-sea/01-fog.md", "the old index answers"


def test_the_history_survives_a_restart(start: Start) -> None:
    app = start(new=True)
    task = status(app.url)["task_id"]
    app.server.should_exit = True
    time.sleep(0.5)
    again = start(ingest_on_start=False)
    assert status(again.url, task)["status"] == "completed"


def test_a_restart_with_nothing_changed_ingests_nothing(start: Start) -> None:
    first = start(new=True)
    task = status(first.url)["task_id"]
    again = start()
    time.sleep(1)
    assert status(again.url)["task_id"] == task


@pytest.mark.alone
def test_readers_are_answered_while_the_index_is_rebuilt(start: Start, tmp_path: Path) -> None:
    app = start()
    many_pages(tmp_path / "content", 50)
    slowest, answered, stop = [0.0], [0], threading.Event()

    def read() -> None:
        while not stop.is_set():
            began = time.perf_counter()
            httpx.get(f"{app.url}/search", params={"q": "fog horn"}).raise_for_status()
            slowest[0] = max(slowest[0], time.perf_counter() - began)
            answered[0] += 1
            time.sleep(0.02)  # the ingest gives way to readers: without a pause it would hardly run

    reader = threading.Thread(target=read)
    reader.start()
    task = httpx.post(f"{app.url}/ingest", headers=ADMIN, json={"force_reindex": True}).json()["task_id"]
    job = wait_for_end(app.url, task)
    stop.set()
    reader.join()
    assert job["status"] == "completed", json.dumps(job)
    assert slowest[0] < 5
    assert answered[0] > 20
