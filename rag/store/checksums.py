"""Checksums of the files of a folder, by which a file that changed on disk is found before the engine reads it.

CRC-32, because it is what the standard library computes fastest (2 GB/s, hashlib's best does half of that) and rot is
no attacker. Blocks of zeros do not count, whether they are holes or written out: the engine's files are mostly room to
grow, and a copy or a backup may fill the holes. JSON is compared by what it says, since the engine writes it again with
its keys in another order whenever it opens a shard.
"""

import errno
import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

from rag.store.files import PASSING

Checksums = Mapping[str, str]

_BLOCK = 2**18  # bytes; what is summed up at a time, and the unit in which zeros are left out
_ZEROS = bytes(_BLOCK)
_THREADS = 4  # crc32 and read let go of the interpreter lock
_FOLDER = "folder"
_OTHER = "neither file nor folder"
_MOST_CHECKED = 8

_checked: dict[Path, tuple[Checksums, tuple[tuple[object, ...], ...]]] = {}


def checksums(folder: Path, *, leaving: Collection[str] = ()) -> dict[str, str]:
    """Return the checksum of everything below `folder` but `leaving`, by its path from there. Raises OSError."""
    return _sums(folder, dict(_below(folder, leaving)))


def damage(folder: Path, expected: Checksums, *, leaving: Collection[str] = ()) -> str | None:
    """Return what is wrong with the first file found that is not as `expected`, None when all are.

    What has been found whole in this process is not read again while no file's size or time has changed.
    """
    try:
        found = dict(_below(folder, leaving))
        for name in sorted(found.keys() ^ expected.keys()):
            return f"{name} is missing" if name in expected else f"{name} does not belong there"
        if _checked.get(folder) == (expected, _signature(found)):
            return None
        wrong = _first_difference(folder, found, expected)
        if wrong is None:
            if len(_checked) >= _MOST_CHECKED:
                _checked.clear()
            _checked[folder] = (expected, _signature(found))
    except OSError as error:
        return f"{error.filename or folder} cannot be read ({error.strerror})"
    return wrong


def canonical(value: Any) -> bytes:  # noqa: ANN401
    """Return a JSON value as bytes that do not depend on the order of its keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _first_difference(folder: Path, found: Mapping[str, os.stat_result], expected: Checksums) -> str | None:
    for name, status in found.items():  # sizes first: what was cut short is known without reading anything
        if _is_sized(expected[name]) and not expected[name].startswith(f"{status.st_size}:"):
            return f"{name} has {status.st_size} bytes"
    for name, checksum in _sums(folder, found).items():
        if checksum != expected[name]:
            return f"{name} is not as it was written"
    return None


def _sums(folder: Path, found: Mapping[str, os.stat_result]) -> dict[str, str]:
    with ThreadPoolExecutor(_THREADS) as threads:
        sums = threads.map(_checksum, (folder / name for name in found), found.values())
        return dict(zip(found, sums, strict=True))


def _below(folder: Path, leaving: Collection[str]) -> Iterator[tuple[str, os.stat_result]]:
    for place, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith(PASSING))
        for path in (Path(place, name) for name in [*folders, *sorted(files)]):
            name = path.relative_to(folder).as_posix()
            if name not in leaving:
                yield name, path.lstat()


def _raise(error: OSError) -> None:
    raise error


def _signature(found: Mapping[str, os.stat_result]) -> tuple[tuple[object, ...], ...]:
    return tuple((name, status.st_ino, status.st_size, status.st_mtime_ns) for name, status in found.items())


def _is_sized(checksum: str) -> bool:
    return checksum[:1].isdigit()


def _checksum(path: Path, status: os.stat_result) -> str:
    if stat.S_ISDIR(status.st_mode):
        return _FOLDER
    if not stat.S_ISREG(status.st_mode):
        return _OTHER
    if path.suffix == ".json":
        return f"json:{_json_crc(path):08x}"
    return f"{status.st_size}:{_crc(path, status.st_size):08x}"


def _json_crc(path: Path) -> int:
    content = path.read_bytes()
    with suppress(ValueError, RecursionError):
        content = canonical(json.loads(content))
    return crc32(content)


def _crc(path: Path, size: int) -> int:
    crc = 0
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for start in _blocks_with_data(descriptor, size):
            block = os.pread(descriptor, _BLOCK, start)
            if block != _ZEROS[: len(block)]:
                crc = crc32(block, crc32(start.to_bytes(8, "little"), crc))
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(descriptor)
    return crc


def _blocks_with_data(descriptor: int, size: int) -> Iterator[int]:
    """The starts of the blocks that are not wholly in a hole."""
    start = 0
    while start < size:
        try:
            data = os.lseek(descriptor, start, os.SEEK_DATA)
            hole = os.lseek(descriptor, data, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            data, hole = start, size  # a file system that knows no holes
        start = max(start, data - data % _BLOCK)
        while start < min(hole, size):
            yield start
            start += _BLOCK
