"""Maps what a search jumps about in before it is asked for.

The engine maps its files into memory: what nobody has touched yet is fetched in the middle of a search, a few kilobytes
at a time from thousands of places. The first hundred questions to 380,000 vectors took three times as long as the rest;
`python -m benchmarks.scale` shows it. The files of a small index are mostly room to grow: their holes are left alone.
"""

import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_STEP = 2**29  # bytes asked for in one call, which nothing can end early
_MOST = 0.5  # of the machine's memory; more would only push out what came before
_MAPS = Path("/proc/self/maps")
_POPULATE_READ = 22  # sys/mman.h of Linux 5.14; an older kernel refuses it, and nothing happens


class PageWarmer:
    """Begins at once, in a thread of its own; `close` ends it wherever it is. Elsewhere than on Linux it does nothing.

    The pages are the system's, which takes them back when it needs the memory.
    """

    def __init__(self, files: Sequence[Path], most: float = _MOST) -> None:
        """`most` is a share of the machine's memory; files that hold more are left alone."""
        self._names = {str(path.resolve()) for path in files}
        self._closed = threading.Event()
        self.thread = threading.Thread(target=self._map, name="preload", daemon=True)
        fits = _size(files) <= most * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if fits and _MAPS.exists():
            self.thread.start()

    def close(self) -> None:
        self._closed.set()

    def _map(self) -> None:
        madvise = ctypes.CDLL(None).madvise
        for start, end in sorted(_mapped(self._names), key=lambda span: span[0] - span[1]):  # the largest first
            for at in range(start, end, _STEP):
                if self._closed.is_set():
                    return
                madvise(ctypes.c_void_p(at), ctypes.c_size_t(min(_STEP, end - at)), _POPULATE_READ)


def _size(files: Sequence[Path]) -> int:
    """Bytes that the files take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in files)


def _mapped(names: set[str]) -> Iterator[tuple[int, int]]:
    """Where in memory the contents of these files are, in bytes from its start: first and behind the last."""
    for line in _MAPS.read_text(encoding="utf-8").splitlines():
        addresses, _, offset, *_, name = line.split(maxsplit=5)
        if name in names:
            start, end = (int(address, 16) for address in addresses.split("-"))
            first = int(offset, 16)
            for data, hole in _contents(Path(name), first, first + end - start):
                yield start + data - first, start + hole - first


def _contents(file: Path, first: int, last: int) -> Iterator[tuple[int, int]]:
    """What of these bytes of a file is not a hole: first and behind the last of each part."""
    with suppress(OSError), file.open("rb") as opened:  # to the system, the end of the contents is an error
        at = first
        while at < last:
            at = os.lseek(opened.fileno(), at, os.SEEK_DATA)
            hole = os.lseek(opened.fileno(), at, os.SEEK_HOLE)
            if at < last:
                yield at, min(hole, last)
            at = hole
