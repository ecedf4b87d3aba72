"""`python -m benchmarks`: runs the instruments, prints every figure beside its bar, keeps them in results.json.

    --only NAME   one instrument, or several; the others' figures stay      --quick    fewer rounds; nothing is kept
    --large       searches 100,000 chunks as well                           --readme   writes the table into the README

Exit code 1 when a figure crosses its bar.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module

from benchmarks.figures import Figure, save, write_readme

INSTRUMENTS = ("chunking", "linearity", "ingesting", "searching", "chatting", "streaming", "starting")


def main() -> int:
    given = _arguments()
    if given.readme:
        print("README.md has the table" if write_readme() else "README.md has no place for the table")
        return 0
    names = given.only or INSTRUMENTS
    held = True
    for name in names:
        figures = _instrument(name, large=given.large)(quick=given.quick)
        for figure in figures:
            print(figure.line(), flush=True)
        held = held and all(figure.passed for figure in figures)
        if not given.quick:
            save(figures)
    return int(not held)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed, against floors beside it.")
    parser.add_argument("--only", action="append", choices=INSTRUMENTS, metavar="NAME", help=", ".join(INSTRUMENTS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--readme", action="store_true")
    return parser.parse_args()


def _instrument(name: str, *, large: bool) -> Callable[..., list[Figure]]:
    measure: Callable[..., list[Figure]] = import_module(f"benchmarks.{name}").measure
    return partial(measure, large=large) if name == "searching" else measure


if __name__ == "__main__":
    sys.exit(main())
