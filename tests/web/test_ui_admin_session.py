"""Who opens the admin tab: on a Space its signed-in owner, anywhere else the token alone, whatever cookie is shown."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import itsdangerous

from tests.support.books import write_book
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SPACE = {
    "SYSTEM": "spaces",
    "SPACE_ID": "keeper/handbook",
    "SPACE_HOST": "keeper-handbook.hf.space",
    "SPACE_CREATOR_USER_ID": "owner-id",
    "OAUTH_CLIENT_ID": "client",
    "OAUTH_CLIENT_SECRET": "client-secret",
    "OAUTH_SCOPES": "openid profile",
    "OPENID_PROVIDER_URL": "https://huggingface.co",
}


@contextmanager
def application(folder: Path, **environment: str) -> Iterator[str]:
    """`python app.py` as a Space runs it: what decides is read when gradio is imported."""
    port = free_port()
    usual = {"PATH": os.environ["PATH"], "HOME": str(folder), "HOST": "127.0.0.1", "PORT": str(port)}
    usual |= {"CONTENT_DIR": str(write_book(folder / "content")), "DATA_DIR": str(folder / "data")}
    usual |= {"ADMIN_TOKEN": "keeper", "ADMIN_USERS": "mate", "INGEST_ON_START": "false", "LOG_LEVEL": "warning"}
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=usual | environment)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert process.poll() is None, "the application ended while starting"
            try:
                httpx.get(f"{url}/health")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(15)


def cookie(secret: str, user: dict[str, str], expires_in: float = 3600) -> str:
    """What Gradio's sign-in leaves in the browser, signed with the given secret."""
    info = {"oauth_info": {"userinfo": user, "expires_at": time.time() + expires_in}}
    key = hashlib.sha256(f"{secret}-v4".encode()).hexdigest()
    data = base64.b64encode(json.dumps(info).encode())
    return itsdangerous.TimestampSigner(key).sign(data).decode()


def config(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{url}/config").json()
    return found


def opens(url: str, session: str) -> bool:
    """Whether the page that shows this cookie is given the admin panel."""
    (show, *_) = [item["id"] for item in config(url)["dependencies"] if item["api_name"] == "show"]
    body = {"data": ["none"], "fn_index": show, "session_hash": "a-session"}
    answer = httpx.post(f"{url}/gradio_api/run/predict", json=body, cookies={"session": session})
    assert answer.status_code == 200, answer.text
    return "Fingerprint" in answer.text


def offers_sign_in(url: str) -> bool:
    return any(item["props"].get("value") == "Sign in with Hugging Face" for item in config(url)["components"])


def test_on_a_space_the_owner_and_named_people_are_let_in_and_nobody_else(tmp_path: Path) -> None:
    owner, mate = {"sub": "owner-id", "preferred_username": "keeper"}, {"sub": "2", "preferred_username": "mate"}
    with application(tmp_path, **SPACE) as url:
        assert offers_sign_in(url)
        assert opens(url, cookie("client-secret", owner))
        assert opens(url, cookie("client-secret", mate))
        assert not opens(url, cookie("client-secret", {"sub": "3", "preferred_username": "stranger"}))
        assert not opens(url, cookie("client-secret", {"sub": "", "preferred_username": ""}))
        assert not opens(url, cookie("client-secret", owner, expires_in=-1))
        assert not opens(url, cookie("", owner))
        assert not opens(url, "")


def test_off_a_space_no_cookie_opens_anything(tmp_path: Path) -> None:
    owner = {"sub": "owner-id", "preferred_username": "mate"}
    without_secret = {name: value for name, value in SPACE.items() if name not in ("SYSTEM", "OAUTH_CLIENT_SECRET")}
    with application(tmp_path, **without_secret) as url:
        assert not offers_sign_in(url)
        for secret in ("", "client-secret"):
            assert not opens(url, cookie(secret, owner))


def test_zero_gpu_without_its_package_starts_all_the_same(tmp_path: Path) -> None:
    """In the setting's own name, which Gradio reads too."""
    with application(tmp_path, SPACES_ZERO_GPU="true", MCP_SERVER="false") as url:
        assert httpx.get(f"{url}/").status_code == 200
