"""The short form: a few of the ways to fail, one after the other, against one running application."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.registry import Trial
from tests.chaos.upstreams import PARTS, QUESTION, ask, running, watched
from tests.support.app_process import AppProcess
from tests.support.broken_upstream import BrokenUpstream

MARGIN = 5.0  # for a busy machine; who waits in vain for the model waits 6.5 s, more than the 5 this leaves to most
SHORT = [
    ("accepted, never answered", "both"),
    ("503", "both"),
    ("slow headers", "chat"),
    ("half an answer, then silence", "chat"),
    ("endless line", "chat"),
    ("heartbeats as fast as they go", "chat"),
    ("429, retry after an hour", "chat"),
    ("no words, NaN", "embeddings"),
    ("blank words, wrong dimensions", "embeddings"),
    ("endless body", "embeddings"),
    ("a gzip bomb", "embeddings"),
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AppProcess, BrokenUpstream]]:
    with running(Trial(tmp_path_factory.mktemp("chaos") / "trial", random.Random(1))) as started:
        ask(started[0].url, QUESTION)
        yield started


@pytest.mark.parametrize(("way", "name"), SHORT)
def test_readers_get_the_book_s_own_words_in_time(app: tuple[AppProcess, BrokenUpstream], way: str, name: str) -> None:
    process, server = app
    server.fail(way, PARTS[name])
    outcome = watched(process, server, way, PARTS[name], margin=MARGIN)
    assert outcome.held, outcome.seen
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    resident = next(line for line in lines if line.startswith("VmRSS"))
    assert int(resident.split()[1]) < 900_000, "kB: what an upstream sends is bounded"
