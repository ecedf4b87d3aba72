"""The subject of a question: the phrases of asking go, names that look like them stay."""

import pytest

from rag.retrieval.topics import names_something, subject


@pytest.mark.parametrize(
    ("question", "about"),
    [
        ("tell me about actuators", "actuators"),
        ("Please explain PID control.", "PID control"),
        ("what does the book say about replaceReducer(nextReducer)?", "replaceReducer(nextReducer)"),
        ("could you please explain how the borrow checker works?", "how the borrow checker works"),
        ("Does the book cover Docker?", "Docker"),
        ("Explain PID control in this book", "PID control"),
        ("Actuators?", "Actuators"),
        ("¿Qué dice el libro sobre los motores?", "los motores"),
        ("erkläre mir bitte Latenz", "Latenz"),
        ("Was sollte ich über Latenz wissen?", "Latenz"),
        ("parle-moi de la latence", "la latence"),
        ("расскажи мне об управлении", "управлении"),
        ("motorlar hakkında ne bilmeliyim?", "motorlar"),
        ("ماذا يقول الكتاب عن المحركات؟", "المحركات"),
        ("请介绍一下执行器。", "执行器"),
        ("モーターについて教えてください。", "モーター"),
        ("모터에 대해 알려 주세요.", "모터"),
    ],
)
def test_the_words_of_asking_are_taken_off(question: str, about: str) -> None:
    assert subject(question) == about


@pytest.mark.parametrize(
    "question",
    [
        "How do I install Redux?",
        "What is ownership?",
        "Which book does the author mention?",
        "explain",
        "tell me more",
        "describe",
        "Please?",
        "",
    ],
)
def test_a_question_stays_whole_where_nothing_else_would_be_left(question: str) -> None:
    assert subject(question) == question


def test_describe_blocks_is_a_question_about_blocks_and_a_word_inside_is_no_phrase() -> None:
    assert subject("describe blocks") == "blocks"
    assert subject("When should tests describe blocks in detail?") == "When should tests describe blocks in detail?"


@pytest.mark.parametrize(("text", "name"), [("ROS 2", True), ("what is ROS 2", False), ("执行器", True), ("", False)])
def test_a_name_is_told_from_a_sentence(text: str, name: bool) -> None:
    assert names_something(text) is name
    assert not names_something("a robot that walks over stones and never falls down on them")
