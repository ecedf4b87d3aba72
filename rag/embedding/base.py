"""The seam of the embedders: documents and queries are kept apart because models may treat them differently."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rag.errors import RagError

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into unit vectors of `dimensions` components, or into zeros where the model cannot read the text.

    `dimensions` is 0 for an embedder that has no model: it returns arrays of shape (n, 0), and everything
    downstream works with the lexical scores alone. `fingerprint` names the model and what else the vectors
    depend on; vectors of different fingerprints are never mixed.
    """

    @property
    def fingerprint(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    async def open(self) -> None:
        """Loads or probes the model; after it `dimensions` is known. Raises ModelError."""
        ...

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), dimensions), in the order of `texts`. Raises ModelError."""
        ...

    async def embed_query(self, text: str) -> Vectors:
        """Shape (dimensions,). Raises ModelError."""
        ...

    async def close(self) -> None: ...


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
