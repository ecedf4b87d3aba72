"""Admission control in front of the mounted Gradio application, as pure ASGI.

Only what `web.ui.policy` names gets through: a route by its method and path, with the query parameters it needs; an
event by its handler, with a body that is bounded, holds no file and is written anew, so that Gradio parses exactly
what was checked. Every route is limited per address, and an address has a bounded number of places in the queue.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

import gradio as gr
from gradio.block_function import BlockFunction
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from web.auth import RateLimits, client_key
from web.middleware import replay
from web.problems import Problem, not_found
from web.ui.policy import EventRule, RouteRule, event_rule_of, rule_of
from web.ui.queue_sessions import QueueSessions

MOST_RUNNING = 16  # unqueued events at once and address
MOST_STREAMS = 64  # open streams per address: a tab has one while it waits for an event
MOST_PLACES = 16  # queued events, waiting or running, per address
MOST_QUESTIONS = 4  # of these, questions: half of the workers that answer
MOST_DEPTH = 24
MOST_VALUES = 40_000
_EVENT_KEYS = ("data", "event_data", "fn_index", "trigger_id", "session_hash")
_SESSION = re.compile(r"[A-Za-z0-9_-]{4,64}")
_OF_A_FILE = {"meta", "_type", "is_stream", "is_file", "orig_name", "mime_type"}


class Admission:
    """Wraps Gradio's own application. `sign_in` opens the routes of Hugging Face's sign-in."""

    def __init__(self, app: ASGIApp, blocks: gr.Blocks, limits: RateLimits, *, sign_in: bool) -> None:
        self.app, self._blocks, self._limits, self._sign_in = app, blocks, limits, sign_in
        self._sessions = QueueSessions(blocks._queue)
        self._busy: Counter[tuple[str, str]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem before anything is sent: 404 for what is not open, 422 for a body, 429 for too much."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        found = rule_of(scope["method"], scope["path"], sign_in=self._sign_in) if scope["type"] == "http" else None
        if found is None:
            raise not_found()
        rule, parts = found
        await self._limits.admit_interface(rule.limit, _host(scope))
        scope = {**scope, "query_string": _query(rule, scope), "headers": _headers(scope)}
        match rule.purpose:
            case "read":
                await self.app(scope, receive, send)
            case "cancel":
                body, _ = await _read(receive)
                written = json.dumps(_cancel_body(body)).encode()
                await self.app(_sized(scope, written), replay(written, receive), send)
            case "data" | "result":
                await self._stream(scope, receive, send, self._session_of_stream(scope, parts))
            case _:
                await self._event(rule, parts, scope, receive, send)

    async def _event(
        self, rule: RouteRule, parts: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        body, size = await _read(receive)
        if rule.purpose == "call_by_name":
            session: str | None = None  # Gradio takes no session there and names one after the event
            function, event = self._named(parts["name"])
            kept: dict[str, Any] = body
        else:
            session = _session(body, required=rule.purpose == "join")
            function, event = self._named(parts["name"]) if rule.purpose == "call" else self._numbered(rule, body)
            if rule.purpose == "call" and session is None:
                session = uuid4().hex
            kept = _event_body(body, function, session, whole=rule.purpose != "call")
        if size > event.body:
            raise Problem(413, "too_large", f"The event's data are larger than {event.body // 1024} KiB.")
        _refuse_files(kept, conversation=event.conversation)
        written = json.dumps(kept).encode()
        scope, replayed = _sized(scope, written), replay(written, receive)
        if rule.purpose == "run":
            with self._place("running", scope, MOST_RUNNING):
                await self.app(scope, replayed, send)
            return
        await self._require_places(scope, event)
        with self._place("asking" if event.asks else "joining", scope, MOST_PLACES):
            self._sessions.joined(session)
            await self.app(scope, replayed, send)

    # Which event

    def _numbered(self, rule: RouteRule, body: Mapping[str, Any]) -> tuple[BlockFunction, EventRule]:
        """The event of `fn_index`, on the one of the two routes that is its own."""
        number = body.get("fn_index")
        function = self._blocks.fns.get(number) if type(number) is int else None
        if function is None or (function.queue is False) != (rule.purpose == "run"):
            raise not_found()
        return self._open(function)

    def _named(self, name: str) -> tuple[BlockFunction, EventRule]:
        """A public endpoint by its name."""
        for function in self._blocks.fns.values():
            if function.api_name == name and function.api_visibility == "public" and function.queue:
                return self._open(function)
        raise not_found()

    def _open(self, function: BlockFunction) -> tuple[BlockFunction, EventRule]:
        event = event_rule_of(function)
        if event is None:
            raise not_found()
        return function, event

    # How many at once

    @contextmanager
    def _place(self, kind: str, scope: Scope, most: int) -> Iterator[None]:
        """Counts a request of one address while it is served. Raises Problem 429."""
        key = (kind, client_key(_host(scope)))
        if self._busy[key] >= most:
            raise _too_many()
        self._busy[key] += 1
        try:
            yield
        finally:
            self._busy[key] -= 1
            if not self._busy[key]:
                del self._busy[key]

    async def _require_places(self, scope: Scope, event: EventRule) -> None:
        """Raises Problem 429 for an address that fills its share of the queue, or asks on beyond its limit."""
        key = client_key(_host(scope))
        events = self._blocks._queue.event_ids_to_events.values()
        mine = [queued for queued in events if client_key(_host(queued.request.scope)) == key]
        chat_service = self._busy[("asking", key)]
        questions = chat_service + sum(1 for queued in mine if (rule := event_rule_of(queued.fn)) and rule.asks)
        if len(mine) + chat_service + self._busy[("joining", key)] >= MOST_PLACES:
            raise _too_many()
        if event.asks and questions:
            # The first question beyond the limit is refused by its handler, in words that gradio_client passes on.
            api_key = Headers(scope=scope).get("x-api-key")
            await self._limits.require_room(_host(scope), api_key)
            if questions >= MOST_QUESTIONS and not self._limits.knows(api_key):
                raise _too_many()

    # Streams

    def _session_of_stream(self, scope: Scope, parts: Mapping[str, str]) -> str:
        if "event" in parts:
            return self._sessions.of_event(parts["event"])
        return next((value for _, value in parse_qsl(scope["query_string"].decode("latin-1"))), "")

    async def _stream(self, scope: Scope, receive: Receive, send: Send, session: str) -> None:
        if not self._sessions.knows(session):
            raise not_found()
        with self._place("streams", scope, MOST_STREAMS), self._sessions.streaming(session):
            await self.app(scope, receive, send)


def _host(scope: Scope) -> str | None:
    return scope["client"][0] if scope.get("client") else None


def _query(rule: RouteRule, scope: Scope) -> bytes:
    given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return rule.fixed or urlencode([(key, value) for key, value in given if key in rule.query]).encode()


def _headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Without the headers by which a caller would tell Gradio where it stands and who asks."""
    return [(key, value) for key, value in scope["headers"] if not key.startswith(b"x-gradio-")]


