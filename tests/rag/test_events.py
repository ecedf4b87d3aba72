"""Every IngestEvent survives the way from the worker to the application, and nothing else does."""

from typing import get_args

import pytest

from rag.events import FileFailed, FileProblem, Finished, IngestEvent, Planned, Progressed, Warned, decode, encode

PROBLEM = FileProblem("part-1/kälte.md", "content_error", "part-1/kälte.md is not text:\nit holds NUL bytes.")
EVENTS: list[IngestEvent] = [
    Planned(("a.md", "b/ü.md"), ("c.md",), 7, ("gone.md",), True, 12, 3, 999, 0.0123, (PROBLEM,)),
    Planned((), (), 0, (), False, 0, 0, 0, None),
    Progressed("embedding", 1, 2, 3, 4, 5, 6, 7, 99.5),
    FileFailed(PROBLEM),
    Warned("no_model", "The local model could not be loaded."),
    Finished("completed", "Done.", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1.25, (PROBLEM,)),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event.type))
def test_an_event_survives_the_way(event: IngestEvent) -> None:
    line = encode(event)
    assert "\n" not in line
    assert decode(line) == event


def test_every_member_of_the_union_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(IngestEvent))


@pytest.mark.parametrize("line", ["", "hello", "{}", '{"type":"done"}', '{"type":"warned","code":1}', b"\xff\xfe"])
def test_what_is_not_an_event_is_none(line: str | bytes) -> None:
    assert decode(line) is None
