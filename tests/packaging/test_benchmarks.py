"""The figures of the benchmarks: kept, judged and shown as they were measured."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.__main__ import INSTRUMENTS
from benchmarks.figures import RESULTS, Figure, save, table, write_readme

SLOW = Figure("slow", "Twice the floor", 2.04, 2.0)
FAST = Figure("fast", "Pieces", 0.7, 0.6, at_least=True)


def test_a_figure_holds_below_its_bar_or_above_it() -> None:
    assert not SLOW.passed
    assert FAST.passed
    assert "FAIL" in SLOW.line()
    assert "≥ 0.60" in FAST.line()


def test_a_figure_measured_again_replaces_its_own_alone(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    save([SLOW, FAST], results)
    save([Figure("slow", "Twice the floor", 1.5, 2.0)], results)
    figures = json.loads(results.read_text())["figures"]
    assert [(one["name"], one["value"], one["passed"]) for one in figures] == [("slow", 1.5, True), ("fast", 0.7, True)]


def test_the_table_stands_between_its_marks(tmp_path: Path) -> None:
    readme, results = tmp_path / "README.md", tmp_path / "results.json"
    save([SLOW], results)
    readme.write_text("above\n<!-- figures:speed -->\nold\n<!-- /figures:speed -->\nbelow\n")
    assert write_readme(readme, results)
    assert write_readme(readme, results), "twice is as once"
    text = readme.read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "old" not in text
    assert text.count("| Twice the floor | 2.04 | ≤ 2.00 | **no** |") == 1


def test_a_page_without_marks_stays_as_it_is(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no place\n")
    assert not write_readme(readme)
    assert readme.read_text() == "no place\n"


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_instrument_is_there(name: str) -> None:
    assert callable(import_module(f"benchmarks.{name}").measure)


def test_the_kept_figures_can_be_shown() -> None:
    assert table(RESULTS).count("\n| ") >= len(INSTRUMENTS)
