"""What loading leaves behind: memory that nobody needs again, and objects that stay for good."""

import ctypes
import gc
from contextlib import suppress

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # malloc.h
_LARGE = 2**20
_ARENAS = 2


def limit_malloc_arenas() -> None:
    """Blocks of a megabyte and more go back to the system when they are freed, and dozens of threads share few arenas:
    glibc would learn to keep 32 MB blocks for next time, in each thread's own. To be called before threads begin.
    """
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_ARENA_MAX, _ARENAS)


def freeze_gc() -> None:
    """Everything that is loaded now stays. The collector would walk through all of it again and again, a fifth of a
    second each time, while every reader waits.
    """
    gc.freeze()


def malloc_trim() -> None:
    """To the system, what the allocator would keep for a need that does not come again. Elsewhere than on glibc nothing
    happens.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
