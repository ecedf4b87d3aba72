"""Chunks put together again are the page: every word, in order, once, whatever is nested in what.

The three hundred examples of a usual run are the same each time; `HYPOTHESIS_EXAMPLES=10000`, the nightly form, draws
others every night.
"""

import os
import re

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rag.markdown.chunking import split
from rag.markdown.fences import left_open
from rag.text import tokens
from rag.types import Chunk, Document
from tests.support.markdown_pages import pages

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "300"))


def visible(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"(?<![a-z0-9])w([0-9]+)", text)]


def order(chunks: list[Chunk]) -> list[int]:
    """The numbers of the words, those of a heading that is in the path alone where its chunk begins; a repeated
    table header or sentence counts once.
    """
    told = {word for chunk in chunks for word in visible(chunk.text)}
    words: dict[int, None] = {}
    for chunk in chunks:
        path = [word for heading in chunk.heading_path for word in visible(heading) if word not in told]
        words.update(dict.fromkeys([*path, *visible(chunk.text)]))
    return list(words)


@pytest.mark.timeout(300 + EXAMPLES)
@given(pages(), st.sampled_from([120, 500]), st.sampled_from([0, 50]))
@settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES <= 300,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=set(Phase) - {Phase.explain},  # explaining traces every line that runs
)
def test_a_page_is_its_chunks(text: str, limit: int, overlap: int) -> None:
    chunks = split(Document("a.md", "Title", text, "0", "/a"), limit=limit, overlap=overlap)
    assert order(chunks) == sorted(set(visible(text)))
    last = 0
    for chunk in chunks:
        assert chunk.tokens == tokens.count(chunk.text) <= limit
        assert left_open(chunk.text) is None
        first, after = chunk.chars
        assert last <= first < after <= len(text)
        last = first
        assert set(visible(text[first:after])) <= set(visible(chunk.text))
