"""The book's outline, from the manifest alone: which pages an overview question means, and what is shown of each.

Pages come in the order of their paths, read as people number them (2 before 10, index pages first). A chapter's
number is taken from its title ("Chapter 3", "3. Control"), else from its file or folder ("ch03-00", "03-control").
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from urllib.parse import unquote, urlsplit

from rag.retrieval.overview import Overview, Unit, number, significant, unit_of
from rag.text.scripts import words
from rag.types import Chunk, DocumentRecord, Page, Passage

MOST_ENTRIES = 24
MOST_HEADINGS = 12
MOST_TITLES = 16
_DIGITS = re.compile(r"(\d+)")
_FRONT = re.compile(r"^(?:index|readme|intro|introduction|preface|foreword|title-page)$", re.IGNORECASE)
_NUMBER_PREFIX = re.compile(
    r"^(?:ch|chap|chapter|part|module|week|unit|lesson|appendix)?[-_. ]*0*(\d{1,3})(?!\d)", re.I
)
_APPENDIX = re.compile(r"^appendix", re.IGNORECASE)
_DATE = re.compile(r"^\d{4}-\d\d-\d\d")
_TITLE_NUMBER = re.compile(r"^\s*0*(\d{1,3})(?:[.):]|\s+[-–—])?\s+\S")
_PAGE_SUFFIX = re.compile(r"(?:/index)?\.(?:html?|mdx?)$|/index$|/$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an outline: a page, or a folder of pages shown by its first one (`pages` holds the others)."""

    document: DocumentRecord
    title: str
    pages: tuple[DocumentRecord, ...] = ()


def in_book_order(documents: Iterable[DocumentRecord]) -> list[DocumentRecord]:
    return sorted((document for document in documents if document.chunks), key=lambda record: _order(record.path))


def select(overview: Overview, documents: Sequence[DocumentRecord], page: Page | None = None) -> list[DocumentRecord]:
    """The pages that are meant, in the book's order; none when the book has no such part."""
    book = in_book_order(documents)
    if overview.kind == "numbered":
        found = [_numbered(overview.unit or "chapter", wanted, book) for wanted in overview.numbers]
        return in_book_order({document.path: document for part in found for document in part}.values())
    if overview.kind == "named":
        return _named(overview.name, overview.unit, book)
    if overview.kind == "page":
        return [document for document in book if same_page(document.url, page.url)] if page and page.url else []
    return book


def entries(documents: Sequence[DocumentRecord]) -> list[Entry]:
    """At most 24 lines: every page when they are few, else one line per folder."""
    if len(documents) <= MOST_ENTRIES:
        return [Entry(document, document.title) for document in documents]
    depth = _fork([document.path for document in documents])
    grouped = [list(group) for _, group in groupby(documents, lambda document: _folder(document.path, depth))]
    return [_group_entry(group, depth) for group in grouped][:MOST_ENTRIES]


def _group_entry(group: Sequence[DocumentRecord], depth: int) -> Entry:
    first = group[0]
    named = len(first.trail) > depth and len(group) > 1
    return Entry(first, first.trail[depth] if named else first.title, tuple(group[1:]))


def overview_passage(place: int, entry: Entry, chunk: Chunk) -> Passage:
    """A passage that stands for a page: what it is about, then its headings; it links to the page, not to a heading."""
    paragraph = _first_paragraph(chunk.text)
    lead = entry.document.lead.strip()
    opening = [lead] if lead and " ".join(paragraph.split()).startswith(lead.rstrip("…")) else [lead, paragraph]
    if entry.pages:
        listed = [page.title for page in entry.pages[:MOST_TITLES]]
    else:
        top = min((heading.level for heading in entry.document.headings if heading.level > 1), default=0)
        listed = [heading.text for heading in entry.document.headings if heading.level == top][:MOST_HEADINGS]
    text = "\n\n".join(part for part in (*opening, "\n".join(f"- {line}" for line in listed)) if part)
    page = replace(chunk, heading_path=(entry.title,), anchor=None)
    return Passage(place, page, 1.0, text or chunk.text, (chunk.id,))


