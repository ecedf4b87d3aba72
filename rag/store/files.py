"""Folders of files copied with their holes, measured, and written through to the disk."""

import errno
import fcntl
import os
import shutil
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT}  # what a system says when a disk, or somebody's share of it, is full
PASSING = ".atomicwrite"  # how the engine's folders are called in which it writes a file before it takes its place
_NO_ROOM = 2**20  # bytes


def is_full(where: Path) -> bool:
    """True when there is no room left to write anything on that disk."""
    try:
        return shutil.disk_usage(where).free < _NO_ROOM
    except OSError:
        return False


def copy_tree(source: Path, target: Path) -> None:
    """Copies a folder; files share their blocks where the file system can, and holes stay holes."""
    target.mkdir()
    for entry in sorted(source.iterdir()):
        if entry.name.startswith(PASSING):
            continue
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


def disk_bytes(folder: Path) -> int:
    """Bytes on disk, holes not counted."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


def sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
