"""Files cut here and in a process beside: the same answers in the same order, and an end that leaves nobody behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from rag.corpus.routes import Site
from rag.corpus.scan import Source, scan
from rag.errors import ContentError
from rag.events import FileProblem
from rag.ingest.chunk_worker import ChunkedDocument, ChunkOutcome, DocumentChunker, chunk_all
from rag.text.bm25 import Bm25Encoder
from rag.types import Chunk, DocumentRecord, SparseVector
from tests.support.ingesting import children, command, environment, write_book

CUTTER = DocumentChunker(500, 50, windowed=True, language="english", average_words=150.0)


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    write_book(tmp_path / "content", 12)
    (tmp_path / "content" / "umlaut-ü-漢字.md").write_text("# Ü\n\nText with 漢字 and 🤖.\n")
    return scan(tmp_path / "content", Site()).sources


def timeless(cut: ChunkOutcome) -> ChunkOutcome:
    return replace(cut, record=replace(cut.record, ingested_at=0.0)) if isinstance(cut, ChunkedDocument) else cut


async def every(cutter: DocumentChunker, sources: list[Source], beside_from: int) -> list[ChunkOutcome]:
    async with aclosing(chunk_all(cutter, sources, beside_from=beside_from)) as cuts:
        return [timeless(cut) async for cut in cuts]


def running(process: int) -> bool:
    """A zombie does not run."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("windowed", [True, False])
async def test_a_process_beside_cuts_the_same(sources: list[Source], windowed: bool) -> None:
    (sources[3].root / sources[3].path).unlink()
    cutter = replace(CUTTER, windowed=windowed)
    here = await every(cutter, sources, 100)
    assert await every(cutter, sources, 1) == await every(cutter, sources, 5) == here
    assert [type(cut) for cut in here].count(FileProblem) == 1
    documents = [cut for cut in here if isinstance(cut, ChunkedDocument)]
    assert all(document.chunks and len(document.sparse) == len(document.chunks) for document in documents)
    assert all(bool(windows) == windowed for document in documents for windows in document.text_sparse)


def test_terms_are_those_of_what_is_indexed_in_its_order(sources: list[Source]) -> None:
    lexicon = Bm25Encoder(CUTTER.language, CUTTER.average_words)
    for source in sources:
        made = CUTTER.cut(source)
        assert isinstance(made, ChunkedDocument)
        assert [list(terms) for terms in made.terms] == [lexicon.terms(chunk.embed_text) for chunk in made.chunks]


async def test_what_breaks_the_parser_is_one_page(sources: list[Source], capfd: pytest.CaptureFixture[str]) -> None:
    broken = replace(sources[2], site=replace(sources[2].site, flavor="auto"))  # `read` asserts that it is known
    for beside_from in (1, 100):
        cuts = await every(CUTTER, [sources[0], broken, sources[1]], beside_from)
        assert [isinstance(cut, FileProblem) for cut in cuts] == [False, True, False]
        assert cuts[1] == FileProblem(broken.path, "internal", f"{broken.path} could not be read: it broke the parser.")
    said = capfd.readouterr().err
    assert "AssertionError at scan.py:" in said, "the process beside says where, in a line"
    assert "Traceback" not in said


async def test_a_name_that_is_no_unicode_is_cut_as_well(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    write_book(folder, 4)
    sources = scan(folder, Site()).sources
    assert await every(CUTTER, sources, 1) == await every(CUTTER, sources, 100)


async def test_a_process_that_is_killed_is_one_sentence(sources: list[Source]) -> None:
    before = children()
    async with aclosing(chunk_all(CUTTER, sources * 50, beside_from=1)) as cuts:
        await anext(cuts)
        (process,) = children() - before
        os.kill(process, signal.SIGKILL)
        with pytest.raises(ContentError, match="memory ran out"):
            async for _ in cuts:
                pass


async def test_leaving_early_ends_the_process(sources: list[Source]) -> None:
    before = children()
    async with aclosing(chunk_all(CUTTER, sources * 50, beside_from=1)) as cuts:
        await anext(cuts)
        assert len(children() - before) == 1
    assert children() == before


async def test_without_a_process_they_are_cut_all_the_same(
    sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await every(CUTTER, sources, 100)
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert await every(CUTTER, sources, 1) == here


async def test_few_files_need_no_process(sources: list[Source]) -> None:
    before = children()
    async with aclosing(chunk_all(CUTTER, sources)) as cuts:
        async for _ in cuts:
            assert children() == before


def test_it_ends_with_an_ingest_that_is_killed(tmp_path: Path) -> None:
    write_book(tmp_path / "content", 400)
    environ = environment(tmp_path / "content", tmp_path / "data", EMBEDDER="local")
    ingest = subprocess.Popen(command("--dry-run"), env=environ, cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (beside := children(ingest.pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    (cutting,) = beside
    ingest.kill()
    ingest.wait()
    while running(cutting) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not running(cutting)


def cut(texts: tuple[str, ...] = ("one 漢字", "two")) -> ChunkedDocument:
    record = DocumentRecord("a.md", "Ein Titel", "/docs/a", "ab", ("Teil 1",), 1, 9, 1.5)
    chunk = Chunk("id", "a.md", ("Ein Titel",), "/docs/a", "ü", 0, (0, 3), (0, 20), "one 漢字\n\ntwo", 9)
    return ChunkedDocument(record, (chunk,), (texts,), (SparseVector((), ()),), ((),), ((),))


def test_only_texts_without_a_vector_cost_tokens() -> None:
    document = cut()
    every = {"one 漢字", "two"}
    assert document.with_new(every, lambda _: True).new == (8,)
    assert document.with_new({"two"}, lambda _: True).new == (3,)
    assert document.with_new(set(), lambda _: True).new == (None,)
    assert document.with_new(every, str.isascii).new == (3,)
    assert document.with_new(every, lambda _: False).new == (0,)
