"""Questions to begin with come from the book, from all over it, and read as its readers would ask."""

from rag.chat.suggestions import example_questions
from rag.types import DocumentRecord, OutlineHeading


def page(number: int, title: str, *headings: str) -> DocumentRecord:
    outline = tuple(OutlineHeading(2, text, None) for text in headings)
    return DocumentRecord(f"{number:02}.md", title, f"/{number}", "x", (), 3, 100, 0.0, outline)


def test_headings_become_questions() -> None:
    book = [
        page(1, "Control", "PID control", "Summary"),
        page(2, "Walking", "Why do steps need a plan?", "Summary"),
        page(3, "Power", "Charging batteries safely", "Summary"),
        page(4, "Safety", "Summary"),
    ]
    assert example_questions(book, "en") == [
        "Why do steps need a plan?",
        "What should I know about PID control?",
        "What should I know about charging batteries safely?",
        "What should I know about Safety?",
    ]


def test_a_book_that_asks_questions_is_quoted() -> None:
    book = [page(number, f"Chapter {number}", f"What is topic {number}?", "Some details") for number in range(20)]
    found = example_questions(book, "en")
    assert [text.split()[0] for text in found] == ["What"] * 4
    assert [int(text.rstrip("?").split()[-1]) for text in found] == [2, 7, 12, 17]


def test_examples_come_from_all_over_a_long_book() -> None:
    book = [page(number, f"Chapter {number}", f"The topic of {number}") for number in range(40)]
    found = example_questions(book, "en", limit=4)
    places = [int(text.rstrip("?").split()[-1]) for text in found]
    assert places == sorted(places)
    assert places[0] < 10
    assert places[-1] >= 30


def test_examples_are_in_the_book_s_language() -> None:
    book = [page(1, "Regelung", "Was ist ein Regler?", "Der PID-Regler")]
    assert example_questions(book, "de") == ["Was ist ein Regler?", "Was sagt das Buch über Der PID-Regler?"]
    assert example_questions([page(1, "控制", "反馈控制")], "zh") == ["请介绍一下反馈控制。"]


def test_a_book_without_headings_is_asked_about_by_its_titles() -> None:
    assert example_questions([page(1, "Diary")], "en") == ["What should I know about Diary?"]
    assert example_questions([], "en") == []
