"""Vectors kept by text: across runs in an SQLite file, and the last questions in memory.

The file is a convenience. Where it cannot be read or written (a full disk, a read-only folder, a damaged file) vectors
are computed again and one warning says so.
"""

import asyncio
import hashlib
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from rag.embedding.base import Embedder, Vectors
from rag.embedding.vectors_file import VectorsFile

_log = logging.getLogger(__name__)
QUERIES = 1024

T = TypeVar("T")


class CachedEmbedder:
    """An embedder that never embeds the same text twice; `path` None keeps only the last questions, in memory.

    Any number of processes may share the file.
    """

    def __init__(self, embedder: Embedder, path: Path | None = None, *, queries: int = QUERIES) -> None:
        self._embedder = embedder
        self._path = path
        self._most_queries = queries
        self._queries: OrderedDict[str, Vectors] = OrderedDict()
        self._pending: dict[bytes, asyncio.Future[Vectors | None]] = {}
        self._file: VectorsFile | None = None
        self._thread: ThreadPoolExecutor | None = None

    @property
    def fingerprint(self) -> str:
        return self._embedder.fingerprint

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    async def open(self) -> None:
        """Opens the embedder; the file is opened when the first document comes."""
        await self._embedder.open()

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        if not self.dimensions:
            return await self._embedder.embed_documents(texts)
        if not texts:
            return np.empty((0, self.dimensions), np.float32)
        keys = [self._key(text, self.dimensions) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        others = {key: self._pending[key] for key in wanted if key in self._pending}
        known = await self._found_or_embedded({key: text for key, text in wanted.items() if key not in others})
        if others:
            await asyncio.wait(others.values())
            known |= {key: vector for key, other in others.items() if (vector := other.result()) is not None}
            known |= await self._found_or_embedded({key: wanted[key] for key in others if key not in known})
        return np.stack([known[key] for key in keys])

    async def _found_or_embedded(self, wanted: Mapping[bytes, str]) -> dict[bytes, Vectors]:
        """Callers who want the same meanwhile wait for this one; they learn None when it fails."""
        if not wanted:
            return {}
        loop = asyncio.get_running_loop()
        promised: dict[bytes, asyncio.Future[Vectors | None]] = {key: loop.create_future() for key in wanted}
        self._pending |= promised
        known: dict[bytes, Vectors] = {}
        try:
            known |= await self._in_file(lambda file: file.read(list(wanted), self.dimensions)) or {}
            missing = [key for key in wanted if key not in known]
            if missing:
                vectors = await self._embedder.embed_documents([wanted[key] for key in missing])
                fresh = dict(zip(missing, vectors, strict=True))
                known |= fresh
                await self._in_file(lambda file: file.write(fresh))
            return known
        finally:
            for key, promise in promised.items():
                if self._pending.get(key) is promise:
                    del self._pending[key]
                promise.set_result(known.get(key))

    async def missing(self, texts: Sequence[str], dimensions: int) -> set[str]:
        """Those of the texts that had to be embedded for vectors of that length when this cache was first used. Needs
        no open embedder.
        """
        if self._file is not None and self._file.began_empty:
            return set(texts)
        keys = {self._key(text, dimensions): text for text in texts}
        missing = await self._in_file(lambda file: file.missing(list(keys), dimensions)) if dimensions else None
        return set(texts) if missing is None else {keys[key] for key in missing}

    async def embed_query(self, text: str) -> Vectors:
        kept = self._queries.get(text)
        if kept is None:
            kept = await self._embedder.embed_query(text)
            kept.setflags(write=False)  # everyone gets the same array
            self._queries[text] = kept
        self._queries.move_to_end(text)
        while len(self._queries) > self._most_queries:
            self._queries.popitem(last=False)
        return kept

    async def prune(self) -> int:
        """Drops what nobody asked for since this cache was opened; returns how many vectors went.

        To be called after a whole book went through it, never after a part.
        """
        return await self._in_file(lambda file: file.prune()) or 0

    async def close(self) -> None:
        await self._in_file(lambda file: file.close(), only_if_open=True)
        if self._thread is not None:
            self._thread.shutdown(wait=False)
        self._file = self._thread = None
        await self._embedder.close()

    def _key(self, text: str, dimensions: int) -> bytes:
        digest = hashlib.sha256(f"{self.fingerprint}\0{dimensions}\0".encode())
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()

    async def _in_file(self, use: Callable[[VectorsFile], T], *, only_if_open: bool = False) -> T | None:
        """What `use` returns, in the one thread that owns the file; None where there is no file to use."""
        if self._path is None or (only_if_open and self._file is None):
            return None
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="vectors")
        path = self._path

        def work() -> T:
            file = self._file = self._file or VectorsFile(path)
            try:
                return use(file)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                _log.warning("%s was damaged: %d vectors were kept, the others are embedded again.", path, file.mend())
                return use(file)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as error:
            self._path = None
            _log.warning("Embeddings are not kept between runs: %s cannot be used (%s).", path.name, error)
            return None