def _sized(scope: Scope, body: bytes) -> Scope:
    replaced = {b"content-length", b"content-type", b"content-encoding", b"transfer-encoding"}
    headers = [(key, value) for key, value in scope["headers"] if key not in replaced]
    size = str(len(body)).encode()
    return {**scope, "headers": [*headers, (b"content-type", b"application/json"), (b"content-length", size)]}


async def _read(receive: Receive) -> tuple[dict[str, Any], int]:
    """The body as an object, and its size in bytes. Guard has bounded it and the time it took."""
    pieces, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "malformed", "The request was cut short.")
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    raw = b"".join(pieces)
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise Problem(400, "malformed", "The request's body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise _invalid("The request's body must be an object.")
    return body, len(raw)


def _session(body: Mapping[str, Any], *, required: bool) -> str | None:
    session = body.get("session_hash")
    if session is None and not required:
        return None
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise _invalid("session_hash must be 4 to 64 letters, digits, - or _.")
    return session


def _event_body(
    body: Mapping[str, Any], function: BlockFunction, session: str | None, *, whole: bool
) -> dict[str, Any]:
    """What Gradio is told of an event: nothing but the keys it needs, with as many values as the event takes."""
    data, trigger, wanted = body.get("data"), body.get("trigger_id"), len(function.inputs)
    if not isinstance(data, list) or (len(data) != wanted if whole else len(data) > wanted):
        raise _invalid(f"data must be a list of {wanted} values.")
    if trigger is not None and type(trigger) is not int:
        raise _invalid("trigger_id must be a number.")
    kept = {key: body[key] for key in _EVENT_KEYS if key in body}
    if session is not None:
        kept["session_hash"] = session
    return kept


def _cancel_body(body: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: body[key] for key in ("session_hash", "fn_index", "event_id") if key in body}
    if not all(isinstance(value, str | int) and len(str(value)) <= 64 for value in kept.values()):
        raise _invalid("The request's body does not name an event.")
    return kept


def _refuse_files(value: object, *, conversation: bool) -> None:
    """Raises Problem 422 for an object that Gradio could take for a file, and for what is nested too deep."""
    waiting, seen = [(value, 0)], 0
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        if depth > MOST_DEPTH or seen > MOST_VALUES:
            raise _invalid("The request's body is nested too deep or holds too many values.")
        if isinstance(item, dict):
            meta = item.get("meta")
            located = "path" in item or "url" in item
            if (isinstance(meta, dict) and "_type" in meta) or (
                located and (not conversation or not _OF_A_FILE.isdisjoint(item))
            ):
                raise Problem(422, "file_refused", "Files are not taken here.")
            waiting += [(nested, depth + 1) for nested in item.values()]
        elif isinstance(item, list):
            waiting += [(nested, depth + 1) for nested in item]


def _invalid(sentence: str) -> Problem:
    return Problem(422, "invalid_request", sentence)


def _too_many() -> Problem:
    sentence = "Too much is under way from your address. Wait until some of it has ended."
    return Problem(429, "rate_limited", sentence, True, 5.0)
