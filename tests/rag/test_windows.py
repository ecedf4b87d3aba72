"""Windows hold the whole chunk, are short, and say under which headings they stand."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.markdown.chunking import split
from rag.markdown.windows import TARGET, windows
from rag.text import tokens
from rag.types import Chunk, Document


def chunk(text: str, *path: str) -> Chunk:
    return Chunk("id", "a.md", path, "/a", None, 0, (0, 1), (0, len(text)), text, tokens.count(text))


def bodies(of: Chunk) -> list[str]:
    heading = of.breadcrumb
    return [window.removeprefix(f"{heading}\n\n") for window in windows(of)]


def test_every_window_begins_with_the_heading_path() -> None:
    made = windows(chunk("A sentence about balance. " * 60, "Control", "PID"))
    assert len(made) > 2
    assert all(window.startswith("Control › PID\n\nA sentence about balance.") for window in made)


def test_a_short_chunk_is_one_window() -> None:
    assert windows(chunk("One. Two.", "T")) == ["T\n\nOne. Two."]
    assert windows(chunk("One.")) == ["One."]


def test_sentences_are_not_cut() -> None:
    for body in bodies(chunk(" ".join(f"Sentence {at} walks on two legs." for at in range(80)), "T")):
        assert body.startswith("Sentence ")
        assert body.endswith("legs.")
        assert tokens.count(body) <= TARGET + 40


@given(st.text(alphabet="ab .!?。\n`|-#1界🛠", max_size=800))
@settings(max_examples=100, deadline=None)
def test_no_character_is_lost(text: str) -> None:
    joined = "".join(bodies(chunk(text, "T")))
    assert re.sub(r"\s", "", joined) == re.sub(r"\s", "", text)


@pytest.mark.parametrize("text", ["x" * 3_000, "字" * 900, "- " * 800, "```\n" + "x = 1\n" * 90 + "```"])
def test_what_has_no_sentences_is_cut_too(text: str) -> None:
    made = bodies(chunk(text, "T"))
    assert len(made) > 1
    assert all(tokens.count(body) <= TARGET + 40 for body in made)


def test_a_long_heading_path_keeps_its_end() -> None:
    window = windows(chunk("Text.", *("A long name of a part" for _ in range(40)), "The end"))[0]
    assert "The end" in window
    assert tokens.count(window) < 80


def test_windows_of_a_page_are_deterministic() -> None:
    page = Document("a.md", "T", "# T\n\n" + "Words of a sentence here. " * 300, "0", "/a")
    assert [windows(one) for one in split(page)] == [windows(one) for one in split(page)]
