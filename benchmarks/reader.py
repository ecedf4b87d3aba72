"""A reader of streamed answers that costs next to nothing: a socket, and the time at which each piece arrived."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field

_SENT = re.compile(rb"w(\d{19})")
_PIECE, _DONE = b'"type":"chunk"', b'"type":"done"'


@dataclass(slots=True)
class Answer:
    """Times are seconds since the question. `late` holds for each event how long its last piece was on its way."""

    first: float = 0.0
    whole: float = 0.0
    pieces: int = 0
    late: list[float] = field(default_factory=list)

    @property
    def pieces_per_second(self) -> float:
        return self.pieces / (self.whole - self.first)


async def ask(port: int, question: str) -> Answer:
    """Raises RuntimeError for an answer that is refused, has no word of the model or does not end as it should."""
    body = json.dumps({"question": question}).encode()
    head = "POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n"
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        return await _read(reader, began)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, began: float) -> Answer:
    answer, status, done = Answer(), await reader.readline(), False
    while line := await reader.readline():
        if not line.startswith(b"data: "):
            continue
        compact = line[:60].replace(b": ", b":")
        if _PIECE in compact and (sent := _SENT.findall(line)):
            now = time.perf_counter() - began
            answer.first, answer.whole = answer.first or now, now
            answer.pieces += len(sent)
            answer.late.append((time.time_ns() - int(sent[-1])) / 1e9)
        done = done or _DONE in compact
    if b" 200 " not in status or not done or not answer.pieces:
        raise RuntimeError(f"no answer: {status!r}, {answer.pieces} pieces")
    return answer
