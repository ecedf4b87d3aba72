"""The curves of the benchmarks: kept as measured, drawn with every point and name, committed as they are drawn."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.curves import GROWTH, Curve, Point, load, save
from benchmarks.growth import CURVES
from benchmarks.plots import PLOTS, axis, draw, main

SVG = "{http://www.w3.org/2000/svg}"
POINTS = (Point(1_000, 2.0876543, 1.1), Point(30_000, 4.25, 2.5))
SEARCH = Curve("A search & its floor", "chunks", "milliseconds", "ms", "ours <b>", "bare calls", POINTS)
STEEP = Curve("An ingest", "chunks", "seconds", "s", "ingested", "bare", (Point(10, 0.5, 0.2), Point(1000, 60.0, 25.0)))


def texts(drawn: ElementTree.Element) -> list[str]:
    return [found.text or "" for found in drawn.iter(f"{SVG}text")]


def places(drawn: ElementTree.Element, side: str) -> list[tuple[float, float]]:
    """Of the points of a line, in pixels."""
    lines = [group for group in drawn.iter(f"{SVG}g") if group.get("class") == side]
    return [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for line in lines for dot in line.iter(f"{SVG}circle")]


def test_a_plot_holds_every_point_and_its_labels() -> None:
    drawn = ElementTree.fromstring(draw(SEARCH, "a day, two cores"))
    said = [found.text for found in drawn.iterfind(f".//{SVG}circle/{SVG}title")]
    assert said == [
        "1,000 chunks: 1.1 ms",
        "30,000 chunks: 2.5 ms",
        "1,000 chunks: 2.09 ms",
        "30,000 chunks: 4.25 ms",
    ]
    assert {"A search & its floor", "ours <b>", "4.25 ms", "bare calls", "2.5 ms", "a day, two cores"} <= set(
        texts(drawn)
    )
    assert {"milliseconds", "chunks, logarithmic", "1,000", "10,000", "0", "5"} <= set(texts(drawn))
    assert drawn.findtext(f"{SVG}title") == "A search & its floor: milliseconds against chunks"
    assert "2.09 ms at 1,000, 4.25 ms at 30,000 chunks" in (drawn.findtext(f"{SVG}desc") or "")


def test_a_point_stands_where_its_value_is() -> None:
    drawn = ElementTree.fromstring(draw(SEARCH))
    (left, first), (right, last) = places(drawn, "ours")
    (_, lowest), (_, below) = places(drawn, "floor")
    assert left < right
    assert last < below < first < lowest, "a greater value stands higher"
    nothing = axis([1.1, 4.25], 336, 72).place(0)
    assert nothing == 336
    assert (nothing - last) / (nothing - below) == pytest.approx(4.25 / 2.5, abs=0.01)


def test_names_do_not_stand_on_each_other() -> None:
    close = Curve("t", "x", "y", "s", "ours", "floor", (Point(1, 1.0, 1.0), Point(2, 2.001, 2.0)))
    drawn = ElementTree.fromstring(draw(close))
    at = {found.text: float(found.get("y", "")) for found in drawn.iter(f"{SVG}text")}
    assert at["floor"] - at["ours"] >= 32


@pytest.mark.parametrize(
    ("values", "ticks", "scale"),
    [
        ([3, 8.5], [0, 2, 4, 6, 8, 10], ""),
        ([1, 9.9], [0, 2, 4, 6, 8, 10], ""),
        ([0.31, 0.7], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], ""),
        ([1, 30], [1, 2, 5, 10, 20], ", logarithmic"),
        ([0.002, 3], [0.01, 0.1, 1], ", logarithmic"),
    ],
)
def test_an_axis_names_round_values(values: list[float], ticks: list[float], scale: str) -> None:
    found = axis(values, 0, 100)
    assert found.ticks == pytest.approx(ticks)
    assert found.scale == scale
    assert all(0 <= found.place(value) <= 100 for value in [*values, *found.ticks])


def test_a_curve_measured_again_replaces_its_own_alone(tmp_path: Path) -> None:
    results = tmp_path / "growth.json"
    save("search", SEARCH, results)
    save("ingest", STEEP, results)
    save("search", SEARCH, results)
    kept = load(results)
    assert list(kept) == ["ingest", "search"]
    assert kept["search"][0].points[0] == Point(1_000, 2.088, 1.1), "of four digits"
    assert kept["ingest"][0] == STEEP
    text = results.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_a_results_file_becomes_a_file_a_curve(tmp_path: Path) -> None:
    save("search", SEARCH, tmp_path / "growth.json")
    save("ingest", STEEP, tmp_path / "growth.json")
    assert main(tmp_path / "growth.json", tmp_path / "plots") == 0
    assert [path.name for path in sorted((tmp_path / "plots").iterdir())] == ["ingest.svg", "search.svg"]


def test_the_committed_plots_are_what_was_measured(tmp_path: Path) -> None:
    main(GROWTH, tmp_path)
    drawn, committed = (
        {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} for folder in (tmp_path, PLOTS)
    )
    assert drawn == committed
    assert sorted(drawn) == sorted(f"{name}.svg" for name in CURVES)


@pytest.mark.parametrize("name", CURVES)
def test_every_curve_is_drawn_with_both_its_lines(name: str) -> None:
    curve, where = load(GROWTH)[name]
    drawn = ElementTree.parse(PLOTS / f"{name}.svg").getroot()
    assert len(places(drawn, "ours")) == len(places(drawn, "floor")) == len(curve.points) >= 4
    assert {curve.title, curve.ours, curve.floor, where} <= set(texts(drawn))
