"""Is it in the book: the rule, the words it counts, and how another model's cosines reach its scale."""

import pytest

from rag.retrieval.grounding import (
    MINILM,
    CosineScale,
    Evidence,
    coverage,
    is_grounded,
    promise,
    rescaled,
    scale_of,
    strength,
)


@pytest.mark.parametrize(
    ("evidence", "grounded"),
    [
        (Evidence(0.65, 0.80, 0.90), True),
        (Evidence(0.62, 0.10, 0.10), False),
        (Evidence(0.25, 0.25, 0.30), False),
        (Evidence(0.30, 0.90, 1.00), True),
        (Evidence(None, 0.75, 0.80), True),
        (Evidence(None, 0.25, 0.30), False),
        (Evidence(0.0, 0.0, 0.0), False),
    ],
    ids=["both", "meaning alone", "neither", "words alone", "words, no model", "few words, no model", "nothing"],
)
def test_meaning_and_words_are_weighed_together(evidence: Evidence, grounded: bool) -> None:
    assert is_grounded(evidence) is grounded


def test_the_parts_have_the_weights_they_were_measured_with() -> None:
    assert strength(Evidence(0.4, 0.5, 0.5)) == pytest.approx(0.4 + 0.25 + 0.1)


def test_a_foreign_question_is_judged_by_what_it_can_share() -> None:
    shares_a_term = (0.38, 0.35, 0.40)
    assert not is_grounded(Evidence(*shares_a_term))
    assert is_grounded(Evidence(*shares_a_term, foreign=True))
    assert is_grounded(Evidence(0.42, 0.0, 0.0, foreign=True, polyglot=True)), "it knows both languages"
    assert not is_grounded(Evidence(0.42, 0.0, 0.0, foreign=True))
    assert not is_grounded(Evidence(0.25, 0.0, 0.0, foreign=True, polyglot=True))


def test_coverage_is_the_share_of_idf_mass_that_one_text_holds() -> None:
    weights = {1: 3.0, 2: 1.0, 3: 4.0}
    assert coverage(weights, [[1, 1, 9], [2, 3]]) == pytest.approx(5 / 8)
    assert coverage(weights, []) == 0
    assert coverage({}, [[1]]) == 0


def test_another_models_cosines_are_mapped_by_two_points_of_the_book() -> None:
    crowded = scale_of([0.70, 0.72, 0.74], [0.88, 0.90, 0.95])
    assert crowded == CosineScale(0.72, 0.90)
    assert rescaled(0.72, crowded) == pytest.approx(MINILM.floor)
    assert rescaled(0.90, crowded) == pytest.approx(MINILM.ceiling)
    middle = rescaled(0.81, crowded)
    assert middle == pytest.approx((MINILM.floor + MINILM.ceiling) / 2)


@pytest.mark.parametrize(
    "scale", [CosineScale(0.5, 0.52), CosineScale(0.5, 0.3), scale_of([], [0.9]), scale_of([0.1], [])]
)
def test_a_model_that_cannot_tell_the_book_from_anything_else_has_no_say(scale: CosineScale) -> None:
    assert rescaled(0.9, scale) is None


@pytest.mark.parametrize(
    ("evidence", "asked"),
    [
        (Evidence(0.30, 0.40, 0.40), True),
        (Evidence(0.10, 0.55, 0.45), True),
        (Evidence(None, 0.50, 0.50), True),
        (Evidence(0.20, 0.30, 0.30), False),
        (Evidence(-0.5, 0.30, 0.30), False),
        (Evidence(0.05, 0.0, 0.0, foreign=True), True),
        (Evidence(0.70, 0.05, 0.05), True),
    ],
    ids=["all three", "poor vectors", "no vectors", "little of each", "far below", "another language", "grounded"],
)
def test_a_model_is_asked_unless_words_and_meaning_together_say_little(evidence: Evidence, asked: bool) -> None:
    assert (promise(evidence) >= 0.5) is asked


def test_what_bears_the_name_of_a_heading_is_in_the_book() -> None:
    assert is_grounded(Evidence(0.1, 0.1, 0.1, named=0.95))
    assert not is_grounded(Evidence(0.1, 0.1, 0.1, named=0.5))
