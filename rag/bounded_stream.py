"""How many bytes one answer of an upstream may have: its body, decompressed, and each line of an event stream.

`bounds` sets the limits for the calls made inside it; `bound_response` is a response hook of httpx2. A response that
passes a limit raises ReadError while it is read, and its connection is closed.
"""

import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import httpx2

MAX_BODY = 1024 * 1024
MAX_STREAM = 32 * 1024 * 1024  # 60,000 characters in pieces of one, each in an event of 300 bytes, and as much again
MAX_LINE = 256 * 1024
MAX_COMMENTS = 5_000  # lines of an event stream that say nothing: a ping a second for more than an hour
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """In bytes. `line` None: the answer has no lines."""

    body: int = MAX_BODY
    line: int | None = None


_bounds: ContextVar[Bounds] = ContextVar("bounds", default=Bounds())  # noqa: B039 - frozen


@contextmanager
def bounds(limits: Bounds) -> Iterator[None]:
    """Set the limits for the requests that are sent inside, by this task."""
    token = _bounds.set(limits)
    try:
        yield
    finally:
        _bounds.reset(token)


async def bound_response(response: httpx2.Response) -> None:
    """Put the present bounds on a response. Decompresses it here: httpx2 would inflate any bomb at once."""
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    encoding = response.headers.pop("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
        raise httpx2.DecodingError("The answer is compressed in a way that was not asked for.")
    response.stream = _BoundedStream(response.stream, _bounds.get(), compressed=encoding != "identity")


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, limits: Bounds, *, compressed: bool) -> None:
        self._stream, self._limits, self._compressed = stream, limits, compressed
        self._size = self._line = self._comments = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        inflate = zlib.decompressobj(wbits=47) if self._compressed else None  # 47: gzip or zlib, whichever it is
        async for chunk in self._stream:
            if inflate is None:
                self._count(chunk)
                yield chunk
                continue
            rest = chunk
            while rest:
                try:
                    piece = inflate.decompress(rest, _PIECE)
                except zlib.error:
                    raise httpx2.DecodingError("The answer cannot be decompressed.") from None
                rest = inflate.unconsumed_tail
                self._count(piece)
                yield piece
        if inflate is not None and not inflate.eof:
            raise httpx2.DecodingError("The compressed answer breaks off.")

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _count(self, chunk: bytes) -> None:
        """Raises ReadError for more bytes than are allowed."""
        self._size += len(chunk)
        if self._size > self._limits.body:
            raise httpx2.ReadError(f"The answer is longer than {self._limits.body:,} bytes.")
        if self._limits.line is None:
            return
        self._comments += chunk.count(b"\n:")
        if self._comments > MAX_COMMENTS:
            raise httpx2.ReadError(f"The answer holds more than {MAX_COMMENTS:,} comments.")
        *ended, last = chunk.split(b"\n")
        longest = max([self._line + len(ended[0]), *map(len, ended[1:])]) if ended else 0
        self._line = len(last) if ended else self._line + len(last)
        if max(longest, self._line) > self._limits.line:
            raise httpx2.ReadError(f"A line of the answer is longer than {self._limits.line:,} bytes.")
