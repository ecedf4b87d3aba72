"""Which pages an overview question means, and what is shown of each."""

import pytest

from rag.retrieval.outline import entries, in_book_order, opening_chunks, overview_passage, same_page, select
from rag.retrieval.overview import parse
from rag.types import DocumentRecord, OutlineHeading, Page
from tests.support.hits import chunk


def record(path: str, title: str, *, trail: tuple[str, ...] = (), lead: str = "", chunks: int = 3) -> DocumentRecord:
    headings = (
        OutlineHeading(1, title, None),
        OutlineHeading(2, "First", "first"),
        OutlineHeading(3, "Deep", "deep"),
        OutlineHeading(2, "Second", "second"),
    )
    url = f"/docs/{path.removesuffix('.md')}"
    return DocumentRecord(path, title, url, "0", trail, chunks, 300, 0.0, headings, lead)


FOUNDATIONS, CONTROL = "Part 1: Foundations", "Part 2: Control"
BOOK = [
    record("02-control/10-learning.md", "Chapter 10: Learning", trail=(CONTROL,)),
    record("02-control/03-feedback.md", "Chapter 3: Feedback", trail=(CONTROL,), lead="Errors and how to shrink them."),
    record("01-foundations/02-power.md", "Chapter 2: Power and batteries", trail=(FOUNDATIONS,)),
    record("01-foundations/01-bodies.md", "Chapter 1: Bodies", trail=(FOUNDATIONS,)),
    record("index.md", "A field guide"),
    record("appendix-a.md", "Appendix A: Units"),
]
RUST = [
    record("ch03-00-common.md", "Common Programming Concepts"),
    record("ch03-01-variables.md", "Variables and Mutability"),
    record("ch10-00-generics.md", "Generic Types"),
    record("appendix-03-traits.md", "C - Derivable Traits"),
]
RESTARTING = [
    record("01-one/01-a.md", "A"),
    record("01-one/02-b.md", "B"),
    record("02-two/01-c.md", "C"),
    record("02-two/02-d.md", "D"),
]


def titles(question: str, book: list[DocumentRecord], page: Page | None = None) -> list[str]:
    wanted = parse(question)
    assert wanted is not None
    return [document.title for document in select(wanted, book, page)]


def test_pages_come_as_people_number_them() -> None:
    assert [document.title for document in in_book_order(BOOK)] == [
        "A field guide",
        "Chapter 1: Bodies",
        "Chapter 2: Power and batteries",
        "Chapter 3: Feedback",
        "Chapter 10: Learning",
        "Appendix A: Units",
    ]


def test_empty_pages_are_not_shown() -> None:
    assert in_book_order([record("a.md", "A", chunks=0)]) == []


@pytest.mark.parametrize(
    ("question", "book", "found"),
    [
        ("Summarise chapter 3", BOOK, ["Chapter 3: Feedback"]),
        ("Summarise chapters 1 and 10", BOOK, ["Chapter 1: Bodies", "Chapter 10: Learning"]),
        ("What does part 1 cover?", BOOK, ["Chapter 1: Bodies", "Chapter 2: Power and batteries"]),
        ("What does the batteries chapter cover?", BOOK, ["Chapter 2: Power and batteries"]),
        ("Summarise feedback", BOOK, ["Chapter 3: Feedback"]),
        ("Summarise foundations", BOOK, ["Chapter 1: Bodies", "Chapter 2: Power and batteries"]),
        ("Summarise cooking", BOOK, []),
        ("Summarise chapter 7", BOOK, []),
        ("Summarise chapter 3", RUST, ["Common Programming Concepts", "Variables and Mutability"]),
        ("Summarise chapter 10", RUST, ["Generic Types"]),
        ("What does part 2 cover?", RESTARTING, ["C", "D"]),
        ("Summarise chapter 2", RESTARTING, ["C", "D"]),
        ("Summarise chapter 3", [record("guide.md", "3. Balance"), record("b.md", "4. Walking")], ["3. Balance"]),
        ("Summarise chapter 2", [record("2024-02-03-news.md", "News")], []),
    ],
)
def test_the_pages_that_are_meant(question: str, book: list[DocumentRecord], found: list[str]) -> None:
    assert titles(question, book) == found


def test_this_page_is_where_the_reader_is() -> None:
    here = Page("https://example.org/docs/02-control/03-feedback/#pid")
    assert titles("Summarise this page", BOOK, here) == ["Chapter 3: Feedback"]
    assert titles("Summarise this page", BOOK) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/docs/a", "https://example.org/docs/a/?x=1#y", True),
        ("/docs/a.html", "/docs/a", True),
        ("/docs/%C3%A9", "/docs/é", True),
        ("/docs/", "/docs/index.html", True),
        ("/docs/a", "/docs/a/b", False),
        ("/docs/a", None, False),
    ],
)
def test_urls_of_one_page(one: str, other: str | None, same: bool) -> None:
    assert same_page(one, other) is same


def test_a_page_is_shown_by_its_lead_and_main_headings() -> None:
    passage = overview_passage(2, entries([BOOK[1]])[0], chunk("02-control/03-feedback.md", "Body.", anchor="first"))
    assert passage.number == 2
    assert passage.text == "Errors and how to shrink them.\n\nBody.\n\n- First\n- Second"
    assert passage.chunk.heading_path == ("Chapter 3: Feedback",)
    assert passage.chunk.link == "/docs/02-control/03-feedback", "it links to the page, not to a heading"
    assert passage.chunk_ids == ("02-control/03-feedback.md:0",)


def test_a_page_without_a_lead_is_shown_by_its_first_paragraph() -> None:
    passage = overview_passage(1, entries([BOOK[0]])[0], chunk(text="# Title\n\n:::note\n\nIt begins here.\n\nMore."))
    assert passage.text.startswith("It begins here.\n\n- First")


def test_a_long_book_is_shown_by_its_folders() -> None:
    many = [
        record(f"docs/{part:02}-part/{page:02}.md", f"Page {part}.{page}", trail=("Docs", f"Part {part}"))
        for part in range(1, 5)
        for page in range(10)
    ]
    shown = entries(in_book_order(many))
    assert [(entry.title, len(entry.pages)) for entry in shown] == [(f"Part {part}", 9) for part in range(1, 5)]
    text = overview_passage(1, shown[0], chunk()).text
    assert "- Page 1.1" in text


def test_a_flat_book_of_any_length_stays_bounded() -> None:
    assert len(entries(in_book_order([record(f"{page}.md", f"P{page}") for page in range(500)]))) == 24


def test_a_page_opens_with_the_first_chunk_of_each_main_section() -> None:
    chunks = [
        chunk(ordinal=0),
        chunk(ordinal=1, heading_path=("Page", "One")),
        chunk(ordinal=2, heading_path=("Page", "One", "Deep")),
        chunk(ordinal=3, heading_path=("Page", "Two")),
    ]
    assert [found.ordinal for found in opening_chunks(chunks, 8)] == [0, 1, 3]
    assert len(opening_chunks(chunks, 2)) == 2
