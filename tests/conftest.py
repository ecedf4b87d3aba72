"""What every test shares: the real books beside the checkout, a clean environment, and no way out to the internet."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

pytest_plugins = ["tests.support.fixtures"]

hypothesis.settings.register_profile("any machine", deadline=None)  # a busy one is no reason to fail
hypothesis.settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0])
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """A test that reaches for a non-loopback address fails."""

    def connect(self: socket.socket, address: Any) -> None:
        assert _is_local(address), f"a test tried to reach {address!r}"
        _connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        assert _is_local(address), f"a test tried to reach {address!r}"
        return _connect_ex(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", connect)
    patch.setattr(socket.socket, "connect_ex", connect_ex)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine reaches a test, and nothing a test writes lands in the checkout's data directory."""
    from rag.settings import Settings

    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real books and questions; tests that need it are skipped, by name, where it is absent."""
    if not SHARED.is_dir():
        if os.environ.get("REQUIRE_SHARED"):
            pytest.fail(f"the shared material is required but {SHARED.name}/ is not beside the checkout")
        pytest.skip("the shared corpora are not beside the checkout: this check on real books did not run")
    return SHARED


@pytest.fixture(scope="session")
def sample_book() -> Path:
    return ROOT / "content"
