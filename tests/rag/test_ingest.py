"""An ingest brings the index to the state of the book: with the real parts, against the loopback model server."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from qdrant_client import AsyncQdrantClient

from rag.build import build_ingestion
from rag.embedding.local import LocalEmbedder
from rag.errors import ContentError, IngestRunning, ModelAuthError
from rag.events import FileFailed, Finished, IngestEvent, Planned, Progressed, Warned
from rag.ingest.ingest import ingest
from rag.ingest.prepare import Ingestion
from rag.settings import Settings
from rag.store.base import StoreQuery
from rag.store.edge import EdgeStore
from rag.store.server import ServerStore
from rag.store.server_writer import server_writer_for
from rag.text.bm25 import Bm25Encoder
from rag.types import Chunk, DocumentRecord, Hit
from tests.support.ingesting import page, write_book
from tests.support.openai_script import Distort, Refuse, Stall
from tests.support.openai_server import OpenAIServer

Event = TypeVar("Event", bound=IngestEvent)
BINARY = bytes(range(256)) * 64


class Book:
    """A small book on disk, ingested with parts that are built anew for every run, as in a process of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.content = folder / "content"
        self.data = folder / "data"
        self._patch = monkeypatch
        self.set(CONTENT_DIR=str(self.content), DATA_DIR=str(self.data))
        write_book(self.content, 6)

    def set(self, **settings: str) -> None:
        for name, value in settings.items():
            self._patch.setenv(name, value)

    def write(self, path: str, text: str) -> None:
        (self.content / path).parent.mkdir(parents=True, exist_ok=True)
        (self.content / path).write_text(text)

    def parts(self) -> Ingestion:
        return build_ingestion(Settings.load())

    async def events(self, *, force: bool = False, dry_run: bool = False, path: str | None = None) -> list[IngestEvent]:
        async with self.parts() as parts:
            return [event async for event in ingest(parts, force=force, dry_run=dry_run, path=path)]

    async def ingest(self, *, force: bool = False, path: str | None = None) -> Finished:
        return only(await self.events(force=force, path=path), Finished)

    async def plan(self, *, force: bool = False, path: str | None = None) -> Planned:
        found = await self.events(force=force, dry_run=True, path=path)
        assert not any(isinstance(event, Finished) for event in found)
        return only(found, Planned)

    async def records(self) -> dict[str, DocumentRecord]:
        async with opened(self.data) as store:
            return {record.path: record for record in await store.documents()}

    async def chunks(self, path: str) -> list[Chunk]:
        async with opened(self.data) as store:
            return await store.chunks_of(path)

    async def fingerprint(self) -> str:
        async with opened(self.data) as store:
            return (await store.info()).fingerprint

    def generation(self) -> str:
        return (self.data / "index" / "current").read_text()


class opened:  # noqa: N801 - reads as a word
    def __init__(self, data: Path) -> None:
        self._store = EdgeStore(data)

    async def __aenter__(self) -> EdgeStore:
        await self._store.open()
        return self._store

    async def __aexit__(self, *_: object) -> None:
        await self._store.close()


def only(events: list[IngestEvent], kind: type[Event]) -> Event:
    found = [event for event in events if isinstance(event, kind)]
    assert len(found) == 1, events
    return found[0]


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, openai_server: OpenAIServer) -> Book:
    book = Book(tmp_path, monkeypatch)
    book.set(OPENAI_BASE_URL=openai_server.base_url, OPENAI_API_KEY=openai_server.key)
    openai_server.limit(native_dimensions=64)
    return book


def texts(server: OpenAIServer) -> list[str]:
    """Everything that was embedded, the probe aside."""
    return [text for request in server.requests("embeddings") for text in request.body["input"] if text != "book"]


async def reached(server: OpenAIServer, requests: int) -> None:
    async with asyncio.timeout(20):
        while len(server.received) < requests:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.02)


async def drained(parts: Ingestion) -> None:
    async with parts, aclosing(ingest(parts)) as events:
        async for _ in events:
            pass


