"""The folders of the embedded index: a series of generations that are never changed once they are published.

    DATA_DIR/index/lock            held by the one writer
                   current         the name of the published generation
                   <generation>/   about.json · documents.json · in-use (held by every reader) · shard/

A generation is written in full, synced, and then named in `current` by a rename: whatever is killed whenever,
`current` names a whole generation. `about.json` holds a checksum of every file and of itself, and no generation is
opened whose files differ: the last one that is whole takes its place, or else the next ingest makes the index anew.

Locks are flock's, and so they die with their process. Readers, and the writer while it writes, hold a generation's
`in-use` in shared mode; whoever lets go of a replaced generation removes it when it can be held exclusively.
"""

import fcntl
import json
import logging
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from zlib import crc32

from rag.errors import IndexMismatch, IngestRunning, StoreUnavailable
from rag.store.base import IndexConfig
from rag.store.checksums import Checksums, canonical, checksums, damage
from rag.store.files import FULL, copy_tree, disk_bytes, sync, sync_tree
from rag.types import IndexInfo

_log = logging.getLogger(__name__)
FORMAT = 7
ROOM = 64 * 2**20  # bytes that must stay free: the engine maps its files, and a full disk would kill the process
_TRIES = 20
_UNSUMMED = {"about.json", "in-use"}  # the first has a checksum of its own, the second is always empty


@dataclass(frozen=True, slots=True)
class IndexManifest:
    """What a generation says of itself. `engine` names the version that wrote it, `files` are its checksums."""

    config: IndexConfig
    info: IndexInfo
    engine: str
    format: int = FORMAT
    files: Checksums = field(default_factory=dict)


class GenerationLease:
    """A whole generation that stays on disk until `release`."""

    def __init__(self, path: Path, manifest: IndexManifest, descriptor: int, released: Callable[[Path], None]) -> None:
        self.name = path.name
        self.shard = path / "shard"
        self.manifest = manifest
        self._path = path
        self._descriptor = descriptor
        self._released = released

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._released(self._path)


class Damaged(IndexMismatch):
    """A generation whose files are not as they were written."""


