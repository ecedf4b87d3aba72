"""Events on the wire: the simplest reader understands them, silence is filled, and leaving closes what is behind."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from web.sse import PING, encode, stream


@given(st.text())
def test_every_event_is_one_line_of_data_whatever_it_holds(text: str) -> None:
    lines = encode(7, {"content": text}).decode().split("\n")
    assert lines[0] == "id: 7"
    assert lines[2:] == ["", ""]
    shown = json.loads(lines[1].removeprefix("data: "))["content"]
    assert shown == text.encode("utf-8", "replace").decode()


async def test_silence_is_filled_with_comments() -> None:
    async def slow() -> AsyncGenerator[Mapping[str, Any], None]:
        yield {"n": 1}
        await asyncio.sleep(0.12)
        yield {"n": 2}

    pieces = [piece async for piece in stream(slow(), ping=0.05)]
    assert pieces[0] == encode(1, {"n": 1})
    assert pieces[1:-1] == [PING, PING]
    assert pieces[-1] == encode(2, {"n": 2})


async def test_closing_the_stream_closes_the_events_at_once() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[Mapping[str, Any], None]:
        try:
            yield {"n": 1}
            await asyncio.sleep(60)
        finally:
            closed.set()

    pieces = stream(endless())
    await anext(pieces)
    waiting = asyncio.ensure_future(anext(pieces, b""))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=1)
    assert closed.is_set()
