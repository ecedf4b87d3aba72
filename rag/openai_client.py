"""The client of an OpenAI-compatible server: retries, bounds on what it sends, and the SDK's failures made ours.

    client = OpenAIClient(api_key=..., base_url=...)
    answer = await client.call(lambda sdk: sdk.post(...), READER)
    async for event in client.events(stream, seconds): ...

Every failure is a ModelError whose sentence names the server and what to do, never the key and never the server's own
words: those go to the log, the key taken out. The SDK takes a second to import, so it is imported by the first call.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from rag.errors import ModelAuthError, ModelError, ModelRateLimited, ModelUnavailable, RagError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, AsyncStream

_log = logging.getLogger(__name__)
_QUOTA_WAIT = 3600.0
_CONNECT_SECONDS = 5.0
_KEY_LIKE = re.compile(r"\b(?:sk|pk|Bearer)[-_ ][\w\-*.]{4,}")

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one call may take: tries, the seconds spent waiting between them in all, the seconds of each try.

    A reader's call ends sooner where its Deadline does.
    """

    tries: int
    max_wait: float
    timeout: float


READER = RetryPolicy(tries=3, max_wait=1.5, timeout=20.0)  # somebody looks at a cursor
ONCE = RetryPolicy(tries=1, max_wait=0.0, timeout=20.0)
INGEST = RetryPolicy(tries=8, max_wait=180.0, timeout=120.0)  # a job that would rather wait than start over
CHECK = RetryPolicy(tries=1, max_wait=0.0, timeout=2.0)


