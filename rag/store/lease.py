"""One writer at a time on a server, as far as a server without locks allows: a point that says who writes until when.

It is renewed while its holder lives. A holder that was killed keeps others out until it expires, or not at all when
they run on the same machine and see that it is gone. Of two that begin at the same moment the later claim stands, which
both see when they read the point again. A holder looks before it renews or deletes: one that slept until its claim
expired, and finds another's in its place, ends its work and leaves the other's alone.
"""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from time import time
from typing import Any

from qdrant_client import models

from rag.errors import IngestRunning, StoreUnavailable
from rag.store.qdrant_connection import CollectionNotFound, QdrantConnection

_EXPIRES = 60.0  # seconds
_RENEWED = 15.0
_SETTLES = 0.1  # seconds in which a rival that began at the same moment has written its claim, too
_POINT = 1


@asynccontextmanager
async def acquire_lease(connection: QdrantConnection, name: str) -> AsyncIterator[None]:
    """Raises IngestRunning when somebody else writes the index `name`, StoreUnavailable."""
    collection = f"{name}_lock"
    claim = {"owner": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
    holder = await _holder(connection, collection)
    if holder is not None and holder["until"] > time() and not _gone(holder):
        raise IngestRunning("The book is being ingested already; wait until that run has ended.")
    await _claim(connection, collection, claim)
    await asyncio.sleep(_SETTLES)
    holder = await _holder(connection, collection)
    if holder is None or holder["owner"] != claim["owner"]:
        raise IngestRunning("The book is being ingested already; wait until that run has ended.")
    lost = asyncio.Event()
    renewing = asyncio.create_task(_renew(connection, collection, claim, lost, asyncio.current_task()))
    try:
        yield
    except asyncio.CancelledError:
        if not lost.is_set():
            raise
        _uncancel()
        raise IngestRunning("Another process has taken over the ingest of the book, and so this one ended.") from None
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        with suppress(StoreUnavailable, CollectionNotFound):
            await _release(connection, collection, claim)


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


async def _release(connection: QdrantConnection, collection: str, claim: Mapping[str, Any]) -> None:
    """Deletes the claim, if it is still this one."""
    holder = await _holder(connection, collection)
    if holder is not None and holder["owner"] == claim["owner"]:
        await connection.run(lambda client: client.delete(collection, models.PointIdsList(points=[_POINT])))


async def _holder(connection: QdrantConnection, collection: str) -> Mapping[str, Any] | None:
    try:
        records = await connection.run(lambda client: client.retrieve(collection, [_POINT]))
    except CollectionNotFound:
        with suppress(StoreUnavailable, ValueError):  # a rival has just made it
            await connection.run(lambda client: client.create_collection(collection, vectors_config={}))
        return None
    return records[0].payload if records else None


async def _claim(connection: QdrantConnection, collection: str, claim: Mapping[str, Any]) -> None:
    point = models.PointStruct(id=_POINT, vector={}, payload={**claim, "until": time() + _EXPIRES})
    await connection.run(lambda client: client.upsert(collection, [point]))


async def _renew(
    connection: QdrantConnection,
    collection: str,
    claim: Mapping[str, Any],
    lost: asyncio.Event,
    writer: "asyncio.Task[Any] | None",
) -> None:
    """Renews the claim for as long as it stands; ends the writer when another's stands in its place."""
    while True:
        await asyncio.sleep(_RENEWED)
        with suppress(StoreUnavailable, CollectionNotFound):
            holder = await _holder(connection, collection)
            if holder is not None and holder["owner"] != claim["owner"]:
                lost.set()
                if writer is not None:
                    writer.cancel()
                return
            await _claim(connection, collection, claim)


def _gone(holder: Mapping[str, Any]) -> bool:
    """Whether the holder ran on this machine and has ended."""
    if holder["host"] != socket.gethostname():
        return False
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
