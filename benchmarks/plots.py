"""`python -m benchmarks.plots` draws the curves of growth.json as SVG, one file each, in plots/.

An axis is logarithmic where its values span a decade, and begins at nothing where they do not. The drawing brings its
own ground, light or dark as the reader's machine is, and every point says its value.
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.curves import GROWTH, Curve, load, number
from benchmarks.figures import ROOT

PLOTS = ROOT / "benchmarks" / "plots"
_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 536, 72, 336  # of the ground between the axes; the lines' names stand right of it
_NAMES_APART = 40
_STYLE = """
svg { --ground: #fff; --ink: #1f2328; --quiet: #59636e; --grid: #e4e8ec; --blue: #0550ae; --orange: #a84300 }
@media (prefers-color-scheme: dark) {
  svg { --ground: #15191f; --ink: #e6edf3; --quiet: #9aa4af; --grid: #2c333c; --blue: #79b8ff; --orange: #ffa657 }
}
text { font: 12px system-ui, sans-serif; fill: var(--quiet) }
.title { font-size: 16px; font-weight: 600; fill: var(--ink) }
.ours { --line: var(--blue) } .floor { --line: var(--orange) }
.name { font-size: 13px; font-weight: 600; fill: var(--line) }
.grid { stroke: var(--grid); fill: none } .ground { fill: var(--ground) }
.line { fill: none; stroke: var(--line); stroke-width: 2.5 } .floor .line { stroke-dasharray: 7 4 }
circle { fill: var(--line); stroke: var(--ground); stroke-width: 1.5 }
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """The pixel of a value, and the round values to name."""

    place: Callable[[float], float]
    ticks: tuple[float, ...]
    scale: str = ""


def axis(values: Sequence[float], start: float, end: float) -> Axis:
    """`values` are positive; `start` and `end` are pixels."""
    low, high = min(values), max(values)
    if high < 10 * low:
        step = _step(high)
        steps = math.ceil(high / step)
        return Axis(
            lambda value: start + (end - start) * value / (steps * step),
            tuple(step * number for number in range(steps + 1)),
        )
    first, last = math.log10(low), math.log10(high)
    room = 0.04 * (last - first)
    first, last = first - room, last + room
    marks = (1, 2, 5) if last - first < 2 else (1, 3) if last - first < 3 else (1,)
    found = (mark * 10.0**power for power in range(math.floor(first), math.ceil(last)) for mark in marks)
    return Axis(
        lambda value: start + (end - start) * (math.log10(value) - first) / (last - first),
        tuple(value for value in found if first <= math.log10(value) <= last),
        ", logarithmic",
    )


def _step(high: float) -> float:
    """The longest round step that reaches as high in four or more."""
    power = 10.0 ** math.floor(math.log10(high / 4))
    return max(step * power for step in (1, 2, 2.5, 5) if step * power <= high / 4)


def draw(curve: Curve, where: str = "") -> str:
    """The curve as an SVG document."""
    across = axis([point.size for point in curve.points], _LEFT, _RIGHT)
    up = axis([value for point in curve.points for value in (point.floor, point.ours)], _BOTTOM, _TOP)
    lines = {"floor": curve.floor, "ours": curve.ours}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(curve.title)}: {escape(curve.up)} against {escape(curve.across)}</title>',
        f'<desc id="d">{escape(". ".join(_told(curve, side) for side in lines))}.</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>',
        _text(24, 32, curve.title, kind="title"),
        _text(24, 54, curve.up + up.scale),
        *_frame(across, up),
        _text((_LEFT + _RIGHT) / 2, _BOTTOM + 42, curve.across + across.scale, anchor="middle"),
        _text(_WIDTH - 20, _HEIGHT - 16, where, anchor="end"),
        *(part for side in lines for part in _line(curve, side, across, up)),
        *_names(curve, lines, up),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _frame(across: Axis, up: Axis) -> Iterator[str]:
    for value in across.ticks:
        yield f'<path class="grid" d="M{across.place(value):.1f} {_TOP}V{_BOTTOM}"/>'
        yield _text(across.place(value), _BOTTOM + 20, number(value), anchor="middle")
    for value in up.ticks:
        yield f'<path class="grid" d="M{_LEFT} {up.place(value):.1f}H{_RIGHT}"/>'
        yield _text(_LEFT - 8, up.place(value) + 4, number(value), anchor="end")


def _line(curve: Curve, side: str, across: Axis, up: Axis) -> Iterator[str]:
    at = [(across.place(point.size), up.place(getattr(point, side))) for point in curve.points]
    yield f'<g class="{side}"><path class="line" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in at)}"/>'
    for (x, y), point in zip(at, curve.points, strict=True):
        said = f"{number(point.size)} {curve.across}: {number(getattr(point, side))} {curve.unit}"
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{escape(said)}</title></circle>'
    yield "</g>"


def _names(curve: Curve, lines: dict[str, str], up: Axis) -> Iterator[str]:
    """Each beside the end of its line, with the last value; apart where the lines end together."""
    last = {side: float(getattr(curve.points[-1], side)) for side in lines}
    upper, lower = sorted(lines, key=lambda side: -last[side])
    at = {side: up.place(last[side]) for side in lines}
    at[lower] = min(max(at[lower], at[upper] + _NAMES_APART), _BOTTOM - 12)
    at[upper] = min(at[upper], at[lower] - _NAMES_APART)
    for side, name in lines.items():
        yield f'<g class="{side}">{_text(_RIGHT + 14, at[side], name, kind="name")}</g>'
        yield _text(_RIGHT + 14, at[side] + 16, f"{number(last[side])} {curve.unit}")


def _told(curve: Curve, side: str) -> str:
    points = (f"{number(getattr(point, side))} {curve.unit} at {number(point.size)}" for point in curve.points)
    return f"{getattr(curve, side).capitalize()}: {', '.join(points)} {curve.across}"


def _text(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def main(results: Path = GROWTH, folder: Path = PLOTS) -> int:
    folder.mkdir(exist_ok=True)
    for name, (curve, where) in load(results).items():
        (folder / f"{name}.svg").write_text(draw(curve, where), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
