"""What an index is made with: every part of it is in the fingerprint."""

from dataclasses import replace
from typing import Any

import pytest

from rag.ingest.fingerprint import IndexFingerprint, average_words

RECIPE = IndexFingerprint("minilm", 384, "3:500:50", "1", "1", 150.0, "english")


def test_a_recipe_knows_what_it_made() -> None:
    config = RECIPE.config
    assert RECIPE.matches(config)
    assert (config.dimensions, config.language, config.average_words) == (384, "english", 150.0)
    assert not RECIPE.matches(None)


@pytest.mark.parametrize(
    "change",
    [
        {"embedder": "other"},
        {"dimensions": 256},
        {"chunker": "4:500:50"},
        {"windows": "off"},
        {"encoder": "2"},
        {"words": 120.0},
        {"language": None},
        {"detected": False},
    ],
    ids=str,
)
def test_every_part_makes_another_index(change: dict[str, Any]) -> None:
    other = replace(RECIPE, **change)
    assert not other.matches(RECIPE.config)
    assert other.config.fingerprint != RECIPE.config.fingerprint


def test_the_mean_length_follows_the_limit() -> None:
    assert average_words(1000) == 2 * average_words(500) == 350
