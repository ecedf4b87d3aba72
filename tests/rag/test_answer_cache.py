"""One question, one call: kept answers, shared flights, and readers who leave."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from rag.chat.answer_cache import MemoryAnswers, SharedAnswers, answer_key, joined
from rag.errors import ModelError, ModelUnavailable
from rag.events import ChatEvent, Delta, Done, Failed, FinishReason, Notice, Timings
from rag.types import Usage


def done(finish_reason: FinishReason = "stop") -> Done:
    return Done("", "text", True, finish_reason, (), Usage(10, 5), Timings(0, None, 0))


class Author:
    """Writes an answer of two Deltas, the second when told to; counts how often, and who was stopped."""

    def __init__(self, *last: ChatEvent, error: Exception | None = None) -> None:
        self.last, self.error = last or (done(),), error
        self.go_on = asyncio.Event()
        self.begun = self.stopped = 0

    async def write(self) -> AsyncGenerator[ChatEvent, None]:
        self.begun += 1
        try:
            yield Delta("first ")
            await self.go_on.wait()
            if self.error:
                raise self.error
            yield Delta("second")
            for event in self.last:
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped += 1
            raise


async def read(answers: SharedAnswers, author: Author, key: str = "key") -> list[ChatEvent]:
    async with aclosing(answers.stream(key, author.write)) as events:
        return [event async for event in events]


WHOLE: list[ChatEvent] = [Delta("first "), Delta("second"), done()]


async def test_the_same_question_again_is_not_written_again() -> None:
    answers, author = SharedAnswers(MemoryAnswers()), Author()
    author.go_on.set()
    assert await read(answers, author) == WHOLE
    assert await read(answers, author) == joined(WHOLE)
    assert author.begun == 1
    assert await read(answers, author, "another") == WHOLE
    assert author.begun == 2


async def test_readers_at_the_same_time_share_a_flight_from_its_first_event() -> None:
    answers, author = SharedAnswers(MemoryAnswers()), Author()
    first = asyncio.create_task(read(answers, author))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(read(answers, author)) for _ in range(20)]
    await asyncio.sleep(0.01)
    author.go_on.set()
    assert await asyncio.gather(first, *others) == [WHOLE] * 21
    assert author.begun == 1


async def test_what_is_written_streams_before_it_is_whole() -> None:
    answers, author = SharedAnswers(MemoryAnswers()), Author()
    async with (
        aclosing(answers.stream("key", author.write)) as one,
        aclosing(answers.stream("key", author.write)) as two,
    ):
        assert await anext(one) == Delta("first ")
        assert await anext(two) == Delta("first ")
        assert author.begun == 1


async def test_a_reader_who_leaves_takes_nothing_from_the_others() -> None:
    answers, author = SharedAnswers(MemoryAnswers()), Author()
    leaving = answers.stream("key", author.write)
    await anext(leaving)
    staying = asyncio.create_task(read(answers, author))
    await asyncio.sleep(0.01)
    await leaving.aclose()
    cancelled = asyncio.create_task(read(answers, author))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    author.go_on.set()
    assert await staying == WHOLE
    assert author.stopped == 0


async def test_when_all_have_left_the_writing_stops_and_the_next_one_begins_anew() -> None:
    answers, author = SharedAnswers(MemoryAnswers()), Author()
    leaving = [answers.stream("key", author.write) for _ in range(2)]
    for events in leaving:
        await anext(events)
    for events in leaving:
        await events.aclose()
    assert (author.begun, author.stopped) == (1, 1)
    author.go_on.set()
    assert await read(answers, author) == WHOLE
    assert author.begun == 2


async def test_an_error_reaches_every_reader_and_is_not_kept() -> None:
    answers, author = SharedAnswers(MemoryAnswers()), Author(error=ModelError("It broke."))
    readers = [asyncio.create_task(read(answers, author)) for _ in range(3)]
    await asyncio.sleep(0.01)
    author.go_on.set()
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(result) for result in results] == [ModelError] * 3
    author.error = None
    assert await read(answers, author) == WHOLE
    assert author.begun == 2


@pytest.mark.parametrize(
    "last", [(Failed("model_error", "m", True),), (Notice("degraded", "m"), done()), (done("length"),)]
)
async def test_only_whole_and_undegraded_answers_are_kept(last: tuple[ChatEvent, ...]) -> None:
    answers, author = SharedAnswers(MemoryAnswers()), Author(*last)
    author.go_on.set()
    await read(answers, author)
    await read(answers, author)
    assert author.begun == 2


async def test_closing_ends_flights_with_a_sentence() -> None:
    answers, author = SharedAnswers(MemoryAnswers()), Author()
    reader = asyncio.create_task(read(answers, author))
    await asyncio.sleep(0.01)
    await answers.close()
    with pytest.raises(ModelUnavailable, match="stopping"):
        await reader
    assert author.stopped == 1


async def test_kept_answers_are_bounded_and_expire() -> None:
    now = 0.0
    store = MemoryAnswers(size=2, ttl=60, clock=lambda: now)
    for key in ("a", "b"):
        await store.put(key, [done()])
    assert await store.get("a") == (done(),)
    await store.put("c", [done()])
    assert await store.get("b") is None
    assert await store.get("a") == (done(),)
    now = 60.0
    assert await store.get("a") is None


def test_a_key_is_the_question_and_the_state() -> None:
    assert answer_key(" What  is\nPID? ", "index", 5) == answer_key("What is PID?", "index", 5)
    assert answer_key("Cafe\u0301?", "index", 5) == answer_key("Café?", "index", 5)
    states = [("What is PID?", "index", 5), ("What is PID", "index", 5), ("What is PID?", "new", 5)]
    assert len({answer_key(*state) for state in [*states, ("What is PID?", "index", 6)]}) == 4


def test_an_answer_is_kept_as_text_and_not_as_its_pieces() -> None:
    pieces: list[ChatEvent] = [Delta(f"{number} ") for number in range(2_000)]
    assert joined([*pieces, *WHOLE[-1:]]) == [Delta("".join(f"{number} " for number in range(2_000))), *WHOLE[-1:]]
