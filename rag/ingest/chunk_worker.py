"""A file on disk -> its chunks, the texts that are embedded for them, the BM25 vectors of both, and its record."""

import asyncio
import logging
import os
import pickle
import signal
import struct
import sys
import time
from array import array
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Container, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import ceil
from pathlib import Path
from traceback import extract_tb
from typing import BinaryIO

from rag.corpus.generators import generator_for
from rag.corpus.scan import Source, read
from rag.errors import ContentError
from rag.events import FileProblem
from rag.ingest.worker_process import PARENT, end_with_parent
from rag.markdown.chunking import split
from rag.markdown.parser import outline
from rag.markdown.windows import windows
from rag.text.bm25 import Bm25Encoder
from rag.types import Chunk, Document, DocumentRecord, SparseVector

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChunkedDocument:
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

    def with_new(self, unknown: Container[str], read: Callable[[str], bool]) -> "ChunkedDocument":
        """`unknown` are the texts without a vector; those that the model can `read` are embedded. Tokens by their share
        of the chunk's: within a few per cent.
        """
        return replace(self, new=tuple(map(partial(_tokens, unknown, read), self.chunks, self.texts)))


def _tokens(unknown: Container[str], read: Callable[[str], bool], chunk: Chunk, texts: tuple[str, ...]) -> int | None:
    new = [text for text in texts if text in unknown]
    embedded = sum(len(text) for text in new if read(text))
    return ceil(embedded * chunk.tokens / max(len(chunk.text), 1)) if new else None


@dataclass(frozen=True, slots=True)
class DocumentChunker:
    """Chunks of at most `limit` tokens, the longest sentence said twice `overlap`; `windowed`: windows are embedded.

    `language` and `average_words` are the lexicon's.
    """

    limit: int
    overlap: int
    windowed: bool
    language: str | None
    average_words: float

    def cut(self, source: Source) -> ChunkedDocument | FileProblem:
        """What became of the page; this raises nothing."""
        try:
            return self._cut(source)
        except ContentError as error:
            return FileProblem(source.path, error.code, error.message)
        except Exception as error:  # noqa: BLE001 - one page must not cost the author the whole book
            place = extract_tb(error.__traceback__)[-1]
            _log.error("%s: %s at %s:%s", source.path, type(error).__name__, Path(place.filename).name, place.lineno)
            return FileProblem(source.path, "internal", f"{source.path} could not be read: it broke the parser.")

    def _cut(self, source: Source) -> ChunkedDocument:
        """A table of contents has no page that could be cited, and would be found for the name of any chapter: it is
        a document without chunks, which no search returns and no outline lists.
        """
        document = read(source)
        chunks = () if generator_for(document.flavor).is_contents(document.path) else self._chunks(document)
        texts = tuple(tuple(windows(chunk)) if self.windowed else (chunk.embed_text,) for chunk in chunks)
        encoder = _encoder(self.language, self.average_words)
        indexed = [chunk.embed_text for chunk in chunks]
        return ChunkedDocument(
            _record(document, chunks),
            chunks,
            texts,
            tuple(map(encoder.document, indexed)),
            tuple(array("I", encoder.terms(text)) for text in indexed),
            tuple(tuple(map(encoder.document, each)) for each in texts) if self.windowed else ((),) * len(chunks),
        )

    def _chunks(self, document: Document) -> tuple[Chunk, ...]:
        return tuple(split(document, limit=self.limit, overlap=self.overlap))


@lru_cache(maxsize=2)
def _encoder(language: str | None, average_words: float) -> Bm25Encoder:
    return Bm25Encoder(language, average_words)


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


_log = logging.getLogger(__name__)

FROM = 64  # files; fewer are cut before a process has started
_MEANWHILE = 32  # files that are cut here until it has
_AHEAD = 2**20  # bytes that may wait to be read
_LENGTH = struct.Struct(">I")
_ROOT = Path(__file__).resolve().parent.parent.parent

ChunkOutcome = ChunkedDocument | FileProblem


async def chunk_all(
    chunker: DocumentChunker, sources: Sequence[Source], *, beside_from: int = FROM
) -> AsyncGenerator[ChunkOutcome, None]:
    """What became of each source, in their order. Raises ContentError when the process that cuts ends early."""
    beside = sources[min(_MEANWHILE, beside_from) :] if len(sources) >= beside_from else []
    async with _cutting(chunker, beside) as process:
        away = 0 if process is None else len(beside)
        for source in sources[: len(sources) - away]:
            yield chunker.cut(source)
            await yield_to_loop()  # parsing never waits
        if process is not None:
            for _ in beside:
                yield await _answer(process)
                await asyncio.sleep(0)  # several answers may be there


@asynccontextmanager
async def _cutting(chunker: DocumentChunker, sources: Sequence[Source]) -> AsyncIterator[Process | None]:
    """The process at work; None where there is nothing to do, or where no process can be started."""
    try:
        process = await _started() if sources else None
    except OSError as error:
        _log.warning("no process could be started to cut pages beside the rest (%s)", error.strerror)
        process = None
    if process is None:
        yield None
        return
    telling = asyncio.create_task(_tell(process, pickle.dumps((chunker, sources))))
    try:
        yield process
    finally:
        telling.cancel()
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _started() -> Process:
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rag.ingest.chunk_worker",
        stdin=PIPE,
        stdout=PIPE,
        limit=_AHEAD,
        env={**os.environ, PARENT: str(os.getpid()), "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        start_new_session=True,  # Ctrl-C is for the ingest, which ends this itself
    )


async def _tell(process: Process, task: bytes) -> None:
    assert process.stdin is not None
    with suppress(ConnectionError):
        process.stdin.write(task)
        await process.stdin.drain()
        process.stdin.close()


async def _answer(process: Process) -> ChunkOutcome:
    assert process.stdout is not None
    try:
        (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        cut: ChunkOutcome = pickle.loads(await process.stdout.readexactly(length))  # noqa: S301 - our own process
    except asyncio.IncompleteReadError:
        killed = await process.wait() == -signal.SIGKILL
        why = "was killed, perhaps because memory ran out" if killed else "ended unexpectedly"
        raise ContentError(f"The process that reads the pages {why}; the index is as it was.") from None
    return cut


def main() -> None:
    end_with_parent()
    answers = _own_stdout()
    try:
        chunker, sources = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
        for source in sources:
            answer = pickle.dumps(chunker.cut(source))
            answers.write(_LENGTH.pack(len(answer)) + answer)
            answers.flush()
    except (BrokenPipeError, EOFError, pickle.UnpicklingError):
        os._exit(1)  # who asked is gone, and with it who could read what is still to be flushed


def _own_stdout() -> BinaryIO:
    """What a library prints goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


_TURNS = 12  # of the loop: the answer of a call comes in seven pieces


async def yield_to_loop() -> None:
    """Between two pieces of such work: lets the calls under way get on, and a cancel in."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


if __name__ == "__main__":
    main()
