"""What the loopback server can be told to do, what it can do at all, and what it remembers of a request."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Literal

RouteName = Literal["chat", "embeddings", "models"]


@dataclass(frozen=True)
class Refuse:
    """An error status; `body` replaces the usual JSON error."""

    status: int
    message: str = "The loopback server was told to refuse."
    code: str | None = None
    param: str | None = None
    retry_after: float | str | None = None
    retry_after_ms: int | None = None
    body: str | None = None


@dataclass(frozen=True)
class Stall:
    """Silence: before the answer, or in a stream after some pieces of it. Before the answer `until` may end it."""

    after: int = 0
    seconds: float = 3600.0
    until: Event | None = None


@dataclass(frozen=True)
class Cut:
    """The stream ends after some pieces: the connection breaks, or (clean) it closes as if all were said."""

    after: int = 3
    clean: bool = False


@dataclass(frozen=True)
class Garbage:
    """Something that is not JSON, in a stream after some pieces."""

    after: int = 0


@dataclass(frozen=True)
class StreamError:
    """An error object in the middle of a stream."""

    after: int = 3
    message: str = "The loopback server was told to fail."
    code: str | None = None


@dataclass(frozen=True)
class Say:
    """This very text, as it is or in these very pieces."""

    text: str | tuple[str, ...]
    finish_reason: str | None = "stop"
    usage: bool = True


@dataclass(frozen=True)
class Distort:
    """Embeddings that are wrong: in number, order, shape or value."""

    how: Literal[
        "fewer", "more", "same_index", "shuffled", "no_index", "other_dimensions", "ragged", "nan", "zero", "text"
    ]


Behaviour = Refuse | Stall | Cut | Garbage | StreamError | Say | Distort


@dataclass(frozen=True)
class Limits:
    """What this server can do. Defaults as OpenAI's; None of a number means no bound."""

    max_inputs: int | None = 2048
    max_batch_tokens: int | None = 300_000
    max_input_tokens: int | None = 8192
    batch_status: int = 400
    dimensions: bool = True
    base64: bool = True
    stream_options: bool = True
    max_tokens: bool = True
    max_completion_tokens: bool = True
    temperature: bool = True
    reasoning_effort: bool = True
    efforts: tuple[str, ...] = ("none", "low", "medium", "high", "xhigh")
    points_at_param: bool = True
    strict_status: int = 400
    requires_key: bool = True
    models_route: bool = True
    native_dimensions: int = 1536
    latency: float = 0.0
    pieces_per_second: float | None = None


@dataclass
class Received:
    """One request as it came; `disconnected` is True when the client left before the whole answer was sent."""

    route: RouteName
    body: dict[str, Any]
    headers: Mapping[str, str]
    at: float = field(default_factory=time.perf_counter)
    status: int = 200
    pieces: int = 0
    done: bool = False
    disconnected: bool = False
    left_at: float | None = None


def distorted(data: list[dict[str, Any]], distort: Distort) -> list[dict[str, Any]]:
    match distort.how:
        case "fewer":
            return data[:-1]
        case "more":
            return [*data, {**data[-1], "index": len(data)}]
        case "same_index":
            return [{**one, "index": 0} for one in data]
        case "shuffled":
            return data[::-1]
        case "no_index":
            return [{"embedding": one["embedding"]} for one in data]
        case "other_dimensions":
            return [{**one, "embedding": [0.5] * 7} for one in data]
        case "ragged":
            return [{**one, "embedding": [0.5] * (5 + n)} for n, one in enumerate(data)]
        case "nan":
            return [{**one, "embedding": [float("nan")] * 1536} for one in data]
        case "zero":
            return [{**one, "embedding": [0.0] * 1536} for one in data]
        case "text":
            return [{**one, "embedding": "not base64!"} for one in data]
