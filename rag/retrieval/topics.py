"""The subject of a question: what is left when the words of asking are taken off.

"tell me about X", "what does the book say about X?" and "please explain X" all look for X, and are searched as X is.
Only whole phrases are taken off, from the beginning and the end of the question: a word that asks in one place names a
thing in another.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from rag.text.scripts import unspaced, words
from rag.types import Chunk, DocumentRecord, Hit

MOST_TOPIC_WORDS = 8
MOST_TOPIC_CHARACTERS = 16  # of a script without spaces
_MOST_ROUNDS = 4

_PHRASES: dict[str, dict[str, list[str]]] = json.loads(
    (Path(__file__).parent.parent / "data" / "asking_phrases.json").read_text(encoding="utf-8")
)


def _any(place: str) -> str:
    return "|".join(phrase for phrases in _PHRASES.values() for phrase in phrases[place])


_BEFORE = re.compile(rf"[\s¿¡\"'“‘«„,.:]*(?:{_any('before')})(?P<end>[\s:,]*)", re.IGNORECASE)
_AFTER = re.compile(rf"[\s,]*(?:{_any('after')})[\s?？؟.!。！…]*$", re.IGNORECASE)
_EDGES = ' \t\r\n?？؟.!。！…,;:¿¡"“”«»„'
_INTERROGATIVES = frozenset(" ".join(_PHRASES[language]["asks"][0] for language in _PHRASES).split())


@lru_cache(maxsize=256)  # a search asks about its question more than once
def subject(question: str) -> str:
    """The question without the words of asking around it; the question as it is where they are all there is."""
    rest = question.strip()
    for _ in range(_MOST_ROUNDS):
        found = _BEFORE.match(rest)
        shorter = rest[found.end() :] if found else rest
        shorter = _AFTER.sub("", shorter)
        if shorter == rest:
            break
        if not words(shorter):
            return question
        rest = shorter
    if rest == question.strip() and not names_something(rest):
        return question
    return rest.strip(_EDGES) or question


def names_something(question: str) -> bool:
    """Whether this is a name rather than a sentence: a few words, none of which asks."""
    tokens = words(question)
    few = len(tokens) <= MOST_TOPIC_WORDS if not unspaced(question) else unspaced(question) <= MOST_TOPIC_CHARACTERS
    return bool(tokens) and few and tokens[0] not in _INTERROGATIVES


TITLE_ELSEWHERE = 0.6
"""What a page's title counts for its chunks under other headings than the title itself."""

INDEX = 0.6
"""What a heading counts above a text that is hardly more than links: an index names what other pages hold."""

INFLECTED = 0.92
"""What a heading counts that has the stems but not the words: "Combined reducers" for "combining reducers"."""

DEEPER = 0.94
"""What a heading inside a page counts beside a title: a page of a name comes before a section of that name."""

CONTINUED = 0.9
"""What a heading counts for the chunks of its section after the first one, which introduces it."""

LEAST_SHARE = 0.3  # of the question's IDF mass that a heading path must hold to be weighed
MOST_NAMED = 6  # documents that are looked through for a heading of that very name
MOST_NAMES = 100_000  # spellings of one book's headings that are kept
_MOST_LINKS = 0.5  # of a text's letters
_ARGUMENTS = re.compile(r"\([^()]*(?:\([^()]*\)[^()]*)*\)|<[^<>]*>")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+|(?<=\w)[.:]+(?=\w)|/")
_CODE_LIKE = re.compile(r"[a-z0-9][A-Z]|\w[_.:]\w|\w\(|\w<|/")
_JOINT = re.compile(
    r"\s*[,:;–—、，：；]\s*|\s+(?:and|with|y|con|und|mit|et|avec|e|com|и|с|ve|ile|و|مع|اور)\s+|&|(?<=\w)[和与與と](?=\w)",
    re.IGNORECASE,
)
_MOST_PART_WORDS = 4
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")

Terms = Callable[[str], Sequence[int]]


def spellings(heading: str) -> list[str]:
    """A heading as it may be asked for: `replaceReducer(next)` also as `replaceReducer` and `replace Reducer`."""
    if not _CODE_LIKE.search(heading):
        return [heading]
    bare = _ARGUMENTS.sub(" ", heading).strip() or heading
    return list(dict.fromkeys((heading, bare, _CAMEL.sub(" ", bare))))


def title_spellings(title: str) -> list[str]:
    """A page's title and each of the things that it joins."""
    parts = [part for part in _JOINT.split(title) if 0 < len(words(part)) <= _MOST_PART_WORDS]
    return list(dict.fromkeys(spelt for part in (title, *parts) for spelt in spellings(part)))


def _name(text: str) -> str:
    return " ".join(words(text))


def names(spelt: Iterable[str]) -> frozenset[str]:
    """The spellings as plain words."""
    return frozenset(filter(None, map(_name, spelt)))


def _spelt(path: Sequence[str]) -> list[str]:
    return spellings(path[-1]) if len(path) > 1 else title_spellings(path[-1])


