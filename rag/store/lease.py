"""One writer at a time on a Qdrant server: a lease taken by compare-and-set, and a fencing token in an alias.

    <name>_lock                       a collection of one point: who writes, until when, and with which token
    <name>_writer_<token>_<owner>     an alias, the fence: every write of the token's holder is addressed to it

The lease is written only where it is absent (insert-only) or still what was read (`update_filter`), so that of any
number of writers that begin at once one gets it. Every holder gets a higher token than the one before, makes its fence
and deletes the fences of lower tokens. A holder that slept until its lease expired can therefore not write any more:
the server does not know the name its writes are addressed to.

What a fence does not cover: a write that the server had already begun when the fence went, and the creation and
deletion of whole collections, before each of which the fence is checked.
"""

import asyncio
import os
import re
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
_POINT = 1
_RUNNING = "The book is being ingested already; wait until that run has ended."
_TAKEN_OVER = "Another process has taken over the ingest of the book, and so this one ended."


class Lease:
    """The right to write the index `name`. `fence` is the name that writes are addressed to."""

    def __init__(self, connection: QdrantConnection, name: str, *, replicas: int = 1) -> None:
        self.fence = ""
        self._connection = connection
        self._name = name
        self._lock = f"{name}_lock"
        self._replicas = replicas
        self._id = uuid.uuid4().hex
        self._token = 0
        self._writes = 0

    async def acquire(self) -> None:
        """Take the lease and make the fence. Raises IngestRunning, StoreUnavailable."""
        holder = await self._holder()
        if holder is not None and holder["until"] > time() and not _gone(holder):
            raise IngestRunning(_RUNNING)
        fences = await self._fences()
        self._token = 1 + max([holder.get("token", 0) if holder else 0, *(token for token, _ in fences)])
        if not await self._write(holder, time() + _EXPIRES):
            raise IngestRunning(_RUNNING)
        self.fence = f"{self._name}_writer_{self._token}_{self._id[:8]}"
        await self._change_aliases(_create(self.fence, self._lock))
        fences = await self._fences()
        mine = (self._token, self._id[:8])
        await self._change_aliases(*(_delete(alias) for order, alias in fences.items() if order < mine))
        if max(fences, default=mine) > mine or not self._is_mine(await self._holder()):
            await self._change_aliases(_delete(self.fence))
            raise IngestRunning(_RUNNING)

    async def renew(self) -> None:
        """Extend the lease. Raises IngestRunning when another process has it, StoreUnavailable."""
        holder = await self._holder()
        if holder is not None and not self._is_mine(holder):
            raise IngestRunning(_TAKEN_OVER)
        if not await self._write(holder, time() + _EXPIRES):
            raise IngestRunning(_TAKEN_OVER)

    async def release(self) -> None:
        """Delete the fence and end the lease, if it is still this one; its token is kept for the next to count from."""
        if self.fence:
            await self._change_aliases(_delete(self.fence))
        holder = await self._holder()
        if self._is_mine(holder):
            await self._write(holder, 0.0)

    async def point_to(self, collection: str) -> None:
        """Let writes go to `collection`. Raises IngestRunning after another process has taken over."""
        await self._guarded(_create(self.fence, collection))

    async def check(self) -> None:
        """Raises IngestRunning after another process has taken over."""
        await self._guarded()

    async def publish(self, collection: str) -> None:
        """Move the alias that readers ask, in one step with the check of the fence."""
        await self._guarded(_delete(self._name), _create(self._name, collection))

    async def _guarded(self, *changes: models.AliasOperations) -> None:
        """The server makes all changes of one call under one lock, and none after one that fails: renaming an alias
        that is gone fails.
        """
        own = models.RenameAlias(old_alias_name=self.fence, new_alias_name=self.fence)
        try:
            await self._change_aliases(models.RenameAliasOperation(rename_alias=own), *changes)
        except CollectionNotFound:
            if self._is_mine(await self._holder()):
                raise  # the collection went, and the fence with it
            raise IngestRunning(_TAKEN_OVER) from None

    async def _change_aliases(self, *changes: models.AliasOperations) -> None:
        if changes:
            await self._connection.run(lambda client: client.update_collection_aliases(list(changes)))

    async def _fences(self) -> dict[tuple[int, str], str]:
        """Token and owner -> alias, of every fence there is."""
        aliases = (await self._connection.run(lambda client: client.get_aliases())).aliases
        ours = re.compile(rf"{re.escape(self._name)}_writer_(\d+)_([0-9a-f]{{8}})")
        matches = filter(None, (ours.fullmatch(alias.alias_name) for alias in aliases))
        return {(int(match[1]), match[2]): match[0] for match in matches}

    def _is_mine(self, holder: Mapping[str, Any] | None) -> bool:
        return holder is not None and holder["owner"].startswith(self._id)

    async def _holder(self) -> Mapping[str, Any] | None:
        try:
            records = await self._connection.run(lambda client: client.retrieve(self._lock, [_POINT]))
        except CollectionNotFound:
            await self._create_lock()
            return None
        return records[0].payload if records else None

    async def _create_lock(self) -> None:
        with suppress(StoreUnavailable, ValueError):  # a rival has just made it
            await self._connection.run(
                lambda client: client.create_collection(
                    self._lock, vectors_config={}, shard_number=1, replication_factor=self._replicas
                )
            )
        keyword = models.PayloadSchemaType.KEYWORD  # strict mode refuses conditions on fields without an index
        await self._connection.run(lambda client: client.create_payload_index(self._lock, "owner", keyword))

    async def _write(self, seen: Mapping[str, Any] | None, until: float) -> bool:
        """Write the lease unless it is no longer what was `seen`; whether it is ours now."""
        self._writes += 1
        owner = f"{self._id}/{self._writes}"  # another with every write, so that a renewed lease is not taken over
        payload = {"owner": owner, "host": socket.gethostname(), "pid": os.getpid()}
        point = models.PointStruct(id=_POINT, vector={}, payload={**payload, "token": self._token, "until": until})
        condition, mode = None, models.UpdateMode.INSERT_ONLY
        if seen is not None:
            unchanged = models.FieldCondition(key="owner", match=models.MatchValue(value=seen["owner"]))
            condition, mode = models.Filter(must=[unchanged]), models.UpdateMode.UPDATE_ONLY
        await self._connection.run(
            lambda client: client.upsert(
                self._lock,
                [point],
                update_filter=condition,
                update_mode=mode,
                ordering=models.WriteOrdering.MEDIUM,  # one replica puts the writes of all clients in order
            )
        )
        holder = await self._holder()
        return holder is not None and holder["owner"] == owner


