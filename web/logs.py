"""One line per event, as text or as JSON, each with its request id. Questions and keys are never among the fields.

Whatever a record holds (message, fields, the text of an exception), the settings' secrets and the user's part of every
URL are taken out of it, and control characters are escaped: nobody can write a line of their own into the log.
"""

import asyncio
import json
import logging
import re
import sys
import time
from collections.abc import Collection
from types import TracebackType
from typing import Any

from web.middleware import request_id

_USERINFO = re.compile(r"(?<=://)[^\s/?#\"'<>@]{1,512}(?:@[^\s/?#\"'<>@]{1,512}){0,8}@")
_KEY_LIKE = re.compile(r"\b(?:sk|pk)-[\w\-*.]{8,}|\b(?i:bearer) [\w\-*.~+/=]{4,}")
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NOISY = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "uvicorn.access")


class Redaction:
    """Takes secrets out of text: those it is given, the user's part of URLs, and what looks like a key."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        longest_first = sorted(filter(None, secrets), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        if self._secrets is not None:
            text = self._secrets.sub("***", text)
        if "://" in text:
            text = _USERINFO.sub("***@", text)
        return _KEY_LIKE.sub("***", text)


class _Named(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class _NotCutOff(logging.Filter):
    """Streams that the end of the service cuts off are no failures, though the server reports each with a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or not issubclass(kind, asyncio.CancelledError)


class _Form(logging.Formatter):
    """What both forms share: times in UTC, and text without secrets."""

    def __init__(self, redacted: Redaction, layout: str | None = None, times: str | None = None) -> None:
        self.converter = time.gmtime
        self._redacted = redacted
        super().__init__(layout, times)

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        fields = dict(getattr(record, "fields", {}))
        return {name: self._plain(value) for name, value in fields.items()}

    def _plain(self, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self._redacted(str(name)): self._plain(item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._plain(item) for item in value]
        return self._redacted(str(value))

    def _trace(self, record: logging.LogRecord) -> str:
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
        if record.stack_info:
            trace = f"{trace}\n{self.formatStack(record.stack_info)}".lstrip("\n")
        return self._redacted(trace)


class _Text(_Form):
    def __init__(self, redacted: Redaction | None = None) -> None:
        super().__init__(
            redacted or Redaction(), "%(asctime)sZ %(levelname)-7s %(request_id).8s %(message)s", "%Y-%m-%dT%H:%M:%S"
        )

    def format(self, record: logging.LogRecord) -> str:
        record.message = escaped(self._redacted(record.getMessage()))
        record.asctime = self.formatTime(record, self.datefmt)
        line = escaped(self.formatMessage(record))
        hidden = {"method", "path", "status", "ms"}
        extra = {name: value for name, value in self._fields(record).items() if name not in hidden}
        line += "".join(escaped(f" {name}={value}") for name, value in extra.items())
        # The lines of a traceback are indented: none of them can pass for a line of its own.
        return line + "".join(f"\n    {escaped(part)}" for part in self._trace(record).splitlines())


class _Json(_Form):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._redacted(record.getMessage()),
            "request_id": getattr(record, "request_id", "-"),
            **self._fields(record),
        }
        if trace := self._trace(record):
            line["exception"] = trace
        # JSON escapes what is below a space; the rest of the control characters are escaped as JSON spells them.
        return _CONTROL.sub(lambda sign: f"\\u{ord(sign[0]):04x}", json.dumps(line, ensure_ascii=False, default=str))


def escaped(text: str) -> str:
    """Text on one line: control characters, and those that turn the direction of writing, as `\\x1b` or `\\u202e`."""
    return _CONTROL.sub(lambda sign: sign[0].encode("unicode_escape").decode("ascii"), text)


def configure(level: str, as_json: bool, secrets: Collection[str] = ()) -> None:
    """Sends all logs of this process, warnings and uncaught exceptions among them, to standard error in one form."""
    redacted = Redaction(secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(redacted) if as_json else _Text(redacted))
    handler.addFilter(_Named())
    handler.addFilter(_NotCutOff())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    for noisy in _NOISY:  # they tell each request with its whole URL
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("The process ends: %s", kind.__name__, exc_info=(kind, error, trace))
