"""What was read of a published index, kept as long as it cannot change: the next search need not read it again."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from rag.store.points import chunk_id_of, chunk_of, number_of, terms_of, window_ids
from rag.types import Chunk

_MOST_CHUNKS = 4096  # some 13 MB


class Point(Protocol):
    """A point as the engine returned it. Its payload is made when it is asked for."""

    @property
    def payload(self) -> Mapping[str, Any] | None: ...


class CachedChunk(NamedTuple):
    """A chunk that was read, its terms in their order, and the length of the sum of its windows' unit vectors."""

    chunk: Chunk
    terms: Sequence[int]
    norm: float


class ChunkCache:
    """Chunks and windows by their numbers: a chunk's is its UUID as an integer, a window's its id.

    `owners` leads from windows, and from chunks themselves, to chunks; `windows` from chunks to their windows; `names`
    to their ids. `before` is the one that has become full: what is still asked for is taken over from it.
    """

    def __init__(self, before: "ChunkCache | None" = None) -> None:
        self._before = before
        if before is not None:
            before._before = None
        self.owners: dict[int, int] = {}
        self.windows: dict[int, list[int]] = {}
        self.names: dict[int, str] = {}
        self._chunks: dict[int, CachedChunk] = {}

    @property
    def full(self) -> bool:
        """Time for another one; searches under way go on with this."""
        return len(self.windows) > _MOST_CHUNKS

    def owner(self, number: int, point: Point) -> int | None:
        """The chunk of a window, or the chunk itself; None for any other point. Its payload names both or none."""
        cache = self.owners.get(number)
        if cache is not None:
            return cache
        cache = self._before.owners.get(number) if self._before else None
        if self._before is not None and cache is not None:
            self._add(cache, self._before.names[cache], self._before.windows[cache])
            return cache
        payload = point.payload or {}
        if "windows" not in payload:
            return None
        named = payload.get("chunk")
        chunk = number if named is None else number_of(named)
        if chunk not in self.windows:
            self._add(chunk, named or chunk_id_of(chunk), window_ids(chunk, payload["windows"]))
        return chunk

    def _add(self, chunk: int, name: str, windows: list[int]) -> None:
        self.names[chunk], self.windows[chunk], self.owners[chunk] = name, windows, chunk
        self.owners |= dict.fromkeys(windows, chunk)

    def chunk(self, number: int) -> CachedChunk | None:
        cache = self._chunks.get(number)
        if cache is None and self._before is not None and (cache := self._before._chunks.get(number)) is not None:
            self._chunks[number] = cache
        return cache

    def read(self, number: int, point: Point) -> None:
        """A chunk whose owner is known."""
        payload = point.payload or {}
        chunk = chunk_of(self.names[number], payload)
        self._chunks[number] = CachedChunk(chunk, terms_of(payload), payload["norm"] or 1.0)
