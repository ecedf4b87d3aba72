"""What only a server has: runs cut short on a live collection, a lock that expires, and answers that are failures."""

import asyncio
import contextlib
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, models

from rag.errors import IngestRunning, StoreUnavailable
from rag.store import lease as server_lock
from rag.store.base import IndexConfig
from rag.store.server import ServerStore
from rag.store.server_writer import server_writer_for
from tests.support.indexed import CONFIG, indexed, page
from tests.support.ports import free_port
from tests.support.store_process import QUERY

NAME = "book"
OTHER = replace(CONFIG, fingerprint="test-2")


class Cut(BaseException):
    """The process ends here."""


class CutClient:
    """A client whose process ends at its call number `last` that changes anything."""

    _CHANGES = frozenset(
        {
            "upsert",
            "delete",
            "create_collection",
            "create_payload_index",
            "delete_collection",
            "update_collection_aliases",
        }
    )

    def __init__(self, client: AsyncQdrantClient, last: int) -> None:
        self._client = client
        self._left = last
        self._ended = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> Any:
            self._left -= name in self._CHANGES
            self._ended = self._ended or self._left < 0
            if self._ended:
                raise Cut
            return await getattr(self._client, name)(*arguments, **options)

        return call


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Payload indexes have no effect|Local mode performs exact")
        yield


@pytest.fixture(scope="module")
def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


async def write(client: Any, config: IndexConfig = CONFIG, version: str = "new") -> None:
    async with server_writer_for("http://memory.test", collection=NAME, client=client)(config) as writer:
        done = await writer.manifest()
        for number in range(3):
            record, chunks = indexed(f"{number}.md", [f"Robot {number} of {version}.", "It walks."], version=version)
            if record.path not in done or done[record.path].sha256 != record.sha256:
                await writer.replace(record, chunks)
        if version == "new":
            await writer.remove("gone.md")
        else:
            await writer.replace(*indexed("gone.md", ["A page that goes"]))
        await writer.publish()


async def content(client: AsyncQdrantClient) -> dict[str, object]:
    """Every point behind the alias but the one that says when it was built."""
    points, _ = await client.scroll(NAME, limit=1000, with_payload=True, with_vectors=True)
    return {str(p.id): (p.payload, rounded(p.vector)) for p in points if "format" not in (p.payload or {})}


def rounded(vectors: Any) -> dict[str, Any]:
    """The engine normalises a vector each time it is written, and so its last bits move."""
    return {
        name: [round(value, 5) for value in vector] if isinstance(vector, list) else vector
        for name, vector in vectors.items()
    }


async def release_lock(client: AsyncQdrantClient, pid: int) -> None:
    """As if the holder had been a process that is gone."""
    with contextlib.suppress(ValueError, KeyError):  # no claim was written yet
        await client.set_payload(f"{NAME}_lock", {"pid": pid}, models.PointIdsList(points=[1]).points)


@pytest.mark.parametrize("config", [CONFIG, OTHER], ids=["document by document", "built beside"])
async def test_a_run_cut_short_anywhere_is_repaired_by_the_next(config: IndexConfig, ended_pid: int) -> None:
    undisturbed = AsyncQdrantClient(location=":memory:")
    await write(undisturbed, version="old")
    old = await content(undisturbed)
    await write(undisturbed, config)
    new = await content(undisturbed)
    assert old != new
    for last in range(100):
        client = AsyncQdrantClient(location=":memory:")
        await write(client, version="old")
        cut = True
        with contextlib.suppress(Cut):
            await write(CutClient(client, last), config)
            cut = False
        if config is OTHER:
            assert await content(client) in (old, new)
        await release_lock(client, ended_pid)
        await write(client, config)
        assert await content(client) == new
        names = {found.name for found in (await client.get_collections()).collections}
        assert len(names) == 2, names  # the index and the lock
        if not cut:
            break
    assert last > 10


async def test_a_half_built_collection_goes_on_where_it_stopped(ended_pid: int) -> None:
    client = AsyncQdrantClient(location=":memory:")
    with pytest.raises(Cut):
        await write(CutClient(client, 15))
    await release_lock(client, ended_pid)
    async with server_writer_for("http://memory.test", collection=NAME, client=client)(CONFIG) as writer:
        assert writer.rebuilding
        assert [record.path for record in (await writer.manifest()).values() if record.sha256] == ["0.md"]


