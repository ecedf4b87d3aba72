"""Chunk, window and DocumentRecord <-> payload and id. Pure; both engines store exactly this.

    chunk      id of the chunk         vector bm25                   payload: the chunk, terms, number of windows, norm
    window     from its chunk's id     vectors window_bm25, dense    payload: its chunk's id, number of windows
    document   uuid5 of the path       no vectors                    payload: the record, as JSON

The BM25 vectors of chunks and windows have different names because the engine counts IDF per name. The windows of a
chunk are found by their ids, to be searched as well as to be deleted, and so no field of theirs is indexed. A record is
JSON because the engine takes five times as long for the same as a dict. The mean of a chunk's windows' vectors is not
stored: its cosine is the sum of theirs over `norm`, the length of the sum of the unit vectors. A chunk whose windows
have no dense vectors carries its own.
"""

import json
from array import array
from binascii import a2b_base64, b2a_base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Any, cast
from uuid import UUID, uuid5

import numpy as np

from rag.embedding.base import Vectors
from rag.store.base import IndexedChunk
from rag.types import Chunk, DocumentRecord, IndexInfo, InnerHeading, OutlineHeading, SparseVector

Payload = dict[str, Any]

BM25, WINDOW_BM25, DENSE = "bm25", "window_bm25", "dense"
RECORDS = ""  # where a chunk has the path of its document, so that one indexed field finds either
_NAMESPACE = UUID("5f0c6e0e-3f58-5d0b-9a53-0c1f5f0d7a11")
_MASK = 2**64 - 1
_STRIDE = 0x9E3779B97F4A7C15  # odd, and far from any small multiple of itself
_TERMS = "I"  # 32 bits each, little endian wherever the engine runs
INDEX_ID = str(uuid5(_NAMESPACE, "the index itself"))


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """What both engines are given. `vectors` is keyed by the names above."""

    id: str | int
    payload: Payload
    vectors: Mapping[str, SparseVector | Vectors]


def document_id(path: str) -> str:
    return str(uuid5(_NAMESPACE, path))


def number_of(chunk_id: str) -> int:
    """A chunk's UUID as a number: `UUID(chunk_id).int`, in a quarter of the time."""
    return int(chunk_id.replace("-", ""), 16)


def chunk_id_of(number: int) -> str:
    """The way back, in a fifth of the time that `UUID` takes."""
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def window_ids(chunk: int, count: int) -> list[int]:
    """The ids of a chunk's windows, in their order: numbers of 64 bits, because a search handles hundreds of them.

    `chunk` is its UUID as a number.
    """
    return [(chunk + number * _STRIDE) & _MASK for number in range(count)]


def points_of(chunk_id: str, payload: Mapping[str, Any]) -> list[str | int]:
    """The ids of a stored chunk's windows, and its own: last, because it is what names the others."""
    return [*window_ids(number_of(chunk_id), payload["windows"]), chunk_id]


def document_point(record: DocumentRecord) -> StoredPoint:
    headings = [(heading.level, heading.text, heading.anchor) for heading in record.headings]
    written = json.dumps(_fields(record) | {"headings": headings}, ensure_ascii=False)
    return StoredPoint(document_id(record.path), {"path": RECORDS, "record": written}, {})


def chunk_points(indexed: IndexedChunk) -> Iterable[StoredPoint]:
    """The chunk's own point, then its windows'."""
    chunk, count = indexed.chunk, len(indexed.windows)
    norm = _norm(indexed)
    inner = [_fields(heading) for heading in chunk.inner]
    payload = _fields(chunk) | {"inner": inner, "terms": _packed(indexed.terms), "windows": count, "norm": norm}
    del payload["id"]
    yield StoredPoint(chunk.id, payload, _vectors(BM25, indexed.sparse, None if norm else indexed.dense))
    for point_id, window in zip(window_ids(number_of(chunk.id), count), indexed.windows, strict=True):
        yield StoredPoint(
            point_id, {"chunk": chunk.id, "windows": count}, _vectors(WINDOW_BM25, window.sparse, window.dense)
        )


def _fields(record: Any) -> Payload:  # noqa: ANN401
    """A dataclass as a dict; unlike `asdict` it copies nothing, and is twenty times as fast."""
    return {field: getattr(record, field) for field in record.__slots__}


def _norm(indexed: IndexedChunk) -> float:
    """The length of the sum of the windows' vectors, which are unit vectors; 0 when they have none."""
    dense = [window.dense for window in indexed.windows if window.dense is not None and window.dense.size]
    return float(np.linalg.norm(sum(dense[1:], dense[0]))) if dense else 0.0


def _vectors(sparse_name: str, sparse: SparseVector, dense: Vectors | None) -> dict[str, SparseVector | Vectors]:
    """Leaves out what is empty: a text of stop words alone has no terms, an index without a model no dimensions."""
    vectors: dict[str, SparseVector | Vectors] = {}
    if sparse.indices:
        vectors[sparse_name] = sparse
    if dense is not None and dense.size:
        vectors[DENSE] = dense
    return vectors


def is_chunk(payload: Mapping[str, Any]) -> bool:
    return "text" in payload


def chunk_of(point_id: str | int, payload: Mapping[str, Any]) -> Chunk:
    return Chunk(
        id=str(point_id),
        path=payload["path"],
        heading_path=tuple(payload["heading_path"]),
        url=payload["url"],
        anchor=payload["anchor"],
        ordinal=payload["ordinal"],
        lines=tuple(payload["lines"]),
        chars=tuple(payload["chars"]),
        text=payload["text"],
        tokens=payload["tokens"],
        trail=tuple(payload["trail"]),
        inner=tuple(map(_inner, payload["inner"])),
    )


def terms_of(payload: Mapping[str, Any]) -> Sequence[int]:
    """A chunk's, in their order."""
    return array(_TERMS, a2b_base64(payload["terms"]))


def _packed(terms: Iterable[int]) -> str:
    """In base64: one string instead of a list of a hundred numbers."""
    return b2a_base64(array(_TERMS, terms), newline=False).decode()


def info_of(fingerprint: str, records: Collection[DocumentRecord], points: int) -> IndexInfo:
    """The index of these documents, in so many points, as it is built now."""
    chunks = sum(record.chunks for record in records)
    return IndexInfo(
        fingerprint=fingerprint,
        documents=len(records),
        chunks=chunks,
        windows=points - chunks - len(records),
        tokens=sum(record.tokens for record in records),
        built_at=time(),
    )


def record_of(payload: Mapping[str, Any]) -> DocumentRecord:
    fields = json.loads(payload["record"])
    headings = tuple(OutlineHeading(*heading) for heading in fields["headings"])
    return DocumentRecord(**fields | {"trail": tuple(fields["trail"]), "headings": headings})


def _inner(heading: Mapping[str, Any]) -> InnerHeading:
    return InnerHeading(heading["offset"], tuple(heading["heading_path"]), heading["anchor"])


def _pair(value: object) -> tuple[int, int]:
    start, end = cast(tuple[int, int], value)
    return start, end
