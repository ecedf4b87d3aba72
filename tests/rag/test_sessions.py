"""Sessions are few, small, short-lived, and nobody chooses their names."""

from uuid import UUID

import pytest

from rag.chat.sessions import MOST_ANSWER_CHARACTERS, MOST_CITED, MemorySessions
from rag.types import Exchange


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def exchange(number: int) -> Exchange:
    return Exchange(f"question {number}", f"answer {number}", (f"chunk-{number}",))


async def test_a_session_holds_its_last_exchanges() -> None:
    conversations = MemorySessions(exchanges=3)
    session, history = await conversations.resume(None)
    assert history == ()
    for number in range(5):
        await conversations.remember(session, exchange(number))
    assert await conversations.resume(session) == (session, (exchange(2), exchange(3), exchange(4)))


async def test_sessions_do_not_see_each_other() -> None:
    conversations = MemorySessions()
    first, _ = await conversations.resume(None)
    second, _ = await conversations.resume(None)
    await conversations.remember(first, exchange(1))
    assert first != second
    assert (await conversations.resume(second))[1] == ()


@pytest.mark.parametrize("claimed", ["3f0e6c1a-58d2-4b7e-9a41-6d2f8c7b1e05", "1", "", "../../etc", "a" * 10_000])
async def test_an_id_that_is_not_ours_is_answered_with_a_new_one(claimed: str) -> None:
    conversations = MemorySessions()
    await conversations.remember(claimed, exchange(1))
    session, history = await conversations.resume(claimed)
    assert session != claimed
    assert UUID(session).version == 4
    assert history == ()


async def test_an_id_is_known_however_it_is_spelt() -> None:
    conversations = MemorySessions()
    session, _ = await conversations.resume(None)
    await conversations.remember(session.upper(), exchange(1))
    assert await conversations.resume(f"{{{session.upper()}}}") == (session, (exchange(1),))


async def test_a_session_expires_after_its_last_use() -> None:
    clock = Clock()
    conversations = MemorySessions(ttl=1800, clock=clock)
    session, _ = await conversations.resume(None)
    await conversations.remember(session, exchange(1))
    for _ in range(3):
        clock.now += 1799
        assert (await conversations.resume(session))[1] == (exchange(1),)
    clock.now += 1800
    renewed, history = await conversations.resume(session)
    assert renewed != session
    assert history == ()


async def test_the_sessions_used_longest_ago_go_first() -> None:
    conversations = MemorySessions(sessions=3)
    sessions = [(await conversations.resume(None))[0] for _ in range(3)]
    await conversations.resume(sessions[0])
    await conversations.resume(None)
    assert (await conversations.resume(sessions[0]))[0] == sessions[0]
    assert (await conversations.resume(sessions[1]))[0] != sessions[1]


async def test_questions_without_an_answer_push_nobody_out() -> None:
    conversations = MemorySessions(sessions=20)
    kept = []
    for number in range(20):
        session, _ = await conversations.resume(None)
        await conversations.remember(session, exchange(number))
        kept.append(session)
    for _ in range(2_000):
        await conversations.resume(None)
    assert [(await conversations.resume(session))[1] for session in kept] == [(exchange(n),) for n in range(20)]


async def test_what_is_kept_is_bounded() -> None:
    conversations = MemorySessions()
    session, _ = await conversations.resume(None)
    await conversations.remember(session, Exchange("q", "a" * 1_000_000, tuple(map(str, range(1000)))))
    (kept,) = (await conversations.resume(session))[1]
    assert len(kept.answer) == MOST_ANSWER_CHARACTERS
    assert len(kept.cited) == MOST_CITED


async def test_no_exchanges_means_no_memory() -> None:
    conversations = MemorySessions(exchanges=0)
    session, _ = await conversations.resume(None)
    await conversations.remember(session, exchange(1))
    assert await conversations.resume(session) == (session, ())
