"""Chunks and records to payloads and back."""

import json
from dataclasses import replace
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.store.points import (
    BM25,
    DENSE,
    WINDOW_BM25,
    chunk_id_of,
    chunk_of,
    chunk_points,
    document_id,
    document_point,
    number_of,
    points_of,
    record_of,
    terms_of,
    window_ids,
)
from rag.types import SparseVector
from tests.support.indexed import indexed, vector

RECORD, (CHUNK, SHORT) = indexed("part 1/a.md", ["Robots walk. They balance. They fall", "The motor turns"])


def test_a_chunk_comes_back_whole_through_json() -> None:
    first, *_ = chunk_points(CHUNK)
    assert chunk_of(first.id, json.loads(json.dumps(first.payload))) == CHUNK.chunk
    assert first.id == CHUNK.chunk.id


@given(st.lists(st.integers(0, 2**32 - 1), max_size=300))
def test_terms_come_back_in_their_order_through_json(terms: list[int]) -> None:
    first, *_ = chunk_points(replace(CHUNK, terms=terms))
    assert list(terms_of(json.loads(json.dumps(first.payload)))) == terms


def test_a_record_comes_back_whole_through_json() -> None:
    point = document_point(RECORD)
    assert record_of(json.loads(json.dumps(point.payload))) == RECORD
    assert point.id == document_id(RECORD.path)
    assert point.vectors == {}


def test_every_window_is_a_point_found_by_its_chunk() -> None:
    first, *windows = chunk_points(CHUNK)
    assert first.payload["windows"] == len(windows) == 3
    assert [point.id for point in windows] == window_ids(number_of(CHUNK.chunk.id), 3)
    assert all(point.payload == {"chunk": CHUNK.chunk.id, "windows": 3} for point in windows)
    assert set(first.vectors) == {BM25}
    assert all(set(point.vectors) == {WINDOW_BM25, DENSE} for point in windows)


def test_a_stored_chunk_names_all_its_points_itself_last() -> None:
    """What is deleted is deleted in this order, and so a chunk whose windows are still there can be found."""
    first, *windows = chunk_points(CHUNK)
    assert points_of(CHUNK.chunk.id, first.payload) == [*(point.id for point in windows), first.id]


def test_ids_never_meet_and_windows_have_numbers() -> None:
    points = [*chunk_points(CHUNK), *chunk_points(SHORT), document_point(RECORD)]
    assert len({point.id for point in points}) == len(points)
    for point in points:
        if "chunk" in point.payload:
            assert isinstance(point.id, int)
            assert 0 <= point.id < 2**64
        else:
            assert UUID(str(point.id)).version == 5


def test_windows_of_very_many_chunks_never_meet() -> None:
    ids = {number for n in range(50_000) for number in window_ids(uuid5(NAMESPACE_URL, str(n)).int, 8)}
    assert len(ids) == 400_000


def test_the_norm_gives_the_cosine_of_the_mean() -> None:
    first, *windows = chunk_points(CHUNK)
    question = vector("anything")
    dense = [np.asarray(point.vectors[DENSE]) for point in windows]
    cosines = [float(window @ question) for window in dense]
    mean = np.mean(dense, axis=0)
    expected = float(mean @ question / np.linalg.norm(mean))
    assert sum(cosines) / first.payload["norm"] == pytest.approx(expected, abs=1e-5)


def test_empty_vectors_are_left_out() -> None:
    silent = replace(CHUNK, sparse=SparseVector((), ()), dense=np.zeros(0, dtype=np.float32), windows=())
    (point,) = chunk_points(silent)
    assert point.vectors == {}
    assert point.payload["norm"] == 0.0


def test_a_chunk_without_windows_carries_its_own_vector() -> None:
    (point,) = chunk_points(replace(CHUNK, windows=()))
    assert set(point.vectors) == {BM25, DENSE}


@given(st.uuids())
def test_a_number_names_a_chunk_and_back(given_id: UUID) -> None:
    assert number_of(str(given_id)) == given_id.int
    assert chunk_id_of(given_id.int) == str(given_id)