class HeadingNames:
    """Which documents have a heading of a name, and which begin with a heading of a section instead of a title.

    Holds at most MOST_NAMES spellings.
    """

    def __init__(self, documents: Sequence[DocumentRecord]) -> None:
        self.untitled = frozenset(document.path for document in documents if not _is_titled(document))
        self._paths: dict[str, list[str]] = {}
        for name, path in islice(self._named(documents), MOST_NAMES):
            paths = self._paths.setdefault(name, [])
            if path not in paths[-1:]:
                paths.append(path)

    def _named(self, documents: Iterable[DocumentRecord]) -> Iterator[tuple[str, str]]:
        for document in documents:
            spelt = [] if document.path in self.untitled else title_spellings(document.title)
            for name in names((*spelt, *(text for one in document.headings for text in spellings(one.text)))):
                yield name, document.path

    def documents(self, subject: str) -> list[str]:
        """The paths of the documents; none where the name is on so many pages that it tells nothing."""
        found = dict.fromkeys(path for name in names(spellings(subject)) for path in self._paths.get(name, ()))
        return list(found) if len(found) <= MOST_NAMED else []


def _is_titled(document: DocumentRecord) -> bool:
    """False for a page of a chapter whose name is a heading of level 2: a section that has a file of its own."""
    levels = [heading.level for heading in document.headings if heading.text == document.title]
    return not levels or min(levels) == 1


def opening_of(subject: str, chunks: Iterable[Chunk]) -> Chunk | None:
    """The first of a document's chunks (in order) in which a section of that name begins."""
    wanted = names(spellings(subject))
    paths = ((chunk, path) for chunk in chunks for path in (chunk.heading_path[:1], *_paths(chunk)))
    return next((chunk for chunk, path in paths if path and not wanted.isdisjoint(names(_spelt(path)))), None)


@dataclass(frozen=True, slots=True)
class Topic:
    """What a question names: its terms with their IDF, in each of its spellings, and its words as they stand.

    `terms` splits a text, `idf` weighs the terms of headings; `untitled` are the documents without a title.
    """

    names: frozenset[str]
    asked: tuple[Mapping[int, float], ...]
    terms: Terms
    idf: Mapping[int, float]
    untitled: frozenset[str] = frozenset()

    def likenesses(self, hits: Sequence[Hit]) -> list[float]:
        """For each hit 0 to 1: how much a heading of its chunk, or its page's title, is what is asked for."""
        first: dict[tuple[str, ...], int] = {}
        for hit in hits:
            for path in _paths(hit.chunk):
                section = (hit.chunk.path, *path)
                first[section] = min(hit.chunk.ordinal, first.get(section, hit.chunk.ordinal))
        return [self._likeness(hit.chunk, first) for hit in hits]

    def _likeness(self, chunk: Chunk, first: Mapping[tuple[str, ...], int]) -> float:
        best = 0.0
        titled = chunk.path not in self.untitled
        for path in _paths(chunk):
            begins = first[(chunk.path, *path)] == chunk.ordinal
            title = titled and len(path) == 1
            level = 1.0 if title else DEEPER
            best = max(best, level * (1.0 if begins else CONTINUED) * self._f(path, title=title))
        if titled and len(chunk.heading_path) > 1:
            place = 1.0 if chunk.ordinal == 0 else TITLE_ELSEWHERE
            best = max(best, place * self._f(chunk.heading_path[:1], title=True))
        return best * (INDEX if best and _is_index(chunk.text) else 1.0)

    def _f(self, path: Sequence[str], *, title: bool) -> float:
        above = frozenset(term for heading in path[:-1] for term in self.terms(heading))
        best = 0.0
        spelt_so = title_spellings(path[-1]) if title else spellings(path[-1])
        for spelt in spelt_so:
            own = frozenset(self.terms(spelt))
            mass = sum(self.idf.get(term, 0.0) for term in own)
            for asked in self.asked:
                held = sum(self.idf.get(term, 0.0) for term in own & asked.keys())
                if held > 0 and mass > 0:
                    of_question, of_heading = share(asked, own | above), held / mass
                    best = max(best, 2 * of_question * of_heading / (of_question + of_heading))
        return best if not best or not self.names.isdisjoint(names(spelt_so)) else INFLECTED * best


def heading_terms(asked: Sequence[Mapping[int, float]], hits: Iterable[Hit], terms: Terms) -> set[int]:
    """The terms of those headings that hold enough of the question to be weighed."""
    found: set[int] = set()
    for path in dict.fromkeys(path for hit in hits for path in (*_paths(hit.chunk), hit.chunk.heading_path[:1])):
        above = {term for heading in path[:-1] for term in terms(heading)}
        for own in map(terms, _spelt(path) if path else ()):
            if any(share(one, above.union(own)) >= LEAST_SHARE for one in asked):
                found.update(own)
    return found


def share(weights: Mapping[int, float], held: Iterable[int]) -> float:
    """The share of the weights' sum that the held terms have."""
    mass = sum(weights.values())
    return sum(weights[term] for term in weights.keys() & set(held)) / mass if mass > 0 else 0.0


def _paths(chunk: Chunk) -> list[tuple[str, ...]]:
    """The chunk's own heading path and those of the sections that begin in it."""
    return [path for path in (chunk.heading_path, *(heading.heading_path for heading in chunk.inner)) if path]


def _is_index(text: str) -> bool:
    """Whether a text is hardly more than links."""
    linked = sum(len(found[1]) for found in _LINK.finditer(text))
    return bool(linked) and linked > _MOST_LINKS * (linked + len("".join(_LINK.sub("", text).split())))
