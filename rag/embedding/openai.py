"""Embeddings of an OpenAI-compatible server.

What a server cannot do is learnt from its refusals and remembered: the size of its batches, the length of its inputs,
`encoding_format` and `dimensions`.
"""

import asyncio
import base64
import logging
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from rag.embedding.base import Vectors, run_bounded
from rag.openai_client import INGEST, ONCE, READER, ModelRefused, OpenAIClient, RetryPolicy
from rag.text import tokens

MAX_INPUTS = 2048
MAX_BATCH_TOKENS = 300_000
MAX_INPUT_TOKENS = 8192
IN_FLIGHT = 4
_FEWEST_INPUT_TOKENS = 64
_SHORT = 2048  # bytes
_BODY, _BODY_PER_INPUT = 256 * 1024, 100 * 1024  # bytes: 3,072 numbers of up to 25 characters, and some air
_PROBE = "book"
_REFUSALS = (400, 404, 413, 422)
_TOO_LONG = ("context length", "maximum context", "too long", "context_length", "max_length", "input tokens", "413")

_log = logging.getLogger(__name__)


class OpenAIEmbedder:
    """Unit vectors of `model`. `dimensions` None takes the model's own length. Closes the client with itself.

    At most `in_flight` calls for documents are under way at once, whoever asks. An answer is read when its place is
    given up already, and so the next call goes out before that.
    """

    def __init__(
        self,
        client: OpenAIClient,
        *,
        model: str = "text-embedding-3-small",
        dimensions: int | None = None,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._client = client
        self._model = model
        self._asked_dimensions = dimensions
        self._in_flight = in_flight
        self._places = asyncio.Semaphore(in_flight)
        self._dimensions = 0
        self._max_inputs = MAX_INPUTS
        self._max_input_tokens = MAX_INPUT_TOKENS
        self._optional: dict[str, Any] = {"encoding_format": "base64"}
        if dimensions is not None:
            self._optional["dimensions"] = dimensions

    @property
    def fingerprint(self) -> str:
        return f"openai:{self._model}:{self._asked_dimensions or 'own'}"

    @property
    def dimensions(self) -> int:
        """0 before `open`."""
        return self._dimensions

    async def open(self) -> None:
        """Embeds one word to learn the length of the vectors."""
        if self._dimensions:
            return
        self._dimensions = (await self._embed([_PROBE], READER)).shape[1]
        if self._asked_dimensions not in (None, self._dimensions):
            _log.warning(
                "%s has %d dimensions for %s, whatever is asked.", self._client.where, self._dimensions, self._model
            )

    async def probe(self) -> None:
        """Embed one word. Raises ModelError when questions would get no vector.

        The vectors' length is learnt anew: what was learnt from a server in trouble must not outlast the trouble.
        """
        answer = await self._post({"model": self._model, "input": [_PROBE], **self._optional}, ONCE)
        self._dimensions = self._read(answer, 1, dimensions=0).shape[1]

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self._dimensions), dtype=np.float32)
        parts: dict[int, Vectors] = {}

        async def embed(batch: tuple[int, list[str]]) -> None:
            start, inputs = batch
            parts[start] = await self._embed(inputs, INGEST)

        await run_bounded(embed, self._batches(texts), self._in_flight)
        return np.concatenate([parts[start] for start in sorted(parts)])

    async def embed_query(self, text: str) -> Vectors:
        vectors = await self._embed([self._fitting(text)], READER)
        return np.asarray(vectors[0])

    async def close(self) -> None:
        await self._client.close()

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
        """(place of the first, inputs): within the bounds on inputs and tokens, as they are known at that moment."""
        start, batch, total = 0, list[str](), 0
        for place, text in enumerate(texts):
            fitting = self._fitting(text)
            count = self._most_tokens(fitting)
            if batch and (len(batch) >= self._max_inputs or total + count > MAX_BATCH_TOKENS):
                yield start, batch
                start, batch, total = place, [], 0
            batch.append(fitting)
            total += count
        yield start, batch

    def _most_tokens(self, text: str) -> int:
        """Of a short text its bytes, which no text has more tokens than; counting takes longer than sending."""
        size = len(text.encode())
        return size if size <= _SHORT else tokens.count(text)

    def _fitting(self, text: str) -> str:
        """The text as the server takes it: not empty, not too long, nothing that UTF-8 cannot hold."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        if not clean.strip():
            return "."
        if len(clean.encode("utf-8")) <= self._max_input_tokens:  # no token is shorter than a byte
            return clean
        cut = tokens.truncate(clean, self._max_input_tokens)
        if len(cut) < len(clean):
            _log.warning(
                "A text of %d characters is too long for %s: only its first %d tokens are embedded.",
                len(clean), self._model, self._max_input_tokens,
            )  # fmt: skip
        return cut

    async def _embed(self, inputs: list[str], policy: RetryPolicy) -> Vectors:
        """One request, or as many as it takes after a refusal."""
        if len(inputs) > self._max_inputs:
            return await self._halved(inputs, policy)
        body = {"model": self._model, "input": inputs, **self._optional}
        try:
            async with self._places if policy is INGEST else nullcontext():
                answer = await self._post(body, policy)
        except ModelRefused as refused:
            if refused.status not in _REFUSALS:
                raise
            if self._drop_option(refused, body):
                return await self._embed(inputs, policy)
            if len(inputs) > 1 and refused.status != 404:
                longest = self._max_input_tokens
                vectors = await self._halved(inputs, policy)
                if longest == self._max_input_tokens:  # both halves passed as they were: it was the size of the batch
                    self._max_inputs = min(self._max_inputs, (len(inputs) + 1) // 2)
                return vectors
            if not self._shorten(refused, inputs[0]):
                raise
            return await self._embed([self._fitting(text) for text in inputs], policy)
        return self._read(answer, len(inputs), self._dimensions)

    async def _post(self, body: dict[str, Any], policy: RetryPolicy) -> object:
        most = _BODY + _BODY_PER_INPUT * len(body["input"])
        return await self._client.call(
            lambda sdk: sdk.post("/embeddings", cast_to=object, body=body), policy, max_body=most
        )

    async def _halved(self, inputs: list[str], policy: RetryPolicy) -> Vectors:
        middle = (len(inputs) + 1) // 2
        first = await self._embed(inputs[:middle], policy)
        return np.concatenate([first, await self._embed(inputs[middle:], policy)])

    def _drop_option(self, refused: ModelRefused, sent: dict[str, Any]) -> bool:
        """Leaves out what the server says it does not know; True when the request is worth sending again."""
        for name in ("encoding_format", "dimensions"):
            if name == "dimensions" and self._dimensions:
                continue  # they were accepted before: the word means something else
            if name in sent and (name in refused.said or name.replace("_", " ") in refused.said):
                if self._optional.get(name) == sent[name]:  # else another request has learnt it meanwhile
                    del self._optional[name]
                    if sent[name] == "base64":
                        self._optional[name] = "float"
                    _log.info("%s takes no %s=%s for %s.", self._client.where, name, sent[name], self._model)
                return True
        return False

    def _shorten(self, refused: ModelRefused, text: str) -> bool:
        """Halves the longest input when a lone text is refused for its length; True when it is worth another try."""
        count = tokens.count(text)
        too_long = refused.status == 413 or any(words in refused.said for words in _TOO_LONG)
        if not too_long or count // 2 < _FEWEST_INPUT_TOKENS:
            return False
        self._max_input_tokens = min(self._max_input_tokens, count // 2)
        return True

    def _read(self, answer: object, expected: int, dimensions: int) -> Vectors:
        """The vectors in the order of the inputs. Raises ModelError when they are not exactly what was asked for.

        `dimensions` is their length where it is known, else 0.
        """
        try:
            ordered = _ordered(answer, expected)
            vectors = np.stack([_vector(one["embedding"]) for one in ordered])
        except (KeyError, TypeError, ValueError):
            raise self._client.unreadable(f"did not answer with {expected} embeddings in order") from None
        if dimensions and vectors.shape[1] != dimensions:
            raise self._client.unreadable(
                f"answered with {vectors.shape[1]} dimensions where {dimensions} were expected"
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not vectors.size or not np.isfinite(norms).all() or not (norms > 0).all():
            raise self._client.unreadable("answered with embeddings that are not usable numbers")
        normalised: Vectors = vectors / norms
        return normalised


def _ordered(answer: object, expected: int) -> list[dict[str, Any]]:
    data = answer["data"] if isinstance(answer, dict) else None
    if not isinstance(data, list) or len(data) != expected:
        raise ValueError("count")
    if all("index" not in one for one in data):
        return data
    ordered: list[dict[str, Any]] = sorted(data, key=lambda one: one["index"])
    if [one["index"] for one in ordered] != list(range(expected)):
        raise ValueError("order")
    return ordered


def _vector(embedding: object) -> Vectors:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
    return np.asarray(embedding, dtype=np.float32).reshape(-1)
