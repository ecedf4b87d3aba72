"""Words that look alike in two languages."""

import pytest

from rag.text.cognates import Cognates

BOOK = Cognates(
    ["The capture point", "Latency and jitter", "Batteries", "Filters", "The complementary filter", "Captures", "A map"]
)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("captura", ["capture", "captures"]),
        ("Latenz", ["latency"]),
        ("batería", ["batteries"]),
        ("filtro", ["filter"]),
        ("complementario", ["complementary"]),
        ("latencia", ["latency"]),
        ("punto", []),
        ("map", []),
        ("", []),
    ],
)
def test_lookalikes(word: str, found: list[str]) -> None:
    assert BOOK.of(word.casefold()) == found


def test_words_with_lookalikes_are_replaced_and_the_others_stay() -> None:
    assert BOOK.translated("punto captura pid") == "punto capture captures pid"
    assert Cognates([]).translated("punto captura") == "punto captura"
