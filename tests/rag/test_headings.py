"""The text and the written id of a heading."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it.token import Token

from rag.corpus.generators import generator_for
from rag.markdown.parser import sections
from rag.types import Document


def text_and_id(content: str, parsed: list[str] | None = None) -> tuple[str, str | None]:
    """As Docusaurus reads it; `parsed` takes the lines that are parsed for their marks."""

    def inline(line: str) -> Sequence[Token]:
        if parsed is not None:
            parsed.append(line)
        return [Token("text", "", 0, content=line)]

    text, identifier, _ = generator_for("docusaurus").prepare("", frozenset()).read(content, inline)
    return text, identifier


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
    assert text_and_id(content) == (text, identifier)


def test_a_heading_without_marks_is_not_parsed_for_its_id() -> None:
    parsed: list[str] = []
    assert text_and_id("Falling well {#falling}", parsed) == ("Falling well", "falling")
    assert not parsed
    text_and_id("Falling *well* {#falling}", parsed)
    assert parsed


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