async def test_a_lock_of_another_machine_is_kept_until_it_expires() -> None:
    client = AsyncQdrantClient(location=":memory:")
    await write(client)
    claim = {"owner": "x", "host": "another", "pid": 1}
    for until, refused in ((4e9, True), (1.0, False)):
        point = models.PointStruct(id=1, vector={}, payload={**claim, "until": until})
        await client.upsert(f"{NAME}_lock", [point])
        if refused:
            with pytest.raises(IngestRunning):
                await write(client)
        else:
            await write(client)


async def test_a_collection_that_is_not_an_index_is_told() -> None:
    client = AsyncQdrantClient(location=":memory:")
    await client.create_collection(NAME, vectors_config={})
    with pytest.raises(StoreUnavailable, match="collection named book"):
        await write(client)


async def test_a_reader_follows_when_its_collection_is_replaced_and_deleted() -> None:
    client = AsyncQdrantClient(location=":memory:")
    await write(client, version="old")
    store = ServerStore("http://memory.test", collection=NAME, client=client)
    assert len(await store.search(QUERY, 20)) == 7
    await write(client, OTHER)
    assert len(await store.search(QUERY, 20)) == 6
    assert await store.config() == OTHER


async def test_documents_are_read_once_until_another_index_is_published() -> None:
    client = AsyncQdrantClient(location=":memory:")
    await write(client, version="old")
    store = ServerStore("http://memory.test", collection=NAME, client=client)
    assert len(await store.documents()) == 4
    async with server_writer_for("http://memory.test", collection=NAME, client=client)(CONFIG) as writer:
        await writer.replace(*page(1))
        await writer.publish()
    assert len(await store.documents()) == 4
    assert await store.refresh()
    assert len(await store.documents()) == 5


Answer = bytes | None


