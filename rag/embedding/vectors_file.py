"""The SQLite file of the vectors: float32 blobs by key, with the time of their last use beside them.

The blobs have a table of their own, so that noting a use does not rewrite them. Behind each vector stands a CRC-32 of
its key and its numbers, for SQLite does not see a page whose content has changed. A vector without one, as earlier
versions wrote it, is believed when its length is 1, which that of every embedder here is.

A vector that is not as it was written is as good as none, and is written again. A file that SQLite finds malformed is
replaced by one with all that can still be read of it.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from zlib import crc32

import numpy as np

from rag.embedding.base import Vectors

_log = logging.getLogger(__name__)
_VERSION = 1
_MOST_BYTES = 1 << 30
_WAIT_SECONDS = 10.0
_SLICE = 500
_CHECKSUM = 4  # bytes
_UNIT = 1e-3  # how far from 1 the length of a unit vector is at most
_MOST_ROWS = 2**24  # no file within its bound has more; a damaged one may say so
_ENTER = "INSERT INTO entry (key, used) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET used = excluded.used RETURNING id"
_PAGE = 2**15  # bytes: a vector in one piece is written in half the time
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, used INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS vector (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
PRAGMA user_version = {_VERSION};
"""


class VectorsFile:
    """For one thread at a time. Raises sqlite3.Error or OSError when it cannot be read.

    When it cannot be written it goes on being read. A file that is no database is started anew; `mend` is for one that
    turns out to be malformed (sqlite3.DatabaseError, but no OperationalError) when it is used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened_at = int(time.time())
        self._frozen = False
        self._bytes_each = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _connected(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            _remove(path)
            self._db = _connected(path)
        try:
            self._newest: int = self._db.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._newest = 0
            kept = self.mend()
            _log.warning("The file of vectors was damaged: %d were kept, the others are embedded once more.", kept)
            self._newest = self._last()

    @property
    def began_empty(self) -> bool:
        """True when it held nothing when it was opened."""
        return not self._newest

    def read(self, keys: Sequence[bytes], dimensions: int) -> dict[bytes, Vectors]:
        """The vectors that are there; those of another length are not."""
        found: dict[bytes, Vectors] = {}
        used: list[int] = []
        for part in _slices(list(dict.fromkeys(keys))):
            marks = ",".join("?" * len(part))
            rows = self._db.execute(
                f"SELECT id, key, used, data FROM entry JOIN vector USING (id) WHERE key IN ({marks})",  # noqa: S608
                part,
            )
            for number, key, last_used, data in rows:
                if _is_sound(key, data, dimensions):
                    found[key] = np.frombuffer(data, dtype="<f4", count=dimensions).astype(np.float32)
                    if last_used < self._opened_at:
                        used.append(number)
        self._note_use(used)
        return found

    def missing(self, keys: Sequence[bytes], dimensions: int) -> set[bytes]:
        """Those of the keys that had no vector of that length when this file was opened; asking is no use of them.

        What is written meanwhile does not count: a plan says the same however far the work has come.
        """
        missing = set(keys)
        for part in _slices(list(missing)):
            marks = ",".join("?" * len(part))
            rows = self._db.execute(
                f"SELECT key, data FROM entry JOIN vector USING (id) WHERE key IN ({marks}) AND id <= ?",  # noqa: S608
                [*part, self._newest],
            )
            missing.difference_update(key for key, data in rows if _is_sound(key, data, dimensions))
        return missing

    def write(self, vectors: Mapping[bytes, Vectors]) -> None:
        """Adds the vectors, in the place of what was there and was not usable."""
        with self._writing() as db:
            if db is None:
                return
            for key, vector in vectors.items():
                numbers = vector.astype("<f4").tobytes()
                (number,) = db.execute(_ENTER, (key, self._opened_at)).fetchone()
                db.execute("INSERT OR REPLACE INTO vector VALUES (?, ?)", (number, numbers + _checksum(key, numbers)))
                self._bytes_each = len(numbers) + _CHECKSUM

    def prune(self) -> int:
        """Drops what was last used before this file was opened; returns how many went."""
        return self._drop("used < ?", self._opened_at)

    def close(self) -> None:
        """Drops the longest unused where the file has outgrown its bound."""
        kept = _MOST_BYTES // self._bytes_each if self._bytes_each else 0
        if self._bytes_each and self._db.execute("SELECT count(*) FROM entry").fetchone()[0] > kept:
            self._drop("id IN (SELECT id FROM entry ORDER BY used DESC, id DESC LIMIT -1 OFFSET ?)", kept)
        self._db.close()

    def mend(self) -> int:
        """Replaces the file by one with all that can still be read of it; returns how many vectors that are.

        Who has the old one open meanwhile goes on with it.
        """
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        _remove(beside)
        mended = _connected(beside)
        kept = 0
        try:
            for number in range(1, self._last() + 1, _SLICE):
                rows = list(self._readable(number))
                with mended:
                    mended.execute("BEGIN IMMEDIATE")
                    mended.executemany("INSERT OR IGNORE INTO entry VALUES (?, ?, ?)", (row[:3] for row in rows))
                    mended.executemany("INSERT OR IGNORE INTO vector VALUES (?, ?)", ((r[0], r[3]) for r in rows))
                kept += len(rows)
            mended.execute("PRAGMA journal_mode = DELETE")
        finally:
            mended.close()
        self._db.close()
        _remove(self._path)
        beside.replace(self._path)
        self._db = _connected(self._path)
        return kept

    def _last(self) -> int:
        found = [self._newest]
        for table in ("entry", "vector"):
            with suppress(sqlite3.DatabaseError):
                found.append(self._db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0])  # noqa: S608
        return min(max(found), _MOST_ROWS)

    def _readable(self, first: int) -> Iterator[tuple[int, bytes, int, bytes]]:
        """Id, key, use and data of the rows of a slice that can be read: all at once, else one by one."""
        rows = "SELECT id, key, used, data FROM entry JOIN vector USING (id) WHERE id BETWEEN ? AND ?"
        try:
            found = self._db.execute(rows, (first, first + _SLICE - 1)).fetchall()
        except sqlite3.DatabaseError:
            found = []
            for number in range(first, first + _SLICE):
                with suppress(sqlite3.DatabaseError):
                    found += self._db.execute(rows, (number, number)).fetchall()
        yield from (row for row in found if isinstance(row[1], bytes) and isinstance(row[3], bytes))

    def _drop(self, which: str, value: int) -> int:
        gone = 0
        with self._writing() as db:
            if db is not None:
                db.execute(f"DELETE FROM vector WHERE id IN (SELECT id FROM entry WHERE {which})", (value,))  # noqa: S608
                gone = db.execute(f"DELETE FROM entry WHERE {which}", (value,)).rowcount  # noqa: S608
        return gone

    def _note_use(self, numbers: list[int]) -> None:
        if not numbers:
            return
        with self._writing() as db:
            if db is not None:
                db.executemany("UPDATE entry SET used = ? WHERE id = ?", ((self._opened_at, n) for n in numbers))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection | None]:
        """One transaction; None, once a write has failed, from then on."""
        if self._frozen:
            yield None
            return
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
        except sqlite3.OperationalError as error:
            self._frozen = True
            _log.warning("New embeddings are not kept: the file of vectors cannot be written (%s).", error)


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute(f"PRAGMA page_size = {_PAGE}")  # of a new file
        with suppress(sqlite3.OperationalError):  # some file systems cannot; the journal of old does as well
            db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            db.executescript("DROP TABLE IF EXISTS entry; DROP TABLE IF EXISTS vector;")
        if version != _VERSION:
            db.executescript(_SCHEMA)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _remove(path: Path) -> None:
    """The database, with what SQLite keeps beside it."""
    for leftover in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        leftover.unlink(missing_ok=True)


def _checksum(key: bytes, numbers: bytes) -> bytes:
    return crc32(numbers, crc32(key)).to_bytes(_CHECKSUM, "little")


def _is_sound(key: bytes, data: object, dimensions: int) -> bool:
    """Whether that is a vector of that length as it was written."""
    size = dimensions * 4
    if not isinstance(data, bytes) or len(data) not in (size, size + _CHECKSUM):
        return False
    if len(data) > size:
        return data[size:] == _checksum(key, data[:size])
    length = np.linalg.norm(np.frombuffer(data, dtype="<f4").astype(np.float64))
    return bool(abs(length - 1) < _UNIT)


def _slices(keys: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(keys), _SLICE):
        yield keys[start : start + _SLICE]
