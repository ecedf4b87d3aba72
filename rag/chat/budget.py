"""How many tokens the chat model may use in a day, all readers together."""

import time
from collections.abc import Callable
from typing import Protocol

from rag.errors import BudgetExhausted

DAY = 86_400  # seconds


class TokenBudget(Protocol):
    async def reserve(self, tokens: int) -> None:
        """Sets tokens aside before a call. Raises BudgetExhausted, which says when there will be more."""
        ...

    async def settle(self, reserved: int, used: int) -> None:
        """Replaces what was reserved by what was used, however the call ended."""
        ...


class Unlimited:
    async def reserve(self, tokens: int) -> None:
        pass

    async def settle(self, reserved: int, used: int) -> None:
        pass


class DailyBudget:
    """`limit` tokens for each day in UTC. `clock` gives seconds since the epoch.

    What is reserved counts as used until it is settled, so calls that run side by side cannot overdraw together.
    """

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.time) -> None:
        self._limit, self._clock = limit, clock
        self._day = -1
        self._used = 0

    async def reserve(self, tokens: int) -> None:
        self._begin_day()
        if self._used + tokens > self._limit:
            raise used_up(self._clock())
        self._used += tokens

    async def settle(self, reserved: int, used: int) -> None:
        self._begin_day()
        self._used = max(self._used + used - reserved, 0)

    def total(self, used: int) -> None:
        """Today's tokens as they were counted elsewhere."""
        self._begin_day()
        self._used = used

    def _begin_day(self) -> None:
        today = int(self._clock() // DAY)
        if today != self._day:
            self._day, self._used = today, 0


def used_up(now: float) -> BudgetExhausted:
    """`now` is in seconds since the epoch."""
    return BudgetExhausted("Today's budget for the language model is used up.", retry_after=float(DAY - now % DAY))
