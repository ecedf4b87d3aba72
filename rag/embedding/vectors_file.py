"""The SQLite file of the vectors: float32 blobs by key, with the time of their last use beside them.

The blobs have a table of their own, so that noting a use does not rewrite them.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from rag.embedding.base import Vectors

_log = logging.getLogger(__name__)
_VERSION = 1
_MOST_BYTES = 1 << 30
_WAIT_SECONDS = 10.0
_SLICE = 500
_PAGE = 2**15  # bytes: a vector in one piece is written in half the time
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, used INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS vector (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
PRAGMA user_version = {_VERSION};
"""


class VectorsFile:
    """For one thread at a time. Raises sqlite3.Error or OSError when it cannot be read.

    When it cannot be written it goes on being read. A file that is no database is started anew.
    """

    def __init__(self, path: Path) -> None:
        self._opened_at = int(time.time())
        self._frozen = False
        self._bytes_each = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _connected(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            for leftover in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
                leftover.unlink(missing_ok=True)
            self._db = _connected(path)
        self._newest = self._db.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()[0]

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
                if len(data) == dimensions * 4:
                    found[key] = np.frombuffer(data, dtype="<f4").astype(np.float32)
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
                f"SELECT key FROM entry JOIN vector USING (id)"  # noqa: S608
                f" WHERE key IN ({marks}) AND length(data) = ? AND id <= ?",
                [*part, dimensions * 4, self._newest],
            )
            missing.difference_update(key for (key,) in rows)
        return missing

    def write(self, vectors: Mapping[bytes, Vectors]) -> None:
        """Adds the vectors; what is there already, from another process perhaps, stays."""
        with self._writing() as db:
            if db is None:
                return
            for key, vector in vectors.items():
                done = db.execute(
                    "INSERT INTO entry (key, used) VALUES (?, ?) ON CONFLICT (key) DO NOTHING", (key, self._opened_at)
                )
                if done.rowcount:
                    data = vector.astype("<f4").tobytes()
                    db.execute("INSERT OR REPLACE INTO vector VALUES (?, ?)", (done.lastrowid, data))
                    self._bytes_each = len(data)

    def prune(self) -> int:
        """Drops what was last used before this file was opened; returns how many went."""
        return self._drop("used < ?", self._opened_at)

    def close(self) -> None:
        """Drops the longest unused where the file has outgrown its bound."""
        kept = _MOST_BYTES // self._bytes_each if self._bytes_each else 0
        if self._bytes_each and self._db.execute("SELECT count(*) FROM entry").fetchone()[0] > kept:
            self._drop("id IN (SELECT id FROM entry ORDER BY used DESC, id DESC LIMIT -1 OFFSET ?)", kept)
        self._db.close()

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


def _slices(keys: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(keys), _SLICE):
        yield keys[start : start + _SLICE]
