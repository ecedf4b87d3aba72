"""What loading leaves behind: memory that nobody needs again, and objects that stay for good."""

import ctypes
import gc
from contextlib import suppress


def settle() -> None:
    """Everything that is loaded now stays. The collector would walk through all of it again and again, a fifth of a
    second each time, while every reader waits.
    """
    gc.collect()
    gc.freeze()
    give_back()


def give_back() -> None:
    """To the system, what the allocator would keep for a need that does not come again. Elsewhere than on glibc nothing
    happens.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
