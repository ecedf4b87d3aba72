"""Answers without a model, from real retrievals made by hand: what is quoted, how it reads, what is admitted."""

from collections.abc import Sequence

import pytest

from rag.chat.citations import CitationStream
from rag.embedding.base import Embedder, Vectors
from rag.embedding.local import LocalEmbedder, NoEmbedder
from rag.errors import ModelError
from rag.generation.base import AnswerRequest, StreamEnd, TextDelta
from rag.generation.excerpts import wants_steps
from rag.generation.extractive import ExtractiveGenerator
from rag.types import Passage, Retrieval
from tests.support.hits import chunk

PID = """A PID controller turns an error into a command. It sums three terms: one for the error now, one for its
past, one for its trend. Engineers like it because it is simple.

Honest shoes are a different matter. They wear out."""

TUNING = """Tune the loop on the gantry, one joint at a time:

1. Raise the proportional gain until the joint overshoots.
2. Raise the derivative gain until the overshoot is gone.
3. Add integral gain only for a steady error.

Write the gains down afterwards."""

NODE = """A node is a program with a name. This one counts:

```python
import rclpy

node = rclpy.create_node("counter")
```

Run it twice and the second complains."""

GLOSSARY = "\n".join(f"- **Term {number}:** a word of no importance." for number in range(12)) + (
    "\n- **Zero moment point:** the ground point without a tipping moment."
)


def passage(number: int, text: str, *, path: str | None = None, score: float | None = None) -> Passage:
    made = chunk(path or f"page-{number}.md", text, heading_path=(f"Page {number}", f"Section {number}"))
    return Passage(number, made, score if score is not None else 1.0 / number, text, (made.id,))


async def answer(
    question: str, *passages: Passage, grounded: bool = True, embedder: Embedder | None = None
) -> tuple[str, StreamEnd]:
    """The answer as a reader gets it, markers checked, without its link definitions."""
    generator = ExtractiveGenerator(embedder or NoEmbedder())
    stream = CitationStream(passages)
    ended: StreamEnd | None = None
    async for piece in generator.answer(AnswerRequest(question, Retrieval(question, passages, grounded))):
        assert ended is None, "Ended is the last"
        if isinstance(piece, StreamEnd):
            ended = piece
        else:
            stream.feed(piece.text)
    stream.finish()
    assert ended is not None
    return stream.text, ended


async def test_the_answer_is_the_books_own_sentences_with_their_number() -> None:
    text, ended = await answer("What does a PID controller do with an error?", passage(1, PID))
    assert text == (
        "In the book's own words:\n\n"
        "A PID controller turns an error into a command. It sums three terms: one for the error now, one for its "
        "past, one for its trend. [1]"
    )
    assert (ended.answered, ended.finish_reason) == (True, "stop")


async def test_it_is_said_in_the_questions_language() -> None:
    text, _ = await answer("¿Qué hace un PID?", passage(1, PID))
    assert text.startswith("Con las palabras del libro:\n\n")


async def test_a_how_to_question_is_answered_by_its_steps_whole() -> None:
    text, _ = await answer("How do I tune the gains of a joint?", passage(1, TUNING), passage(2, PID))
    assert text == (
        "In the book's own words:\n\n"
        "Tune the loop on the gantry, one joint at a time: [1]\n\n"
        "1. Raise the proportional gain until the joint overshoots.\n"
        "2. Raise the derivative gain until the overshoot is gone.\n"
        "3. Add integral gain only for a steady error. [1]"
    )


async def test_a_how_to_question_is_answered_by_its_code_whole() -> None:
    text, _ = await answer("How do I create a node?", passage(1, NODE))
    assert '```python\nimport rclpy\n\nnode = rclpy.create_node("counter")\n```' in text
    assert "This one counts: [1]\n\n```python" in text, "what introduces the code carries its number"


