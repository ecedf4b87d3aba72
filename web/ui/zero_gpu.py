"""Experimental: what a ZeroGPU Space wants to see before it calls an application started.

Such a Space expects a function that asks for its GPU and a report that only `Blocks.launch` sends. Nothing here
uses a GPU.
"""

import logging

log = logging.getLogger(__name__)


def report_start() -> None:
    """Sends the report; a Space without the `spaces` package is told so in the log and goes on."""
    try:
        import spaces  # type: ignore[import-not-found]  # there on ZeroGPU hardware only
        from spaces.zero import startup  # type: ignore[import-not-found]
    except ImportError:
        log.warning("SPACES_ZERO_GPU is set, but there is no `spaces` package here: nothing was reported")
        return

    @spaces.GPU  # type: ignore[untyped-decorator]
    def idle() -> None:
        """The Space refuses to run without one function like this."""

    startup()
