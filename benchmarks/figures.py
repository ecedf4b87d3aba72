"""Figures: what was measured, the bar it must not cross, and the files they are kept in."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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


def save(figures: Sequence[Figure], path: Path = RESULTS) -> None:
    """Each with its day and the machine's load; a figure that was not measured now stays as it was."""
    kept = {one["name"]: one for one in _kept(path)["figures"]}
    now = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "load_average": round(os.getloadavg()[1], 1)}
    kept |= {one.name: asdict(one) | {"value": round(one.value, 3), "passed": one.passed} | now for one in figures}
    whole = {"cores": os.cpu_count(), "figures": list(kept.values())}
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _kept(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"figures": []}
    return found


def table(path: Path = RESULTS) -> str:
    """The kept figures as a Markdown table with a line that says when and where."""
    kept = _kept(path)
    figures = [Figure(**{name: one[name] for name in Figure.__slots__}) for one in kept["figures"]]
    rows = [
        f"| {one.says} | {one.shown()} | {one.shown_bar()} | {'yes' if one.passed else '**no**'} |" for one in figures
    ]
    dates, loads = ([one[name] for one in kept["figures"]] for name in ("date", "load_average"))
    where = f"{max(dates)}, {kept['cores']} cores, load average {min(loads):g} to {max(loads):g}"
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
