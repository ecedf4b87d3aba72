"""Ports for servers that bind theirs later or again: none that the system hands out, and none of a neighbour's."""

import os
import random
import re
import socket
from contextlib import suppress

FIRST, EACH, WORKERS = 20_000, 1_500, 8  # all below Linux's own range, which begins at 32768


def free_port() -> int:
    """A loopback port from this test process's own share."""
    worker = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or WORKERS - 1
    first = FIRST + int(worker) % WORKERS * EACH
    for port in random.sample(range(first, first + EACH), EACH):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port is free between {first} and {first + EACH}")
