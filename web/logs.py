"""One line per event, as text or as JSON, each with its request id. Questions and keys are never among the fields."""

import asyncio
import json
import logging
import re
import sys
import time
from typing import Any

from web.envelope import request_id

# What would begin a line of a caller's own, or move a terminal's cursor: a path and a question hold what they like.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class _Named(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class _NotCutOff(logging.Filter):
    """Streams that the end of the service cuts off are no failures, though the server reports each with a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or not issubclass(kind, asyncio.CancelledError)


class _Text(logging.Formatter):
    def __init__(self) -> None:
        self.converter = time.gmtime
        super().__init__("%(asctime)sZ %(levelname)-7s %(request_id).8s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """One line, without what a traceback adds below it."""
        extra = {k: v for k, v in _fields(record).items() if k not in {"method", "path", "status", "ms"}}
        line = super().formatMessage(record) + "".join(f" {key}={value}" for key, value in extra.items())
        return _CONTROLS.sub(lambda sign: sign[0].encode("unicode_escape").decode(), line)

    def formatException(self, ei: Any) -> str:  # noqa: N802, ANN401
        """Indented, so that no line of an exception's text looks like one of ours."""
        return "\n".join(f"  {line}" for line in super().formatException(ei).splitlines())


class _Json(logging.Formatter):
    def __init__(self) -> None:
        self.converter = time.gmtime
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", "-"),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return dict(getattr(record, "fields", {}))


def configure(level: str, as_json: bool) -> None:
    """Sends all logs of this process to standard error in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Text())
    handler.addFilter(_Named())
    handler.addFilter(_NotCutOff())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "openai", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
