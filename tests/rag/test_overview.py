"""Which questions are about the book as a whole or about one of its parts."""

import pytest

from rag.retrieval.overview import Overview, parse


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("What is this book about?", "book"),
        ("what will I learn from this book?", "book"),
        ("Which topics does this guide cover?", "book"),
        ("Can you give me a short summary of the whole book please?", "book"),
        ("Give me an overview", "book"),
        ("list the chapters", "contents"),
        ("Table of contents", "contents"),
        ("How many chapters are there?", "contents"),
        ("How is the book organised?", "contents"),
        ("Summarise this page", "page"),
        ("¿De qué trata este libro?", "book"),
        ("De quoi parle ce livre ?", "book"),
        ("Worum geht es in diesem Buch?", "book"),
        ("Inhaltsverzeichnis", "contents"),
        ("Sobre o que é este livro?", "book"),
        ("Di cosa parla questo libro?", "book"),
        ("Waar gaat dit boek over?", "book"),
        ("О чём эта книга?", "book"),
        ("Bu kitap ne hakkında?", "book"),
        ("عن ماذا يتحدث هذا الكتاب؟", "book"),
        ("یہ کتاب کس بارے میں ہے؟", "book"),
        ("यह किताब किस बारे में है?", "book"),
        ("这本书讲什么？", "book"),
        ("目录", "contents"),
        ("この本は何についてですか", "book"),
        ("이 책은 무엇에 대한 책인가요?", "book"),
    ],
)
def test_the_whole_book(question: str, kind: str) -> None:
    found = parse(question)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    ("question", "unit", "numbers"),
    [
        ("Summarise chapter 3", "chapter", (3,)),
        ("What is chapter three about?", "chapter", (3,)),
        ("What does the third chapter explain?", "chapter", (3,)),
        ("Tell me about chapter 12", "chapter", (12,)),
        ("what does part 2 cover?", "part", (2,)),
        ("what is in part II?", "part", (2,)),
        ("What is covered in week 5?", "part", (5,)),
        ("Summarize chapters 3 and 4", "chapter", (3, 4)),
        ("summarise chapters 3 to 5", "chapter", (3, 4, 5)),
        ("Resume el capítulo 3", "chapter", (3,)),
        ("¿Qué cubre la parte 2?", "part", (2,)),
        ("Résume le chapitre 3", "chapter", (3,)),
        ("Fasse Kapitel 3 zusammen", "chapter", (3,)),
        ("Кратко изложи главу 3", "chapter", (3,)),
        ("3. bölümü özetle", "chapter", (3,)),
        ("لخص الفصل الثالث", "chapter", (3,)),
        ("باب 3 کا خلاصہ", "chapter", (3,)),
        ("总结第三章", "chapter", (3,)),
        ("第3章を要約してください", "chapter", (3,)),
        ("3장 요약해줘", "chapter", (3,)),
    ],
)
def test_numbered_parts(question: str, unit: str, numbers: tuple[int, ...]) -> None:
    found = parse(question)
    assert found is not None
    assert (found.kind, found.unit, found.numbers) == ("numbered", unit, numbers)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Give me an overview of the chapter on actuators", ("actuators",)),
        ("What does the balance chapter cover?", ("balance",)),
        ("Summarise power and batteries", ("power", "batteries")),
    ],
)
def test_named_parts(question: str, name: tuple[str, ...]) -> None:
    found = parse(question)
    assert found is not None
    assert found.kind == "named"
    assert found.name == name


@pytest.mark.parametrize(
    "question",
    [
        "How does a PID controller keep a humanoid upright?",
        "How does chapter 3 explain the zero moment point?",
        "Compare chapter 3 and chapter 4",
        "Who wrote this book?",
        "What parts does a humanoid have?",
        "What is a unit test?",
        "What is an index?",
        "What are the contents of a URDF file?",
        "How do robots learn?",
        "List the sensors",
        "explain this",
        "Can you teach me?",
        "How to structure a project",
        "什么是PID控制器",
        "PIDとは何ですか",
        "",
        "?",
        "word " * 200,
    ],
)
def test_questions_about_something_in_the_book(question: str) -> None:
    assert parse(question) is None


def test_a_question_that_names_no_book_says_so() -> None:
    assert parse("Summarise this") == Overview("book", explicit=False)
