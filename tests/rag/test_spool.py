"""Chunks wait in a file: what comes out is what went in, and nothing stays on disk."""

from pathlib import Path

import pytest

from rag.errors import StoreUnavailable
from rag.ingest.spool import CutDocument, Spool
from rag.types import Chunk, DocumentRecord, OutlineHeading


def cut(path: str, texts: tuple[str, ...] = ("one", "two")) -> CutDocument:
    record = DocumentRecord(
        path, "Ein Titel", "/docs/a", "ab", ("Teil 1",), 1, 9, 7, 1.5, (OutlineHeading(2, "Ü", None),), "lead"
    )
    chunk = Chunk("id", path, ("Ein Titel",), "/docs/a", "ü", 0, (0, 3), (0, 20), "one 漢字\n\ntwo", 9, ("Teil 1",))
    return CutDocument(record, (chunk,), (texts,))


def test_what_comes_out_is_what_went_in(tmp_path: Path) -> None:
    documents = [cut(f"{n}.md") for n in range(50)]
    with Spool(tmp_path / "data") as spool:
        for document in documents:
            spool.write(document)
        assert list(spool.read()) == documents
        assert list(spool.read()) == documents
        assert set(spool.records) == {f"{n}.md" for n in range(50)}
    assert list((tmp_path / "data").iterdir()) == []


def test_an_empty_spool_touches_no_disk(tmp_path: Path) -> None:
    with Spool(tmp_path / "data") as spool:
        assert list(spool.read()) == []
    assert not (tmp_path / "data").exists()


def test_a_disk_that_does_not_take_it_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with (
        Spool(tmp_path / "data") as spool,
        pytest.raises(StoreUnavailable, match=r"data directory .* cannot be written"),
    ):
        spool.write(cut("a.md"))


def test_only_texts_without_a_vector_cost_tokens() -> None:
    document = cut("a.md", ("one 漢字", "two"))
    assert document.with_new({"one 漢字", "two"}).new == (8,)
    assert document.with_new({"two"}).new == (3,)
    assert document.with_new(set()).new == (None,)
