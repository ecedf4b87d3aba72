"""From the start of the process to /health, and the memory it then holds, against a bare mounted Gradio app.

The start is taken on the clock, in turns. Memory is resident, with the sample book ingested and ten questions answered.
"""

import json
import statistics
import tempfile
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.figures import ROOT, Figure
from benchmarks.processes import memory, served
from benchmarks.serving import ingested, openai_parts, question, upstream


def measure(*, quick: bool) -> list[Figure]:
    with upstream(pieces=30) as server, tempfile.TemporaryDirectory() as folder:
        with_openai = openai_parts(server, ROOT / "content", Path(folder) / "openai")
        local = {name: value for name, value in with_openai.items() if name != "openai_base_url"}
        local["data_dir"] = Path(folder) / "local"
        ingested(with_openai)
        ingested(local)
        start, floor = _start(with_openai, 1 if quick else 3)
        figures = [start]
        for name, settings, bar in (("OpenAI", with_openai, 90.0), ("local", local, 200.0)):
            held = _held(settings)
            sides = f"{held:.0f} MB here, {floor:.0f} MB bare"
            says = f"Memory above a bare Gradio app, sample book, {name} parts"
            figures.append(Figure(f"memory, {name}", says, held - floor, bar, "MB", sides=sides))
    return figures


def _start(settings: dict[str, object], rounds: int) -> tuple[Figure, float]:
    """The figure, and the megabytes of the bare app."""
    cpu: tuple[list[float], list[float]] = ([], [])
    wall: tuple[list[float], list[float]] = ([], [])
    held = list[float]()
    for _ in range(rounds):
        for place, arguments in enumerate((["-m", "benchmarks.bare"], ["app.py"])):
            with served(arguments, settings) as server:
                cpu[place].append(server.cpu)
                wall[place].append(server.seconds)
                held += [memory(server.process)] if place == 0 else []
    low, taken = map(statistics.median, wall)
    spent = [f"{statistics.median(times):.1f} s" for times in cpu]
    sides = f"{low:.1f} s bare, {taken:.1f} s here (CPU {spent[0]} and {spent[1]})"
    return Figure("start", "Start to `/health` ÷ a bare mounted Gradio app", taken / low, 1.3, sides=sides), max(held)


def _held(settings: dict[str, object]) -> float:
    """Megabytes of the application after some answers."""
    with served(["app.py"], settings) as server:
        for number in range(10):
            _ask(server.url, question(number))
        return memory(server.process)


def _ask(url: str, words: str) -> None:
    body = json.dumps({"question": words}).encode()
    asked = Request(f"{url}/chat", body, {"content-type": "application/json"})
    with urlopen(asked, timeout=60) as answer:
        assert b'"done"' in answer.read()