async def test_a_new_book_is_indexed_whole(book: Book, openai_server: OpenAIServer) -> None:
    events = await book.events()
    planned, finished = only(events, Planned), only(events, Finished)
    records = await book.records()
    assert len(planned.added) == 6
    assert planned.rebuild
    assert finished.status == "completed"
    assert (finished.added, finished.changed, finished.unchanged, finished.failed) == (6, 0, 0, 0)
    assert sorted(records) == sorted(planned.added)
    assert finished.chunks_total == sum(record.chunks for record in records.values()) == planned.chunks
    assert finished.chunks_created == finished.chunks_total == planned.chunks_to_embed
    assert finished.tokens == planned.tokens
    assert len(texts(openai_server)) == len(set(texts(openai_server)))
    assert isinstance(events[-1], Finished)


async def test_a_record_knows_its_page(book: Book) -> None:
    book.write("about.md", "---\ndescription: What it is.\n---\n\n# About\n\nText.\n\n## Why\n\nBecause of it.\n")
    await book.ingest()
    record = (await book.records())["about.md"]
    chunks = await book.chunks("about.md")
    assert record.title == "About"
    assert record.lead == "What it is."
    assert [(heading.level, heading.text, heading.anchor) for heading in record.headings][-1] == (2, "Why", "why")
    assert record.chunks == len(chunks)
    assert record.tokens == sum(chunk.tokens for chunk in chunks)


async def test_nothing_new_asks_nobody_and_writes_nothing(book: Book, openai_server: OpenAIServer) -> None:
    await book.ingest()
    requests, generation = len(openai_server.received), book.generation()
    openai_server.stop()
    finished = await book.ingest()
    assert (finished.status, finished.unchanged, finished.chunks_created) == ("completed", 6, 0)
    assert finished.chunks_reused == finished.chunks_total > 0
    assert len(openai_server.received) == requests
    assert book.generation() == generation


async def test_only_what_is_new_is_embedded(book: Book, openai_server: OpenAIServer) -> None:
    await book.ingest()
    before = len(texts(openai_server))
    path = "part-0/page-00002.md"
    book.write(path, page(2) + "\n## A new heading\n\nThe sprocket is new here and nowhere else in the book.\n")
    events = await book.events()
    planned, finished = only(events, Planned), only(events, Finished)
    assert planned.changed == (path,)
    assert not planned.rebuild
    assert (finished.changed, finished.unchanged) == (1, 5)
    new = texts(openai_server)[before:]
    assert 0 < len(new) <= 3
    assert finished.chunks_created < finished.chunks_total
    assert any("sprocket" in chunk.text for chunk in await book.chunks(path))


async def test_a_file_that_is_gone_leaves_the_index(book: Book) -> None:
    await book.ingest()
    (book.content / "part-0/page-00003.md").unlink()
    finished = await book.ingest()
    assert (finished.removed, finished.unchanged) == (1, 5)
    assert finished.chunks_deleted > 0
    assert len(await book.records()) == 5
    assert await book.chunks("part-0/page-00003.md") == []


async def test_a_moved_file_is_not_embedded_again(book: Book, openai_server: OpenAIServer) -> None:
    await book.ingest()
    before = len(texts(openai_server))
    (book.content / "part-0/page-00003.md").rename(book.content / "part-0/moved.md")
    finished = await book.ingest()
    assert (finished.added, finished.removed) == (1, 1)
    assert finished.chunks_created == 0
    assert len(texts(openai_server)) == before
    assert (await book.chunks("part-0/moved.md"))[0].url.endswith("/moved")


async def test_force_makes_everything_anew_from_known_vectors(book: Book, openai_server: OpenAIServer) -> None:
    await book.ingest()
    before, generation = len(texts(openai_server)), book.generation()
    finished = await book.ingest(force=True)
    assert finished.status == "completed"
    assert finished.chunks_created == 0
    assert book.generation() != generation
    assert len(texts(openai_server)) == before


async def test_a_dry_run_changes_nothing_and_tells_the_cost(book: Book, openai_server: OpenAIServer) -> None:
    planned = await book.plan()
    assert len(planned.added) == 6
    assert planned.tokens > 500
    assert planned.cost_usd is None  # whoever runs this server, it is not OpenAI
    assert not (book.data / "index").exists()
    assert openai_server.received == []
    await book.ingest()
    again = await book.plan()
    assert (again.added, again.tokens, again.chunks_to_embed, again.rebuild) == ((), 0, 0, False)


