"""What processes share through a real Redis, and what becomes of it when Redis goes and comes back."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from rag.chat.sessions import MOST_ANSWER_CHARACTERS
from rag.errors import BudgetExhausted, ConfigError
from rag.events import ChatEvent, Cited, Delta, Done, Failed, Notice, Retrieved, Searching, Started, Timings
from rag.redis.answers import MOST_BYTES, RedisAnswers, decode, encode
from rag.redis.budget import RedisBudget
from rag.redis.connection import MOST_CONNECTIONS, PAUSE_SECONDS, PREFIX, RedisConnection
from rag.redis.sessions import RedisSessions
from rag.settings import Settings
from rag.types import Chunk, Citation, Exchange, Passage, Usage
from tests.support.redis_server import RedisServer

Links = Callable[[], RedisConnection]


@pytest.fixture
async def link(redis_server: RedisServer) -> AsyncIterator[Links]:
    """Each call is another process' connection."""
    async with AsyncExitStack() as stack:

        def another() -> RedisConnection:
            link = RedisConnection(redis_server.url)
            stack.push_async_callback(link.close)
            return link

        yield another


def exchange(number: int) -> Exchange:
    return Exchange(f"question {number}", f"answer {number}", (f"chunk-{number}",))


async def back_again(redis_server: RedisServer) -> None:
    redis_server.start()
    await asyncio.sleep(PAUSE_SECONDS)


# Conversations


async def test_a_conversation_begun_in_one_process_goes_on_in_another(link: Links) -> None:
    one, two = RedisSessions(link()), RedisSessions(link())
    session, _ = await one.resume(None)
    await one.remember(session, exchange(1))
    assert await two.resume(session) == (session, (exchange(1),))
    await two.remember(session, exchange(2))
    assert await one.resume(session) == (session, (exchange(1), exchange(2)))


async def test_only_the_last_exchanges_are_kept_however_many_write(link: Links) -> None:
    one, two = RedisSessions(link(), exchanges=3), RedisSessions(link(), exchanges=3)
    session, _ = await one.resume(None)
    await one.remember(session, exchange(0))
    await two.resume(session)
    await asyncio.gather(*((one, two)[n % 2].remember(session, exchange(n)) for n in range(1, 9)))
    kept = (await one.resume(session))[1]
    assert len(kept) == 3
    assert (await two.resume(session))[1] == kept


@pytest.mark.parametrize("claimed", ["3f0e6c1a-58d2-4b7e-9a41-6d2f8c7b1e05", "1", "../../etc", "a" * 10_000])
async def test_an_unknown_id_begins_anew_under_a_new_one(link: Links, claimed: str, redis_server: RedisServer) -> None:
    conversations = RedisSessions(link())
    await conversations.remember(claimed, exchange(1))
    session, history = await conversations.resume(claimed)
    assert session != claimed
    assert history == ()
    assert redis_server.command("DBSIZE") == ":0\r\n"


async def test_sessions_without_an_exchange_take_no_room_in_redis(link: Links, redis_server: RedisServer) -> None:
    conversations = RedisSessions(link())
    for _ in range(20):
        await conversations.resume(None)
    assert redis_server.command("DBSIZE") == ":0\r\n"


async def test_sessions_in_redis_expire_and_are_bounded(link: Links, redis_server: RedisServer) -> None:
    one, two = RedisSessions(link(), ttl=3), RedisSessions(link(), ttl=3)
    session, _ = await one.resume(None)
    await one.remember(session, Exchange("q", "a" * 1_000_000))
    assert len((await two.resume(session))[1][0].answer) == MOST_ANSWER_CHARACTERS
    await asyncio.sleep(3.1)
    assert redis_server.command("DBSIZE") == ":0\r\n"
    assert (await two.resume(session))[0] != session
    await two.remember(session, exchange(1))
    assert redis_server.command("DBSIZE") == ":0\r\n"


@pytest.mark.parametrize("stored", ["", "not json", "{}", '{"question": 1, "answer": null}'])
async def test_what_is_no_exchange_is_left_out(link: Links, redis_server: RedisServer, stored: str) -> None:
    conversations = RedisSessions(link())
    session, _ = await conversations.resume(None)
    await conversations.remember(session, exchange(1))
    redis_server.command("RPUSH", f"{PREFIX}:session:{session}", stored)
    assert await conversations.resume(session) == (session, (exchange(1),))


