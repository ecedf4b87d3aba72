"""A short form of what `make chaos` does at length: each kind of failure once, with the same seed every time."""

import pytest

from tests.chaos import service
from tests.chaos.__main__ import run
from tests.chaos.registry import load

NAMES = [
    "files: random bytes",
    "kills: a writer at a random moment",
    "disk: as large as a file may be",
    "disk: full at a random moment",
    "readers: leave at any moment",
    "data: an index that rotted between two starts",
    "redis: gone and back while two processes ingest",
    "soak: readers, leavers, half heads and ingests at once",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_promise_is_held(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "READERS", 20)
    monkeypatch.setattr(service, "SOAK_SECONDS", 5)
    outcome = run(load()[name], "short")
    assert outcome.held, outcome.seen
