"""The answer to an overview question: the book's pages, or one page's sections, each with its [n]. Pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rag.generation.wording import Wording
from rag.language.overview import Overview
from rag.language.quotation import Unit, units
from rag.types import Passage

OPENING_SENTENCES = 2
LEAD_CHARS = 220
_WHOLE = tuple('.!?…。！？؟۔।"”»)')


def outline_answer(wanted: Overview | None, passages: Sequence[Passage], said: Wording) -> Iterator[str]:
    """Paragraphs of Markdown."""
    if len({passage.chunk.path for passage in passages}) == 1:
        yield from _sections(passages, said)
        return
    whole = wanted is None or wanted.kind in ("book", "contents")
    opening = _opening(passages[0]) if wanted is not None and wanted.kind == "book" else ""
    if opening:
        yield f"{opening} [{passages[0].number}]"
    yield said.book if whole else said.part
    listed = passages[1:] if opening else passages
    for label, group in groupby(listed, lambda passage: passage.chunk.trail[:1]):
        if label:
            yield f"**{label[0]}**"
        yield "\n".join(_line(passage) for passage in group)


def _sections(passages: Sequence[Passage], said: Wording) -> Iterator[str]:
    """One page: its opening, then a line for each of its sections."""
    first = passages[0]
    yield said.part
    opening = _lead(first, OPENING_SENTENCES)
    yield f"**{first.heading_path[0] if first.heading_path else first.chunk.path}** [{first.number}]" + (
        f"\n\n{opening} [{first.number}]" if opening else ""
    )
    rest = [passage for passage in passages[1:] if len(passage.heading_path) > 1]
    if rest:
        yield "\n".join(_line(passage) for passage in rest)


def named_answer(passages: Sequence[Passage], said: Wording, sentences: int) -> list[str]:
    """A section that was asked for by its name: its own first sentences, then a line for every other passage.

    Nothing for a section that begins with no sentence.
    """
    first = passages[0]
    start = first.inner.offset if first.inner else 0
    opening = _short(_opening_units(first.text[start:]), sentences)
    if not opening:
        return []
    rest = [passage for passage in passages[1:] if passage.heading_path != first.heading_path]
    lines = "\n".join(_named_line(passage) for passage in rest)
    return [said.own_words, f"**{first.title}**\n\n{opening} [{first.number}]", *([lines] if lines else [])]


def _opening_units(text: str) -> list[Unit]:
    """The sentences before the section's second heading, as far as they are prose."""
    found: list[Unit] = []
    for unit in units(text):
        if unit.kind == "heading" and found:
            break
        if unit.kind == "sentence" and unit.text.endswith(_WHOLE):
            found.append(unit)
    return found


def _named_line(passage: Passage) -> str:
    """`_line` under the passage's deepest heading."""
    start = passage.inner.offset if passage.inner else 0
    lead = _short(_opening_units(passage.text[start:]), 1)
    return f"- **{passage.title}**{f': {lead}' if lead else ''} [{passage.number}]"


def _line(passage: Passage) -> str:
    title = passage.heading_path[min(1, len(passage.heading_path) - 1)] if passage.heading_path else ""
    lead = _lead(passage, 1)
    return f"- **{title or passage.chunk.path}**{f': {lead}' if lead else ''} [{passage.number}]"


def _lead(passage: Passage, sentences: int) -> str:
    """The first whole sentences of prose, as far as they are short."""
    return _short(next(iter(_paragraphs(passage)), []), sentences)


def _opening(passage: Passage) -> str:
    """How the page itself begins, after the line that describes it."""
    return _short(next(iter(_paragraphs(passage)[1:2] or _paragraphs(passage)), []), OPENING_SENTENCES)


def _short(sentences: Sequence[Unit], most: int) -> str:
    text = ""
    for unit in sentences[:most]:
        if text and len(text) + len(unit.text) > LEAD_CHARS * most:
            break
        text = f"{text} {unit.text}".strip()
    return text


def _paragraphs(passage: Passage) -> list[list[Unit]]:
    """The whole sentences of the passage, by paragraph."""
    prose = [unit for unit in units(passage.text) if unit.kind == "sentence" and unit.text.endswith(_WHOLE)]
    return [list(group) for _, group in groupby(prose, lambda unit: unit.block)]
