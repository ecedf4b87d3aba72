"""Gradio's own protocol by hand, as somebody speaks it who has read the source and not the page."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx

_numbers = itertools.count(1)


def new_session() -> str:
    return f"attacker-{next(_numbers)}"


def event_number(url: str, handler: str) -> int:
    """The `fn_index` of an event by its name in /config."""
    found = [item["id"] for item in httpx.get(f"{url}/config").json()["dependencies"] if item["api_name"] == handler]
    return int(found[0])


def post_event(
    url: str, handler: str, data: list[Any], *, queued: bool, headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    """One event on its own route; the answer of an unqueued one holds its result."""
    body = {"data": data, "fn_index": event_number(url, handler), "session_hash": new_session(), **more}
    route = "queue/join" if queued else "run/predict"
    return httpx.post(f"{url}/gradio_api/{route}", json=body, headers=headers, timeout=60)


def messages(url: str, session: str, seconds: float = 30) -> Iterator[dict[str, Any]]:
    """What the session's stream says until it is closed."""
    stream = httpx.stream("GET", f"{url}/gradio_api/queue/data", params={"session_hash": session}, timeout=seconds)
    with stream as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line[6:])