async def test_one_entry_of_a_long_list_comes_alone() -> None:
    text, _ = await answer("What is the zero moment point?", passage(1, GLOSSARY))
    assert text == (
        "In the book's own words:\n\n- **Zero moment point:** the ground point without a tipping moment. [1]"
    )


async def test_several_passages_each_carry_their_number() -> None:
    other = "A PID controller turns an error into a command at every joint of the leg."
    text, _ = await answer(
        "What does a PID controller turn an error into?", passage(1, PID), passage(2, other, score=0.9)
    )
    assert "[1]" in text
    assert "[2]" in text


async def test_what_is_not_in_the_book_is_admitted_and_the_nearest_sections_are_named() -> None:
    text, ended = await answer("Who won the cup?", passage(1, PID), passage(2, TUNING), grounded=False)
    assert text == (
        "The book does not seem to answer this. The sections that come nearest are:\n\n"
        "- Page 1 › Section 1\n- Page 2 › Section 2"
    )
    assert not ended.answered
    text, ended = await answer("Who won the cup?", grounded=False)
    assert text == "The book does not seem to say anything about this."
    assert not ended.answered


class FailingEmbedder(LocalEmbedder):
    """A model behind a network that is down."""

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:  # noqa: ARG002 - the seam's signature
        raise ModelError("The model does not answer.")

    async def embed_query(self, text: str) -> Vectors:  # noqa: ARG002 - the seam's signature
        raise ModelError("The model does not answer.")


async def test_without_the_model_the_words_decide() -> None:
    text, ended = await answer("What does a PID controller do?", passage(1, PID), embedder=FailingEmbedder())
    assert "A PID controller turns an error into a command." in text
    assert ended.answered


async def test_with_the_model_meaning_counts() -> None:
    embedder = LocalEmbedder()
    await embedder.open()
    try:
        page = passage(1, "The hull is painted red. The vessel floats on water. Nobody knows its price.")
        text, _ = await answer("Does the boat swim?", page, embedder=embedder)
    finally:
        await embedder.close()
    assert "The vessel floats on water." in text


@pytest.mark.parametrize(
    "text",
    ["# Only a heading", "![only an image](a.png)", "", "Short.", "```mermaid\nflowchart LR\n```"],
)
async def test_a_passage_that_says_nothing_does_not_break_the_answer(text: str) -> None:
    found, ended = await answer("What is this?", passage(1, text or " "))
    assert found.startswith("In the book's own words:")
    assert ended.answered


@pytest.mark.parametrize(
    ("question", "steps"),
    [
        ("How do I install ROS 2?", True),
        ("how to write a URDF", True),
        ("Show me an example of a launch file", True),
        ("What does a URDF look like?", True),
        ("如何安装ROS 2", True),
        ("¿Cómo instalo ROS 2?", True),
        ("¿Cómo funciona un PID?", False),
        ("How does a PID controller work?", False),
        ("What is a URDF?", False),
        ("How many joints has a leg?", False),
    ],
)
def test_how_to_questions_are_told_from_how_it_works(question: str, steps: bool) -> None:
    assert wants_steps(question) is steps


async def test_a_definition_comes_before_a_mention() -> None:
    text = "We finally arrive at ownership here. Much was said of it.\n\nOwnership is a discipline for safe programs."
    found, _ = await answer("What is ownership?", passage(1, text))
    assert "Ownership is a discipline for safe programs." in found


async def test_captions_and_questions_are_no_answers() -> None:
    text = (
        "Using the gain table of joints\n\nWhat is the gain table of joints?\n\nThe gain table of joints holds numbers."
    )
    found, _ = await answer("What does the gain table of joints hold?", passage(1, text))
    assert found == "In the book's own words:\n\nThe gain table of joints holds numbers. [1]"


def outlined(place: int, path: str, text: str, *, trail: tuple[str, ...] = (), headings: tuple[str, ...]) -> Passage:
    made = chunk(path, text, heading_path=headings, trail=trail)
    return Passage(place, made, 1.0, text, (made.id,))


