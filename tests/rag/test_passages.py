"""Which chunks become passages, and how neighbours are joined."""

import pytest

from rag.retrieval.fusion import RankedHit
from rag.retrieval.passages import QueryTerms, joined, passages
from rag.types import Hit, InnerHeading
from tests.support.hits import chunk, scored


def test_passages_are_numbered_best_first() -> None:
    found = passages([scored(chunk("a.md"), 0.9), scored(chunk("b.md"), 0.8), scored(chunk("c.md"), 0.7)], 2)
    assert [(passage.number, passage.chunk.path, passage.score) for passage in found] == [
        (1, "a.md", 0.9),
        (2, "b.md", 0.8),
    ]
    assert found[0].chunk_ids == ("a.md:0",)


def test_what_is_far_below_the_best_is_left_out() -> None:
    found = passages([scored(chunk("a.md"), 0.9), scored(chunk("b.md"), 0.3)], 5, cut=0.5)
    assert [passage.chunk.path for passage in found] == ["a.md"]


def test_the_same_text_comes_once() -> None:
    same = [scored(chunk("a.md", "One  text.\n"), 0.9), scored(chunk("b.md", "One text."), 0.8)]
    assert [passage.chunk.path for passage in passages(same, 5)] == ["a.md"]


def test_neighbours_under_one_heading_are_joined_in_the_books_order() -> None:
    found = passages(
        [
            scored(chunk(ordinal=4, text="Third."), 0.9),
            scored(chunk("z.md"), 0.8),
            scored(chunk(ordinal=3, text="Second."), 0.7),
            scored(chunk(ordinal=2, text="First."), 0.6),
        ],
        2,
    )
    assert [passage.text for passage in found] == ["First.\n\nSecond.\n\nThird.", "Text 0 of z.md."]
    assert found[0].chunk_ids == ("a.md:2", "a.md:3", "a.md:4")
    assert found[0].score == 0.9
    assert found[0].chunk.ordinal == 4, "the passage links to where its best chunk stands"


@pytest.mark.parametrize(
    "other",
    [
        chunk(ordinal=3),
        chunk(ordinal=1, heading_path=("Page", "Other")),
        chunk(ordinal=1, anchor="other"),
        chunk("b.md", ordinal=1),
        chunk(ordinal=1, tokens=999),
    ],
    ids=["a gap between", "another heading", "another anchor", "another page", "too long together"],
)
def test_these_are_not_joined(other: object) -> None:
    found = passages([scored(chunk(ordinal=0), 0.9), scored(other, 0.8)], 5)  # type: ignore[arg-type]
    assert len(found) == 2


def test_an_overlap_stands_once() -> None:
    first = chunk(ordinal=0, text="The gains are small. The ankle moves first.")
    second = chunk(ordinal=1, text="The ankle moves first. The hip follows.")
    assert joined([second, first]) == ("The gains are small. The ankle moves first.\n\nThe hip follows.", ())


def test_chunks_that_share_a_few_letters_do_not_overlap() -> None:
    assert joined([chunk(ordinal=0, text="It ends. A"), chunk(ordinal=1, text="A new thought.")])[0] == (
        "It ends. A\n\nA new thought."
    )


def test_headings_move_along_when_chunks_are_joined() -> None:
    """The overlap goes, and the second chunk's own section goes on where the first one's last has ended."""
    first = chunk(ordinal=0, text="Of lamps.\n\n## Wick\n\nIt burns low.", inner=(heading("## Wick", 11),))
    second = chunk(
        ordinal=1, text="It burns low.\n\nIt goes out.\n\n## Oil\n\nIt is dear.", inner=(heading("## Oil", 29),)
    )
    text, inner = joined([first, second])
    assert text == "Of lamps.\n\n## Wick\n\nIt burns low.\n\nIt goes out.\n\n## Oil\n\nIt is dear."
    assert [text[found.offset :].split("\n")[0] for found in inner] == ["## Wick", "It goes out.", "## Oil"]
    assert [found.heading_path[-1] for found in inner] == ["## Wick", "Page", "## Oil"]


def test_a_passage_stands_under_the_heading_that_holds_the_evidence() -> None:
    made = chunk(text="Of lamps.\n\n## Wick\n\nTrim it.", inner=(heading("## Wick", 11),))
    wick = QueryTerms({hash("trim"): 1.0}, lambda text: [hash(word) for word in text.lower().split()])
    (found,) = passages([scored(made, 1.0)], 5, query_terms=wick)
    assert (found.title, found.anchor, found.link) == ("## Wick", "wick", "/docs/a#wick")
    assert (found.heading_path, found.breadcrumb) == (("Page", "## Wick"), "Page › ## Wick")
    (unsought,) = passages([scored(made, 1.0)], 5)
    assert (unsought.title, unsought.anchor, unsought.link) == ("Page", None, "/docs/a")


def heading(line: str, offset: int) -> InnerHeading:
    return InnerHeading(offset, ("Page", line), line.strip("# ").lower())


def test_nothing_found_no_passages() -> None:
    assert passages([], 5) == ()


def test_what_headings_give_pushes_nothing_below_the_cut() -> None:
    best = RankedHit(Hit(chunk("a.md", "The section of that name.")), 2.2, heading=1.4)
    other = RankedHit(Hit(chunk("b.md", "What else there is.")), 0.5)
    assert [passage.chunk.path for passage in passages([best, other], 5)] == ["a.md", "b.md"]
