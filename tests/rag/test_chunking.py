"""Chunks keep every word, every place and the budget, whatever the page; code, tables and lists stay whole."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.markdown.chunking import split
from rag.markdown.parser import outline, page_of
from rag.text import tokens
from rag.types import Chunk, Document


def document(text: str, **more: str) -> Document:
    return Document("a/b.md", "Title", text, "0", "/docs/a/b", **more)  # type: ignore[arg-type]


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)


def prose(count: int, word: str = "Walk") -> str:
    return " ".join(f"{word}{at} the robot." for at in range(count))


def check(text: str, limit: int = 500) -> list[Chunk]:
    """Splits, and asserts what must hold for every page."""
    chunks = split(document(text), limit=limit)
    assert chunks == split(document(text), limit=limit)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    starts = [chunk.chars[0] for chunk in chunks]
    assert starts == sorted(starts)
    for chunk in chunks:
        assert chunk.text.strip()
        assert chunk.tokens == tokens.count(chunk.text) <= limit
        assert 0 <= chunk.chars[0] < chunk.chars[1] <= len(text)
        assert text.count("\n", 0, chunk.chars[0]) >= chunk.lines[0] or text.count("\n") == 0
    return chunks


PARTS = st.sampled_from(
    [
        "# One\n",
        "## Two words\n",
        "### Three\n",
        "plain text here\n",
        "more of it. And more!\n",
        "- item\n",
        "  - nested\n",
        "1. first\n",
        "> quoted\n",
        "```py\n",
        "x = 1\n",
        "```\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
        "    indented\n",
        "\n",
        "\n\n",
        "一句话。第二句。\n",
        "Setext\n---\n",
        "***\n",
    ]
)


@given(st.lists(PARTS, max_size=60), st.sampled_from([100, 200, 500]))
@settings(max_examples=150, deadline=None)
def test_no_word_is_lost_and_every_offset_slices_back(parts: list[str], limit: int) -> None:
    text = "".join(parts)
    chunks = check(text, limit)
    said = [word for chunk in chunks for word in words(" ".join(chunk.heading_path[1:]) + " " + chunk.text)]
    for word in set(words(text)):
        assert word in said, word
    for chunk in chunks:
        source = text[slice(*chunk.chars)]
        if chunk.text in text:
            assert source.strip() == chunk.text.strip()
        else:
            assert set(words(source)) <= set(words(chunk.text)) | {"py"}


@given(st.lists(PARTS, max_size=60), st.sampled_from([100, 500]))
@settings(max_examples=150, deadline=None)
def test_headings_inside_a_chunk_are_known_by_their_place(parts: list[str], limit: int) -> None:
    """Headings in the chunk that are not told are those it begins with: they are in its own path."""
    text = "".join(parts)
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    headings = page_of(document(text)).headings
    for chunk in check(text, limit):
        within = [heading for heading in headings if heading.line in range(*chunk.lines)]
        told = within[len(within) - len(chunk.inner) :]
        assert [(found.heading_path[-1], found.anchor) for found in chunk.inner] == [
            (heading.text or found.heading_path[-1], heading.anchor)
            for heading, found in zip(told, chunk.inner, strict=True)
        ]
        if chunk.text == text[slice(*chunk.chars)]:
            assert [chunk.chars[0] + found.offset for found in chunk.inner] == [starts[item.line] for item in told]
            lead = text[chunk.chars[0] : chunk.chars[0] + chunk.inner[0].offset] if chunk.inner else chunk.text
            assert len(page_of(document(lead)).headings) >= len(within) - len(told)


def test_code_that_looks_like_a_heading_is_none() -> None:
    text = "Run it.\n\n```sh\n## Wick\ntrim\n```\n\n## Wick\n\nTrim it.\n\n## Wick\n\nAgain.\n"
    (chunk,) = check(text)
    assert [(found.heading_path, found.anchor) for found in chunk.inner] == [
        (("Title", "Wick"), "wick"),
        (("Title", "Wick"), "wick-1"),
    ]
    assert [chunk.text[found.offset :].split("\n")[2] for found in chunk.inner] == ["Trim it.", "Again."]


def test_a_page_of_bare_headings_is_not_stored_many_times_over() -> None:
    text = f"# {'long ' * 100}\n\n" + "## x\n" * 100
    assert max(len(chunk.inner) for chunk in check(text)) == 32


@given(st.text(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_text_is_cut(text: str) -> None:
    check(text, 100)


def test_a_section_is_a_chunk_and_carries_its_path_and_anchor() -> None:
    chunks = check(f"# Title\n\n{prose(30)}\n\n## Second\n\n{prose(30)}\n\n### Deep er\n\n{prose(75)}\n")
    assert [(chunk.heading_path, chunk.anchor) for chunk in chunks] == [
        (("Title",), None),
        (("Title", "Second"), "second"),
        (("Title", "Second", "Deep er"), "deep-er"),
    ]
    assert chunks[2].link == "/docs/a/b#deep-er"


def test_a_fence_that_fits_is_whole_even_when_its_heading_does_not_fit_beside_it() -> None:
    code = "\n".join(f"value_{at} = compute({at})" for at in range(60))
    while tokens.count(f"```py\n{code}\n```") > 496:
        code = code.rpartition("\n")[0]
    chunks = check(f"{prose(50)}\n\n## A heading that takes a few tokens more\n\n```py\n{code}\n```\n\n{prose(20)}\n")
    whole = [chunk for chunk in chunks if f"```py\n{code}\n```" in chunk.text]
    assert len(whole) == 1
    assert whole[0].heading_path[-1] == "A heading that takes a few tokens more"


def test_a_larger_fence_is_opened_again_with_its_info() -> None:
    functions = "\n\n".join(f"def step_{at}(x):\n    y = x + {at}\n\n    return y * y" for at in range(120))
    chunks = check(f"## Code\n\n```python title='a.py'\n{functions}\n```\n")
    assert len(chunks) > 3
    for chunk in chunks:
        assert chunk.text.removeprefix("## Code\n\n").startswith("```python title='a.py'\ndef ")
        assert chunk.text.endswith("\n```")
        assert chunk.heading_path == ("Title", "Code")
    assert sum(chunk.text.count("def step_") for chunk in chunks) == 120


def test_a_larger_table_repeats_its_header() -> None:
    rows = "\n".join(f"| joint {at} | {at} degrees of freedom |" for at in range(120))
    chunks = check(f"| Name | What |\n|------|------|\n{rows}\n")
    assert len(chunks) > 2
    assert all(chunk.text.startswith("| Name | What |\n|------|------|\n| joint ") for chunk in chunks)


def test_a_larger_list_is_cut_between_items() -> None:
    chunks = check("\n".join(f"- item {at} {prose(6)}\n  ```\n  code {at}\n  ```" for at in range(40)))
    assert len(chunks) > 2
    for chunk in chunks:
        assert chunk.text.startswith("- item ")
        assert chunk.text.endswith("```")


def test_a_split_paragraph_repeats_one_sentence() -> None:
    chunks = check(prose(200))
    for before, after in pairwise(chunks):
        assert after.text.startswith(before.text.rpartition(". ")[2])
    alone = split(document(prose(200)), overlap=0)
    assert sum(len(words(chunk.text)) for chunk in alone) == len(words(prose(200)))


def test_what_a_colon_announces_comes_with_it() -> None:
    listed = "\n".join(f"- entry {at} of the list" for at in range(40))
    chunks = check(f"{prose(60)}\n\nThese are the entries:\n\n{listed}\n")
    assert any(chunk.text.startswith("These are the entries:\n\n- entry 0") for chunk in chunks)


def test_small_sections_are_put_together() -> None:
    chunks = check("".join(f"## Part {at}\n\nShort text.\n\n" for at in range(12)))
    assert all(chunk.tokens >= 50 for chunk in chunks)


def test_ids_survive_an_edit_elsewhere() -> None:
    sections = [f"## Part {at}\n\n{prose(40, f'W{at}x')}\n" for at in range(4)]
    before = {chunk.id for chunk in check("\n".join(sections))}
    after = {chunk.id for chunk in check("\n".join([*sections[:1], "## New\n\n" + prose(40), *sections[1:]]))}
    assert before < after
    assert len(after) == 5


def test_equal_texts_have_ids_of_their_own() -> None:
    chunks = check(f"## Same\n\n{prose(60)}\n\n## Same\n\n{prose(60)}\n")
    assert len(chunks) == 2


def test_readers_do_not_see_what_a_site_does_not_show() -> None:
    text = (
        "---\ntitle: T\n---\nimport Tabs from '@theme/Tabs';\n\n# Title\n\n<!-- todo: rewrite -->\n\n"
        ":::tip[Careful]\n\nA box about the arm of a robot.\n\n:::\n\n"
        '<Tabs>\n<TabItem value="w" label="Windows">\n\nOn Windows.\n\n'
        "</TabItem>\n</Tabs>\n\n{/* hidden */}\n\nEnd.\n"
    )
    joined = "\n".join(chunk.text for chunk in check(text))
    assert joined == "**Tip: Careful**\n\nA box about the arm of a robot.\n\nWindows\n\nOn Windows.\n\nEnd."


def test_images_in_the_text_shrink() -> None:
    chunks = check(f"Before ![a robot](data:image/png;base64,{'QUJD' * 50_000}) after.\n")
    assert [chunk.text for chunk in chunks] == ["Before ![a robot](data:image/png;base64,…) after."]


def test_an_open_fence_is_closed() -> None:
    chunks = check("Text.\n\n```py\n" + "\n".join(f"x{at} = {at}" for at in range(300)))
    assert all(chunk.text.count("```") % 2 == 0 for chunk in chunks)


def test_a_fence_in_an_indented_box_stays_whole() -> None:
    code = "\n\n".join(f"    value_{at} = {at}" for at in range(8))
    boxes = "\n\n".join(
        f'!!! note "Box {at}"\n\n    Text of the box.\n\n    ```py\n{code}\n    ```' for at in range(12)
    )
    for chunk in check(boxes):
        assert chunk.text.count("```") % 2 == 0


def test_a_page_of_headings_is_one_chunk() -> None:
    chunks = check("# Title\n\n## One\n\n## Two\n")
    assert [(chunk.text, chunk.anchor) for chunk in chunks] == [("# Title\n\n## One\n\n## Two", None)]
    assert check("---\ntitle: x\n---\n") == []
    assert check("") == []


HOSTILE = {
    "a line of 10 MB": "word " * 2_000_000,
    "one word of 2 MB": "x" * 2_000_000,
    "ideographs": "字" * 700_000,
    "a million spaces": " " * 1_000_000 + "x",
    "nested quotes": "> " * 5_000 + "x",
    "nested lists": "".join("  " * at + "- a\n" for at in range(1_000)),
    "brackets": "[" * 100_000,
    "open fences": "text\n```\n" * 30_001,
    "a million backticks": "`" * 1_000_000,
    "backtick runs": " ".join("`" * at for at in range(1, 1_200)),
    "a long table": "|a|b|\n|-|-|\n" + "|x y|z w|\n" * 40_000,
    "a wide table": "|" + "a|" * 20_000 + "\n|" + "-|" * 20_000 + "\n|" + "b|" * 20_000,
    "NUL": "\0" * 100_000 + "a",
    "lone surrogates": "# \ud800 x\n\nlone \udfff text\n" * 1_000,
    "headings": "# h\n" * 30_000,
    "a heading of 2 MB": "# " + "word " * 400_000,
    "open tags": "<a " * 100_000,
    "open braces": "<A " + "{" * 100_000,
    "open comments": "<!-- " * 100_000,
    "open exports": "export const a = {\n\n" * 30_000,
    "containers": ":::note\n" * 30_000,
    "link definitions": "".join(f"[a{at}]: b\n" for at in range(20_000)),
    "items": "- a\n" * 40_000,
    "paragraphs": "a.\n\n" * 50_000,
    "broken front matter": "---\n" + "a: [" * 20_000 + "\n---\nx",
    "emoji": "👩‍💻" * 100_000,
    "accents": "e" + "\u0301" * 500_000,
    "carriage returns": "a\r" * 50_000 + "b\r\n" * 50_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_are_cut_in_time(name: str) -> None:
    text = HOSTILE[name]
    tokens.count("warm")
    start = time.process_time()
    chunks = split(document(text))
    outline(document(text))
    assert time.process_time() - start < 10
    assert all(chunk.tokens <= 500 for chunk in chunks)
    for chunk in (*chunks[:20], *chunks[-20:]):
        assert tokens.count(chunk.text) == chunk.tokens
        assert sum(map(len, chunk.heading_path)) < 2_000
