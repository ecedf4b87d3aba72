"""Which section of a passage a question's evidence is found in."""

import pytest

from rag.retrieval.passages import QueryTerms
from rag.text.bm25 import Bm25Encoder
from rag.types import InnerHeading

LEXICON = Bm25Encoder("english", 20.0)
PATH = ("Keeping the lamp",)
SECTIONS = (
    "# Keeping the lamp\n\nThe lamp burns from dusk to dawn. It wants care every morning.\n\n",
    "## Trimming the wick\n\nCut it straight across, a finger's breadth above the burner.\n\n",
    "## Filling the tank\n\nPour the oil through the sieve. A cracked chimney is replaced first.\n\n",
    "### Spills\n\nSand soaks up what was spilt.",
)
TEXT = "".join(SECTIONS)
INNER = (
    InnerHeading(len(SECTIONS[0]), (*PATH, "Trimming the wick"), "trimming-the-wick"),
    InnerHeading(len("".join(SECTIONS[:2])), (*PATH, "Filling the tank"), "filling-the-tank"),
    InnerHeading(len("".join(SECTIONS[:3])), (*PATH, "Filling the tank", "Spills"), "spills"),
)


def sought(question: str, rare: str = "") -> QueryTerms:
    """Words of `rare` weigh three times what the others do."""
    weighty = LEXICON.terms(rare)
    weights = {term: 3.0 if term in weighty else 1.0 for term in LEXICON.terms(question)}
    return QueryTerms(weights, LEXICON.terms)


@pytest.mark.parametrize(
    ("question", "anchor"),
    [
        ("How is the wick trimmed?", "trimming-the-wick"),
        ("where do I cut across", "trimming-the-wick"),
        ("What is the sieve for when pouring oil?", "filling-the-tank"),
        ("What soaks up spilt oil when filling?", "spills"),
        ("From dusk to dawn", None),
        ("How is the lamp kept?", None),
        ("What is a fog horn?", None),
        ("", None),
    ],
)
def test_the_section_that_holds_most_of_the_question(question: str, anchor: str | None) -> None:
    found = sought(question).locate(TEXT, PATH, INNER)
    assert (found.anchor if found else None) == anchor


def test_rare_words_weigh_more_than_common_ones() -> None:
    question = "Is a cracked lamp cut straight?"
    assert sought(question, rare="cracked").locate(TEXT, PATH, INNER) == INNER[1]
    assert sought(question, rare="straight").locate(TEXT, PATH, INNER) == INNER[0]


def test_a_section_that_says_little_of_what_is_asked_is_not_singled_out() -> None:
    question = "Which fog horn, bell, siren, whistle, rocket or flag is above the sieve?"
    assert sought(question).locate(TEXT, PATH, INNER) is None


def test_what_two_sections_hold_alike_stays_with_the_first() -> None:
    text = "The buoy is red.\n\n## Twice\n\nThe buoy is red."
    twice = InnerHeading(18, (*PATH, "Twice"), "twice")
    assert sought("red buoy").locate(text, PATH, (twice,)) is None
    assert sought("red buoy twice").locate(text, PATH, (twice,)) == twice


def test_without_headings_there_is_nothing_to_choose() -> None:
    assert sought("wick").locate(TEXT, PATH, ()) is None