@contextlib.asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """A server on a loopback port that answers everything with these bytes; None: never."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if answer is None:
                await asyncio.sleep(10)
            writer.write(answer or b"")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def http(status: str, body: str = "{}", kind: str = "application/json") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
    ).encode()


FAILURES = [
    (http("401 Unauthorized"), r"refused the key; check QDRANT_API_KEY"),
    (http("403 Forbidden", '{"status":{"error":"forbidden: top-secret"}}'), r"refused the key"),
    (http("503 Service Unavailable"), r"failed \(503\)"),
    (http("400 Bad Request"), r"failed \(400\)"),
    (http("200 OK", "<html>hello</html>", "text/html"), r"is not a Qdrant server; check QDRANT_URL"),
    (http("200 OK"), r"is not a Qdrant server; check QDRANT_URL"),
    (None, r"did not answer within 1 s"),
]


@pytest.mark.parametrize(("answer", "sentence"), FAILURES)
@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
async def test_a_failing_server_is_one_sentence_without_the_key(answer: Answer, sentence: str) -> None:
    async with answering(answer) as url:
        store = ServerStore(url, "top-secret", NAME, timeout=1, prefer_grpc=False)
        await store.open()
        with pytest.raises(StoreUnavailable, match=sentence) as caught:
            await store.info()
        assert url.removeprefix("http://") in str(caught.value)
        assert "top-secret" not in str(caught.value)
        with pytest.raises(StoreUnavailable):
            async with server_writer_for(url, "top-secret", NAME, timeout=1, prefer_grpc=False)(CONFIG):
                pass
        await store.close()


async def test_a_server_that_is_not_there_is_told_over_either_protocol() -> None:
    port = free_port()
    for prefer_grpc in (True, False):
        store = ServerStore(f"http://127.0.0.1:{port}", collection=NAME, timeout=1, prefer_grpc=prefer_grpc)
        with pytest.raises(StoreUnavailable, match=rf"127\.0\.0\.1:{port} cannot be reached; check QDRANT_URL"):
            await store.search(QUERY, 3)
        await store.close()


async def test_a_holder_that_slept_too_long_leaves_the_lock_of_another_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_lock, "_RENEWED", 0.05)
    client = AsyncQdrantClient(location=":memory:")
    other = models.PointStruct(
        id=1, vector={}, payload={"owner": "another", "host": "another", "pid": 1, "until": time.time() + 60}
    )

    async def asleep() -> None:
        async with server_writer_for("http://memory.test", collection=NAME, client=client)(CONFIG):
            await client.upsert(f"{NAME}_lock", [other])  # as if this process had slept meanwhile
            await asyncio.sleep(30)

    with pytest.raises(IngestRunning, match="taken over"):
        await asleep()
    (held,) = await client.retrieve(f"{NAME}_lock", [1])
    assert held.payload is not None
    assert held.payload["owner"] == "another"


async def test_a_lock_is_ended_by_its_holder_alone() -> None:
    client = AsyncQdrantClient(location=":memory:")
    other = models.PointStruct(
        id=1, vector={}, payload={"owner": "another", "host": "another", "pid": 1, "until": time.time() + 60}
    )
    async with server_writer_for("http://memory.test", collection=NAME, client=client)(CONFIG):
        await client.upsert(f"{NAME}_lock", [other])
    assert await client.retrieve(f"{NAME}_lock", [1])
    await client.delete(f"{NAME}_lock", models.PointIdsList(points=[1]))  # and a lock that was deleted is made again
    async with server_writer_for("http://memory.test", collection=NAME, client=client)(CONFIG):
        assert await client.retrieve(f"{NAME}_lock", [1])
    (ended,) = await client.retrieve(f"{NAME}_lock", [1])
    assert ended.payload is not None
    assert ended.payload["until"] == 0


async def test_a_holder_that_slept_writes_nothing_after_another_took_over() -> None:
    client = AsyncQdrantClient(location=":memory:")
    await write(client, version="old")
    writer_for = server_writer_for("http://memory.test", collection=NAME, client=client)
    with pytest.raises(IngestRunning, match="taken over"):  # noqa: PT012
        async with writer_for(CONFIG) as sleeping:
            await client.set_payload(f"{NAME}_lock", {"until": 1.0}, [1])  # as if it had slept for a minute
            async with writer_for(CONFIG) as second:
                await second.replace(*page(2))
                await second.publish()
            before = await content(client)
            await sleeping.replace(*page(1))
    assert await content(client) == before


async def test_a_holder_that_slept_deletes_and_publishes_nothing() -> None:
    for late in ("publish", "remove"):
        client = AsyncQdrantClient(location=":memory:")
        await write(client, version="old")
        writer_for = server_writer_for("http://memory.test", collection=NAME, client=client)
        with pytest.raises(IngestRunning, match="taken over"):  # noqa: PT012
            async with writer_for(OTHER if late == "publish" else CONFIG) as sleeping:
                await client.set_payload(f"{NAME}_lock", {"until": 1.0}, [1])
                await write(client)
                before = await content(client)
                await (sleeping.publish() if late == "publish" else sleeping.remove("0.md"))
        assert await content(client) == before


async def test_every_holder_gets_a_higher_token_and_leaves_no_fence() -> None:
    client = AsyncQdrantClient(location=":memory:")
    tokens = []
    for lock_deleted in (False, False, True, False):
        async with server_writer_for("http://memory.test", collection=NAME, client=client)(CONFIG):
            (fence,) = [a.alias_name for a in (await client.get_aliases()).aliases if "_writer_" in a.alias_name]
            tokens.append(int(fence.split("_")[2]))
        assert not [a for a in (await client.get_aliases()).aliases if "_writer_" in a.alias_name]
        if lock_deleted:
            await client.delete_collection(f"{NAME}_lock")
    assert tokens == [1, 2, 3, 1]


async def test_a_fence_left_by_a_killed_writer_is_taken_down_by_the_next(ended_pid: int) -> None:
    client = AsyncQdrantClient(location=":memory:")
    await write(client, version="old")
    with pytest.raises(Cut):
        await write(CutClient(client, 5))
    assert [a for a in (await client.get_aliases()).aliases if "_writer_" in a.alias_name]
    await release_lock(client, ended_pid)
    await write(client)
    assert [a.alias_name for a in (await client.get_aliases()).aliases] == [NAME]