class Generations:
    """`engine` is the version of the engine in use; a generation of another one is refused."""

    def __init__(self, data_dir: Path, engine: str) -> None:
        self._root = data_dir / "index"
        self._pointer = self._root / "current"
        self._engine = engine
        self._begun: dict[Path, int] = {}  # the open locks of what is being written

    @property
    def root(self) -> Path:
        return self._root

    def stamp(self) -> tuple[int, int] | None:
        """Changes whenever another generation is published; costs one stat."""
        with self._readable(), suppress(FileNotFoundError, NotADirectoryError):
            status = self._pointer.stat()
            return status.st_ino, status.st_mtime_ns
        return None

    def hold(self) -> GenerationLease | None:
        """Return the published generation after checking its files, None when there is none.

        A damaged one is replaced by the newest that is whole, for good where no writer is at work. Reads every file:
        to be called in a thread. Raises IndexMismatch when the index must be built anew.
        """
        try:
            name = self._published()
            lease = self._held_published() if name is not None else None
        except Damaged as error:
            lease = self._held_last_whole()
            if lease is None:
                raise
            _log.warning("%s The one before it answers, of generation %s.", error.message, lease.name)
            return lease
        if name is None and (lease := self._held_last_whole()) is not None:
            _log.warning("%s was gone and names generation %s again.", self._pointer, lease.name)
        return lease

    def _held_published(self) -> GenerationLease | None:
        for _ in range(_TRIES):
            name = self._published()
            if name is None:
                return None
            lease = self._held(name)
            if lease is not None:
                return lease
        raise Damaged(f"{self._pointer} names an index that is not there; it is built anew by the next ingest.")

    def _held_last_whole(self) -> GenerationLease | None:
        """The newest generation whose files are all as they were written; `current` names it from now on."""
        stamp = self.stamp()
        candidates: list[tuple[float, str]] = []
        for path in self._folders():
            with suppress(IndexMismatch):
                candidates.append((self._manifest(path.name).info.built_at or 0.0, path.name))
        for _, name in sorted(candidates, reverse=True):
            with suppress(IndexMismatch):
                lease = self._held(name)
                if lease is not None:
                    with suppress(OSError, IngestRunning, StoreUnavailable), self.acquire_lease():
                        if self.stamp() == stamp:  # nobody has published meanwhile
                            self._point_to(name)
                    return lease
        return None

    def _held(self, name: str) -> GenerationLease | None:
        """That generation, checked; None when it is just being removed. Raises IndexMismatch."""
        path = self._root / name
        descriptor = self._lock_shared(path)
        if descriptor is None:
            return None
        try:
            manifest = self._manifest(name)
            wrong = damage(path, manifest.files, leaving=_UNSUMMED)
            if wrong is not None:
                raise Damaged(f"The index in {path} is damaged ({wrong}); it is built anew by the next ingest.")
            return GenerationLease(path, manifest, descriptor, self._drop_replaced)
        except BaseException:
            os.close(descriptor)
            raise

    def documents(self) -> Mapping[str, str]:
        """Return the SHA-256 of each document of the published generation, by its path, without opening its shard.

        Empty when there is none or when it cannot be relied on.
        """
        try:
            name = self._published()
            if name is None:
                return {}
            manifest = self._manifest(name)
            content = json.loads((self._root / name / "documents.json").read_text(encoding="utf-8"))
        except (IndexMismatch, OSError, ValueError):
            return {}
        return content if manifest.files.get("documents.json") == f"json:{crc32(canonical(content)):08x}" else {}

    @contextmanager
    def acquire_lease(self) -> Iterator[None]:
        """Held by the one writer. Raises IngestRunning or StoreUnavailable."""
        with writable(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _try_lock(descriptor, fcntl.LOCK_EX):
                raise IngestRunning("The book is being ingested already; wait until that run has ended.")
            yield
        finally:
            os.close(descriptor)

    def begin(self, base: GenerationLease | None) -> Path:
        """A new folder nobody points to: empty, or with a copy of `base`. Its `shard` is the engine's to fill."""
        path = self._root / f"{uuid.uuid4().hex[:16]}"
        with writable(self._root):
            path.mkdir()
            self._begun[path] = os.open(path / "in-use", os.O_RDONLY | os.O_CREAT, 0o644)
            _try_lock(self._begun[path], fcntl.LOCK_SH)  # so that no reader removes what it takes for replaced
            if base is None:
                self.require_room(0)
                (path / "shard").mkdir()
            else:
                self.require_room(disk_bytes(base.shard))
                copy_tree(base.shard, path / "shard")
        return path

    def require_room(self, needed: int = 0) -> None:
        """Raises StoreUnavailable when fewer than `needed` bytes and a reserve are free."""
        free = shutil.disk_usage(self._root).free
        if free < needed + ROOM:
            raise StoreUnavailable(
                f"The disk that holds {self._root} is full: {(needed + ROOM) // 2**20} MB are needed"
                f" and {free // 2**20} MB are free. The index is as it was."
            )

    def publish(self, path: Path, manifest: IndexManifest, documents: Mapping[str, str]) -> None:
        """Makes the generation durable, then visible. The engine must have closed it; `documents` as in `documents`."""
        with writable(self._root):
            (path / "documents.json").write_bytes(canonical(dict(documents)))
            sums = checksums(path, leaving=_UNSUMMED)
            (path / "about.json").write_text(_sealed(replace(manifest, files=sums)), encoding="utf-8")
            sync_tree(path)
            self._point_to(path.name)
        os.close(self._begun.pop(path))

    def _point_to(self, name: str) -> None:
        beside = self._pointer.with_name("current.new")
        beside.write_text(name, encoding="utf-8")
        sync(beside)
        if self._pointer.is_dir():
            shutil.rmtree(self._pointer)
        beside.replace(self._pointer)
        sync(self._root)

    def discard(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)
        if (descriptor := self._begun.pop(path, None)) is not None:
            os.close(descriptor)

    def sweep(self) -> None:
        """Removes every generation that is neither published nor read by anyone. Only the writer may.

        While `current` names none, only what was never finished goes: one of the others may be the last whole one.
        """
        try:
            published = self._published()
        except Damaged:
            published = None
        for path in self._folders():
            replaced = published is not None and path.name != published
            if (replaced or not (path / "about.json").exists()) and not self._is_read(path):
                shutil.rmtree(path, ignore_errors=True)

    def drop_replaced(self) -> None:
        """Removes what was replaced and is read by nobody, in a thread of its own. Any process may."""
        for path in self._folders():
            self._drop_replaced(path)

    def _drop_replaced(self, path: Path) -> None:
        with suppress(StoreUnavailable, IndexMismatch):
            name = self._published()
            replaced = name not in (None, path.name) and (self._root / str(name) / "about.json").exists()
            if replaced and (path / "about.json").exists() and not self._is_read(path):
                threading.Thread(target=shutil.rmtree, args=(path, True), name="remove index").start()

    def _folders(self) -> list[Path]:
        try:
            return [path for path in self._root.iterdir() if path.is_dir() and path.name.isalnum()]
        except OSError:
            return []

    def _is_read(self, path: Path) -> bool:
        try:
            descriptor = os.open(path / "in-use", os.O_RDONLY)
        except OSError:
            return False
        try:
            if not _try_lock(descriptor, fcntl.LOCK_EX):
                return True
            with suppress(OSError):
                (path / "in-use").unlink()  # under the lock, so that a reader that comes now starts over
            return False
        finally:
            os.close(descriptor)

    def _published(self) -> str | None:
        with self._readable():
            try:
                name = self._pointer.read_text(encoding="ascii").strip()
            except (FileNotFoundError, NotADirectoryError):
                return None
            except (UnicodeDecodeError, IsADirectoryError):
                name = ""
        if not name.isalnum():
            raise Damaged(f"{self._pointer} is damaged; the index is built anew by the next ingest.")
        return name

    def _lock_shared(self, path: Path) -> int | None:
        """The open lock of a generation; None when a writer is just removing it or has removed it."""
        with self._readable():
            try:
                descriptor = os.open(path / "in-use", os.O_RDONLY)
            except (FileNotFoundError, NotADirectoryError):
                return None
            if _try_lock(descriptor, fcntl.LOCK_SH) and os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)
            return None

    def _manifest(self, name: str) -> IndexManifest:
        """Raises IndexMismatch for one of another version, Damaged for one that is not as it was written."""
        path = self._root / name / "about.json"
        try:
            manifest, whole = _unsealed(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise Damaged(f"{path} cannot be read; the index is built anew by the next ingest.") from None
        if (manifest.format, manifest.engine) != (FORMAT, self._engine):
            raise IndexMismatch(
                f"The index in {self._root} was written by {manifest.engine} (format {manifest.format}) and this is"
                f" {self._engine} (format {FORMAT}); ingest again to rebuild it."
            )
        if not whole:
            raise Damaged(f"{path} is not as it was written; the index is built anew by the next ingest.")
        return manifest

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise StoreUnavailable(f"{self._root} cannot be read: {os.strerror(error.errno or 0)}.") from error


@contextmanager
def writable(where: Path) -> Iterator[None]:
    """A failing write in `where` becomes one sentence."""
    try:
        yield
    except OSError as error:
        reason = "the disk is full" if error.errno in FULL else os.strerror(error.errno or 0)
        raise StoreUnavailable(f"{where} cannot be written: {reason}. The index is as it was.") from error


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sealed(manifest: IndexManifest) -> str:
    """As JSON, with a checksum of all of it."""
    fields = asdict(manifest)
    return json.dumps(fields | {"checksum": crc32(canonical(fields))})


def _unsealed(written: str) -> tuple[IndexManifest, bool]:
    """What was written, and whether it is as it was. Raises ValueError, KeyError, TypeError."""
    fields: dict[str, Any] = json.loads(written)
    checksum = fields.pop("checksum", None)
    config, info = IndexConfig(**fields["config"]), IndexInfo(**fields["info"])
    files = fields.get("files", {})  # indexes of older formats have none
    return IndexManifest(config, info, fields["engine"], fields["format"], files), checksum == crc32(canonical(fields))
