"""What of Gradio may be reached from outside: its routes by method and path, its events by handler.

`web.ui.admission` enforces these tables and refuses everything that they do not name, so a route, an event or a query
parameter that a newer Gradio brings stays closed until it is written here. The routes are those that the page and
gradio_client were seen to use.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gradio.block_function import BlockFunction

Limit = Literal["files", "pages", "events", "streams"]
Purpose = Literal["read", "run", "join", "call", "call_by_name", "data", "result", "cancel"]

KIB = 1024
SMALL_BODY = 32 * KIB  # a question of 2,000 characters, escaped, with a ticket
CONVERSATION_BODY = 512 * KIB  # see turns.MOST_BYTES; Guard refuses more on every Gradio route


@dataclass(frozen=True, slots=True)
class RouteRule:
    """A route that is open. `query` are the parameters that are passed on; `fixed` replaces the query altogether."""

    methods: frozenset[str]
    path: re.Pattern[str]
    limit: Limit
    purpose: Purpose = "read"
    query: frozenset[str] = frozenset()
    fixed: bytes = b""
    sign_in: bool = False  # open only where Hugging Face's sign-in is offered


def _rule(
    methods: str, path: str, limit: Limit, purpose: Purpose = "read", query: str = "", *, sign_in: bool = False
) -> RouteRule:
    known = frozenset(query.split())
    return RouteRule(frozenset(methods.split()), re.compile(path), limit, purpose, known, sign_in=sign_in)


_API = "/gradio_api"
_NAME = r"(?P<name>[a-z_]{1,64})"
_FILE = r"(?:[A-Za-z0-9_-][A-Za-z0-9._+-]{0,127}/){0,4}[A-Za-z0-9_-][A-Za-z0-9._+-]{0,127}"
ROUTES: Sequence[RouteRule] = (
    _rule("GET HEAD", "/", "pages"),
    _rule("GET", "/config", "pages"),
    _rule("GET", "/theme.css", "files"),
    _rule("GET", "/favicon.ico", "files"),
    _rule("GET", "/robots.txt", "files"),
    _rule("GET", f"/assets/{_FILE}", "files"),
    _rule("GET", f"/static/(?:fonts|img|js)/{_FILE}", "files"),
    # Without `page` Gradio keeps the first caller's answer, with the address that caller named, for everybody.
    RouteRule(frozenset({"GET"}), re.compile(f"{_API}/info"), "pages", fixed=b"page="),
    _rule("POST", f"{_API}/run/predict", "events", "run"),
    _rule("POST", f"{_API}/queue/join", "events", "join"),
    _rule("GET", f"{_API}/queue/data", "streams", "data", "session_hash"),
    _rule("POST", f"{_API}/call/{_NAME}", "events", "call"),
    _rule("POST", f"{_API}/call/v2/{_NAME}", "events", "call_by_name"),
    _rule("GET", f"{_API}/call/(?:v2/)?{_NAME}/(?P<event>[0-9a-f]{{32}})", "streams", "result"),
    _rule("POST", f"{_API}/cancel", "events", "cancel"),
    _rule("POST", f"{_API}/reset", "events", "cancel"),
    _rule("GET", "/login/huggingface", "pages", query="_target_url _nb_redirects", sign_in=True),
    _rule("GET", "/login/callback", "pages", query="_target_url _nb_redirects code state error", sign_in=True),
    _rule("GET", "/logout", "pages", query="_target_url", sign_in=True),
)


def rule_of(method: str, path: str, *, sign_in: bool) -> tuple[RouteRule, Mapping[str, str]] | None:
    """The rule of an open route with the parts of its path, or None for a closed one."""
    for rule in ROUTES:
        if method in rule.methods and (not rule.sign_in or sign_in) and (found := rule.path.fullmatch(path)):
            return rule, {key: value or "" for key, value in found.groupdict().items()}
    return None


@dataclass(frozen=True, slots=True)
class EventRule:
    """`asks`: counts as a question. `conversation`: takes what the browser keeps, in which sources have a `path` and
    a `url`; no other event takes an object with either.
    """

    asks: bool = False
    conversation: bool = False

    @property
    def body(self) -> int:
        """The longest body in bytes."""
        return CONVERSATION_BODY if self.conversation else SMALL_BODY


_TALK = EventRule(asks=True, conversation=True)
_KEPT = EventRule(conversation=True)
_ASK = EventRule(asks=True)
_PLAIN = EventRule()
EVENTS: Mapping[str, EventRule] = {
    "ChatTab.ask": _TALK,
    "ChatTab.ask_example": _TALK,
    "ChatTab.retry": _TALK,
    "ChatTab.edit": _TALK,
    "ChatTab.undo": _KEPT,
    "ChatTab.open": _KEPT,
    "ChatTab.like": _KEPT,
    "ChatTab.begin": _PLAIN,
    "ChatTab.stop": _PLAIN,
    "ChatTab.refresh": _PLAIN,
    "ChatTab.watch": _PLAIN,
    # Every one of these asks for the admin token or for a ticket of it.
    "AdminTab.unlock": _PLAIN,
    "AdminTab.show": _PLAIN,
    "AdminTab.leave": _PLAIN,
    "AdminTab.tick": _PLAIN,
    "AdminTab.begin": _PLAIN,
    "AdminTab.end": _PLAIN,
    "AdminTab.preview_plan": _PLAIN,
    "AdminTab.filter": _PLAIN,
    "AdminTab.try_search": _PLAIN,
    "AdminTab.plot": _PLAIN,
    "AdminTab.list_questions": _PLAIN,
    # The named endpoints of gradio_client.
    "ClientApi.chat": _ASK,
    "ClientApi.search": _PLAIN,
    "ClientApi.ingest": _PLAIN,
    "ClientApi.status": _PLAIN,
    "ClientApi.documents": _PLAIN,
    # Gradio's own, on a Space only: shows who is signed in.
    "LoginButton._check_login_status": _PLAIN,
}


def handler_of(function: BlockFunction) -> str | None:
    """The qualified name of an event's handler; None for an event that runs in the browser alone."""
    return None if function.fn is None else getattr(function.fn, "__qualname__", "")


def event_rule_of(function: BlockFunction) -> EventRule | None:
    """The rule of an event, or None for one that may not be called."""
    name = handler_of(function)
    return None if name is None else EVENTS.get(name)
