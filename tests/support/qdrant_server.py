"""A real Qdrant server: one that runs already (TEST_QDRANT_URL), or the program TEST_QDRANT_BINARY, which the tests
start on loopback ports with a folder of its own, alone or as peers of one cluster.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import pytest
from qdrant_client import AsyncQdrantClient

from tests.support.ports import free_port

URL = os.environ.get("TEST_QDRANT_URL")
KEY = os.environ.get("TEST_QDRANT_API_KEY")
BINARY = os.environ.get("TEST_QDRANT_BINARY")
SKIPPED = "neither TEST_QDRANT_URL nor TEST_QDRANT_BINARY is set: nothing was checked against a real Qdrant server"
START_SECONDS = 60

# What a strict server is set to: filters on indexed fields alone, and bounds on what one call may ask or write.
STRICT: Mapping[str, str] = {
    f"QDRANT__STORAGE__COLLECTION__STRICT_MODE__{name}": value
    for name, value in {
        "ENABLED": "true",
        "UNINDEXED_FILTERING_RETRIEVE": "false",
        "UNINDEXED_FILTERING_UPDATE": "false",
        "SEARCH_ALLOW_EXACT": "false",
        "SEARCH_MAX_HNSW_EF": "256",
        "SEARCH_MAX_BATCHSIZE": "100",
        "UPSERT_MAX_BATCHSIZE": "1000",
        "MAX_QUERY_LIMIT": "1000",
        "MAX_TIMEOUT": "60",
    }.items()
}


@dataclass
class QdrantServer:
    """One process. `stop` kills it; `start` begins again on the same ports with what it had stored."""

    folder: Path
    api_key: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    cluster: bool = False
    bootstrap: str | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.grpc_port, self.peer_port = free_port(), free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self.peer_port}"

    def client(self, *, grpc: bool = True) -> AsyncQdrantClient:
        return AsyncQdrantClient(
            url=self.url,
            grpc_port=self.grpc_port,
            prefer_grpc=grpc,
            api_key=self.api_key,
            timeout=20,
            check_compatibility=False,
        )

    def start(self) -> None:
        assert BINARY is not None
        command = [BINARY, "--disable-telemetry"]
        if self.cluster:
            command += ["--uri", self.peer_url]
            command += ["--bootstrap", self.bootstrap] if self.bootstrap else []
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment(), stdout=log, stderr=subprocess.STDOUT
            )
        self._wait_until_ready()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def resident_bytes(self) -> int:
        """The memory of the process."""
        assert self._process is not None
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _environment(self) -> dict[str, str]:
        settings = {
            "QDRANT__STORAGE__STORAGE_PATH": str(self.folder / "storage"),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(self.folder / "snapshots"),
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(self.port),
            "QDRANT__SERVICE__GRPC_PORT": str(self.grpc_port),
            "QDRANT__CLUSTER__ENABLED": str(self.cluster).lower(),
            "QDRANT__CLUSTER__P2P__PORT": str(self.peer_port),
            "QDRANT__TELEMETRY_DISABLED": "true",
            "QDRANT__LOG_LEVEL": "WARN",
        }
        if self.api_key is not None:
            settings["QDRANT__SERVICE__API_KEY"] = self.api_key
        return {**os.environ, **settings, **self.options}

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            time.sleep(0.05)
        self.stop()
        raise AssertionError(f"Qdrant did not answer within {START_SECONDS} s")


def require_binary() -> None:
    """Skip the test where there is no program to start."""
    if BINARY is None:
        pytest.skip(SKIPPED)


@contextlib.contextmanager
def cluster(folder: Path, peers: int = 3, api_key: str | None = None) -> Iterator[list[QdrantServer]]:
    """Peers of one cluster; the first is the one that the others join."""
    require_binary()
    servers: list[QdrantServer] = []
    try:
        for number in range(peers):
            first = servers[0].peer_url if servers else None
            server = QdrantServer(folder / f"peer-{number}", api_key, cluster=True, bootstrap=first)
            servers.append(server)
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens, and its key."""

    url: str
    grpc_port: int = 6334
    api_key: str | None = None


class QdrantServers:
    """The servers that many tests share, each started by the first that asks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[bool, QdrantServer] = {}

    def endpoint(self, *, strict: bool = False) -> Endpoint:
        """A server without a key; a strict one has a key and strict mode for every collection. Skips without any."""
        if URL is not None and not strict:
            return Endpoint(URL, api_key=KEY)
        require_binary()
        if strict not in self._started:
            options = STRICT if strict else {}
            server = QdrantServer(self._folder / f"strict-{strict}", "a-long-secret" if strict else None, options)
            server.start()
            self._started[strict] = server
        server = self._started[strict]
        return Endpoint(server.url, server.grpc_port, server.api_key)

    def stop(self) -> None:
        for server in self._started.values():
            server.stop()
