"""Documents cut into chunks, kept in a file without a name between cutting and storing.

The mean length of all chunks must be known before the first one is stored, and a book may be larger than memory.
"""

import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import IO, Self

from pydantic import TypeAdapter

from rag.errors import StoreUnavailable
from rag.types import Chunk, DocumentRecord


@dataclass(frozen=True, slots=True)
class CutDocument:
    """A document ready to be embedded: for each chunk the texts whose vectors stand for it.

    With windows these are the chunk's windows, without the chunk's own `embed_text` alone. `new` holds for each
    chunk the tokens that must be embedded, None where every vector is known.
    """

    record: DocumentRecord
    chunks: tuple[Chunk, ...]
    texts: tuple[tuple[str, ...], ...]
    new: tuple[int | None, ...] = ()

    def every_text(self) -> list[str]:
        return [text for texts in self.texts for text in texts]

    def with_new(self, unknown: Container[str]) -> "CutDocument":
        """`unknown` are the texts without a vector. Tokens by their share of the chunk's: within a few per cent."""
        return replace(self, new=tuple(map(partial(_tokens, unknown), self.chunks, self.texts)))


def _tokens(unknown: Container[str], chunk: Chunk, texts: tuple[str, ...]) -> int | None:
    lengths = [len(text) for text in texts if text in unknown]
    return ceil(sum(lengths) * chunk.tokens / max(len(chunk.text), 1)) if lengths else None


_line: TypeAdapter[CutDocument] = TypeAdapter(CutDocument)


class Spool:
    """`with Spool(directory) as spool`: write, then read as often as needed. The file vanishes with the process.

    Raises StoreUnavailable where the disk does not take it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: IO[bytes] | None = None
        self.records: dict[str, DocumentRecord] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def write(self, document: CutDocument) -> None:
        line = _line.dump_json(document)
        with self._disk():
            if self._file is None:
                self._directory.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - closed on leaving
            self._file.write(line + b"\n")
        self.records[document.record.path] = document.record

    def read(self) -> Iterator[CutDocument]:
        """In the order of writing. Writing while reading is not possible."""
        if self._file is None:
            return
        with self._disk():
            self._file.seek(0)
        for line in self._file:
            yield _line.validate_json(line)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(
                f"The data directory {self._directory} cannot be written to: {error.strerror}."
            ) from None
