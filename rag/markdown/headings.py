"""The headings of a page with their texts and anchors, by the rules of its generator."""

from collections.abc import Iterator
from dataclasses import dataclass

from rag.corpus.generators import generator_for
from rag.corpus.generators.base import Inline, Lines
from rag.types import Document

_LONGEST = 600  # characters, in paths and outlines


@dataclass(frozen=True, slots=True)
class Heading:
    """`line` counts in the page's lines. `anchor` is what can be linked to: None is the page itself."""

    line: int
    level: int
    text: str
    anchor: str | None


def read_headings(document: Document, lines: Lines, inline: Inline) -> Iterator[Heading]:
    """Every heading in order, in quotations and lists as well. Where a slug is empty, the anchor above stands."""
    generator = generator_for(document.flavor)
    reader = generator.prepare(document.text, document.options)
    slugger = generator.slugger(document.options)
    found = [
        (raw, *((raw.content, None, raw.content) if raw.raw else reader.read(raw.content, inline)))
        for raw in generator.headings(lines)
    ]
    if generator.ids_first:
        for _, _, identifier, _ in found:
            if identifier is not None:
                slugger.register(identifier)
    linked = not generator.is_contents(document.path)
    latest: str | None = None
    for raw, text, identifier, spoken in found:
        anchor = generator.anchor(raw, spoken, raw.identifier or identifier, slugger) if linked else None
        if raw.level:
            latest = anchor if anchor != "" else latest
            yield Heading(raw.line, raw.level, _shorten(" ".join(text.split())), latest)


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"