@asynccontextmanager
async def acquire_lease(connection: QdrantConnection, name: str, *, replicas: int = 1) -> AsyncIterator[Lease]:
    """Raises IngestRunning when somebody else writes the index `name` or has taken over, StoreUnavailable."""
    lease = Lease(connection, name, replicas=replicas)
    try:
        await lease.acquire()
    except CollectionNotFound:
        raise StoreUnavailable(f"The lock of {name} on {connection.host} went away; ingest again.") from None
    lost = asyncio.Event()
    renewing = asyncio.create_task(_renew(lease, lost, asyncio.current_task()))
    try:
        yield lease
    except asyncio.CancelledError:
        if not lost.is_set():
            raise
        _uncancel()
        raise IngestRunning(_TAKEN_OVER) from None
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        with suppress(StoreUnavailable, CollectionNotFound):
            await lease.release()


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


async def _renew(lease: Lease, lost: asyncio.Event, writer: "asyncio.Task[Any] | None") -> None:
    """Renews the lease for as long as it stands; ends the writer when another's stands in its place."""
    while True:
        await asyncio.sleep(_RENEWED)
        try:
            with suppress(StoreUnavailable, CollectionNotFound):
                await lease.renew()
        except IngestRunning:
            lost.set()
            if writer is not None:
                writer.cancel()
            return


def _create(alias: str, collection: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(
        create_alias=models.CreateAlias(collection_name=collection, alias_name=alias),
    )


def _delete(alias: str) -> models.DeleteAliasOperation:
    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))


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
