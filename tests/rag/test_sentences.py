"""Sentence spans in many scripts, and Markdown blocks that stay whole."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.markdown.sentences import prose_sentences, sentences


def prose(text: str) -> list[str]:
    return [text[start:end] for start, end in prose_sentences(text)]


def units(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "Stop." Then left.', ['He said "Stop."', "Then left."]),
        ("See e.g. Fig. 3 and J. Doe et al. 2020 for pi = 3.14. Next.", None),
        ("It is v1.2.3 now. Good.", ["It is v1.2.3 now.", "Good."]),
        ("Wait... what? Yes.", ["Wait... what?", "Yes."]),
        ("**Bold end.** Then more.", ["**Bold end.**", "Then more."]),
        ("一句话。第二句！“第三？”第四", ["一句话。", "第二句！", "“第三？”", "第四"]),
        ("یہ پہلا جملہ ہے۔ یہ دوسرا ہے؟ ہاں۔", ["یہ پہلا جملہ ہے۔", "یہ دوسرا ہے؟", "ہاں۔"]),
        ("هذه جملة. وهذا سؤال؟ نعم.", ["هذه جملة.", "وهذا سؤال؟", "نعم."]),
        ("यह वाक्य है। दूसरा वाक्य।", ["यह वाक्य है।", "दूसरा वाक्य।"]),
        ("", []),
        ("   ", []),
        ("no end", ["no end"]),
    ],
)
def test_sentences_in_many_scripts(text: str, expected: list[str] | None) -> None:
    if expected is None:
        assert prose(text)[-1] == "Next."
        assert len(prose(text)) == 2
    else:
        assert prose(text) == expected


def test_a_numbered_line_is_not_a_sentence() -> None:
    assert prose("1. First thing") == ["1. First thing"]


MARKDOWN = """\
## A heading. With a dot

First sentence. Second one
goes on.
- item one. Two sentences.
- item two
  continues
  - nested

```python
a = 1.

b = 2.
```

| a | b |
|---|---|
| x. | y. |

$$
E = mc^2.
$$
Last."""


def test_blocks_stay_whole() -> None:
    assert units(MARKDOWN) == [
        "## A heading. With a dot",
        "First sentence.",
        "Second one\ngoes on.",
        "- item one. Two sentences.",
        "- item two\n  continues",
        "  - nested",
        "```python\na = 1.\n\nb = 2.\n```",
        "| a | b |\n|---|---|\n| x. | y. |",
        "$$\nE = mc^2.\n$$",
        "Last.",
    ]


@given(st.text(alphabet="aZ1.。!?؟۔ \n`|-#*$>~()\u0301界", max_size=200))
def test_spans_are_ordered_and_hold_all_but_white_space(text: str) -> None:
    for spans in (sentences(text), prose_sentences(text)):
        at = 0
        for start, end in spans:
            assert start < end
            assert not text[at:start].strip()
            assert text[start:end].strip()
            at = end
        assert not text[at:].strip()


@pytest.mark.parametrize(
    "text",
    [
        "." * 1_000_000,
        "a. " * 300_000,
        " " * 1_000_000 + "x",
        "|" * 1_000_000,
        "`" * 1_000_000,
        "- " * 500_000,
        "$$\n" * 100_000,
    ],
    ids=["dots", "short sentences", "spaces", "pipes", "backticks", "markers", "formulas"],
)
def test_hostile_text_is_cut_in_time(text: str) -> None:
    start = time.perf_counter()
    sentences(text)
    prose_sentences(text)
    assert time.perf_counter() - start < 10
