"""A heading that is what the question names: how alike they are, and which chunk of the section comes first."""

from collections.abc import Sequence
from dataclasses import replace

from rag.retrieval.topics import HeadingNames, Topic, heading_terms, names, opening_of, spellings
from rag.types import DocumentRecord, Hit, InnerHeading, OutlineHeading
from tests.support.hits import chunk


def terms(text: str) -> list[int]:
    """A stem is a word's first six letters here."""
    found = "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()
    return [sum(ord(letter) << 8 * place for place, letter in enumerate(word[:6])) for word in found]


def likenesses(question: str, hits: Sequence[Hit], untitled: frozenset[str] = frozenset()) -> list[float]:
    asked = tuple(dict.fromkeys(terms(spelt), 1.0) for spelt in spellings(question))
    idf = dict.fromkeys(heading_terms(asked, hits, terms), 1.0)
    return Topic(names(spellings(question)), asked, terms, idf, untitled).likenesses(hits)


def under(*path: str, page: str = "a.md", ordinal: int = 1, text: str = "", inner: tuple[str, ...] = ()) -> Hit:
    made = tuple(InnerHeading(5, (path[0], heading), None) for heading in inner)
    return Hit(chunk(page, text or "Some words of prose.", ordinal=ordinal, heading_path=path, inner=made))


def record(path: str, title: str, *headings: tuple[int, str]) -> DocumentRecord:
    outline = tuple(OutlineHeading(level, text, None) for level, text in headings)
    return DocumentRecord(path, title, f"/{path}", "", (), 1, 1, 0.0, outline)


def test_the_section_of_that_name_beats_what_only_mentions_it() -> None:
    exact, longer, other = likenesses(
        "actuators", [under("Robots", "Actuators"), under("Robots", "Choosing actuators for legs"), under("Robots")]
    )
    assert exact > 0.9 > longer > other == 0


def test_both_shares_count() -> None:
    found = likenesses("gear ratios of legs", [under("Robots", "Gear ratios"), under("Robots", "Legs of a robot dog")])
    assert found[0] > found[1] > 0


def test_a_section_is_introduced_by_its_first_chunk_even_where_that_begins_under_another_heading() -> None:
    later, first = likenesses(
        "limits", [under("Robots", "Limits", ordinal=4), under("Robots", "Before", ordinal=3, inner=("Limits",))]
    )
    assert first > later > 0.7


def test_a_title_is_an_opening_and_comes_before_a_section_of_that_name() -> None:
    opening, elsewhere, section = likenesses(
        "closures",
        [
            under("Closures", ordinal=0),
            under("Closures", "Capturing", ordinal=5),
            under("Other", "Closures", page="b.md"),
        ],
    )
    assert opening == 1.0
    assert opening > section > elsewhere > 0


def test_a_title_is_the_page_of_each_thing_that_it_joins() -> None:
    page = under("Functional features: Iterators and Closures", ordinal=0)
    assert likenesses("closures", [page]) == likenesses("iterators", [page]) == [1.0]
    assert likenesses("closures", [page], frozenset({"a.md"}))[0] < 0.6, "a section's heading is taken as it is"


def test_code_is_known_whole_without_its_arguments_and_by_its_parts() -> None:
    heading = under("API", "`replaceReducer(nextReducer)`".strip("`"))
    for asked in ("replaceReducer(nextReducer)", "replacereducer", "replaceReducer", "replace reducer"):
        assert likenesses(asked, [heading])[0] > 0.9, asked
    assert likenesses("nextReducer", [heading])[0] < 0.8


def test_other_forms_of_the_words_come_after_the_words_themselves() -> None:
    inflected, exact = likenesses("combining parts", [under("A", "Combined parts"), under("B", "Combining parts")])
    assert exact > inflected > 0.5


def test_an_index_that_only_links_comes_after_the_page() -> None:
    links = "\n".join(f"- [Reducers, part {number}](reducers{number}.md)" for number in range(9))
    index, page = likenesses("reducers", [under("FAQ", "Reducers", text=links), under("Usage", "Reducers")])
    assert page > index


def test_a_question_of_stop_words_is_like_nothing() -> None:
    assert likenesses("", [under("Robots", "Actuators")]) == [0.0]
    assert likenesses("actuators", [replace(under("x"), chunk=chunk(heading_path=()))]) == [0.0]


def test_documents_are_found_by_title_part_heading_and_the_parts_of_a_name() -> None:
    book = HeadingNames(
        [
            record("a.md", "Enums and Pattern Matching", (1, "Enums and Pattern Matching"), (2, "`combineReducers`")),
            record("b.md", "Closures and more", (2, "Closures and more"), (2, "Summary")),
            *(record(f"{number}.md", f"Page {number}", (2, "Summary")) for number in range(9)),
        ]
    )
    assert book.documents("Pattern matching") == ["a.md"]
    assert book.documents("combine reducers") == book.documents("combinereducers") == ["a.md"]
    assert book.documents("summary") == [], "on every page"
    assert book.documents("closures") == [], "its page is a section of a chapter and has no title"
    assert book.untitled == {"b.md"}


def test_the_opening_of_a_section_is_the_chunk_in_which_it_begins() -> None:
    chunks = [
        under("Page", "One", ordinal=0).chunk,
        under("Page", "One", ordinal=1, inner=("Two",)).chunk,
        under("Page", "Two", ordinal=2).chunk,
    ]
    assert opening_of("two?", chunks) is chunks[1]
    assert opening_of("three", chunks) is None
