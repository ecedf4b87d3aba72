"""Two processes' ingest jobs with one board in a real Redis: one runs, both show it, either cancels it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rag.errors import IngestRunning
from rag.ingest.job_snapshot import JobSnapshot
from rag.ingest.jobs import IngestJobs
from rag.redis.connection import PREFIX, RedisConnection
from rag.redis.jobs import RedisJobCoordinator
from tests.rag.test_jobs import HAPPY, PRELUDE, SLOW
from tests.support.redis_server import RedisServer

BRIEF = "say(plan)\nfor n in range(1, 21): progress(min(n, 9)); time.sleep(.1)\nfinish()"


class Process:
    """What one process has: a connection, a board, jobs, and how often it took up a new index."""

    def __init__(self, redis: RedisServer, folder: Path, script: str, index: str = "book") -> None:
        self.published = 0
        self.coordinator = RedisJobCoordinator(RedisConnection(redis.url), index, lock_seconds=2)
        command = [sys.executable, "-c", PRELUDE + script]
        self.jobs = IngestJobs(command, folder, on_published=self._publish, coordinator=self.coordinator)

    async def _publish(self) -> None:
        self.published += 1


class World:
    def __init__(self, redis: RedisServer, folder: Path) -> None:
        self.redis, self.folder = redis, folder
        self.processes: list[Process] = []

    async def process(self, script: str = HAPPY, index: str = "book") -> Process:
        process = Process(self.redis, self.folder / str(len(self.processes)), script, index)
        self.processes.append(process)
        await process.jobs.open()
        return process


@pytest.fixture
async def world(redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[World]:
    world = World(redis_server, tmp_path)
    yield world
    for process in world.processes:
        await process.jobs.close()


async def seen(jobs: IngestJobs, task_id: str) -> list[JobSnapshot]:
    async with asyncio.timeout(20):
        return [snapshot async for snapshot in jobs.watch(task_id)]


async def until(jobs: IngestJobs, task_id: str, status: str) -> JobSnapshot:
    async with asyncio.timeout(20):
        while True:
            snapshot = jobs.get(task_id)
            if snapshot is not None and snapshot.status == status:
                return snapshot
            await asyncio.sleep(0.05)


async def test_a_start_in_another_process_joins_and_both_show_the_same_to_the_end(world: World) -> None:
    one, two = await world.process(BRIEF), await world.process(BRIEF)
    job = await one.jobs.start()
    joined = await two.jobs.start(force=True)
    assert (joined.joined, joined.snapshot.task_id) == (True, job.snapshot.task_id)
    here, there = await asyncio.gather(*(seen(p.jobs, job.snapshot.task_id) for p in (one, two)))
    assert here[-1] == there[-1]
    assert there[-1].status == "completed"
    assert any(0 < snapshot.progress.percent < 100 for snapshot in there)
    assert (one.published, two.published) == (1, 1)


async def test_of_two_starts_at_the_same_moment_one_runs(world: World) -> None:
    processes = [await world.process(SLOW) for _ in range(4)]
    started = await asyncio.gather(*(process.jobs.start() for process in processes))
    assert sorted(job.joined for job in started) == [False, True, True, True]
    assert len({job.snapshot.task_id for job in started}) == 1


async def test_a_process_that_was_not_asked_shows_the_job_too(world: World) -> None:
    one, two = await world.process(SLOW), await world.process()
    task_id = (await one.jobs.start()).snapshot.task_id
    await until(two.jobs, task_id, "processing")
    running = two.jobs.running()
    assert running is not None
    assert running.task_id == task_id


async def test_the_next_ingest_may_run_anywhere_at_once(world: World) -> None:
    one, two = await world.process(), await world.process()
    await seen(one.jobs, (await one.jobs.start()).snapshot.task_id)
    await asyncio.sleep(1.2)
    job = await two.jobs.start()
    assert not job.joined
    await seen(two.jobs, job.snapshot.task_id)
    again = await two.jobs.start()
    assert not again.joined


async def test_cancelling_in_another_process_ends_the_job(world: World) -> None:
    one, two = await world.process(SLOW), await world.process()
    task_id = (await one.jobs.start()).snapshot.task_id
    await until(two.jobs, task_id, "processing")
    cancelled = await two.jobs.cancel(task_id)
    assert cancelled is not None
    assert cancelled.status == "cancelled"
    own = one.jobs.get(task_id)
    assert own is not None
    assert own.status == "cancelled"


async def test_processes_with_another_index_do_not_wait(world: World) -> None:
    one, two = await world.process(SLOW), await world.process(SLOW, index="another")
    assert not (await one.jobs.start()).joined
    assert not (await two.jobs.start()).joined


async def test_the_claim_is_renewed_for_as_long_as_the_job_runs(world: World) -> None:
    one, two = await world.process(SLOW), await world.process(SLOW)
    task_id = (await one.jobs.start()).snapshot.task_id
    await asyncio.sleep(3)
    assert (await two.jobs.start()).snapshot.task_id == task_id


async def test_a_process_that_dies_leaves_the_way_free(world: World) -> None:
    """It claims, tells once, and is never heard of again."""
    dead = RedisJobCoordinator(RedisConnection(world.redis.url), "book", lock_seconds=2)
    gone = JobSnapshot("dead", "processing", started_at=1.0)
    assert await dead.acquire(gone) is None
    two = await world.process()
    assert (await two.jobs.start()).snapshot.task_id == "dead"
    failed = await until(two.jobs, "dead", "failed")
    assert "has ended" in failed.message
    assert not (await two.jobs.start()).joined
    assert await dead.heartbeat(gone) is False
    await dead.close()


async def test_a_claim_whose_job_cannot_be_read_is_said_in_a_sentence(world: World) -> None:
    world.redis.command("SET", f"{PREFIX}:ingest:book:lock", "somebody")
    world.redis.command("SET", f"{PREFIX}:ingest:book:job", "no job")
    two = await world.process()
    with pytest.raises(IngestRunning, match="Another process is ingesting the book already"):
        await two.jobs.start()
    assert two.jobs.running() is None


async def test_with_redis_away_a_process_ingests_alone_and_is_seen_again_when_it_is_back(world: World) -> None:
    one, two = await world.process(SLOW), await world.process(SLOW)
    world.redis.stop()
    job = await one.jobs.start()
    assert not job.joined
    world.redis.start()
    await until(two.jobs, job.snapshot.task_id, "processing")
    assert (await two.jobs.start()).joined
    world.redis.stop()
    cancelled = await one.jobs.cancel(job.snapshot.task_id)
    assert cancelled is not None
    assert cancelled.status == "cancelled"


async def test_closing_one_process_leaves_the_ingest_of_another_alone(world: World) -> None:
    one, two = await world.process(SLOW), await world.process()
    task_id = (await one.jobs.start()).snapshot.task_id
    await until(two.jobs, task_id, "processing")
    await two.jobs.close()
    await asyncio.sleep(0.7)
    running = one.jobs.running()
    assert running is not None
    assert running.task_id == task_id
