"""Who may do what, and how often: the admin token, API keys and rate limits, shared by both surfaces."""

import hashlib
import hmac
import ipaddress
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter

from rag.redis import RedisUnavailable
from rag.settings import Settings
from web.problems import Problem

if TYPE_CHECKING:
    from rag.redis.connection import RedisConnection

log = logging.getLogger(__name__)

MOST_WINDOWS = 10_000  # past so many addresses, those that have not asked lately are forgotten
WRONG_TOKENS = parse("20/minute")
RATINGS = parse("30/minute")
# Generous: many readers can stand behind one address, and a page asks for about 120 files when it is first opened.
INTERFACE = {
    "files": parse("6000/minute"),
    "pages": parse("300/minute"),
    "events": parse("600/minute"),
    "streams": parse("600/minute"),
}


SPACE_PROXIES = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.1"]


def trusted_proxies(settings: Settings) -> list[str]:
    """On a Space its proxy's private addresses, unless the setting says otherwise."""
    on_space = "SPACE_ID" in os.environ and "forwarded_allow_ips" not in settings.model_fields_set
    return SPACE_PROXIES if on_space else settings.forwarded_allow_ips


class MonotonicStorage(MemoryStorage):
    """Moving windows in monotonic time: with the library's own, a clock set back an hour locks everybody out for it."""

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, deque[float]] = {}

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = time.monotonic()
        window = self._window(key, now - expiry)
        if len(window) + amount > limit:
            return False
        window.extend([now] * amount)
        if key not in self._windows:
            self._make_room(now - expiry)
            self._windows[key] = window
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002 - theirs
        now = time.monotonic()
        window = self._window(key, now - expiry)
        return (window[0] if window else now), len(window)

    def _window(self, key: str, since: float) -> deque[float]:
        window = self._windows.get(key, deque())
        while window and window[0] < since:
            window.popleft()
        return window

    def _make_room(self, since: float) -> None:
        if len(self._windows) >= MOST_WINDOWS:
            self._windows = {key: window for key, window in self._windows.items() if window and window[-1] >= since}


class AdminToken:
    """The secret that opens the admin routes and the admin tab; `open` makes and keeps one where none is set."""

    def __init__(self, configured: str | None, data_dir: Path) -> None:
        self._token, self._file = configured, data_dir / "admin_token"

    def open(self) -> None:
        self._token = self._token or _kept_token(self._file)

    def opens(self, offered: str | None) -> bool:
        """Compares in constant time; nothing is opened by an empty token."""
        if not offered or not self._token:
            return False
        return hmac.compare_digest(offered.encode(), self._token.encode())


def _kept_token(path: Path) -> str | None:
    """The token of an earlier start, or a new one; None, which opens nothing, where it cannot be kept."""
    try:
        if path.is_file() and (kept := _text(path.read_bytes())):
            return kept
        path.parent.mkdir(parents=True, exist_ok=True)
        token = secrets.token_urlsafe(32)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o600)
            file.write(token + "\n")
    except OSError as error:
        log.warning(
            "ADMIN_TOKEN is not set and %s cannot be written (%s): admin actions stay locked", path, error.strerror
        )
        return None
    log.warning("ADMIN_TOKEN is not set: a new admin token is in %s", path)
    return token


def _text(kept: bytes) -> str:
    """Nothing where the bytes are no token: a damaged file gets a new one."""
    try:
        token = kept.decode("ascii").strip()
    except UnicodeDecodeError:
        return ""
    return token if token.isprintable() else ""


