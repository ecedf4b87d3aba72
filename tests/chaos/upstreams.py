"""The model server fails, in every way of WAYS, for chat, for embeddings and for both; Qdrant says nothing.

Readers get the book's own words, the first of them within 8 s and the others within 1 s; /health says what is down
within 5 s, and nothing is down any more 15 s after the server has come back.
"""

import asyncio
import itertools
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from rag.settings import Settings
from tests.chaos.registry import Outcome, Trial, add, scenario
from tests.support.app_process import AppProcess, app_process
from tests.support.books import write_book
from tests.support.broken_upstream import ANSWERS_HALF, WAYS, BrokenUpstream
from tests.support.openai_server import OpenAIServer
from tests.support.small_book import index

FIRST, LATER, SAID, RECOVERED = 8.0, 1.0, 5.0, 15.0
QUESTION = "What does soot on the lens do to the range of the light?"
PARTS = {"chat": ("chat",), "embeddings": ("embeddings",), "both": ("chat", "embeddings", "models")}
_indexes: dict[str, Path] = {}
_asked = itertools.count(1)


@dataclass
class Answer:
    """What one reader got: the events, and the seconds until the last of them."""

    seconds: float
    status: int
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def own_words(self) -> bool:
        """Cited words of the book, with a notice that it is not at its best."""
        kinds = [event["type"] for event in self.events]
        return "citation" in kinds and "notice" in kinds and kinds[-1] == "done"

    @property
    def ended_as_error(self) -> bool:
        return bool(self.events) and self.events[-1]["type"] == "error"


def ask(url: str, question: str, timeout: float = 60.0) -> Answer:
    began = time.perf_counter()
    with httpx.stream("POST", f"{url}/chat", json={"question": question}, timeout=timeout) as response:
        events = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]
        return Answer(time.perf_counter() - began, response.status_code, events)


def down(url: str) -> list[str]:
    found: list[str] = httpx.get(f"{url}/health", timeout=10).json()["down"]
    return found


