"""Work in slices, several in flight: the first failure ends the rest and comes out as itself."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

from rag.errors import RagError

T = TypeVar("T")


async def run_bounded(work: Callable[[T], Awaitable[None]], items: Iterable[T], limit: int) -> None:
    """Awaits `work` on every item, at most `limit` at once. Raises the first RagError after cancelling the others."""
    waiting: Iterator[T] = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(worker())
    except* RagError as failed:
        raise _first(failed) from None


def _first(group: BaseExceptionGroup[RagError]) -> RagError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