def opening_chunks(chunks: Sequence[Chunk], limit: int) -> list[Chunk]:
    """The first chunk under each of the page's main headings, in order."""
    seen: set[tuple[str, ...]] = set()
    opening: list[Chunk] = []
    for chunk in chunks:
        heading = chunk.heading_path[:2]
        if heading not in seen:
            seen.add(heading)
            opening.append(chunk)
    return opening[:limit]


def same_page(url: str, other: str | None) -> bool:
    """Whether two URLs, absolute or not, are of one page, however each is spelt."""
    return other is not None and _page_path(url) == _page_path(other)


def _page_path(url: str) -> str:
    return _PAGE_SUFFIX.sub("", unquote(urlsplit(url).path)).rstrip("/").casefold() or "/"


def _first_paragraph(text: str) -> str:
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", text))
    return next((part for part in paragraphs if part and not part.startswith(("#", ":::", "```", "|", "<"))), "")


def _order(path: str) -> tuple[tuple[int, bool, list[tuple[int, int, str]]], ...]:
    """Segments read naturally; pages that open a folder first, appendices last."""
    *folders, name = path.split("/")
    stem = name.rsplit(".", 1)[0]
    last = (2 if _APPENDIX.match(stem) else 0 if _FRONT.match(stem) else 1, True, _natural(stem))
    return (*((2 if _APPENDIX.match(folder) else 1, False, _natural(folder)) for folder in folders), last)


def _natural(text: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.casefold()) for part in _DIGITS.split(text) if part]


def _fork(paths: Sequence[str]) -> int:
    """The depth of the first folder in which the pages part."""
    folders = [path.split("/")[:-1] for path in paths]
    depth = 0
    while all(len(parts) > depth for parts in folders) and len({parts[depth] for parts in folders}) == 1:
        depth += 1
    return depth


def _folder(path: str, depth: int) -> str:
    parts = path.split("/")
    return parts[depth] if len(parts) > depth + 1 else path


def _numbered(unit: Unit, wanted: int, book: Sequence[DocumentRecord]) -> list[DocumentRecord]:
    by_title = [document for document in book if _unit_number(document.title, unit) == wanted]
    by_folder = [d for d in book if any(_unit_number(label, unit) == wanted for label in d.trail)]
    if by_title or by_folder:
        return by_folder or by_title
    by_name = [document for document in book if _file_number(document) == wanted]
    in_folder = [d for d in book if any(_prefix(part) == wanted for part in d.path.split("/")[:-1])]
    ordered = (in_folder, by_name) if unit == "part" or len(_stems(by_name)) > 1 else (by_name, in_folder)
    return next((found for found in ordered if found and len(_stems(found)) == 1), [])


def _stems(documents: Sequence[DocumentRecord]) -> set[str]:
    """The folders of the pages: numbers that start anew in every folder are no answer."""
    return {document.path.rpartition("/")[0] for document in documents}


def _unit_number(label: str, unit: Unit) -> int | None:
    """3 for `Chapter 3: Balance` and `3. Bölüm`; also for `3. Balance` when a chapter is wanted."""
    tokens = words(label)[:2]
    if len(tokens) == 2:
        for name, value in (tokens, tokens[::-1]):
            if unit_of(name) == unit and number(value) is not None:
                return number(value)
    plain = _TITLE_NUMBER.match(label)
    return int(plain[1]) if plain and unit == "chapter" else None


def _file_number(document: DocumentRecord) -> int | None:
    name = document.path.rpartition("/")[2]
    return None if _DATE.match(name) or _APPENDIX.match(name) else _prefix(name)


def _prefix(segment: str) -> int | None:
    found = _NUMBER_PREFIX.match(segment)
    return int(found[1]) if found else None


def _named(name: Sequence[str], unit: Unit | None, book: Sequence[DocumentRecord]) -> list[DocumentRecord]:
    """The page whose title is the name, or a folder's pages; with a unit named, the shortest title that has it in."""
    wanted = set(name)
    exact = [document for document in book if set(significant(words(document.title))) == wanted]
    folder = [d for d in book if any(set(significant(words(label))) == wanted for label in d.trail)]
    if folder or exact or unit is None:
        return folder or exact
    holding = [document for document in book if wanted <= {*words(document.title), *_stem_words(document.path)}]
    return sorted(holding, key=lambda document: len(document.title))[:1]


def _stem_words(path: str) -> list[str]:
    return words(path.rpartition("/")[2].rsplit(".", 1)[0])
