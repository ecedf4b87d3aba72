"""How an answer becomes what the chat's renderer is given. The browser's side of it is in tests/browser."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web.ui.markdown import LENGTH, CitationLink, excerpt, plain, right_to_left, shown

LINKS = {
    1: CitationLink("https://book.example/lamp#wick", 'Lamp › "Wick" & <more>'),
    2: CitationLink("/docs/sea", "Sea"),
}
CITE = re.compile(r'<a class="cite" href="[^"<>]*" title="[^"<>]*" target="_blank">\d+</a>')
OURS = re.compile(r'</?code>|</?pre>|<div dir="rtl">|</div>')


def markup_left(text: str) -> str:
    """What is still markup outside code blocks, once our own is taken out."""
    outside = re.sub(r"^(`{3,})[^\n]*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(re.findall("<[^\n]{0,40}", OURS.sub("", CITE.sub("", outside))))


def test_markers_become_links_and_foreign_addresses_become_text() -> None:
    text = shown("So it is [1], and [2] [7]. See https://evil.example and www.evil.example or a@b.example", LINKS)
    assert '<a class="cite" href="https://book.example/lamp#wick" title="' in text
    assert 'href="/docs/sea"' in text
    assert "[7]" in text
    for sign in ("https://evil", "www.evil", "a@b"):
        assert sign not in text


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("costs $5 and $6", "costs $5 and $6"),
        ("so $x_1$ is", "so \\({}x_1{}\\) is"),
        ("$$a < b$$", "\\[{}a \\lt  b{}\\]"),
        ("\\(x\\) and \\[y\\]", "\\({}x{}\\) and \\[{}y{}\\]"),
        ("`$x$`", "<code>&#36;x&#36;</code>"),
        ("```\n$x$ [1] <b>\n```", "```\n$x$ [1] <b>\n```\n"),
        ("```sh\nkill -9 $$", "```sh\nkill -9 $$\n```\n"),
        ("    $HOME", "    $HOME"),
    ],
)
def test_maths_and_code(given: str, wanted: str) -> None:
    assert shown(given, LINKS) == wanted


@pytest.mark.parametrize("end", range(0, 60, 3))
def test_the_beginning_of_an_answer_is_as_safe_as_the_whole(end: int) -> None:
    text = "a ```x``` `<b>` [1]\n\n```html\n<script>\n```\n\n- x\n  ```\n  <form>\n"
    assert markup_left(shown(text[:end], LINKS)) == ""


@settings(max_examples=400)
@given(st.text(alphabet="`~<>$\\[]()1- \n>*.aé#|_", max_size=80))
def test_no_markup_but_ours_gets_out(text: str) -> None:
    assert markup_left(shown(text, LINKS)) == ""


@pytest.mark.parametrize(
    "text", ["`" * 60_000, "$" * 60_000, "$x" * 30_000, "\\(" * 30_000, "<" * 60_000, "> " * 30_000, "`a``" * 15_000]
)
def test_long_and_odd_answers_are_quick(text: str) -> None:
    began = time.perf_counter()
    shown(text, LINKS)
    assert time.perf_counter() - began < 5


def test_plain_text_has_no_sign_left() -> None:
    assert re.fullmatch(r"(?:&#\d+;|[\w ])*", plain("a*b*\n<i>[x](y)</i> `c` $d$ #e"))


def test_directions() -> None:
    assert right_to_left("[1] مرحبا hello")
    assert not right_to_left("[1] hello مرحبا")
    assert not right_to_left("123")
    assert shown("مرحبا", {}).startswith('<div dir="rtl">\n\n')


def test_excerpts_are_running_text() -> None:
    text = (
        "## A heading {#id}\n\n:::note\n\nThe **wick** is [trimmed](x.md) `daily`.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    assert excerpt(text) == "The wick is trimmed daily. a · b 1 · 2"
    assert excerpt("### Only a heading") == "### Only a heading"
    long = excerpt("word " * 200)
    assert len(long) <= LENGTH
    assert long.endswith("word…")