async def test_a_reader_goes_on_while_redis_is_away_and_takes_it_along(link: Links, redis_server: RedisServer) -> None:
    one, two = RedisSessions(link()), RedisSessions(link())
    session, _ = await one.resume(None)
    await one.remember(session, exchange(1))
    redis_server.stop()
    assert await one.resume(session) == (session, (exchange(1),))
    await one.remember(session, exchange(2))
    fresh, _ = await one.resume(None)
    await one.remember(fresh, exchange(3))
    await back_again(redis_server)
    await one.remember(session, exchange(4))
    assert await two.resume(session) == (session, (exchange(1), exchange(2), exchange(4)))
    await one.resume(fresh)
    assert await two.resume(fresh) == (fresh, (exchange(3),))


# Answers


def passage() -> Passage:
    chunk = Chunk("id", "a.md", ("Títle", "Part"), "https://x/a", "part", 0, (1, 2), (3, 40), "text\u2028 \0 🙂", 3)
    return Passage(1, chunk, 0.5, "longer text", ("id", "id-2"))


def whole_answer() -> list[ChatEvent]:
    citation = Citation(1, "Part", ("Títle", "Part"), "https://x/a#part", "text", passage())
    return [
        Started("message"),
        Searching("what?"),
        Retrieved(True, (passage(),)),
        Delta("It is [1]"),
        Cited(citation),
        Notice("note", "something"),
        Done("message", "It is [1]", True, "stop", (citation,), Usage(10, 5), Timings(1.5, None, 2.25)),
    ]


def test_every_event_comes_back_as_it_was() -> None:
    events = [*whole_answer(), Failed("internal", "broke", True, 1.5)]
    assert {type(event) for event in events} == set(ChatEvent.__args__)
    assert decode(encode(events)) == tuple(events)


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b"[1]", b'[{"type":"unknown"}]', b"\xff\x00", b"[" * 100_000])
def test_what_is_no_answer_is_none(value: bytes) -> None:
    assert decode(value) is None


async def test_an_answer_given_in_one_process_is_given_again_in_another(link: Links, redis_server: RedisServer) -> None:
    one, two = RedisAnswers(link()), RedisAnswers(link())
    await one.put("key", whole_answer())
    assert await two.get("key") == tuple(whole_answer())
    assert await two.get("another") is None
    seconds = int(redis_server.command("TTL", f"{PREFIX}:answer:key")[1:])
    assert 0 < seconds <= 24 * 3600


async def test_an_answer_out_of_all_bounds_stays_here(link: Links, redis_server: RedisServer) -> None:
    one, two = RedisAnswers(link()), RedisAnswers(link())
    await one.put("key", [Delta("a" * MOST_BYTES), *whole_answer()])
    assert await one.get("key") is not None
    assert await two.get("key") is None
    assert redis_server.command("DBSIZE") == ":0\r\n"
    redis_server.command("SET", f"{PREFIX}:answer:broken", "not an answer")
    assert await two.get("broken") is None


async def test_answers_are_kept_here_while_redis_is_away(link: Links, redis_server: RedisServer) -> None:
    one, two = RedisAnswers(link()), RedisAnswers(link())
    redis_server.stop()
    await one.put("key", whole_answer())
    assert await one.get("key") == tuple(whole_answer())
    await back_again(redis_server)
    assert await two.get("key") is None
    await one.put("key", whole_answer())
    assert await two.get("key") == tuple(whole_answer())


# The budget


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def test_processes_side_by_side_cannot_overdraw_together(link: Links) -> None:
    budgets = [RedisBudget(link(), 1000) for _ in range(4)]
    reservations = (budgets[n % 4].reserve(90) for n in range(40))
    results = await asyncio.gather(*reservations, return_exceptions=True)
    assert sum(result is None for result in results) == 11
    assert all(result is None or isinstance(result, BudgetExhausted) for result in results)


async def test_what_was_not_used_comes_back_to_all(link: Links) -> None:
    one, two = RedisBudget(link(), 1000), RedisBudget(link(), 1000)
    await one.reserve(900)
    with pytest.raises(BudgetExhausted):
        await two.reserve(101)
    await one.settle(900, 100)
    await two.reserve(900)
    with pytest.raises(BudgetExhausted) as refused:
        await one.reserve(1)
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 86_400


async def test_a_new_day_has_a_new_budget_and_the_old_one_expires(link: Links, redis_server: RedisServer) -> None:
    clock = Clock(10 * 86_400 + 86_399)
    budget = RedisBudget(link(), 1000, clock=clock)
    await budget.reserve(1000)
    clock.now += 2
    await budget.settle(1000, 300)
    await budget.reserve(1000)
    assert int(redis_server.command("TTL", f"{PREFIX}:tokens:10")[1:]) > 86_400


