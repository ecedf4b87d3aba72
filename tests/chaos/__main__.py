"""Break things and print what was seen: `python -m tests.chaos [pattern …] [--seed N] [--rounds N] [--list]`.

Exits 1 when a promise was broken. The seed is printed; with it the same random choices are made again.
"""

import argparse
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.registry import Outcome, Scenario, Trial, chosen, load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Failures, for real, and what was seen.")
    parser.add_argument("patterns", nargs="*", help="names of scenarios, their beginnings, or patterns with *")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=None, help="how often each runs, in place of its own number")
    parser.add_argument("--list", action="store_true", help="name the scenarios and run none")
    given = parser.parse_args()
    scenarios = chosen(load(), given.patterns)
    if given.list:
        print("\n".join(one.name for one in scenarios))
        return 0
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    print(f"seed {seed}, {len(scenarios)} scenarios", flush=True)
    broken = sum(_run_rounds(one, seed, given.rounds or one.rounds) for one in scenarios)
    print(f"{broken} broken (seed {seed})" if broken else f"all held (seed {seed})")
    return 1 if broken else 0


def _run_rounds(one: Scenario, seed: int, rounds: int) -> int:
    """Run a scenario's rounds, a line each; how many of them broke a promise."""
    broken = 0
    for number in range(rounds):
        began = time.perf_counter()
        outcome = run(one, f"{seed}:{number}")
        seconds = time.perf_counter() - began
        broken += not outcome.held
        print(f"{'held' if outcome.held else 'BROKEN':6}  {seconds:6.1f} s  {one.name:60}  {outcome.seen}", flush=True)
    return broken


def run(one: Scenario, seed: str) -> Outcome:
    """Run a scenario once, in a folder of its own; an exception is a broken promise."""
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        try:
            return one.run(Trial(Path(folder), random.Random(f"{seed}:{one.name}")))
        except Exception as error:  # noqa: BLE001 - one scenario that fails must not end the others
            return Outcome(held=False, seen=f"{type(error).__name__}: {str(error)[:300]}")


if __name__ == "__main__":
    sys.exit(main())
