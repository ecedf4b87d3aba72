"""The text and the written id of a heading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.book.headings import HeadingReader
from rag.book.markdown import sections
from rag.types import Document


def reader(rendered: list[str]) -> HeadingReader:
    """One that notes what it had to have rendered."""

    def render(line: str) -> str:
        rendered.append(line)
        return line

    return HeadingReader("docusaurus", "", render)


@pytest.mark.parametrize(
    ("content", "text", "identifier"),
    [
        ("Falling well {#falling}", "Falling well", "falling"),
        ("  Falling well   {#falling}", "Falling well", "falling"),
        ("Two {#a} ids {#b}", "Two {#a} ids", "b"),
        ("No id {#}", "No id {#}", None),
        ("A brace { alone {#brace}", "A brace { alone", "brace"),
    ],
)
def test_a_written_id_and_the_text_before_it(content: str, text: str, identifier: str | None) -> None:
    assert reader([]).text_and_id(content) == (text, identifier)


def test_a_heading_without_marks_is_not_parsed_for_its_id() -> None:
    rendered: list[str] = []
    assert reader(rendered).text_and_id("Falling well {#falling}") == ("Falling well", "falling")
    assert not rendered
    reader(rendered).text_and_id("Falling *well* {#falling}")
    assert rendered


@given(st.text(st.sampled_from("ab #{}-*_`\\<&!.:é"), max_size=24), st.text(st.sampled_from("ab-#:_*{ "), max_size=6))
def test_an_unmarked_heading_reads_as_the_parser_reads_it(words: str, identifier: str) -> None:
    """An entity for one of its letters is a mark, and so has the whole line parsed."""
    short = f"## x {words} {{#{identifier}}}"
    read = [(section.heading_path[-1], section.anchor) for section in sections(_document(short)) if section.level]
    marked = short.replace("x", "&#120;", 1)
    assert read == [(s.heading_path[-1], s.anchor) for s in sections(_document(marked)) if s.level]


def _document(text: str) -> Document:
    return Document(
        path="a.md", title="", text=text, url="/a", trail=(), description="", flavor="docusaurus", sha256=""
    )
