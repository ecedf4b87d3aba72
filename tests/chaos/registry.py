"""Named scenarios of failure: each breaks one thing for real and says whether the application held its promise.

    @scenario("files: one byte of a shard is flipped")
    def flipped(trial: Trial) -> Outcome:
        settings = book_settings(trial.folder)
        byte = trial.random.randrange(...)
        ...
        return Outcome(held=status == 503, seen=f"byte {byte}: {status}")

A module of this package is imported by `python -m tests.chaos`, which runs what it registers.
"""

import importlib
import pkgutil
import random
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True)
class Trial:
    """One run of a scenario. `folder` is empty and its own; `random` gives the same numbers for the same seed."""

    folder: Path
    random: random.Random


@dataclass(frozen=True)
class Outcome:
    """`held` is False when a promise was broken; `seen` holds the figures of one line of the table."""

    held: bool
    seen: str


@dataclass(frozen=True)
class Scenario:
    """`rounds` is how often the long form runs it, each time with other random numbers."""

    name: str
    run: Callable[[Trial], Outcome]
    rounds: int = 1


SCENARIOS: dict[str, Scenario] = {}


def add(name: str, run: Callable[[Trial], Outcome], *, rounds: int = 1) -> None:
    """Register a scenario. Raises ValueError for a name that is taken."""
    if name in SCENARIOS:
        raise ValueError(f"there are two scenarios called {name}")
    SCENARIOS[name] = Scenario(name, run, rounds)


def scenario(name: str, *, rounds: int = 1) -> Callable[[Callable[[Trial], Outcome]], Callable[[Trial], Outcome]]:
    """Register the decorated function."""

    def register(run: Callable[[Trial], Outcome]) -> Callable[[Trial], Outcome]:
        add(name, run, rounds=rounds)
        return run

    return register


def load() -> dict[str, Scenario]:
    """Import every module of this package and return what they registered, by name."""
    here = Path(__file__).parent
    for module in pkgutil.iter_modules([str(here)]):
        if module.name != "__main__" and not module.name.startswith("test_"):
            importlib.import_module(f"tests.chaos.{module.name}")
    return dict(sorted(SCENARIOS.items()))


def chosen(scenarios: dict[str, Scenario], patterns: list[str]) -> list[Scenario]:
    """Those whose name matches one of the patterns (`chat: *`), or begins with it; all without patterns."""
    return [
        one
        for name, one in scenarios.items()
        if not patterns or any(name.startswith(pattern) or fnmatch(name, pattern) for pattern in patterns)
    ]
