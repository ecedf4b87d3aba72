"""What an OpenAI-compatible chat server takes beside model and messages, learnt from its refusals and remembered."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from rag.openai_client import ModelRefused

_log = logging.getLogger(__name__)
_REFUSALS = (400, 404, 422)
_TOO_LONG = ("context length", "context_length", "too long", "maximum context")
_MAX_TOKENS = object()

T = TypeVar("T")


@dataclass(slots=True)
class _Parameter:
    """A parameter in the forms to try, best first; past the last one it is left out."""

    forms: tuple[tuple[str, object], ...]
    place: int = 0

    @property
    def form(self) -> tuple[str, object] | None:
        return self.forms[self.place] if self.place < len(self.forms) else None


class ParameterNegotiation:
    """The optional parameters of a chat request, for one model on one server."""

    def __init__(self, *, temperature: float = 0.2) -> None:
        self._wishes = (
            _Parameter((("stream_options", {"include_usage": True}),)),
            _Parameter((("temperature", temperature),)),
            _Parameter((("max_completion_tokens", _MAX_TOKENS), ("max_tokens", _MAX_TOKENS))),
            # Quoting a book needs little thought, and thoughts are silence to a reader.
            _Parameter((("reasoning_effort", "none"), ("reasoning_effort", "low"))),
        )

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
                if not self._give_way(refused, options):
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
        for wish in self._wishes:
            if wish.form is not None and wish.form[0] in options:
                wish.place = len(wish.forms)
        return answer

    def _options(self, max_tokens: int, stream: bool) -> dict[str, Any]:
        forms = (wish.form for wish in self._wishes)
        options = {form[0]: max_tokens if form[1] is _MAX_TOKENS else form[1] for form in forms if form is not None}
        if not stream:
            options.pop("stream_options", None)
        return options

    def _give_way(self, refused: ModelRefused, options: dict[str, Any]) -> bool:
        """Moves on from the form that the refusal is about: the one it points at, else the first one it mentions."""
        sent = [wish for wish in self._wishes if wish.form is not None and wish.form[0] in options]
        pointed = [wish for wish in sent if wish.form is not None and wish.form[0] == refused.param]
        named = [wish for wish in sent if wish.form is not None and wish.form[0] in refused.said]
        for wish in (pointed or named)[:1]:
            wish.place += 1
            return True
        return False