class ModelRefused(ModelError):
    """The server answered 4xx to the request itself.

    `param` is the parameter it points at, if any, and `said` its words in lower case: to adapt to, not to show.
    """

    def __init__(self, message: str, *, status: int, said: str, param: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.said = said
        self.param = param


class OpenAIClient:
    """One OpenAI-compatible server, with or without a key. `close` ends its connections; it may be used again."""

    def __init__(self, *, api_key: str | None = None, base_url: str | None = None) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self.where = f"The model server at {_shown(base_url)}" if base_url else "OpenAI"

    @cached_property
    def _sdk(self) -> AsyncOpenAI:
        import openai

        from rag.bounded_stream import bound_response

        return openai.AsyncOpenAI(
            api_key=self._api_key or "none",
            base_url=self._base_url or "https://api.openai.com/v1",
            max_retries=0,  # ours, below: the SDK's sleeps cannot be bounded as a whole
            timeout=openai.Timeout(INGEST.timeout, connect=_CONNECT_SECONDS),
            default_headers={"accept-encoding": "identity"},
            http_client=openai.DefaultAsyncHttpxClient(event_hooks={"response": [bound_response]}),
        )

    async def call(
        self,
        send: Callable[[AsyncOpenAI], Awaitable[T]],
        policy: RetryPolicy,
        *,
        max_body: int | None = None,
        max_line: int | None = None,
    ) -> T:
        """Send until an answer comes or the policy ends; waits as long as the server asks, within the policy's bounds.

        An answer of more than `max_body` bytes, or with a line of more than `max_line`, is a ModelUnavailable.
        """
        with self.translated():
            sdk = self._sdk  # before any clock runs: the first one takes a second to make
        from rag.bounded_stream import MAX_BODY, Bounds, bounds

        waited = 0.0
        for number in range(1, policy.tries + 1):
            try:
                with self.translated(), bounds(Bounds(max_body or MAX_BODY, max_line)):
                    async with asyncio.timeout(policy.timeout):
                        return await send(sdk)
            except (ModelRateLimited, ModelUnavailable) as error:
                pause = _pause(error.retry_after, number)
                if number == policy.tries or waited + pause > policy.max_wait:
                    raise
                _log.info("%s Trying again in %.1f s.", error.message, pause)
            await asyncio.sleep(pause)
            waited += pause
        raise AssertionError("unreachable: the last try returns or raises")

    async def events(self, stream: AsyncStream[Item], wait: Callable[[], float]) -> AsyncGenerator[Item, None]:
        """The stream's events; `wait` says how many seconds each may take, after which it is ModelUnavailable.

        Closing this closes the stream, and with it the connection, at once.
        """
        try:
            while True:
                try:
                    with self.translated():
                        async with asyncio.timeout(wait()):
                            event = await anext(stream)
                except StopAsyncIteration:
                    return
                yield event
        finally:
            with suppress(ModelError), self.translated():  # what fails while closing is closed all the same
                await stream.close()

    async def check(self) -> None:
        """Asks for something small that costs nothing. Raises ModelError when the server cannot be used."""
        try:
            await self.call(lambda sdk: sdk.get("/models", cast_to=object), CHECK)
        except ModelRefused as refused:  # a server without that route is there all the same
            if refused.status not in (404, 405, 501):
                raise

    async def close(self) -> None:
        """Closing twice does no harm."""
        client = self.__dict__.pop("_sdk", None)
        if client is not None:
            await client.close()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Put it around every await on the SDK. Besides its own tree the SDK lets through what reading an answer raises
        (JSON, base64, sockets, TLS), so everything that is not ours becomes ours here.
        """
        try:
            yield
        except (RagError, StopAsyncIteration):
            raise
        except Exception as error:  # noqa: BLE001 - the border: nothing foreign passes
            raise self._problem(error) from None

    def _problem(self, error: Exception) -> ModelError:
        import openai

        if isinstance(error, openai.APIStatusError):
            return self._status_problem(error)
        if isinstance(error, openai.APITimeoutError | TimeoutError):
            return ModelUnavailable(f"{self.where} did not answer in time.")
        if isinstance(error, openai.APIConnectionError | OSError):
            return ModelUnavailable(f"{self.where} cannot be reached, or broke the connection.")
        if isinstance(error, openai.ContentFilterFinishReasonError):
            return ModelError(f"{self.where} withheld the answer: its content filter stopped it.")
        if isinstance(error, openai.APIResponseValidationError | openai.LengthFinishReasonError | ValueError):
            return self._unreadable()
        if isinstance(error, openai.APIError):
            self._note(f"broke off with {error.code}", error)
            return self._broken_off(error.code)
        self._note(f"failed with {type(error).__name__}", error)
        return ModelError(f"{self.where} could not be used: the call failed in an unforeseen way.")

    def _status_problem(self, error: APIStatusError) -> ModelError:
        status, code = error.status_code, error.code or ""
        if status == 401:
            lacking = "" if self._api_key else "; none is configured"
            return ModelAuthError(f"{self.where} refused the key (401){lacking}.")
        self._note(f"answered {status}", error)
        if status == 403:
            return ModelAuthError(f"{self.where} does not allow this key to do that (403).")
        if status == 429:
            return self._limited(code, retry_after(error.response.headers))
        if status >= 500 or status in (408, 409, 425):
            pause = retry_after(error.response.headers)
            return ModelUnavailable(f"{self.where} has trouble of its own ({status}).", retry_after=pause)
        said = " ".join(str(part) for part in (code, error.param or "", error.message, error.body or "")).lower()
        if status == 404:
            why = "does not know the model or the address (404)"
        elif code == "context_length_exceeded":
            why = "finds the request too long for the model"
        else:
            why = f"refused the request ({status})"
        return ModelRefused(f"{self.where} {why}.", status=status, said=said, param=str(error.param or ""))

    def _limited(self, code: str, pause: float | None) -> ModelRateLimited:
        if code in ("insufficient_quota", "billing_hard_limit_reached"):
            return ModelRateLimited(f"{self.where} has no quota left for this key (429).", retry_after=_QUOTA_WAIT)
        return ModelRateLimited(f"{self.where} asks for fewer requests (429).", retry_after=pause)

    def _broken_off(self, code: str | None) -> ModelError:
        if code in ("rate_limit_exceeded", "insufficient_quota"):
            return self._limited(code, None)
        return ModelUnavailable(f"{self.where} broke off with an error of its own.")

    def _unreadable(self) -> ModelError:
        return ModelError(f"{self.where} answered in a form that is not OpenAI's.")

    def unreadable(self, what: str) -> ModelError:
        """For an answer that parses but does not hold what it must: `what` is the end of the sentence."""
        return ModelError(f"{self.where} {what}.")

    def _note(self, what: str, error: Exception) -> None:
        words = " ".join(f"{what}: {error}".split())
        if self._api_key:
            words = words.replace(self._api_key, "***")
        _log.warning("%s %s", self.where, _KEY_LIKE.sub("***", words)[:500])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from Retry-After-Ms or Retry-After (seconds or a date, RFC 9110, section 10.2.3); None when unusable."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _pause(asked: float | None, number: int) -> float:
    """What the server asks for, else .5, 1, 2, … up to 20 seconds; a little more, so that callers spread out."""
    pause = asked if asked is not None else min(20.0, 0.25 * 2.0**number)
    return pause * random.uniform(1.0, 1.1)  # noqa: S311 - no secret


def _shown(url: str) -> str:
    """The address without credentials and query: either may be a secret."""
    try:
        parts = urlsplit(url)
        valid = parts.hostname and parts.port != 0  # a port that is no number raises ValueError
    except ValueError:
        valid = False
    if not valid:
        return "an address that is not valid"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
