"""A file on disk -> its chunks, the texts that are embedded for them, and the record the index keeps of it."""

import time
from dataclasses import dataclass

from rag.book.chunking import split
from rag.book.corpus import Source, read
from rag.book.markdown import outline
from rag.book.summary import is_summary
from rag.book.windows import windows
from rag.ingest.spool import CutDocument
from rag.lexical import Lexicon
from rag.types import Chunk, Document, DocumentRecord


@dataclass(frozen=True, slots=True)
class Cutter:
    """`lexicon` counts the words; its mean length does not matter for that."""

    lexicon: Lexicon
    limit: int
    overlap: int
    windowed: bool

    def cut(self, source: Source) -> CutDocument:
        """Raises ContentError when the file cannot be read.

        A table of contents has no page that could be cited, and would be found for the name of any chapter: it is
        a document without chunks, which no search returns and no outline lists.
        """
        document = read(source)
        chunks = () if is_summary(document.path, document.flavor) else self._chunks(document)
        texts = tuple(tuple(windows(chunk)) if self.windowed else (chunk.embed_text,) for chunk in chunks)
        return CutDocument(self._record(document, chunks), chunks, texts)

    def _chunks(self, document: Document) -> tuple[Chunk, ...]:
        return tuple(split(document, limit=self.limit, overlap=self.overlap))

    def _record(self, document: Document, chunks: tuple[Chunk, ...]) -> DocumentRecord:
        shape = outline(document)
        return DocumentRecord(
            path=document.path,
            title=document.title,
            url=document.url,
            sha256=document.sha256,
            trail=document.trail,
            chunks=len(chunks),
            tokens=sum(chunk.tokens for chunk in chunks),
            words=sum(self.lexicon.words(chunk.embed_text) for chunk in chunks),
            ingested_at=time.time(),
            headings=shape.headings,
            lead=shape.lead,
        )
