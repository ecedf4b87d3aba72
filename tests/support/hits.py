"""Chunks and hits made of a few words, for tests of what comes after the store."""

from rag.retrieval.fusion import RankedHit
from rag.types import Chunk, Hit, InnerHeading


def chunk(
    path: str = "a.md",
    text: str = "",
    *,
    ordinal: int = 0,
    heading_path: tuple[str, ...] = ("Page",),
    anchor: str | None = None,
    url: str | None = None,
    trail: tuple[str, ...] = (),
    tokens: int | None = None,
    inner: tuple[InnerHeading, ...] = (),
) -> Chunk:
    body = text or f"Text {ordinal} of {path}."
    return Chunk(
        id=f"{path}:{ordinal}",
        path=path,
        heading_path=heading_path,
        url=url or f"/docs/{path.removesuffix('.md')}",
        anchor=anchor,
        ordinal=ordinal,
        lines=(0, 1),
        chars=(0, len(body)),
        text=body,
        tokens=len(body.split()) if tokens is None else tokens,
        trail=trail,
        inner=inner,
    )


def hit(
    path: str = "a.md",
    text: str = "",
    *,
    ordinal: int = 0,
    bm25: float = 0.0,
    window_bm25: float = 0.0,
    window_cosine: float = 0.0,
    chunk_cosine: float = 0.0,
) -> Hit:
    return Hit(chunk(path, text, ordinal=ordinal), bm25, window_bm25, window_cosine, chunk_cosine)


def scored(made: Chunk, score: float) -> RankedHit:
    return RankedHit(Hit(made), score)
