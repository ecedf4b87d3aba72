"""A day's tokens are spent once, also by calls that run side by side, and are renewed at midnight in UTC."""

import asyncio

import pytest

from rag.chat.budget import DailyBudget, Unlimited
from rag.errors import BudgetExhausted


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def test_reservations_cannot_overdraw_together() -> None:
    budget = DailyBudget(1000)
    results = await asyncio.gather(*(budget.reserve(400) for _ in range(5)), return_exceptions=True)
    assert sum(result is None for result in results) == 2
    assert all(result is None or isinstance(result, BudgetExhausted) for result in results)


async def test_what_was_not_used_comes_back() -> None:
    budget = DailyBudget(1000)
    await budget.reserve(900)
    await budget.settle(900, 100)
    await budget.reserve(900)
    with pytest.raises(BudgetExhausted):
        await budget.reserve(1)


async def test_what_was_used_beyond_the_reservation_counts() -> None:
    budget = DailyBudget(1000)
    await budget.reserve(100)
    await budget.settle(100, 950)
    with pytest.raises(BudgetExhausted):
        await budget.reserve(100)


async def test_the_refusal_says_when_there_will_be_more() -> None:
    clock = Clock(10 * 86_400 + 80_000)
    budget = DailyBudget(100, clock=clock)
    await budget.reserve(100)
    with pytest.raises(BudgetExhausted, match="budget") as refused:
        await budget.reserve(1)
    assert refused.value.retry_after == 6_400
    clock.now += 6_400
    await budget.reserve(100)


async def test_yesterday_s_call_takes_nothing_from_today_but_what_it_used() -> None:
    clock = Clock(86_399)
    budget = DailyBudget(1000, clock=clock)
    await budget.reserve(1000)
    clock.now += 2
    await budget.settle(1000, 300)
    await budget.reserve(1000)


async def test_without_a_limit_everything_goes() -> None:
    budget = Unlimited()
    await budget.reserve(10**12)
    await budget.settle(10**12, 0)