async def test_the_cost_is_the_price_of_what_is_new(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")
    planned = await book.plan()
    assert planned.cost_usd == pytest.approx(planned.tokens * 0.02 / 1_000_000)
    book.set(OPENAI_EMBEDDING_MODEL="text-embedding-of-tomorrow")
    assert (await book.plan()).cost_usd is None
    book.set(EMBEDDER="local")
    assert (await book.plan()).cost_usd == 0


async def test_the_planned_tokens_are_near_those_that_are_sent(book: Book, openai_server: OpenAIServer) -> None:
    from rag.text import tokens

    planned = await book.plan()
    await book.ingest()
    sent = sum(tokens.count(text) for text in texts(openai_server))
    assert planned.tokens == pytest.approx(sent, rel=0.1)


async def test_a_path_is_all_that_is_touched(book: Book) -> None:
    await book.ingest()
    book.write("part-0/page-00001.md", "# One\n\nThis is new.\n")
    book.write("part-1/new.md", "# New\n\nThis is new as well.\n")
    (book.content / "part-0/page-00002.md").unlink()
    finished = await book.ingest(path="part-1")
    assert (finished.added, finished.changed, finished.removed) == (1, 0, 0)
    records = await book.records()
    assert "part-1/new.md" in records
    assert "part-0/page-00002.md" in records
    assert records["part-0/page-00001.md"].title != "One"
    finished = await book.ingest(path="part-0/page-00002.md")
    assert finished.removed == 1


@pytest.mark.parametrize("path", ["../outside", "/etc", "part-0/../../outside", "nowhere", "part-0/page", "a\0b"])
async def test_a_path_that_is_not_in_the_book_is_refused(book: Book, path: str) -> None:
    with pytest.raises(ContentError):
        await book.ingest(path=path)
    assert not (book.data / "index").exists()


async def test_a_link_is_no_way_out(book: Book, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.md").write_text("# Secret\n\nNobody may read this.\n")
    (book.content / "way-out").symlink_to(tmp_path / "outside")
    with pytest.raises(ContentError):
        await book.ingest(path="way-out")


async def test_with_other_settings_a_path_means_the_whole_book(book: Book) -> None:
    await book.ingest()
    book.set(CHUNK_TOKENS="120")
    events = await book.events(path="part-0/page-00001.md")
    assert any(isinstance(event, Warned) and "whole book" in event.message for event in events)
    assert only(events, Finished).chunks_total > 0
    assert len(await book.records()) == 6


@pytest.mark.parametrize(
    "change",
    [
        {"CHUNK_TOKENS": "120"},
        {"CHUNK_OVERLAP_TOKENS": "0"},
        {"EMBED_WINDOWS": "false"},
        {"BOOK_LANGUAGE": "german"},
        {"OPENAI_EMBEDDING_DIMENSIONS": "32"},
        {"OPENAI_EMBEDDING_MODEL": "another-model"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_another_setting_makes_another_index(book: Book, change: dict[str, str]) -> None:
    await book.ingest()
    before = await book.fingerprint()
    book.set(**change)
    events = await book.events()
    assert only(events, Planned).rebuild
    assert only(events, Finished).status == "completed"
    assert await book.fingerprint() != before
    again = await book.events()
    assert not only(again, Planned).rebuild


async def test_a_server_that_makes_other_vectors_makes_another_index(book: Book, openai_server: OpenAIServer) -> None:
    await book.ingest()
    openai_server.limit(native_dimensions=48)
    book.write("new.md", "# New\n\nThis page is new.\n")
    finished = await book.ingest()
    assert finished.status == "completed"
    assert len(await book.records()) == 7
    assert "dimensions=48" in await book.fingerprint()


async def test_shorter_pages_ask_for_no_new_index(book: Book) -> None:
    await book.ingest()
    before = await book.fingerprint()
    for number in range(40):
        book.write(f"short/{number}.md", f"# Note {number}\n\nShort note {number}.\n")
    assert not only(await book.events(), Planned).rebuild
    assert await book.fingerprint() == before
    assert len(await book.records()) == 46


async def test_small_edits_keep_the_index(book: Book) -> None:
    await book.ingest()
    for number in range(6):
        book.write(f"part-0/page-{number:05}.md", page(number) + f"\nOne more line {number}.\n")
        assert not only(await book.events(), Planned).rebuild


async def test_the_language_is_told_from_the_text(book: Book) -> None:
    english = "The controller compares the pose with what it should be and acts on the joint so that it does not fall. "
    german = "Der Regler vergleicht die Lage mit dem Sollwert und wirkt auf das Gelenk, damit der Roboter nicht fällt. "
    for number in range(6):
        book.write(f"part-0/page-{number:05}.md", f"# Page {number}\n\n{english * 12}\n")
    await book.ingest()
    assert "language=english" in await book.fingerprint()
    for number in range(6):
        book.write(f"part-0/page-{number:05}.md", f"# Seite {number}\n\n{german * 12}\n")
    events = await book.events()
    assert only(events, Planned).rebuild
    assert "language=german" in await book.fingerprint()


async def test_a_file_that_fails_keeps_its_last_version(book: Book) -> None:
    await book.ingest()
    path = "part-0/page-00004.md"
    before = await book.chunks(path)
    (book.content / path).write_bytes(BINARY)
    book.write("new.md", "# New\n\nThis page is new.\n")
    events = await book.events()
    finished = only(events, Finished)
    assert only(events, FileFailed).problem.path == path
    assert (finished.status, finished.added, finished.failed, finished.removed) == ("completed", 1, 1, 0)
    assert finished.problems[0].path == path
    assert await book.chunks(path) == before


async def test_nothing_but_failures_is_a_failure(book: Book) -> None:
    for path in book.content.rglob("*.md"):
        path.write_bytes(BINARY)
    finished = await book.ingest()
    assert (finished.status, finished.failed) == ("failed", 6)
    assert not (book.data / "index" / "current").exists()


async def test_a_dead_model_server_leaves_the_old_index(book: Book, openai_server: OpenAIServer) -> None:
    await book.ingest()
    generation = book.generation()
    book.write("new.md", "# New\n\nThis page is new.\n")
    openai_server.always(Refuse(401))
    with pytest.raises(ModelAuthError):
        await book.ingest()
    assert book.generation() == generation
    openai_server.always(None)
    assert (await book.ingest()).added == 1


async def test_what_was_embedded_before_a_failure_is_kept(book: Book, openai_server: OpenAIServer) -> None:
    openai_server.next(*[Distort("shuffled")] * 3, Refuse(401), route="embeddings")
    with pytest.raises(ModelAuthError):
        await drained(replace(book.parts(), batch=8, in_flight=1))
    assert len(openai_server.requests("embeddings")) == 4
    await book.ingest()
    every = texts(openai_server)
    answered = [text for request in openai_server.requests("embeddings")[:3] for text in request.body["input"]]
    assert all(every.count(text) == 1 for text in answered if text != "book")


async def test_leaving_early_leaves_the_old_index(book: Book, openai_server: OpenAIServer) -> None:
    await book.ingest()
    generation = book.generation()
    write_book(book.content, 30, seed=2)
    async with book.parts() as parts, aclosing(ingest(parts)) as events:
        async for event in events:
            if isinstance(event, Progressed) and event.stage == "embedding":
                break
    assert book.generation() == generation
    assert len(list((book.data / "index").iterdir())) <= 4
    assert len(await book.records()) == 6


@pytest.mark.alone
async def test_cancelling_ends_the_calls_under_way(book: Book, openai_server: OpenAIServer) -> None:
    openai_server.limit(latency=30.0)
    task = asyncio.create_task(book.ingest())
    await reached(openai_server, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(2):
            await task
    await asyncio.sleep(0.3)
    assert openai_server.received[0].disconnected


async def test_progress_only_grows_and_does_not_chatter(book: Book) -> None:
    write_book(book.content, 60)
    events = await book.events()
    progress = [event for event in events if isinstance(event, Progressed)]
    percents = [event.percent for event in progress]
    assert percents == sorted(percents)
    assert 0 <= percents[0] <= percents[-1] <= 100
    for name in ("files_processed", "chunks_created", "chunks_deleted", "tokens"):
        counts = [getattr(event, name) for event in progress]
        assert counts == sorted(counts), name
    assert len(progress) <= 10 * only(events, Finished).seconds + 6
    assert progress[-1].files_processed == progress[-1].total_files == 60


async def test_two_at_once_are_refused(book: Book, openai_server: OpenAIServer) -> None:
    await book.ingest()
    write_book(book.content, 12)
    openai_server.next(Distort("shuffled"), Stall(seconds=3.0), route="embeddings")  # the probe, then the pages
    asked = len(openai_server.received)
    first = asyncio.create_task(book.ingest())
    await reached(openai_server, asked + 2)
    with pytest.raises(IngestRunning):
        await book.ingest()
    assert (await first).status == "completed"


async def test_an_index_that_moved_meanwhile_is_not_written_over(book: Book, openai_server: OpenAIServer) -> None:
    await book.ingest()
    book.write("new.md", "# New\n\nThis page is new.\n")
    openai_server.next(Stall(seconds=2.0), route="embeddings")  # the first one's probe: it has looked at the index
    asked = len(openai_server.received)
    first = asyncio.create_task(book.ingest())
    await reached(openai_server, asked + 1)
    assert (await book.ingest()).status == "completed"
    with pytest.raises(IngestRunning, match="in the meantime"):
        await first
    assert len(await book.records()) == 7


async def test_searches_answer_from_the_old_index_while_a_rebuild_runs(book: Book, openai_server: OpenAIServer) -> None:
    await book.ingest()
    book.set(CHUNK_TOKENS="120")
    openai_server.limit(latency=0.2)
    answers = 0
    async with opened(book.data) as store:
        before = await found(store)
        rebuilding = asyncio.create_task(book.ingest())
        while not rebuilding.done():
            await store.refresh()
            if await found(store) == before:
                answers += 1
            else:
                assert rebuilding.done() or book.generation()
            await asyncio.sleep(0.02)
        assert (await rebuilding).status == "completed"
        await store.refresh()
        after = await found(store)
    assert answers >= 3
    assert [hit.chunk.id for hit in after] != [hit.chunk.id for hit in before]


async def found(store: EdgeStore) -> list[Hit]:
    config = await store.config()
    assert config is not None
    query = Bm25Encoder(config.language, config.average_words).query("tendon torque and the gait of page 3")
    return sorted(await store.search(StoreQuery(query), 5), key=lambda hit: hit.chunk.id)


async def test_a_damaged_index_is_made_anew(book: Book) -> None:
    await book.ingest()
    (book.data / "index" / "current").write_text("../../nonsense")
    finished = await book.ingest()
    assert (finished.status, finished.chunks_created) == ("completed", 0)
    assert len(await book.records()) == 6


@pytest.mark.parametrize("force", [False, True])
async def test_broken_engine_files_are_healed_by_the_next_ingest(book: Book, force: bool) -> None:
    await book.ingest()
    shard = book.data / "index" / book.generation() / "shard"
    for path in shard.rglob("*"):
        if path.is_file():
            path.write_bytes(b"broken")
    finished = await book.ingest(force=force)
    assert (finished.status, finished.added, finished.unchanged) == ("completed", 0, 6)
    assert finished.chunks_created == 0
    assert finished.message.startswith("The index was made anew; 6 files unchanged.")
    assert len(await book.records()) == 6


async def test_a_part_of_the_book_is_never_all_that_is_left_of_a_damaged_index(book: Book) -> None:
    await book.ingest()
    next((book.data / "index" / book.generation() / "shard").rglob("segment.json")).write_text("{}")
    path = next(book.content.rglob("*.md")).relative_to(book.content)
    assert (await book.ingest(path=str(path))).unchanged == 6
    assert len(await book.records()) == 6


async def test_a_book_of_empty_pages_is_a_book(book: Book) -> None:
    for path in book.content.rglob("*.md"):
        path.write_text("")
    finished = await book.ingest()
    assert finished.status == "completed"
    assert len(await book.records()) == 6


async def test_the_same_text_twice_is_embedded_once(book: Book, openai_server: OpenAIServer) -> None:
    same = "# Licence\n\nThis page is the same in two places of the book.\n"
    book.write("a/licence.md", same)
    book.write("b/licence.md", same)
    await book.ingest()
    assert sum("same in two places" in text for text in texts(openai_server)) == 1
    assert (await book.chunks("a/licence.md"))[0].id != (await book.chunks("b/licence.md"))[0].id


async def test_without_its_model_a_book_is_indexed_for_its_words(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book.set(EMBEDDER="local")

    def parts() -> Ingestion:
        built = build_ingestion(Settings.load())
        missing = LocalEmbedder(model_path=book.data / "no-such-model.onnx")
        return replace(built, embedder=type(built.embedder)(missing))

    for expected in ("completed", "completed"):
        async with parts() as ready:
            events = [event async for event in ingest(ready)]
        assert any(isinstance(event, Warned) and "Local embeddings are off" in event.message for event in events)
        assert only(events, Finished).status == expected
    assert "Local embeddings are off" in only(events, Finished).message
    assert only(events, Finished).chunks_created == 0
    async with opened(book.data) as store:
        assert await found(store)
        config = await store.config()
        assert config is not None
        assert config.dimensions == 0
    finished = await book.ingest()  # the model is back
    assert finished.status == "completed"
    assert "dimensions=384" in await book.fingerprint()


async def test_a_script_that_the_local_model_cannot_read_is_told(book: Book) -> None:
    book.set(EMBEDDER="local")
    assert "script" not in (await book.ingest()).message
    for page_ in book.content.rglob("*.md"):
        page_.write_text("# 机器人学\n\n机器人用传感器感知周围的环境。\n", encoding="utf-8")
    events = await book.events(force=True)
    planned, finished = only(events, Planned), only(events, Finished)
    assert "reads Latin script only" in finished.message
    assert planned.chunks == finished.chunks_created
    assert planned.chunks_to_embed == planned.tokens == 0
    assert finished.chunks_created == finished.chunks_total > finished.chunks_reused == finished.tokens == 0
    async with opened(book.data) as store:
        config = await store.config()
        assert config is not None
        query = Bm25Encoder(config.language, config.average_words).query("机器人用什么感知环境？")
        assert await store.search(StoreQuery(query), 3)


async def test_windows_are_what_is_embedded_or_not(book: Book, openai_server: OpenAIServer) -> None:
    await book.ingest()
    chunks = (await book.ingest()).chunks_total
    assert len(texts(openai_server)) >= chunks
    before = len(texts(openai_server))
    book.set(EMBED_WINDOWS="false")
    await book.ingest()
    async with opened(book.data) as store:
        info = await store.info()
        hits = await found(store)
    assert info.windows == 0
    assert len(texts(openai_server)) - before <= chunks
    assert hits


async def test_what_a_server_held_of_a_run_cut_short_is_counted(book: Book, openai_server: OpenAIServer) -> None:
    client = AsyncQdrantClient(":memory:")
    place = ("http://127.0.0.1:9", None, "book")

    async def run() -> Finished:
        store, writer_for = ServerStore(*place, client=client), server_writer_for(*place, client=client)
        parts = replace(book.parts(), store=store, writer_for=writer_for, batch=4, in_flight=1)
        async with parts:
            return only([event async for event in ingest(parts)], Finished)

    openai_server.next(*[Distort("shuffled")] * 4, Refuse(401), route="embeddings")  # the probe, then three batches
    with pytest.raises(ModelAuthError):
        await run()
    finished = await run()
    records = await ServerStore(*place, client=client).documents()
    assert len(records) == 6
    assert finished.chunks_reused > 0
    assert finished.chunks_total == sum(record.chunks for record in records)
    await client.close()


async def test_a_qdrant_server_is_kept_up_to_date_as_well(book: Book, openai_server: OpenAIServer) -> None:
    client = AsyncQdrantClient(":memory:")
    place = ("http://127.0.0.1:9", None, "book")

    async def run() -> list[IngestEvent]:
        store, writer_for = ServerStore(*place, client=client), server_writer_for(*place, client=client)
        async with replace(book.parts(), store=store, writer_for=writer_for) as parts:
            return [event async for event in ingest(parts)]

    assert only(await run(), Finished).added == 6
    asked = len(openai_server.received)
    again = only(await run(), Finished)
    assert (again.unchanged, again.chunks_created, len(openai_server.received)) == (6, 0, asked)
    book.write("part-0/page-00001.md", "# One\n\nThis is new.\n")
    (book.content / "part-0/page-00002.md").unlink()
    changed = only(await run(), Finished)
    assert (changed.changed, changed.removed, changed.unchanged) == (1, 1, 4)
    book.set(CHUNK_TOKENS="120")
    rebuilt = await run()
    assert only(rebuilt, Planned).rebuild
    store = ServerStore(*place, client=client)
    records = await store.documents()
    assert len(records) == 5
    assert only(rebuilt, Finished).chunks_total == sum(record.chunks for record in records)
    await client.close()
