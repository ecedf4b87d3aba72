"""What an index is made with: every part of it is in the fingerprint, small edits are not."""

from dataclasses import replace
from typing import Any

import pytest

from rag.ingest.recipe import Recipe, average_words

RECIPE = Recipe("minilm", 384, "3:500:50", "1", "1", "english")


def test_a_recipe_knows_what_it_made() -> None:
    config = RECIPE.config(average_words(1000, 10))
    assert RECIPE.made(config)
    assert (config.dimensions, config.language) == (384, "english")
    assert not RECIPE.made(None)


@pytest.mark.parametrize(
    "change",
    [
        {"embedder": "other"},
        {"dimensions": 256},
        {"chunker": "4:500:50"},
        {"windows": "off"},
        {"lexicon": "2"},
        {"language": None},
        {"detected": False},
    ],
    ids=str,
)
def test_every_part_makes_another_index(change: dict[str, Any]) -> None:
    config = RECIPE.config(100.0)
    other = replace(RECIPE, **change)
    assert not other.made(config)
    assert other.config(100.0).fingerprint != config.fingerprint


def test_the_mean_length_makes_another_index_but_the_same_recipe() -> None:
    assert RECIPE.config(100.0).fingerprint != RECIPE.config(125.0).fingerprint
    assert RECIPE.made(RECIPE.config(125.0))


def test_the_grid_is_coarse_and_near() -> None:
    assert average_words(100_000, 1000) == average_words(100_400, 1001)
    assert len({average_words(words * 10, 10) for words in range(80, 400)}) < 10
    for words in range(8, 2000):
        assert 0.88 <= average_words(words, 1) / words <= 1.13


def test_an_empty_book_has_a_mean_length_too() -> None:
    assert average_words(0, 0) > 0
    assert average_words(0, 5) > 0