async def overview(question: str, *passages: Passage) -> str:
    request = AnswerRequest(question, Retrieval(question, passages, grounded=True, overview=True))
    return "".join(
        [
            piece.text
            async for piece in ExtractiveGenerator(NoEmbedder()).answer(request)
            if isinstance(piece, TextDelta)
        ]
    )


async def test_the_whole_book_is_shown_by_its_parts_and_pages() -> None:
    text = await overview(
        "What is this book about?",
        outlined(
            1, "index.md", "A handbook.\n\nIt tells how to keep a light. It is short.\n\n- Start", headings=("Guide",)
        ),
        outlined(2, "a.md", "Oil and what it costs.\n\n- Wick", trail=("Part 1: The lamp",), headings=("Oil",)),
        outlined(3, "b.md", "- Only headings", trail=("Part 2: The sea",), headings=("Fog",)),
    )
    assert text == (
        "It tells how to keep a light. It is short. [1]\n\n"
        "What the book holds:\n\n"
        "**Part 1: The lamp**\n\n- **Oil**: Oil and what it costs. [2]\n\n"
        "**Part 2: The sea**\n\n- **Fog** [3]"
    )


async def test_a_chapter_is_shown_by_its_sections() -> None:
    text = await overview(
        "Resume el capítulo 3",
        outlined(1, "a.md", "Balance is a business. It is hard.", headings=("Balance",)),
        outlined(2, "a.md", "The point is on the ground.", headings=("Balance", "The point")),
    )
    assert text == (
        "De qué trata, con las palabras del libro:\n\n"
        "**Balance** [1]\n\nBalance is a business. It is hard. [1]\n\n"
        "- **The point**: The point is on the ground. [2]"
    )


class Counting(NoEmbedder):
    """The real local model, and how many texts it was given."""

    def __init__(self, embedder: LocalEmbedder) -> None:
        self._embedder = embedder
        self.dimensions, self.fingerprint = embedder.dimensions, embedder.fingerprint
        self.calls: list[int] = []

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(len(texts))
        return await self._embedder.embed_documents(texts)

    async def embed_query(self, text: str) -> Vectors:
        return await self._embedder.embed_query(text)


async def test_a_sentence_is_embedded_once_and_few_of_them_for_one_question() -> None:
    local = LocalEmbedder()
    await local.open()
    try:
        embedder = Counting(local)
        generator = ExtractiveGenerator(embedder)
        page = passage(1, PID)
        request = AnswerRequest("Which terms does the controller sum?", Retrieval("the terms it sums", (page,), True))
        for _ in range(3):
            async for _piece in generator.answer(request):
                pass
        assert embedder.calls[0] <= 3, "the rest is judged by its words"
        assert sum(embedder.calls) <= 5, "what was embedded once is kept"
    finally:
        await local.close()


async def test_a_section_asked_for_by_name_opens_with_its_first_sentences_and_lists_the_others() -> None:
    first = passage(1, f"## Section 1\n\n{PID}")
    others = (passage(2, NODE), passage(3, TUNING, score=0.2))
    found = Retrieval("section 1", (first, *others), True, named=True)
    pieces = [piece async for piece in ExtractiveGenerator(NoEmbedder()).answer(AnswerRequest("section 1", found))]
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    opening = text.index("A PID controller turns an error into a command. It sums three terms")
    assert opening < text.index("[1]") < text.index("- **Section 2**: A node is a program with a name.")
    assert "[2]" in text
    assert "[3]" in text
    assert "node = rclpy" not in text


async def test_a_named_section_without_a_sentence_is_quoted_as_any_other() -> None:
    found = Retrieval("code", (passage(1, '```python\nprint("hello")\n```'),), True, named=True)
    pieces = [piece async for piece in ExtractiveGenerator(NoEmbedder()).answer(AnswerRequest("code", found))]
    assert 'print("hello")' in "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
