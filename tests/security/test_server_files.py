"""Files of the server: asked for as Gradio's FileData, by its routes, and past our own walls from Gradio itself."""

import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.routing import Mount
from starlette.types import ASGIApp

from tests.support.gradio_http import event_number, new_session, post_event
from tests.support.running import Running
from tests.web.conftest import Start

SECRET = "/proc/self/environ"


def file_data(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def copied(app: Running) -> list[Path]:
    return [path for path in app.services.gradio_dir.rglob("*") if path.is_file()]


SHAPES = [
    file_data(SECRET),
    {"path": SECRET},
    {"url": "http://127.0.0.1:1/x", "orig_name": "x"},
    {"name": "x", "meta": {"_type": "gradio.FileData"}},
    [[{"deep": [file_data(SECRET)]}]],
    {"id": "0" * 32, "turns": [file_data(SECRET)]},
]


@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
@pytest.mark.parametrize(("handler", "queued", "others"), [("unlock", True, 0), ("show", False, 0), ("open", False, 0)])
def test_no_event_takes_an_object_that_is_a_file(
    start: Start, handler: str, queued: bool, others: int, shape: object
) -> None:
    app = start(ingest_on_start=False)
    if handler == "open" and isinstance(shape, dict) and "meta" not in str(shape) and "orig_name" not in shape:
        pytest.skip("a kept conversation has sources, which have a path and an address")
    answer = post_event(app.url, handler, [shape, *[None] * others], queued=queued)
    assert (answer.status_code, answer.json()["code"]) == (422, "file_refused")
    hidden = post_event(app.url, handler, [None, *[None] * others], queued=queued, event_data={"value": shape})
    assert hidden.status_code == 422
    assert copied(app) == []


def test_every_way_to_call_an_event_refuses_files(start: Start) -> None:
    """By name, by number, queued and not, and under the names that Gradio has for older clients."""
    app = start(ingest_on_start=False)
    number, session = event_number(app.url, "unlock"), new_session()
    body = {"data": [file_data(SECRET)], "session_hash": session, "fn_index": number}
    routes = ["run/unlock", "run/predict", "api/unlock", "api/predict", "call/unlock", "call/v2/unlock", "queue/join"]
    answers = {route: httpx.post(f"{app.url}/gradio_api/{route}", json=body).status_code for route in routes}
    assert set(answers.values()) <= {404, 422}, answers
    named = {"data": [file_data(SECRET), None]}
    assert httpx.post(f"{app.url}/gradio_api/call/chat", json=named).status_code == 422
    assert httpx.post(f"{app.url}/gradio_api/call/v2/chat", json={"question": file_data(SECRET)}).status_code == 422
    assert copied(app) == []


def test_a_body_means_to_gradio_what_was_checked(start: Start) -> None:
    """Twice the same key, another character set, another content type, no content type: nothing gets past the check."""
    app = start(ingest_on_start=False)
    number = event_number(app.url, "show")
    file = '{"path":"/proc/self/environ","meta":{"_type":"gradio.FileData"}}'
    twice = f'{{"data":[{file}],"data":[null],"fn_index":{number},"session_hash":"abcd"}}'
    forms: list[tuple[bytes, str | None]] = [
        (twice.replace("[null]", f"[{file}]", 1).encode(), "application/json"),
        (f'{{"data":[{file}],"fn_index":{number}}}'.encode("utf-16"), "application/json; charset=utf-16"),
        (f'{{"data":[{file}],"fn_index":{number}}}'.encode(), "text/plain"),
        (f'{{"data":[{file}],"fn_index":{number}}}'.encode(), None),
        (b"[" * 100_000, "application/json"),
        (f'{{"data":[{"[" * 500}{"]" * 500}],"fn_index":{number}}}'.encode(), "application/json"),
    ]
    for content, kind in forms:
        headers = {"content-type": kind} if kind else {}
        answer = httpx.post(f"{app.url}/gradio_api/run/predict", content=content, headers=headers)
        assert answer.status_code in {400, 422}, (answer.status_code, content[:80])
    assert copied(app) == []


FILE_ROUTES = [
    f"/gradio_api/file={SECRET}",
    f"/gradio_api/file%3D{SECRET}",
    f"/gradio_api/file{SECRET}",
    f"//gradio_api/file={SECRET}",
    f"/file={SECRET}",
    f"/gradio_api/assets/../file={SECRET}",
    "/assets/..%2f..%2f..%2fblocks.py",
    "/static/../../blocks.py",
    "/static/ffmpeg/ffmpeg-core.wasm",
    "/svelte/svelte.js",
    "/gradio_api/proxy=https://example.hf.space/x",
    "/gradio_api/file=http://127.0.0.1:1/x",
    "/gradio_api/stream/a/b/c/playlist.m3u8",
    "/gradio_api/custom_component/a/client/component/x.js",
    "/gradio_api/upload_progress?upload_id=a",
    "/gradio_api/deep_link?session_hash=s",
    "/gradio_api/app_id",
    "/gradio_api/token",
    "/gradio_api/user",
    "/gradio_api/dev/reload",
    "/gradio_api/openapi.json",
    "/gradio_api/runs",
    "/gradio_api/startup-events",
    "/gradio_api/heartbeat/s",
    "/gradio_api/vibe-code",
    "/monitoring",
    "/monitoring/summary",
    "/manifest.json",
    "/pwa_icon",
    "/pwa_icon/100000",
    "/gradio_api/pwa_icon/100000",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_the_routes_that_nobody_needs_are_closed(start: Start, method: str) -> None:
    app = start(ingest_on_start=False)
    host, port = app.url.removeprefix("http://").split(":")
    for path in FILE_ROUTES:
        with socket.create_connection((host, int(port)), 10) as raw:  # a client would tidy the path
            raw.sendall(
                f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
            )
            assert b" 404 " in raw.makefile("rb").readline(), path
    posted = ["upload", "process_recording", "component_server", "vibe-edit", "stream/a", "run-history/connect"]
    for path in posted:
        assert httpx.post(f"{app.url}/gradio_api/{path}", content=b"x").status_code == 404, path


def test_gradios_own_check_refuses_without_our_walls(start: Start) -> None:
    """The interface as Gradio built it, served by itself: it copies no file that nobody uploaded."""
    app = start(ingest_on_start=False)
    with served(_bare(app)) as url:
        for path in (SECRET, "/etc/passwd", str(app.services.settings.data_dir / "figures.sqlite3"), "app.py", "x.svg"):
            body = {"data": [file_data(path)], "session_hash": "s"}
            assert httpx.post(f"{url}/gradio_api/run/unlock", json=body, timeout=30).status_code == 500
            assert httpx.get(f"{url}/gradio_api/file={path}").status_code in {403, 404}
    assert copied(app) == []


def test_gradios_folder_is_in_the_data_folder_and_empty_and_nobody_elses(start: Start, tmp_path: Path) -> None:
    left = tmp_path / "data" / "gradio" / "abc" / "environ"
    left.parent.mkdir(parents=True)
    left.write_text("OPENAI_API_KEY=sk-of-last-time")
    app = start(ready=False, ingest_on_start=False)
    folder = app.services.gradio_dir
    assert folder == left.parents[1]
    assert list(folder.iterdir()) == []
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def _bare(app: Running) -> ASGIApp:
    config: Any = app.server.config.app
    mount = config.router.routes[-1]
    assert isinstance(mount, Mount)
    return mount._base_app


@contextmanager
def served(application: ASGIApp) -> Iterator[str]:
    """Another server in front of an application that already lives."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
