"""A file on disk -> its chunks, the texts that are embedded for them, the BM25 vectors of both, and its record."""

import logging
import time
from array import array
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import ceil
from pathlib import Path
from traceback import extract_tb

from rag.book.chunking import split
from rag.book.corpus import Source, read
from rag.book.generators import generator_for
from rag.book.markdown import outline
from rag.book.windows import windows
from rag.errors import ContentError
from rag.events import FileProblem
from rag.lexical import Lexicon
from rag.types import Chunk, Document, DocumentRecord, SparseVector

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CutDocument:
    """A document ready to be embedded: for each chunk the texts whose vectors stand for it, and the BM25 vectors.

    With windows these are the chunk's windows, without the chunk's own `embed_text` alone. `sparse` holds the vectors
    of the chunks, `terms` their terms in order, `text_sparse` the vectors of their windows. `new` holds for each chunk
    the tokens that must be embedded, None where every vector is known; 0 where the model reads none of it.
    """

    record: DocumentRecord
    chunks: tuple[Chunk, ...]
    texts: tuple[tuple[str, ...], ...]
    sparse: tuple[SparseVector, ...]
    terms: tuple[Sequence[int], ...]
    text_sparse: tuple[tuple[SparseVector, ...], ...]
    new: tuple[int | None, ...] = ()

    def every_text(self) -> list[str]:
        return [text for texts in self.texts for text in texts]

    def with_new(self, unknown: Container[str], read: Callable[[str], bool]) -> "CutDocument":
        """`unknown` are the texts without a vector; those that the model can `read` are embedded. Tokens by their share
        of the chunk's: within a few per cent.
        """
        return replace(self, new=tuple(map(partial(_tokens, unknown, read), self.chunks, self.texts)))


def _tokens(unknown: Container[str], read: Callable[[str], bool], chunk: Chunk, texts: tuple[str, ...]) -> int | None:
    new = [text for text in texts if text in unknown]
    embedded = sum(len(text) for text in new if read(text))
    return ceil(embedded * chunk.tokens / max(len(chunk.text), 1)) if new else None


@dataclass(frozen=True, slots=True)
class Cutter:
    """Chunks of at most `limit` tokens, the longest sentence said twice `overlap`; `windowed`: windows are embedded.

    `language` and `average_words` are the lexicon's.
    """

    limit: int
    overlap: int
    windowed: bool
    language: str | None
    average_words: float

    def cut(self, source: Source) -> CutDocument | FileProblem:
        """What became of the page; this raises nothing."""
        try:
            return self._cut(source)
        except ContentError as error:
            return FileProblem(source.path, error.code, error.message)
        except Exception as error:  # noqa: BLE001 - one page must not cost the author the whole book
            place = extract_tb(error.__traceback__)[-1]
            _log.error("%s: %s at %s:%s", source.path, type(error).__name__, Path(place.filename).name, place.lineno)
            return FileProblem(source.path, "internal", f"{source.path} could not be read: it broke the parser.")

    def _cut(self, source: Source) -> CutDocument:
        """A table of contents has no page that could be cited, and would be found for the name of any chapter: it is
        a document without chunks, which no search returns and no outline lists.
        """
        document = read(source)
        chunks = () if generator_for(document.flavor).is_contents(document.path) else self._chunks(document)
        texts = tuple(tuple(windows(chunk)) if self.windowed else (chunk.embed_text,) for chunk in chunks)
        lexicon = _lexicon(self.language, self.average_words)
        indexed = [chunk.embed_text for chunk in chunks]
        return CutDocument(
            _record(document, chunks),
            chunks,
            texts,
            tuple(map(lexicon.document, indexed)),
            tuple(array("I", lexicon.terms(text)) for text in indexed),
            tuple(tuple(map(lexicon.document, each)) for each in texts) if self.windowed else ((),) * len(chunks),
        )

    def _chunks(self, document: Document) -> tuple[Chunk, ...]:
        return tuple(split(document, limit=self.limit, overlap=self.overlap))


@lru_cache(maxsize=2)
def _lexicon(language: str | None, average_words: float) -> Lexicon:
    return Lexicon(language, average_words)


def _record(document: Document, chunks: tuple[Chunk, ...]) -> DocumentRecord:
    shape = outline(document)
    return DocumentRecord(
        path=document.path,
        title=document.title,
        url=document.url,
        sha256=document.sha256,
        trail=document.trail,
        chunks=len(chunks),
        tokens=sum(chunk.tokens for chunk in chunks),
        ingested_at=time.time(),
        headings=shape.headings,
        lead=shape.lead,
    )
