"""Pieces of an answer into Delta and Cited events, and at its end the link definitions of what it cited.

A marker is inside one Delta, its Cited follows that Delta at once, and the events do not depend on where the pieces
were split except for how text is cut into Deltas.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from rag.chat.citation_filter import CitationFilter, Token
from rag.events import Cited, Delta
from rag.markdown.sentences import sentences
from rag.types import Citation, Passage

QUOTE_CHARACTERS = 300
_CLAIM_CHARACTERS = 400

_MARKER = re.compile(r"\s*\[\d+\]")
_URL_SAFE = "%/:?#[]@!$&'()*+,;=-._~"
_UNENCODED_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TITLE_ESCAPED = re.compile(r'([\\"]|&(?=#?\w+;))')


class CitationStream:
    """Feed it the pieces of one answer, then finish it. Only the numbers of `passages` can be cited."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = {passage.number: passage for passage in passages}
        self._scanner = CitationFilter(self._passages)
        self._text: list[str] = []
        self._tail = ""
        self._cited: dict[int, Citation] = {}

    def feed(self, piece: str) -> list[Delta | Cited]:
        return self._events(self._scanner.feed(piece))

    def stop_citing(self) -> None:
        """From now on every marker vanishes: what follows says that the book does not hold the answer."""
        self._scanner.forget()

    def finish(self) -> list[Delta | Cited]:
        """What was held back. Call it once, after the last piece."""
        return self._events(self._scanner.finish())

    @property
    def text(self) -> str:
        """The concatenation of the Deltas so far."""
        return "".join(self._text)

    @property
    def citations(self) -> tuple[Citation, ...]:
        """In the order of their numbers."""
        return tuple(self._cited[number] for number in sorted(self._cited))

    @property
    def answer(self) -> str:
        """The whole Markdown: the text and one link definition per citation."""
        definitions = "\n".join(filter(None, map(definition, self.citations)))
        text = self.text.rstrip()
        return f"{text}\n\n{definitions}" if definitions else text

    def _events(self, tokens: Iterable[Token]) -> list[Delta | Cited]:
        events: list[Delta | Cited] = []
        pending = ""
        for token in tokens:
            if isinstance(token, str):
                pending += token
                continue
            pending += f"[{token}]"
            if token not in self._cited:
                self._write(pending, events)
                pending = ""
                self._cited[token] = self._cite(self._passages[token])
                events.append(Cited(self._cited[token]))
        self._write(pending, events)
        return events

    def _write(self, text: str, events: list[Delta | Cited]) -> None:
        if text:
            self._text.append(text)
            self._tail = (self._tail + text)[-_CLAIM_CHARACTERS:]
            events.append(Delta(text))

    def _cite(self, passage: Passage) -> Citation:
        return Citation(
            number=passage.number,
            title=passage.title,
            heading_path=passage.heading_path,
            url=safe_url(passage.link) or "",
            quote=nearest_quote(passage.text, _last_claim(self._tail)),
            passage=passage,
        )


def definition(citation: Citation) -> str | None:
    """`[n]: url "Title › Heading"`, or None for a citation that has nowhere to link to."""
    if not citation.url:
        return None
    url = citation.url.replace("(", "%28").replace(")", "%29")
    title = _TITLE_ESCAPED.sub(r"\\\1", " ".join(" › ".join(citation.heading_path or (citation.title,)).split()))
    return f'[{citation.number}]: {url} "{title}"'


def safe_url(url: str) -> str | None:
    """The URL percent-encoded, or None when it is neither http(s) nor a path of the same site."""
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url)
    if not url or (scheme and scheme[0].lower() not in ("http:", "https:")) or url.startswith(("//", "/\\", "\\")):
        return None
    return quote(_UNENCODED_PERCENT.sub("%25", url), safe=_URL_SAFE)


def nearest_quote(text: str, claim: str) -> str:
    """The sentence of `text` that shares most with `claim`, word for word, at most QUOTE_CHARACTERS long.

    Nearness is the cosine of the sets of character trigrams, which needs no knowledge of the language.
    """
    wanted = _trigrams(claim)
    best, best_score = "", -1.0
    for start, end in sentences(text):
        sentence = text[start:end].strip()
        grams = _trigrams(sentence)
        score = len(wanted & grams) / (len(wanted) * len(grams)) ** 0.5 if wanted and grams else 0.0
        if sentence and score > best_score:
            best, best_score = sentence, score
    return _shorten(best or text.strip())


def _shorten(sentence: str) -> str:
    """The beginning, cut between words where there are any, so that it still stands in the text."""
    if len(sentence) <= QUOTE_CHARACTERS:
        return sentence
    cut = sentence[:QUOTE_CHARACTERS]
    space = max(cut.rfind(" "), cut.rfind("\n"))
    return (cut[:space] if space > QUOTE_CHARACTERS // 2 else cut).rstrip()


def _last_claim(tail: str) -> str:
    """The last sentence that was written before a marker, without markers."""
    plain = _MARKER.sub("", tail)
    return next((plain[start:end] for start, end in reversed(sentences(plain)) if plain[start:end].strip()), "")


def _trigrams(text: str) -> frozenset[str]:
    words = " ".join(re.findall(r"[^\W_]+", text.casefold()))
    return frozenset(words[i : i + 3] for i in range(max(len(words) - 2, 1))) if words else frozenset()
