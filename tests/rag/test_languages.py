"""The language of a question, and what it can share with a book in another one."""

import pytest

from rag.text.languages import is_foreign, language_of, shared_words


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("What is PID?", "en"),
        ("How do I write a URDF?", "en"),
        ("¿Qué es un controlador PID?", "es"),
        ("Comment fonctionne le robot ?", "fr"),
        ("Was ist ein PID-Regler?", "de"),
        ("O que é um controlador PID?", "pt"),
        ("Che cos'è un controllore PID?", "it"),
        ("Wat is een PID-regelaar?", "nl"),
        ("PID nedir?", "tr"),
        ("Что такое ПИД?", "ru"),
        ("PID کیا ہے؟", "ur"),
        ("ما هو PID؟", "ar"),
        ("पीआईडी क्या है?", "hi"),
        ("什么是PID", "zh"),
        ("PIDとは何ですか", "ja"),
        ("PID는 무엇인가요?", "ko"),
        ("What does the character 道 mean?", "en"),
        ("PID", None),
        ("", None),
    ],
)
def test_script_and_stop_words_tell(question: str, language: str | None) -> None:
    assert language_of(question) == language


def test_only_a_question_surely_in_another_language_is_foreign() -> None:
    assert is_foreign("¿Qué es un controlador PID?", "english")
    assert is_foreign("What is a PID controller?", "spanish")
    assert not is_foreign("What is a PID controller?", "english")
    assert not is_foreign("PID", "spanish")
    assert not is_foreign("What is a PID controller?", None)


def test_names_and_terms_can_be_shared() -> None:
    assert shared_words("¿Qué es un controlador PID?", "es") == "controlador pid"
    assert shared_words("什么是ROS 2和URDF？", "zh") == "ROS 2 URDF"
    assert shared_words("量子力学是什么？", "zh") == ""
