"""The folders of the embedded index: a series of generations that are never changed once they are published.

    DATA_DIR/index/lock            held by the one writer
                   current         the name of the published generation
                   <generation>/   about.json · in-use (held by every reader) · shard/

A generation is written in full, synced, and then named in `current` by a rename: whatever is killed whenever,
`current` names a whole generation. Locks are flock's, and so they die with their process. A reader holds
its generation's `in-use` in shared mode; the writer removes only what it can hold exclusively.
"""

import errno
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rag.errors import IndexMismatch, IngestRunning, StoreUnavailable
from rag.store.base import IndexConfig
from rag.types import IndexInfo

FORMAT = 6
ROOM = 64 * 2**20  # bytes that must stay free: the engine maps its files, and a full disk would kill the process
_TRIES = 20


@dataclass(frozen=True, slots=True)
class About:
    """What a generation says of itself. `engine` names the version that wrote it."""

    config: IndexConfig
    info: IndexInfo
    engine: str
    format: int = FORMAT


class Lease:
    """A published generation that stays on disk until `release`."""

    def __init__(self, path: Path, about: About, descriptor: int) -> None:
        self.name = path.name
        self.shard = path / "shard"
        self.about = about
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Generations:
    """`engine` is the version of the engine in use; a generation of another one is refused."""

    def __init__(self, data_dir: Path, engine: str) -> None:
        self._root = data_dir / "index"
        self._pointer = self._root / "current"
        self._engine = engine

    @property
    def root(self) -> Path:
        return self._root

    def stamp(self) -> tuple[int, int] | None:
        """Changes whenever another generation is published; costs one stat."""
        with self._readable(), suppress(FileNotFoundError, NotADirectoryError):
            status = self._pointer.stat()
            return status.st_ino, status.st_mtime_ns
        return None

    def hold(self) -> Lease | None:
        """The published generation, or None when there is none. Raises IndexMismatch when it must be built anew."""
        for _ in range(_TRIES):
            name = self._published()
            if name is None:
                return None
            descriptor = self._lock_shared(self._root / name)
            if descriptor is not None:
                try:
                    return Lease(self._root / name, self._about(name), descriptor)
                except BaseException:
                    os.close(descriptor)
                    raise
        raise IndexMismatch(f"{self._pointer} names an index that is not there; ingest again to rebuild it.")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Held by the one writer; sweeps what earlier ones left. Raises IngestRunning or StoreUnavailable."""
        with writable(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _try_lock(descriptor, fcntl.LOCK_EX):
                raise IngestRunning("The book is being ingested already; wait until that run has ended.")
            self.sweep()
            yield
        finally:
            os.close(descriptor)

    def begin(self, base: Lease | None) -> Path:
        """A new folder nobody points to: empty, or with a copy of `base`. Its `shard` is the engine's to fill."""
        path = self._root / f"{uuid.uuid4().hex[:16]}"
        with writable(self._root):
            path.mkdir()
            (path / "in-use").touch()
            if base is None:
                self.require_room(0)
                (path / "shard").mkdir()
            else:
                self.require_room(_size(base.shard))
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

    def publish(self, path: Path, about: About) -> None:
        """Makes the generation durable, then visible. The engine must have closed it."""
        with writable(self._root):
            (path / "about.json").write_text(json.dumps(asdict(about)), encoding="utf-8")
            _sync_tree(path)
            beside = self._pointer.with_name("current.new")
            beside.write_text(path.name, encoding="utf-8")
            _sync(beside)
            beside.replace(self._pointer)
            _sync(self._root)

    def discard(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)

    def sweep(self) -> None:
        """Removes every generation that is neither published nor read by anyone. Only the writer may."""
        try:
            published = self._published()
        except IndexMismatch:
            published = None  # the pointer is damaged: nobody can find a generation any more
        for path in self._root.iterdir():
            if path.is_dir() and path.name != published and not self._is_read(path):
                shutil.rmtree(path, ignore_errors=True)

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
            except UnicodeDecodeError:
                name = ""
        if not name.isalnum():
            raise IndexMismatch(f"{self._pointer} is damaged; ingest again to rebuild the index.")
        return name

    def _lock_shared(self, path: Path) -> int | None:
        """The open lock of a generation; None when a writer is just removing it or has removed it."""
        with self._readable():
            try:
                descriptor = os.open(path / "in-use", os.O_RDONLY)
            except FileNotFoundError:
                return None
            if _try_lock(descriptor, fcntl.LOCK_SH) and os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)
            return None

    def _about(self, name: str) -> About:
        path = self._root / name / "about.json"
        try:
            about = _parse(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            raise IndexMismatch(f"{path} cannot be read; ingest again to rebuild the index.") from None
        if (about.format, about.engine) != (FORMAT, self._engine):
            raise IndexMismatch(
                f"The index in {self._root} was written by {about.engine} (format {about.format}) and this is"
                f" {self._engine} (format {FORMAT}); ingest again to rebuild it."
            )
        return about

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
        reason = "the disk is full" if error.errno == errno.ENOSPC else os.strerror(error.errno or 0)
        raise StoreUnavailable(f"{where} cannot be written: {reason}. The index is as it was.") from error


def copy_tree(source: Path, target: Path) -> None:
    """Copies a folder; files share their blocks where the file system can, and holes stay holes."""
    target.mkdir()
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            copy_tree(entry, target / entry.name)
        else:
            with entry.open("rb") as old, (target / entry.name).open("wb") as new:
                if not _clone(old.fileno(), new.fileno()):
                    _copy_data(old.fileno(), new.fileno())


_FICLONE = 0x40049409


def _clone(old: int, new: int) -> bool:
    try:
        fcntl.ioctl(new, _FICLONE, old)
    except OSError:
        return False
    return True


def _copy_data(old: int, new: int) -> None:
    size = os.fstat(old).st_size
    os.truncate(new, size)
    end = 0
    while end < size:
        try:
            start = os.lseek(old, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        end = os.lseek(old, start, os.SEEK_HOLE)
        os.lseek(new, start, os.SEEK_SET)
        while start < end:
            copied = os.sendfile(new, old, start, min(end - start, 2**30))
            if not copied:
                raise OSError(errno.EIO, "the file ended early")
            start += copied


def _size(folder: Path) -> int:
    """Bytes on disk, holes not counted."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _parse(about: dict[str, Any]) -> About:
    return About(IndexConfig(**about["config"]), IndexInfo(**about["info"]), about["engine"], about["format"])