def seconds_until(condition: Callable[[], bool], most: float) -> float:
    """Seconds until it is so; infinite when it is not within `most`."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > most:
            return float("inf")
        time.sleep(0.1)
    return time.perf_counter() - began


def environment(folder: Path, server: OpenAIServer, base_url: str) -> dict[str, str]:
    """Settings of an application whose index was made, once, by the sound server."""
    content = write_book(folder / "content")
    if "hosted" not in _indexes:
        made = Path(folder.parent / f"chaos-index-{id(_indexes)}")
        model: dict[str, Any] = {"openai_base_url": server.base_url, "openai_api_key": server.key}
        settings = Settings(content_dir=content, data_dir=made, **model)
        assert asyncio.run(index(settings)).status == "completed"
        _indexes["hosted"] = made
    shutil.copytree(_indexes["hosted"], folder / "data")
    return {
        "CONTENT_DIR": str(content),
        "DATA_DIR": str(folder / "data"),
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": server.key,
        "INGEST_ON_START": "false",
        "RATE_LIMIT": "10000/minute",
    }


@contextmanager
def running(trial: Trial) -> Iterator[tuple[AppProcess, BrokenUpstream]]:
    """An application that answers, and its model server, which is well so far."""
    with OpenAIServer() as sound, BrokenUpstream(sound.url) as server:
        settings = environment(trial.folder, sound, server.base_url)
        with app_process(trial.folder / "run", settings) as app:
            app.wait_until_it_answers()
            yield app, server


def fails_from_the_start(way: str, parts: Collection[str], trial: Trial) -> Outcome:
    """The first question after start meets the failure, as do those after it; then the server is mended."""
    with OpenAIServer() as sound, BrokenUpstream(sound.url) as server:
        settings = environment(trial.folder, sound, server.base_url)
        server.fail(way, parts)
        with app_process(trial.folder / "run", settings) as app:
            app.wait_until_it_answers()
            return watched(app, server, way, parts)


def fails_later(way: str, parts: Collection[str], trial: Trial) -> Outcome:
    """The first question is answered well; the failure begins before the second."""
    with running(trial) as (app, server):
        if ask(app.url, QUESTION).events[-1]["type"] != "done":
            return Outcome(held=False, seen="a sound server was not answered with")
        server.fail(way, parts)
        return watched(app, server, way, parts)


def new_question() -> str:
    """The same words with other marks: a question that was embedded before would need no embedding."""
    return QUESTION + "?" * next(_asked)


def watched(
    app: AppProcess, server: BrokenUpstream, way: str, parts: Collection[str], *, margin: float = 1.0
) -> Outcome:
    """Three readers after one another, and the way back; a busy machine gets `margin` times as long."""
    first = ask(app.url, new_question())
    wanted = {part for part in parts if part != "models"}
    said = seconds_until(lambda: wanted <= set(down(app.url)), margin * SAID)
    later = [ask(app.url, new_question()) for _ in range(3)]
    server.mend()
    recovered = seconds_until(lambda: not down(app.url), margin * RECOVERED)
    slowest = max(answer.seconds for answer in later)
    half = way in ANSWERS_HALF and "chat" in parts and first.ended_as_error
    held = (first.own_words or half) and all(answer.own_words for answer in later)
    waits = ((first.seconds, FIRST), (slowest, LATER), (said, SAID), (recovered, RECOVERED))
    in_time = all(seconds <= margin * most for seconds, most in waits)
    seen = f"first {first.seconds:.1f} s, later {slowest:.2f} s, said {said:.1f} s, well again {recovered:.1f} s"
    words = "" if held else f"; got {[e['type'] for e in first.events][-3:]} and {[a.own_words for a in later]}"
    return Outcome(held and in_time, seen + words)


for _way in WAYS:
    for _name, _parts in PARTS.items():
        add(f"{_name}: {_way}, from the start", partial(fails_from_the_start, _way, _parts))
        add(f"{_name}: {_way}, later", partial(fails_later, _way, _parts))


@scenario("both: fifty readers at once meet a silent server")
def fifty_readers(trial: Trial) -> Outcome:
    with running(trial) as (app, server):
        ask(app.url, QUESTION)
        server.fail("accepted, never answered", PARTS["both"])
        answers: list[Answer] = []

        def read(number: int) -> None:
            answers.append(ask(app.url, f"{QUESTION}{'?' * number}"))

        readers = [threading.Thread(target=read, args=(number,)) for number in range(50)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        slowest = max(answer.seconds for answer in answers)
        words = sum(answer.own_words for answer in answers)
        return Outcome(slowest <= FIRST and words == 50, f"{words} of 50 answered, the slowest in {slowest:.1f} s")


@scenario("store: a Qdrant that accepts and never answers")
def silent_qdrant(trial: Trial) -> Outcome:
    with socket.socket() as silent, OpenAIServer() as sound:
        silent.bind(("127.0.0.1", 0))
        silent.listen(256)
        usual = environment(trial.folder, sound, sound.base_url)
        with app_process(trial.folder / "usual", usual | {"QDRANT_URL": "http://127.0.0.1:1"}) as app:
            began = time.perf_counter()
            app.wait_until_it_answers()
            started = time.perf_counter() - began
        settings = usual | {"QDRANT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        with app_process(trial.folder / "run", settings) as app:
            began = time.perf_counter()
            app.wait_until_it_answers()
            late = time.perf_counter() - began - started
            first, later = ask(app.url, QUESTION), [ask(app.url, QUESTION) for _ in range(3)]
            named = down(app.url)
    slowest = max(answer.seconds for answer in later)
    honest = {answer.status for answer in [first, *later]} == {503} and "store" in named
    held = honest and first.seconds <= 6 and slowest <= 0.5 and late <= 2
    return Outcome(held, f"start {late:+.1f} s, first {first.seconds:.1f} s, later {slowest:.2f} s, down {named}")