def offered_token(headers: Mapping[str, str]) -> str | None:
    """The credential of `X-Admin-Token` or of `Authorization: Bearer`."""
    if token := headers.get("x-admin-token"):
        return token.strip()
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def client_key(host: str | None) -> str:
    """What a rate limit counts by: the address, for IPv6 its /64, which is what one reader gets."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host or "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class RateLimits:
    """Rate limits per client address or API key. In memory, or in Redis where several processes share them.

    A Redis that does not answer is replaced by the memory of this process until it does: readers go on. `close` ends
    the connections to it.
    """

    def __init__(
        self,
        anonymous: str,
        with_key: str,
        api_keys: Sequence[str],
        redis_url: str | None = None,
        *,
        searches: str = "60/minute",
    ) -> None:
        self._anonymous, self._with_key, self._searches = parse(anonymous), parse(with_key), parse(searches)
        self._keys = [key for key in api_keys if key]
        self._local = MovingWindowRateLimiter(MonotonicStorage())
        self._shared = _redis(redis_url) if redis_url else None
        # Two counters for an address and kind, however many requests there are.
        self._interface = SlidingWindowCounterRateLimiter(MemoryStorage())

    def knows(self, key: str | None) -> bool:
        """Compares with every key, so that time tells nothing."""
        matches = [hmac.compare_digest((key or "").encode(), known.encode()) for known in self._keys]
        return any(matches)

    async def admit(self, host: str | None, api_key: str | None = None) -> None:
        """Counts one question. Raises Problem 429 with the seconds to wait, or 401 for a key that is not known."""
        if await self._known(host, api_key):
            await self._count(self._with_key, "api", _digest(api_key or ""))
        else:
            await self._count(self._anonymous, "ip", client_key(host))

    async def admit_search(self, host: str | None, api_key: str | None = None) -> None:
        """Counts one search, apart from the questions. Raises as `admit` does."""
        if await self._known(host, api_key):
            await self._count(self._with_key, "search-api", _digest(api_key or ""))
        else:
            await self._count(self._searches, "search", client_key(host))

    async def _known(self, host: str | None, api_key: str | None) -> bool:
        """False without a key. Raises Problem 401 for one that is not known."""
        if api_key and not self.knows(api_key):
            await self._count(WRONG_TOKENS, "key", client_key(host))
            raise Problem(401, "unauthorized", "The API key in X-API-Key is not known.")
        return bool(api_key)

    async def admit_rating(self, host: str | None) -> None:
        """Counts one thumb up or down. Raises Problem 429."""
        await self._count(RATINGS, "rating", client_key(host))

    async def admit_interface(self, kind: str, host: str | None) -> None:
        """Counts one request for the interface, by this process alone. Raises Problem 429."""
        await _hit(self._interface, INTERFACE[kind], kind, client_key(host))

    async def require_room(self, host: str | None, api_key: str | None = None) -> None:
        """Raises Problem 429 when a question would be one too many. Counts nothing; what is unknown passes."""
        if api_key and not self.knows(api_key):
            return
        limit = self._with_key if api_key else self._anonymous
        who = ("api", _digest(api_key)) if api_key else ("ip", client_key(host))
        await self._asked(_test, limit, *who)

    async def require_admin(self, admin: AdminToken, headers: Mapping[str, str], host: str | None) -> None:
        """Raises Problem 401 without the admin token, 429 for guessing it more often than WRONG_TOKENS."""
        offered = offered_token(headers)
        if admin.opens(offered):
            return
        if offered:
            await self._count(WRONG_TOKENS, "admin", client_key(host))
        raise Problem(
            401,
            "unauthorized",
            "This needs the admin token, as `Authorization: Bearer …` or `X-Admin-Token`.",
            headers={"www-authenticate": "Bearer"},
        )

    async def close(self) -> None:
        if self._shared is not None:
            await self._shared[0].close()

    async def _count(self, limit: RateLimitItem, *who: str) -> None:
        await self._asked(_hit, limit, *who)

    async def _asked(self, act: "_Act", limit: RateLimitItem, *who: str) -> None:
        if self._shared is not None:
            connection, limiter = self._shared
            try:
                return await connection.run(lambda _: act(limiter, limit, *who))
            except RedisUnavailable:
                pass
        return await act(self._local, limit, *who)


def _digest(api_key: str) -> str:
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


_Act = Callable[..., Awaitable[None]]


async def _hit(limiter: RateLimiter, limit: RateLimitItem, *who: str) -> None:
    if not await limiter.hit(limit, *who):
        await _refuse(limiter, limit, *who)


async def _test(limiter: RateLimiter, limit: RateLimitItem, *who: str) -> None:
    if not await limiter.test(limit, *who):
        await _refuse(limiter, limit, *who)


async def _refuse(limiter: RateLimiter, limit: RateLimitItem, *who: str) -> NoReturn:
    reset, _ = await limiter.get_window_stats(limit, *who)
    now = time.monotonic() if isinstance(limiter.storage, MonotonicStorage) else time.time()
    wait = max(1.0, reset - now)
    raise Problem(
        429,
        "rate_limited",
        f"That is more than {limit.amount} a {limit.GRANULARITY.name}; wait {wait:.0f} s.",
        True,
        wait,
    )


def _redis(url: str) -> "tuple[RedisConnection, MovingWindowRateLimiter]":
    from rag.redis.connection import RedisConnection

    connection = RedisConnection(url, "rate limits")
    storage = RedisStorage(f"async+{url}", implementation="redispy", connection_pool=connection.pool)  # type: ignore[arg-type]
    return connection, MovingWindowRateLimiter(storage)
