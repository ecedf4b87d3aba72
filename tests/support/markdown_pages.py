"""A Hypothesis strategy for pages: every block and every generator's syntax, nested in each other.

Each visible word of a page is different (`w0`, `w1`, …, in the order of the text); what readers never see is made of
`h0`, `h1`, ….
"""

import re
from collections.abc import Callable, Sequence
from itertools import count

from hypothesis import strategies as st

Lines = list[str]
_WORDS = st.integers(1, 12).map(lambda size: " ".join("@" * size))
_MANY = st.integers(40, 400).map(lambda size: " ".join("@. @" if at % 9 == 8 else "@" for at in range(size)))


def _lines(*lines: str) -> Lines:
    return list(lines)


def _indented(by: str, first: str | None = None) -> Callable[[Lines], Lines]:
    def indent(lines: Lines) -> Lines:
        out = [f"{by}{line}" if line or by.strip() else "" for line in lines]
        if first is not None:
            out[0] = first + lines[0]
        return out

    return indent


@st.composite
def _fence(draw: st.DrawFn) -> Lines:
    mark = draw(st.sampled_from(["```", "````", "~~~"]))
    info = draw(st.sampled_from(["", "py", "js title='a.js'", " diff"]))
    size = draw(st.one_of(st.integers(0, 6), st.integers(60, 250)))
    body = [
        draw(st.sampled_from(["@ = @ + 1", "", "# @", "<div>@</div>", "    @()"])) if size < 9 else f"@ = {at}"
        for at in range(size)
    ]
    return [f"{mark}{info}", *body, mark]


@st.composite
def _table(draw: st.DrawFn) -> Lines:
    rows = draw(st.one_of(st.integers(0, 4), st.integers(40, 120)))
    return ["| @ | @ |", "|---|---|", *["| @ | @ @ @ |"] * rows]


_LEAVES: st.SearchStrategy[Lines] = st.one_of(
    _WORDS.map(_lines),
    _MANY.map(_lines),
    st.tuples(_WORDS, _WORDS).map(lambda both: [f"{both[0]}:", "", both[1]]),
    _fence(),
    _table(),
    st.integers(1, 6).map(lambda level: [f"{'#' * level} @ @"]),
    st.sampled_from(["---", "==="]).map(lambda rule: ["@ @", rule]),
    st.tuples(_MANY, st.just("---")).map(list),
    st.one_of(st.integers(1, 8), st.integers(60, 200)).map(lambda size: ["- @ @"] * size),
    st.integers(1, 5).map(lambda size: [f"{at + 1}. @ @" for at in range(size)]),
    st.sampled_from(
        [
            ["<!-- % % -->"],
            ["<!-- %", "", "% -->"],
            ["{/* % */}"],
            ["***"],
            ["[a]: /h"],
            ["@ @[^1]", "", "[^1]: @ @"],
            ["@", ":   @ @"],
            ["<p>@ @</p>"],
            ["<h3>@</h3>"],
            ["<div className='%'>", "", "@ @", "", "</div>"],
            ["<br />"],
            ["<Badge />"],
            ["@ <kbd>@</kbd> @ `@` **@** [@](/%)"],
            ["@ ![@](/h.png)"],
            ["<Image", "  src='%'", "/>"],
            ["{{ @ }}"],
            ["$$", "@ = @", "$$"],
        ]
    ),
)


def _containers(inner: st.SearchStrategy[Lines]) -> st.SearchStrategy[Lines]:
    several = st.lists(inner, min_size=1, max_size=3).map(_joined)
    return st.one_of(
        several.map(_indented("> ")),
        several.map(_indented("  ", "- ")),
        several.map(_indented("   ", "1. ")),
        several.map(lambda lines: [":::note[@ @]", "", *lines, "", ":::"]),
        several.map(lambda lines: [":::tip", "", *lines, "", ":::"]),
        several.map(lambda lines: ['!!! note "@ @"', "", *_indented("    ")(lines)]),
        several.map(lambda lines: ['??? note "@"', "", *_indented("    ")(lines)]),
        several.map(lambda lines: ['=== "@"', "", *_indented("    ")(lines)]),
        several.map(
            lambda lines: ["<Tabs>", '<TabItem value="h" label="@ @">', "", *lines, "", "</TabItem>", "</Tabs>"]
        ),
        several.map(lambda lines: ["<details>", "<summary>@</summary>", "", *lines, "", "</details>"]),
    )


def _joined(blocks: Sequence[Lines]) -> Lines:
    return [line for block in blocks for line in (*block, "")][:-1]


@st.composite
def pages(draw: st.DrawFn) -> str:
    blocks = draw(st.lists(st.recursive(_LEAVES, _containers, max_leaves=5), min_size=1, max_size=8))
    head = draw(st.sampled_from([[], ["---", "title: %", "---"], ["import % from '%';", ""]]))
    text = "\n".join([*head, *_joined(blocks), ""])
    visible, hidden = count(), count()
    return re.sub("[@%]", lambda found: f"w{next(visible)}" if found[0] == "@" else f"h{next(hidden)}", text)
