"""Figures: what was measured, the bar it must not cross, and the files they are kept in."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
README = ROOT / "README.md"
_OPEN, _CLOSE = "<!-- figures:speed -->", "<!-- /figures:speed -->"


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` must be at most `bar`, or at least that. `unit` is empty for a ratio. `sides` says what it comes from."""

    name: str
    says: str
    value: float
    bar: float
    unit: str = ""
    at_least: bool = False
    sides: str = ""

    @property
    def passed(self) -> bool:
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def shown(self) -> str:
        return _number(self.value, self.unit)

    def shown_bar(self) -> str:
        return ("≥ " if self.at_least else "≤ ") + _number(self.bar, self.unit)

    def line(self) -> str:
        held = "pass" if self.passed else "FAIL"
        return f"{held}  {self.name:<20} {self.shown():>9}  {self.shown_bar():<9}  {self.sides}"


def _number(value: float, unit: str) -> str:
    digits = 2 if value < 10 else 0
    return f"{value:.{digits}f}" + (f" {unit}" if unit else "")


def save(figures: Sequence[Figure], load_before: float, path: Path = RESULTS) -> None:
    """`load_before` is the machine's load average before the first instrument."""
    kept = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": os.cpu_count(),
        "load_average": {"before": round(load_before, 1), "after": round(os.getloadavg()[0], 1)},
        "figures": [asdict(figure) | {"value": round(figure.value, 3), "passed": figure.passed} for figure in figures],
    }
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def table(path: Path = RESULTS) -> str:
    """The kept figures as a Markdown table with a line that says when and where."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    figures = [Figure(**{name: one[name] for name in Figure.__slots__}) for one in kept["figures"]]
    rows = [
        f"| {one.says} | {one.shown()} | {one.shown_bar()} | {'yes' if one.passed else '**no**'} |" for one in figures
    ]
    load = kept["load_average"]
    where = f"{kept['date']}, {kept['cores']} cores, load average {load['before']} before and {load['after']} after"
    head = ["| speed, against a floor measured beside it | measured | bar | held |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, "", f"`make bench`: {where}. How each is measured: `benchmarks/`."])


def write_readme(readme: Path = README, results: Path = RESULTS) -> bool:
    """Puts the table between its marks; False where the page has none."""
    text = readme.read_text(encoding="utf-8")
    before, opening, rest = text.partition(_OPEN)
    _, closing, after = rest.partition(_CLOSE)
    if not opening or not closing:
        return False
    readme.write_text(f"{before}{opening}\n{table(results)}\n{closing}{after}", encoding="utf-8")
    return True
