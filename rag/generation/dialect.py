"""What an OpenAI-compatible chat server takes beside model and messages, learnt from its refusals and remembered."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from rag.provider import ModelRefused

_log = logging.getLogger(__name__)
_REFUSALS = (400, 404, 422)
_TOO_LONG = ("context length", "context_length", "too long", "maximum context")

T = TypeVar("T")


class Dialect:
    """`max_tokens` bounds the answer, under whichever name the server has for it."""

    def __init__(self, *, temperature: float = 0.2) -> None:
        self._temperature: float | None = temperature
        self._limit_name: str | None = "max_completion_tokens"
        self._stream_options = True

    async def send(self, ask: Callable[[dict[str, Any]], Awaitable[T]], *, max_tokens: int, stream: bool) -> T:
        """Calls `ask` with the optional parameters, with fewer of them after each refusal that they may have caused."""
        while True:
            options = self._options(max_tokens, stream)
            try:
                return await ask(options)
            except ModelRefused as refused:
                if refused.status not in _REFUSALS or any(words in refused.said for words in _TOO_LONG):
                    raise
                if self._options(max_tokens, stream) != options:
                    continue  # another request has learnt meanwhile
                if not self._drop_named(refused.said):
                    return await self._plainly(ask, options, refused)

    async def _plainly(
        self, ask: Callable[[dict[str, Any]], Awaitable[T]], options: dict[str, Any], refused: ModelRefused
    ) -> T:
        """A last try for servers that do not say what they mind; if it works, it stays so."""
        if not options or refused.status == 404:
            raise refused
        try:
            answer = await ask({})
        except ModelRefused:
            raise refused from None
        _log.info("The model server takes none of %s.", ", ".join(options))
        self._temperature, self._limit_name, self._stream_options = None, None, False
        return answer

    def _options(self, max_tokens: int, stream: bool) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if stream and self._stream_options:
            options["stream_options"] = {"include_usage": True}
        if self._limit_name is not None:
            options[self._limit_name] = max_tokens
        if self._temperature is not None:
            options["temperature"] = self._temperature
        return options

    def _drop_named(self, said: str) -> bool:
        """Drops the one parameter that the refusal names."""
        if self._stream_options and ("stream_options" in said or "include_usage" in said):
            self._stream_options = False
        elif self._temperature is not None and "temperature" in said:
            self._temperature = None
        elif self._limit_name is not None and self._limit_name in said:
            self._limit_name = "max_tokens" if self._limit_name == "max_completion_tokens" else None
        else:
            return False
        return True
