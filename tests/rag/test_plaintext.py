"""What a reader sees of a passage in a list of sources."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.markdown.plaintext import LONGEST, snippet
from rag.types import InnerHeading, Passage
from tests.support.hits import chunk


@pytest.mark.parametrize(
    ("markdown", "seen"),
    [
        ("## How does it? {#pid-upright}\n\nA PID **controller** acts.", "A PID controller acts."),
        ("# One\n\n## Two\n\nText.\n\n### Three {#t}\n\nMore.", "Text. Three: More."),
        ("Title\n=====\n\nText.\n\nSecond\n---\n\nMore.", "Text. Second: More."),
        ("# One\n\n## Two?", "One: Two?"),
        ("See [the *lamp*](./lamp.md#wick \"Wick\") and ![a drawing](a.png) of it.", "See the lamp and of it."),
        ("A [reference][lamp] and `code_with_marks*`.\n\n[lamp]: ./lamp.md", "A reference and code_with_marks*."),
        (":::tip[Mind the wick]\n\nTrim it.\n\n:::", "Trim it."),
        ("> [!NOTE]\n> Trim _it_ `daily`.", "Trim it daily."),
        ("| Lamp | Oil |\n| :--- | ---: |\n| **Bow** | 2 l |\n| Stern | |", "Lamp, Oil; Bow, 2 l; Stern"),
        ("Run:\n\n```bash title=\"x\"\nmake # now\n```\n\nDone.", "Run: make # now Done."),
        ("- **`match`**: compares\n- [ ] ~~open~~\n1. first", "match: compares open first"),
        ("A <b>bold</b> &lt;T&gt;, 2 \\* 3 * 4, snake_case_name.", "A bold <T>, 2 * 3 * 4, snake_case_name."),
        ("> ##### Overflow\n>\n> It wraps.", "Overflow It wraps."),
        ("Text.\n\n{{#include ../a.rs:here}}\n\nMore.", "Text. More."),
        ("$$\nE = mc^2\n$$", "E = mc^2"),
        ("$$\n\\tau = \\frac{a + 1}{b} \\cdot \\sqrt{x_1}\n$$", "τ = (a + 1)/b · √x_1"),
        ("It is $\\tau \\le 3\\,\\text{Nm}$ and \\(m_1 * m_2\\) here.", "It is τ ≤ 3 Nm and m_1 * m_2 here."),
        ("    def __init__(self, *a, **kw):\n        x = 2 ** 3 ** 4\n\nText.",
         "def __init__(self, *a, **kw): x = 2 ** 3 ** 4 Text."),
        ("def __init__(self, **kw):\n    pass\n```\n\nThen **text**.", "def __init__(self, **kw): pass Then text."),
        ("点灯。\n继续。", "点灯。 继续。"),
        ("a `b` \ue000\ue0000\ue0015\ue001", "a b 05"),
        ("", ""),
    ],
)  # fmt: skip
def test_marks_become_what_they_mean(markdown: str, seen: str) -> None:
    assert snippet(markdown) == seen


def test_it_is_bounded_and_says_so() -> None:
    text = snippet("## Heading\n\n" + "A word and another. " * 100)
    assert text.startswith("A word and another. A word")
    assert len(text) <= LONGEST
    assert text.endswith("…")


@given(st.text(st.sampled_from("ab *_`~#|[]()<>{}!:\\\n-$&;\ue000\ue0010"), max_size=400))
def test_anything_is_one_bounded_line(markdown: str) -> None:
    text = snippet(markdown)
    assert "\n" not in text
    assert len(text) <= LONGEST
    assert text == text.strip()


@pytest.mark.parametrize("part", ["*", "_a", "`", "[a](", "<a ", "{#", "| - ", "$$", "> # ", "a\n-", "&#", "**a "])
@pytest.mark.alone
def test_no_text_takes_long(part: str) -> None:
    start = time.process_time()
    snippet(part * 100_000)
    assert time.process_time() - start < 1.0


def test_a_passage_shows_what_stands_below_its_heading() -> None:
    text = "Of lamps.\n\n## Wick {#w}\n\nTrim *it*."
    assert snippet(Passage(1, chunk(), 1.0, text).section_text) == "Of lamps. Wick: Trim it."
    assert (
        snippet(Passage(1, chunk(), 1.0, text, inner=InnerHeading(11, ("Page", "Wick"), "w")).section_text)
        == "Trim it."
    )


def test_code_that_the_length_cuts_stays_code() -> None:
    page = (
        "## Standing\n\n```python\nimport math\n\nINERTIA = MASS * HEIGHT**2  # about the ankle\n"
        + "x = 1\n" * 400
        + "```\n"
    )
    shown = snippet(page)
    assert shown.startswith("import math INERTIA = MASS * HEIGHT**2 # about the ankle")


def test_formulas_lose_their_marks_and_prices_keep_them() -> None:
    assert snippet("The lean is $10/216 = 0.046$ rad.") == "The lean is 10/216 = 0.046 rad."
    assert snippet("It costs $5 or $10 a month.") == "It costs $5 or $10 a month."
