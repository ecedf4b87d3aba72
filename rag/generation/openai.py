"""Answers streamed by an OpenAI-compatible chat model: every wait is bounded, a cut answer never passes for whole."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

from openai import AsyncStream

from rag import tokens
from rag.errors import ModelError, ModelUnavailable
from rag.generation.base import AnswerRequest, Ended, Piece
from rag.generation.dialect import Dialect
from rag.generation.rewriting import rewrite_messages, rewritten
from rag.generation.sign import SignFilter
from rag.provider import READER, Provider
from rag.types import Exchange, Message, Usage

MAX_TOKENS = 2_000  # a model that thinks first spends some of them on that
_MOST_CHARACTERS = 60_000  # for servers that take no bound of ours
_REWRITE_TOKENS = 300
_AFTER_THE_END = 2.0  # seconds for the count of tokens, which comes after the last word

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ModelWaits:
    """The longest waits, in seconds: for the first words, for every further event, for the whole, for a rewriting."""

    first: float = 40.0
    between: float = 25.0
    whole: float = 240.0
    rewrite: float = 7.0


class OpenAIGenerator:
    """Closes the provider with itself."""

    def __init__(
        self,
        provider: Provider,
        *,
        model: str = "gpt-5.4-mini",
        max_tokens: int = MAX_TOKENS,
        waits: ModelWaits | None = None,
    ) -> None:
        self._provider = provider
        self._model = model
        self._max_tokens = max_tokens
        self._waits = waits or ModelWaits()
        self._dialect = Dialect()

    @property
    def name(self) -> str:
        return self._model

    async def answer(self, request: AnswerRequest) -> AsyncGenerator[Piece | Ended, None]:
        """Streams the model's words without the sign that the book does not hold the answer. Raises ModelError."""
        reading = _Reading(self._waits)
        stream = await self._open(request.messages, reading)
        sign = SignFilter()
        try:
            async with aclosing(self._provider.events(stream, reading.wait)) as chunks:
                async for chunk in chunks:
                    if text := sign.feed(reading.take(chunk)):
                        yield Piece(text, answered=sign.answered)
                    if reading.written > _MOST_CHARACTERS:
                        reading.finish_reason = "length"
                        break
        except ModelError:
            if reading.finish_reason is None:  # what breaks after the last word takes nothing away
                raise
        finish = self._finish(reading.finish_reason)
        if text := sign.finish():
            yield Piece(text, answered=sign.answered)
        usage = reading.usage or _estimated(request.messages, reading)
        yield Ended(finish, answered=sign.answered, usage=usage)

    async def rewrite(self, question: str, history: Sequence[Exchange]) -> str | None:
        """None for a first question, and for an answer of the model that is no question to search for."""
        if not history:
            return None
        messages = _wire(rewrite_messages(question, history))
        patience = replace(READER, tries=1, timeout=self._waits.rewrite)

        async def ask(options: dict[str, Any]) -> object:
            body = {"model": self._model, "messages": messages, **options}
            return await self._provider.call(
                lambda client: client.post("/chat/completions", cast_to=object, body=body), patience
            )

        answer = await self._dialect.send(ask, max_tokens=_REWRITE_TOKENS, stream=False)
        return rewritten(_content(answer), question)

    async def close(self) -> None:
        await self._provider.close()

    async def _open(self, messages: Sequence[Message], reading: "_Reading") -> AsyncStream[object]:
        body = {"model": self._model, "messages": _wire(messages), "stream": True}

        async def ask(options: dict[str, Any]) -> AsyncStream[object]:
            return await self._provider.call(
                lambda client: client.post(
                    "/chat/completions",
                    cast_to=object,  # the SDK's own types take longer to make than all else a word needs
                    body={**body, **options},
                    stream=True,
                    stream_cls=AsyncStream[object],
                ),
                replace(READER, waiting=min(READER.waiting, self._waits.first / 2), timeout=self._waits.first),
            )

        try:
            async with asyncio.timeout(reading.wait()):
                return await self._dialect.send(ask, max_tokens=self._max_tokens, stream=True)
        except TimeoutError:
            raise ModelUnavailable(f"{self._provider.where} did not answer in time.") from None

    def _finish(self, reason: str | None) -> FinishReason:
        if reason is None:
            raise ModelUnavailable(f"{self._provider.where} cut the answer off in the middle.")
        if reason == "content_filter":
            raise ModelError(f"{self._provider.where} withheld the answer: its content filter stopped it.")
        return "length" if reason == "length" else "stop"


class _Reading:
    """What has come of an answer so far, and how long to wait for more."""

    def __init__(self, waits: ModelWaits) -> None:
        self._waits = waits
        self._began = time.monotonic()
        self._texts: list[str] = []
        self.written = 0
        self.finish_reason: str | None = None
        self.usage: Usage | None = None

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def wait(self) -> float:
        """Seconds until the next event must be here."""
        if self.finish_reason is not None:
            return _AFTER_THE_END
        passed = time.monotonic() - self._began
        if not self.written:
            return max(0.0, self._waits.first - passed)
        return max(0.0, min(self._waits.between, self._waits.whole - passed))

    def take(self, chunk: object) -> str:
        """The chunk's text. Servers leave out what the API promises, so nothing is taken for granted."""
        usage = _field(chunk, "usage")
        prompt, completion = _field(usage, "prompt_tokens"), _field(usage, "completion_tokens")
        if isinstance(prompt, int) and isinstance(completion, int):
            self.usage = Usage(prompt, completion)
        choices = _field(chunk, "choices")
        if not isinstance(choices, list) or not choices:
            return ""
        reason = _field(choices[0], "finish_reason")
        if isinstance(reason, str) and reason:
            self.finish_reason = reason
        text = _field(_field(choices[0], "delta"), "content")
        if not isinstance(text, str):
            return ""
        self._texts.append(text)
        self.written += len(text)
        return text


def _wire(messages: Sequence[Message]) -> list[dict[str, str]]:
    """As JSON that UTF-8 can hold."""
    return [
        {"role": message.role, "content": message.content.encode("utf-8", "replace").decode("utf-8")}
        for message in messages
    ]


def _field(value: object, name: str) -> object:
    """Nothing of what is no JSON object."""
    return value.get(name) if isinstance(value, dict) else None


def _content(answer: object) -> str:
    """The text of a whole, unstreamed answer; nothing where it has none."""
    try:
        content = answer["choices"][0]["message"]["content"]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        return ""
    return content if isinstance(content, str) else ""


def _estimated(messages: Sequence[Message], reading: _Reading) -> Usage:
    """For servers that do not count."""
    return Usage(sum(tokens.count(message.content) for message in messages), tokens.count(reading.text))
