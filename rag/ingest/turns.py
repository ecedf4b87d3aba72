"""Work that holds the event loop, and what waits for it meanwhile."""

import asyncio

_TURNS = 12  # of the loop: the answer of a call comes in seven pieces


async def others_first() -> None:
    """Between two pieces of such work: lets the calls under way get on, and a cancel in."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
