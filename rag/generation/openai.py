"""Answers streamed by an OpenAI-compatible chat model: every wait is bounded, a cut answer never passes for whole."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Literal

from openai import AsyncStream

from rag.errors import ModelError, ModelUnavailable
from rag.generation.base import AnswerRequest, StreamEnd, TextDelta
from rag.generation.messages import rewrite_messages, rewritten
from rag.generation.parameters import ParameterNegotiation
from rag.generation.sentinel import NoAnswerFilter
from rag.openai_client import ONCE, READER, OpenAIClient
from rag.resilience import Deadline, Timeouts
from rag.text import tokens
from rag.types import Exchange, Message, Usage

MAX_TOKENS = 2_000  # a model that thinks first spends some of them on that
_MOST_CHARACTERS = 60_000  # for servers that take no bound of ours
_REWRITE_TOKENS = 300
_AFTER_THE_END = 2.0  # seconds for the count of tokens, which comes after the last word
_MAX_STREAM = 32 * 1024 * 1024  # bytes: an event of 300 for each of 60,000 characters, and as much again
_MAX_LINE = 256 * 1024
_MAX_PROBE = 256 * 1024
_PROBE = (Message("user", "Answer with one word: ready?"),)
_PROBE_TOKENS = 16

FinishReason = Literal["stop", "length"]


class OpenAIGenerator:
    """A chat model of one server. `close` closes the client, too.

    A request's Deadline bounds the wait for the first words; `timeouts` bounds what follows, and the first words of
    requests without a deadline.
    """

    def __init__(
        self,
        client: OpenAIClient,
        *,
        model: str = "gpt-5.4-mini",
        max_tokens: int = MAX_TOKENS,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._client = client
        self._model = model
        self._max_tokens = max_tokens
        self._timeouts = timeouts or Timeouts()
        self._negotiation = ParameterNegotiation()

    @property
    def name(self) -> str:
        return self._model

    async def answer(self, request: AnswerRequest) -> AsyncGenerator[TextDelta | StreamEnd, None]:
        """Streams the model's words without the sign that the book does not hold the answer. Raises ModelError."""
        deadline = request.deadline or Deadline(self._timeouts.question)
        async with aclosing(self._stream(request.messages, deadline, self._max_tokens)) as items:
            async for item in items:
                yield item

    async def probe(self) -> None:
        """Ask for one word and read the answer to its end. Raises ModelError when readers would get none."""
        written, deadline = "", Deadline(self._timeouts.question)
        async with aclosing(self._stream(_PROBE, deadline, _PROBE_TOKENS)) as items:
            async for item in items:
                if isinstance(item, TextDelta):
                    written += item.text
                elif not written.strip() and item.finish_reason != "length":  # a model that thinks has no words left
                    raise self._client.unreadable("answered without a word")

    async def rewrite(self, question: str, history: Sequence[Exchange], deadline: Deadline | None = None) -> str | None:
        """None for a first question, and for an answer of the model that is no question to search for."""
        if not history:
            return None
        messages = _wire(rewrite_messages(question, history))

        async def ask(options: dict[str, Any]) -> object:
            body = {"model": self._model, "messages": messages, **options}
            return await self._client.call(lambda sdk: sdk.post("/chat/completions", cast_to=object, body=body), ONCE)

        try:
            async with (deadline or Deadline()).share(self._timeouts.rewrite).timeout():
                answer = await self._negotiation.send(ask, max_tokens=_REWRITE_TOKENS, stream=False)
        except TimeoutError:
            raise self._silent() from None
        return rewritten(_content(answer), question)

    async def close(self) -> None:
        await self._client.close()

    async def _stream(
        self, messages: Sequence[Message], deadline: Deadline, max_tokens: int
    ) -> AsyncGenerator[TextDelta | StreamEnd, None]:
        state = _StreamState(deadline, self._timeouts)
        stream = await self._open(messages, deadline, max_tokens)
        sentinel = NoAnswerFilter()
        try:
            async with aclosing(self._client.events(stream, state.wait)) as chunks:
                async for chunk in chunks:
                    if text := sentinel.feed(state.take(chunk)):
                        yield TextDelta(text, answered=sentinel.answered)
                    if state.written >= _MOST_CHARACTERS:
                        state.finish_reason = "length"
                        break
        except ModelError:
            if state.finish_reason is None:  # what breaks after the last word takes nothing away
                raise
        finish = self._finish(state.finish_reason)
        if text := sentinel.finish():
            yield TextDelta(text, answered=sentinel.answered)
        yield StreamEnd(finish, answered=sentinel.answered, usage=state.usage or _estimated(messages, state))

    async def _open(self, messages: Sequence[Message], deadline: Deadline, max_tokens: int) -> AsyncStream[object]:
        body = {"model": self._model, "messages": _wire(messages), "stream": True}

        async def ask(options: dict[str, Any]) -> AsyncStream[object]:
            return await self._client.call(
                lambda sdk: sdk.post(
                    "/chat/completions",
                    cast_to=object,  # the SDK's own types take longer to make than all else a word needs
                    body={**body, **options},
                    stream=True,
                    stream_cls=AsyncStream[object],
                ),
                READER,
                max_body=_MAX_PROBE if max_tokens == _PROBE_TOKENS else _MAX_STREAM,
                max_line=_MAX_LINE,
            )

        try:
            async with deadline.timeout():
                return await self._negotiation.send(ask, max_tokens=max_tokens, stream=True)
        except TimeoutError:
            raise self._silent() from None

    def _silent(self) -> ModelUnavailable:
        return ModelUnavailable(f"{self._client.where} did not answer in time.")

    def _finish(self, reason: str | None) -> FinishReason:
        if reason is None:
            raise ModelUnavailable(f"{self._client.where} cut the answer off in the middle.")
        if reason == "content_filter":
            raise ModelError(f"{self._client.where} withheld the answer: its content filter stopped it.")
        return "length" if reason == "length" else "stop"


class _StreamState:
    """What has come of an answer so far, and how long to wait for more."""

    def __init__(self, first: Deadline, timeouts: Timeouts) -> None:
        self._first, self._between, self._whole = first, timeouts.between, Deadline(timeouts.whole)
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
        return self._whole.share(self._between).remaining if self.written else self._first.remaining

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
        text = text[: _MOST_CHARACTERS - self.written]
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


def _estimated(messages: Sequence[Message], state: _StreamState) -> Usage:
    """For servers that do not count."""
    return Usage(sum(tokens.count(message.content) for message in messages), tokens.count(state.text))
