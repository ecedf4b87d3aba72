"""The connection to a Qdrant server: one client, bounded retries, every failure one sentence that names the host.

With a breaker a server that failed is not called again until its probe succeeded, and a call takes no longer than
`timeout`, repetitions included: readers wait for it. Without one, for an ingest, each repetition may take that long.
gRPC is tried first where it is preferred; a server that does not speak it is asked over REST from then on.
The text of the client's own exceptions stays out of ours: it may hold the key.
"""

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from json import JSONDecodeError
from typing import TypeVar
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]
import httpx
from pydantic import ValidationError
from qdrant_client import AsyncQdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from rag.errors import StoreUnavailable
from rag.resilience import CircuitBreaker

Answer = TypeVar("Answer")
_PAUSES = (0.2, 1.0)  # seconds before the second and the third try
_PROBE = 2  # seconds a server may take to show that it speaks gRPC
_REFUSED = {401, 403, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
_MISSING = {404, grpc.StatusCode.NOT_FOUND}
_TIMEOUT = {408, 504, grpc.StatusCode.DEADLINE_EXCEEDED}
_BUSY = {429, 500, 502, 503, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}


class CollectionNotFound(Exception):
    """The collection is not there."""


class QdrantConnection:
    """A client opened by the first call. `client` is given where the engine lives in memory."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        timeout: float,
        prefer_grpc: bool = True,
        grpc_port: int = 6334,
        client: AsyncQdrantClient | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        self._breaker = breaker
        self.host = urlsplit(url).netloc.rpartition("@")[2] or "the server"
        self._url = url
        self._key = api_key
        self._timeout = timeout
        self._prefer_grpc = prefer_grpc
        self._grpc_port = grpc_port
        self._client = client
        self._owned = client is None
        self._opening = asyncio.Lock()

    async def run(self, call: Callable[[AsyncQdrantClient], Awaitable[Answer]]) -> Answer:
        """One call, repeated when the server is busy: none here does harm twice. Raises StoreUnavailable, Missing."""
        breaker = self._breaker
        if breaker is None:
            return await self._repeated(call)
        if not breaker.allow():
            raise StoreUnavailable(f"The Qdrant server at {self.host} failed a moment ago, and has not answered since.")
        try:
            return await self.probe(call)
        except StoreUnavailable as error:
            breaker.record_failure(error)
            raise

    async def probe(self, call: Callable[[AsyncQdrantClient], Awaitable[Answer]]) -> Answer:
        """As `run`, whatever the breaker says, and within `timeout` seconds in all."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._repeated(call)
        except TimeoutError:
            raise StoreUnavailable(self._sentence(504)) from None

    async def _repeated(self, call: Callable[[AsyncQdrantClient], Awaitable[Answer]]) -> Answer:
        for pause in (*_PAUSES, None):
            try:
                return await call(await self._connected())
            except (UnexpectedResponse, ResponseHandlingException, ResourceExhaustedResponse, grpc.RpcError) as error:
                reason = _reason(error)
                if reason in _MISSING:
                    raise CollectionNotFound from error
                if pause is None or reason not in _BUSY | _TIMEOUT:
                    raise StoreUnavailable(self._sentence(reason)) from error
                await asyncio.sleep(pause)
            except (JSONDecodeError, ValidationError, AssertionError) as error:
                raise StoreUnavailable(self._sentence("unreadable")) from error
            except ValueError as error:  # the engine in memory
                if "not found" in str(error) or "does not exist" in str(error):
                    raise CollectionNotFound from error
                raise
        raise AssertionError("the last try returns or raises")

    async def close(self) -> None:
        if self._owned and self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _connected(self) -> AsyncQdrantClient:
        async with self._opening:
            if self._client is None:
                self._client = await self._speaking_grpc() if self._prefer_grpc else None
                self._client = self._client or self._made(grpc_first=False)
            return self._client

    async def _speaking_grpc(self) -> AsyncQdrantClient | None:
        client = self._made(grpc_first=True)
        try:
            async with asyncio.timeout(_PROBE):
                await client.get_aliases()
        except (grpc.RpcError, ResourceExhaustedResponse, TimeoutError):
            await client.close()
            return None
        return client

    def _made(self, *, grpc_first: bool) -> AsyncQdrantClient:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # a key without TLS is the operator's choice on a private network
            return AsyncQdrantClient(
                url=self._url,
                api_key=self._key,
                prefer_grpc=grpc_first,
                grpc_port=self._grpc_port,
                timeout=max(1, round(self._timeout)),
                check_compatibility=False,
            )

    def _sentence(self, reason: object) -> str:
        where = f"The Qdrant server at {self.host}"
        if reason in _REFUSED:
            return f"{where} refused the key; check QDRANT_API_KEY."
        if reason in _TIMEOUT:
            return f"{where} did not answer within {self._timeout:g} s."
        if reason == "unreachable" or reason is grpc.StatusCode.UNAVAILABLE:
            return f"{where} cannot be reached; check QDRANT_URL."
        if reason == "unreadable":
            return f"What answers at {self.host} is not a Qdrant server; check QDRANT_URL."
        return f"{where} failed ({getattr(reason, 'name', reason)})."


def _reason(error: Exception) -> object:
    """An HTTP status, a gRPC status, or a word for what kept the answer from coming."""
    if isinstance(error, UnexpectedResponse):
        return error.status_code
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code()
    if isinstance(error, ResponseHandlingException):
        if isinstance(error.source, httpx.TimeoutException):
            return 504
        return "unreachable" if isinstance(error.source, httpx.TransportError) else "unreadable"
    return 429
