"""A follow-up's query: what leans on the history, how it fades, how the parts are put together."""

import numpy as np
import pytest

from rag.retrieval.history import blend, dense_queries, is_follow_up, merge, sparse_queries
from rag.types import Exchange, SparseVector

FIRST = Exchange("How does a PID controller keep a humanoid upright?", "By correcting the error [1].")
SECOND = Exchange("Which gains should the ankle joint of the robot start with?", "Small ones [1].")


@pytest.mark.parametrize(
    "question",
    [
        "And on stairs?",
        "What about its cost?",
        "How is that different from the other approach taken by engineers?",
        "Can you give me one more example of a controller like the previous?",
        "¿Cómo se calibran esos sensores antes de cada sesión larga?",
        "Wie unterscheidet sich dieser Regler von anderen bekannten Reglern?",
        "Comment fonctionnent ceux qui mesurent la position angulaire exacte ?",
        "它和第二种方法有什么不同的地方和相同的地方",
        "それはどのように動作しますか、詳しく説明してください",
        "ये सेंसर कितनी बार कैलिब्रेट किए जाने चाहिए और क्यों",
        "وكيف يمكن معايرة هذا المستشعر قبل كل جلسة طويلة من العمل؟",
        "Why do municipalities issue bonds?",
        "",
    ],
)
def test_these_lean_on_the_history(question: str) -> None:
    assert is_follow_up(question)


@pytest.mark.parametrize(
    "question",
    [
        "How does reinforcement learning train a walking humanoid robot?",
        "Welche Batterie braucht der Roboter für einen ganzen Arbeitstag?",
        "第三章介绍了哪些传感器和执行器的工作原理",
        "Which sensors measure joint torque inside a humanoid robot?",
    ],
)
def test_these_stand_on_their_own(question: str) -> None:
    assert not is_follow_up(question)


def test_words_fade_slowly_when_the_question_leans_on_the_history() -> None:
    parts = sparse_queries("And on stairs?", [FIRST, SECOND])
    assert [part.text for part in parts] == ["And on stairs?", SECOND.question, FIRST.question]
    assert [part.weight for part in parts] == pytest.approx([1.0, 0.35, 0.1225])


def test_words_fade_fast_when_it_does_not() -> None:
    question = "How does reinforcement learning train a walking humanoid robot?"
    assert [part.weight for part in sparse_queries(question, [FIRST, SECOND])] == pytest.approx([1.0, 0.15])


def test_answers_and_faint_questions_are_left_out() -> None:
    parts = sparse_queries("And on stairs?", [Exchange("", "An answer."), *[SECOND] * 6])
    assert [part.weight for part in parts] == pytest.approx([1.0, 0.35, 0.1225])
    assert "An answer." not in {part.text for part in parts}


def test_a_question_that_leans_is_also_read_together_with_the_last_one() -> None:
    assert [part.text for part in dense_queries("And on stairs?", [FIRST, SECOND])] == [
        "And on stairs?",
        f"{SECOND.question} And on stairs?",
    ]
    standing = "How does reinforcement learning train a walking humanoid robot?"
    assert [part.text for part in dense_queries(standing, [FIRST])] == [standing]
    assert [part.text for part in dense_queries("And on stairs?", [])] == ["And on stairs?"]


def test_a_term_counts_as_where_it_counts_most() -> None:
    merged = merge([(SparseVector((1, 2), (1.0, 1.0)), 1.0), (SparseVector((2, 3), (1.0, 1.0)), 0.5)])
    assert dict(zip(merged.indices, merged.values, strict=True)) == {1: 1.0, 2: 1.0, 3: 0.5}


def test_embeddings_are_summed_and_made_a_unit_vector() -> None:
    blended = blend([(np.array([1, 0], np.float32), 1.0), (np.array([0, 1], np.float32), 0.5)])
    assert blended.dtype == np.float32
    assert np.linalg.norm(blended) == pytest.approx(1.0, abs=1e-6)
    assert blended[0] == pytest.approx(2 * blended[1])


def test_vectors_without_a_direction_stay_as_they_are() -> None:
    zero = np.zeros(3, np.float32)
    assert not blend([(zero, 1.0)]).any()
    assert blend([(np.empty(0, np.float32), 1.0)]).size == 0
