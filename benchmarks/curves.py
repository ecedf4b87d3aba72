"""Curves: what a figure is at several sizes of its work with its floor beside it, and the file they are kept in."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import ROOT

GROWTH = ROOT / "benchmarks" / "growth.json"
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Point:
    """Both sides in the curve's unit, at a size of the work."""

    size: float
    ours: float
    floor: float


@dataclass(frozen=True, slots=True)
class Curve:
    """`across` names the sizes and `up` what is measured, in `unit`; `ours` and `floor` name the two lines."""

    title: str
    across: str
    up: str
    unit: str
    ours: str
    floor: str
    points: tuple[Point, ...]


def number(value: float) -> str:
    """Three digits of a small one, every digit of a whole one."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def save(name: str, curve: Curve, path: Path = GROWTH) -> None:
    """With its day and the machine's load, of four digits; the other curves stay as they were."""
    kept = json.loads(path.read_text(encoding="utf-8"))["curves"] if path.exists() else {}
    now = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "load_average": round(os.getloadavg()[1], 1)}
    points = [{side: _rounded(value) for side, value in asdict(point).items()} for point in curve.points]
    kept[name] = asdict(curve) | {"points": points} | now
    whole = {"cores": os.cpu_count(), "curves": kept}
    path.write_text(json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path = GROWTH) -> dict[str, tuple[Curve, str]]:
    """Every kept curve with a line that says when and where it was measured."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {name: (_curve(one), _where(one, kept["cores"])) for name, one in sorted(kept["curves"].items())}


def _curve(kept: Mapping[str, Any]) -> Curve:
    named = {name: kept[name] for name in Curve.__slots__}
    return Curve(**named | {"points": tuple(Point(**point) for point in kept["points"])})


def _where(kept: Mapping[str, Any], cores: int) -> str:
    return f"{kept['date']}, {cores} cores, load average {kept['load_average']:g}"


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