async def test_the_budget_holds_while_redis_is_away_and_catches_up(link: Links, redis_server: RedisServer) -> None:
    one, two = RedisBudget(link(), 1000), RedisBudget(link(), 1000)
    await two.reserve(400)
    await one.reserve(100)
    redis_server.stop()
    await one.reserve(400)
    with pytest.raises(BudgetExhausted):
        await one.reserve(101)  # what the other process had used is known
    await one.settle(400, 350)
    await back_again(redis_server)  # with nothing in it: what was owed is what this process spent meanwhile
    await one.reserve(100)
    with pytest.raises(BudgetExhausted):
        await two.reserve(1000 - 350 - 100 + 1)
    await two.reserve(1000 - 350 - 100)


# Redis itself


@pytest.mark.alone
async def test_a_redis_that_is_gone_is_told_once_and_costs_next_to_nothing(
    link: Links, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    budget = RedisBudget(link(), 10_000)
    await budget.reserve(1)
    redis_server.stop()
    began = time.perf_counter()
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            await budget.reserve(1)
        assert time.perf_counter() - began < 10, "not a second each"
        assert len(caplog.records) == 1
        await back_again(redis_server)
        await budget.reserve(1)
        await budget.reserve(1)
    assert [record.message for record in caplog.records][1:] == ["Redis answers again: what is shared"]
    assert redis_server.command("DBSIZE") == ":1\r\n"


async def test_more_readers_than_connections_wait_and_are_served(
    link: Links, caplog: pytest.LogCaptureFixture, redis_server: RedisServer
) -> None:
    one, two = RedisSessions(link()), RedisSessions(link())
    sessions = [(await one.resume(None))[0] for _ in range(4 * MOST_CONNECTIONS)]
    await asyncio.gather(*(one.remember(session, exchange(n)) for n, session in enumerate(sessions)))
    resumed = await asyncio.gather(*(two.resume(session) for session in sessions))
    assert resumed == [(session, (exchange(n),)) for n, session in enumerate(sessions)]
    assert caplog.records == []
    clients = redis_server.command("INFO", "clients")
    assert "connected_clients:" in clients
    assert int(clients.split("connected_clients:")[1].split("\r\n")[0]) <= 2 * MOST_CONNECTIONS + 1


async def test_a_reader_who_leaves_in_the_middle_leaves_nothing_for_the_next(
    link: Links, redis_server: RedisServer
) -> None:
    one, two = RedisSessions(link()), RedisSessions(link())
    sessions = [(await one.resume(None))[0] for _ in range(20)]
    for number, session in enumerate(sessions):
        await one.remember(session, exchange(number))
    await two.resume(sessions[0])
    redis_server.suspend()
    leaving = [asyncio.create_task(two.resume(session)) for session in sessions[1:10]]
    await asyncio.sleep(0.1)
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    redis_server.resume()
    assert all(task.cancelled() for task in leaving)
    resumed = await asyncio.gather(*(two.resume(session) for session in sessions))
    assert resumed == [(session, (exchange(n),)) for n, session in enumerate(sessions)]


@pytest.mark.parametrize("end", ["answer", "fail"])
async def test_a_cancel_that_the_client_loses_ends_the_caller_all_the_same(link: Links, end: str) -> None:
    async def lose_it(_: Redis) -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            if end == "fail":
                raise OSError from None
        return end

    waiting = asyncio.create_task(link().run(lose_it))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.alone
async def test_a_redis_that_says_nothing_is_waited_for_a_second(caplog: pytest.LogCaptureFixture) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
        silent = RedisConnection(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        conversations = RedisSessions(silent)
        session, _ = await conversations.resume(None)
        began = time.perf_counter()
        await conversations.remember(session, exchange(1))
        assert (await conversations.resume(session))[1] == (exchange(1),)
        assert time.perf_counter() - began < 10
        await silent.close()
    assert len(caplog.records) == 1


async def test_a_password_in_the_url_is_never_told(caplog: pytest.LogCaptureFixture) -> None:
    gone = RedisConnection("redis://reader:hidden-word@127.0.0.1:1/0")
    assert await RedisAnswers(gone).get("key") is None
    await gone.close()
    assert caplog.records
    assert "hidden-word" not in caplog.text


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis://", "redis:///0"])
def test_a_url_that_names_no_redis_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(ConfigError) as refused:
        Settings.load()
    assert refused.value.problems == ["REDIS_URL: must start with redis:// or rediss:// and name a host"]
