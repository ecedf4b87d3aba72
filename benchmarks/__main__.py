"""`python -m benchmarks`: runs the instruments, prints every figure beside its bar, keeps them in results.json.

    --only NAME   one instrument, or several; nothing is kept        --quick    fewer rounds; nothing is kept
    --large       searches 100,000 chunks as well                    --readme   writes the kept table into the README

Exit code 1 when a figure crosses its bar.
"""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module

from benchmarks.figures import Figure, save, write_readme

INSTRUMENTS = ("chunking", "ingesting", "searching", "chatting", "streaming", "starting")


def main() -> int:
    given = _arguments()
    if given.readme:
        print("README.md has the table" if write_readme() else "README.md has no place for the table")
        return 0
    names = given.only or INSTRUMENTS
    load, figures = os.getloadavg()[0], list[Figure]()
    for name in names:
        for figure in _instrument(name, large=given.large)(quick=given.quick):
            print(figure.line(), flush=True)
            figures.append(figure)
    if not given.quick and not given.only:
        save(figures, load)
    return int(not all(figure.passed for figure in figures))


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
