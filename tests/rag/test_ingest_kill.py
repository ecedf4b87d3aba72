"""An ingest may be killed at any moment: the old index stays, and the next run ends where an undisturbed one does."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rag.embedding.openai import OpenAIEmbedder
from rag.openai_client import OpenAIClient
from tests.support.ingesting import Contents, command, contents, environment, finished, ingest, page, write_book
from tests.support.openai_script import Limits
from tests.support.openai_server import OpenAIServer

QUESTIONS = ["How does the tendon torque the gait?", "Which filter reduces the noise of the encoder?", "page 17"]
MOMENTS = [0.35, 0.6, 0.8, 0.95]  # shares of an undisturbed run; `make chaos` tries many more
PAGES = 24
TRIES = 3


@dataclass
class World:
    """`seconds` is how long an undisturbed run of now takes."""

    folder: Path
    server: OpenAIServer
    seconds: float = 0.0

    @property
    def content(self) -> Path:
        return self.folder / "content"

    @property
    def settings(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": self.server.base_url, "OPENAI_API_KEY": self.server.key}

    def ingest(self, data: Path) -> None:
        end = finished(ingest(self.content, data, "--events", **self.settings))
        assert (end.status, end.failed) == ("completed", 0)

    def timed(self, data: Path) -> None:
        began = time.monotonic()
        self.ingest(data)
        self.seconds = time.monotonic() - began

    def kill(self, data: Path, share: float, old: Path | None = None) -> bool:
        """Starts an ingest upon the `old` index and kills it at that share of its time; False when it had ended before.

        A machine with less to do than when the run was timed ends it sooner: then that is its time, and it is tried
        again.
        """
        for _ in range(TRIES):
            shutil.rmtree(data, ignore_errors=True)
            if old is not None:
                shutil.copytree(old, data)
            began = time.monotonic()
            if self._kill(data, share * self.seconds):
                return True
            self.seconds = min(self.seconds, time.monotonic() - began)
        return False

    def _kill(self, data: Path, after: float) -> bool:
        process = subprocess.Popen(
            command("--events"),
            env=environment(self.content, data, **self.settings),
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL

    def contents(self, data: Path) -> Contents:
        client = OpenAIClient(api_key=self.server.key, base_url=self.server.base_url)
        return contents(data, QUESTIONS, OpenAIEmbedder(client))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    limits = Limits(native_dimensions=32, latency=0.05)
    with OpenAIServer(limits=limits) as server:
        yield World(tmp_path_factory.mktemp("kill"), server)


@pytest.mark.timeout(900)
def test_a_first_ingest_may_be_killed(world: World, tmp_path: Path) -> None:
    write_book(world.content, PAGES)
    world.timed(tmp_path / "undisturbed")
    expected = world.contents(tmp_path / "undisturbed")
    killed = 0
    for number, share in enumerate(MOMENTS[1:]):
        data = tmp_path / f"data-{number}"
        killed += world.kill(data, share)
        world.ingest(data)
        expected.assert_same(world.contents(data))
    assert killed >= 1


@pytest.mark.timeout(900)
def test_an_ingest_of_changes_may_be_killed(world: World, tmp_path: Path) -> None:
    write_book(world.content, PAGES)
    world.ingest(tmp_path / "old")
    old = world.contents(tmp_path / "old")
    change(world.content)
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    world.timed(tmp_path / "new")
    new = world.contents(tmp_path / "new")
    assert new.records != old.records
    killed = 0
    for number, share in enumerate(MOMENTS):
        data = tmp_path / f"data-{number}"
        killed += world.kill(data, share, tmp_path / "old")
        done = published(data, tmp_path / "old")
        world.contents(data).assert_same(new if done else old)
        world.ingest(data)
        new.assert_same(world.contents(data))
        left = len(list((data / "index").iterdir()))
        assert done or left == 3, "what a killed run left is swept by the next that writes"
    assert killed >= 1


def published(data: Path, old: Path) -> bool:
    return (data / "index" / "current").read_text() != (old / "index" / "current").read_text()


def change(content: Path) -> None:
    """Half of the pages change, some go, some come."""
    for number in range(12):
        (content / "part-0" / f"page-{number:05}.md").write_text(page(number, seed=2))
    for number in range(12, 15):
        (content / "part-0" / f"page-{number:05}.md").unlink()
    for number in range(100, 106):
        (content / "part-0" / f"page-{number:05}.md").write_text(page(number, seed=2))
