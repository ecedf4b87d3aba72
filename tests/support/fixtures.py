"""Fixtures of the world around the application, for every test."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.openai_server import OpenAIServer
from tests.support.qdrant_server import QdrantServers
from tests.support.redis_server import RedisServer


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """A fresh loopback OpenAI-compatible server."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A fresh Redis; skipped by name where it is not installed, unless REQUIRE_REDIS is set."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 160 MB, where the machine lets us have one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(disk)], capture_output=True)
    if made.returncode:
        pytest.skip("no file system can be mounted here: a full disk was not tried")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="session")
def qdrant_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServers]:
    """Real Qdrant servers, where TEST_QDRANT_URL or TEST_QDRANT_BINARY is set."""
    servers = QdrantServers(tmp_path_factory.mktemp("qdrant"))
    yield servers
    servers.stop()
