"""The running ingest: real child processes that say what a worker may say, and end as workers may end."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rag.errors import ContentError, StoreUnavailable
from rag.events import MAX_LINE
from rag.ingest import plan as planning
from rag.ingest.job_snapshot import JobSnapshot
from rag.ingest.jobs import MAX_JOBS, IngestJobs

PRELUDE = """
import os, signal, sys, time
from pathlib import Path
from rag.events import encode
from rag.events import *
def say(event): print(encode(event), flush=True)
def progress(n): say(Progressed("embedding", n, 10, n * 3, n, 0, 30, n * 100, n * 10.0))
def finish(status="completed"): say(Finished(status, "One file was added.", 1, 0, 2, 0, 0, 3, 1, 0, 4, 50, 0.1))
plan = Planned(("a.md",), (), 2, (), False, 4, 3, 50, 0.0)
"""
HAPPY = "say(plan)\nfor n in range(1, 11): progress(n)\nfinish()"
SLOW = "say(plan)\nfor n in range(1, 2000): progress(min(n, 9)); time.sleep(.05)"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLOW


class World:
    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.published = 0
        self.open: list[IngestJobs] = []

    def jobs(self, script: str) -> IngestJobs:
        async def on_published() -> None:
            self.published += 1

        jobs = IngestJobs([sys.executable, "-c", PRELUDE + script], self.data_dir, on_published=on_published)
        self.open.append(jobs)
        return jobs


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "data")
    yield world
    for jobs in world.open:
        await jobs.close()


async def seen(jobs: IngestJobs, task_id: str) -> list[JobSnapshot]:
    async with asyncio.timeout(20):
        return [snapshot async for snapshot in jobs.watch(task_id)]


async def until_processing(jobs: IngestJobs, task_id: str) -> None:
    async with asyncio.timeout(20):
        async for snapshot in jobs.watch(task_id):
            if snapshot.progress.files_processed:
                return


async def test_a_job_is_watched_by_many_until_it_is_done(world: World) -> None:
    jobs = world.jobs(HAPPY)
    job = await jobs.start()
    assert not job.joined
    assert job.snapshot.status == "pending"
    watched = await asyncio.gather(*(seen(jobs, job.snapshot.task_id) for _ in range(5)))
    for snapshots in watched:
        last = snapshots[-1]
        assert last.status == "completed"
        assert last.message == "One file was added."
        assert last.progress.percent == 100
        assert (last.documents.added, last.documents.unchanged) == (1, 2)
        assert last.progress.chunks_total == 4
        assert last.finished_at is not None
        assert last.estimated_completion is None
        percents = [snapshot.progress.percent for snapshot in snapshots]
        assert percents == sorted(percents)
    assert world.published == 1


async def test_the_estimate_comes_with_progress(world: World) -> None:
    jobs = world.jobs(SLOW)
    task_id = (await jobs.start()).snapshot.task_id
    await until_processing(jobs, task_id)
    snapshot = jobs.get(task_id)
    assert snapshot is not None
    assert snapshot.estimated_completion is not None
    assert snapshot.estimated_completion > time.time()


async def test_a_second_start_joins_the_first(world: World) -> None:
    jobs = world.jobs(SLOW)
    first, second = await asyncio.gather(jobs.start(), jobs.start(force=True))
    assert second.joined
    assert second.snapshot.task_id == first.snapshot.task_id
    assert len(jobs.history()) == 1


async def test_the_arguments_reach_the_worker(world: World) -> None:
    jobs = world.jobs("say(Warned('arguments', ' '.join(sys.argv[1:])))\nfinish()")
    job = await jobs.start(force=True, path="part 1/a.md")
    messages = [snapshot.message for snapshot in await seen(jobs, job.snapshot.task_id)]
    assert "--force --path part 1/a.md" in messages


async def test_the_worker_is_nice(world: World) -> None:
    jobs = world.jobs("time.sleep(.3)\nsay(Warned('nice', str(os.nice(0))))\nfinish()")
    job = await jobs.start()
    assert str(os.nice(0) + 10) in [snapshot.message for snapshot in await seen(jobs, job.snapshot.task_id)]


@pytest.mark.parametrize("script", [SLOW, STUBBORN], ids=["polite", "stubborn"])
@pytest.mark.alone
async def test_cancel_takes_less_than_a_second(world: World, script: str) -> None:
    jobs = world.jobs(script)
    task_id = (await jobs.start()).snapshot.task_id
    await until_processing(jobs, task_id)
    watching = asyncio.create_task(seen(jobs, task_id))
    began = time.monotonic()
    snapshot = await jobs.cancel(task_id)
    assert time.monotonic() - began < 2  # half of it is for a busy machine
    assert snapshot is not None
    assert snapshot.status == "cancelled"
    assert (await watching)[-1].status == "cancelled"
    assert world.published == 0
    again = await jobs.start()
    assert not again.joined


async def test_cancel_right_after_start(world: World) -> None:
    jobs = world.jobs(SLOW)
    task_id = (await jobs.start()).snapshot.task_id
    snapshot = await jobs.cancel(task_id)
    assert snapshot is not None
    assert snapshot.status == "cancelled"


async def test_cancel_of_an_ended_or_unknown_job_changes_nothing(world: World) -> None:
    jobs = world.jobs(HAPPY)
    task_id = (await jobs.start()).snapshot.task_id
    await seen(jobs, task_id)
    ended = await jobs.cancel(task_id)
    assert ended is not None
    assert ended.status == "completed"
    assert await jobs.cancel("nothing") is None
    assert await seen(jobs, "nothing") == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("say(plan); progress(3); sys.exit(7)", "exit code 7"),
        ("say(plan); progress(3); os.kill(os.getpid(), signal.SIGKILL)", "was killed"),
        ("raise RuntimeError('sk-secret')", "exit code 1"),
        ("say(plan); sys.exit(0)", "exit code 0"),
    ],
)
async def test_a_crash_is_one_sentence(world: World, script: str, words: str) -> None:
    jobs = world.jobs(script)
    last = (await seen(jobs, (await jobs.start()).snapshot.task_id))[-1]
    assert last.status == "failed"
    assert words in last.message
    assert "index is as it was" in last.message
    assert "secret" not in last.message
    assert world.published == 0


async def test_a_worker_that_cannot_be_started(tmp_path: Path) -> None:
    jobs = IngestJobs([str(tmp_path / "no-such-program")], tmp_path)
    last = (await seen(jobs, (await jobs.start()).snapshot.task_id))[-1]
    assert last.status == "failed"
    assert "could not be started" in last.message
    assert str(tmp_path) not in last.message


async def test_a_failed_ingest_keeps_its_own_words(world: World) -> None:
    jobs = world.jobs("say(Finished('failed', 'The key was refused.', 0,0,0,0,1,0,0,0,0,0,0.1)); sys.exit(1)")
    last = (await seen(jobs, (await jobs.start()).snapshot.task_id))[-1]
    assert (last.status, last.message) == ("failed", "The key was refused.")


async def test_failed_files_are_counted_and_named_once(world: World) -> None:
    jobs = world.jobs(
        "bad = FileProblem('b.md', 'content_error', 'b.md cannot be read.')\n"
        "say(Planned((), (), 0, (), False, 0, 0, 0, None, (bad,)))\n"
        "say(FileFailed(bad)); say(FileFailed(FileProblem('c.md', 'content_error', 'no')))\n"
        "time.sleep(.3); sys.exit(3)"
    )
    last = (await seen(jobs, (await jobs.start()).snapshot.task_id))[-1]
    assert last.documents.failed == 2
    assert [problem.path for problem in last.progress.errors] == ["b.md", "c.md"]


async def test_lines_that_are_no_events_are_passed_over(world: World) -> None:
    garbage = f"print('x' * {MAX_LINE * 2 + 17}); print('{{}}'); print(); sys.stderr.write('e' * 300_000)\n"
    jobs = world.jobs(garbage + HAPPY)
    last = (await seen(jobs, (await jobs.start()).snapshot.task_id))[-1]
    assert last.status == "completed"


async def test_the_last_jobs_survive_a_restart(world: World) -> None:
    jobs = world.jobs("finish()")
    for _ in range(MAX_JOBS + 3):
        await seen(jobs, (await jobs.start()).snapshot.task_id)
    reopened = world.jobs("finish()")
    assert len(reopened.history()) == MAX_JOBS
    assert reopened.history() == jobs.history()
    assert reopened.latest() == jobs.latest()
    assert reopened.running() is None


async def test_a_job_whose_application_died_is_reported(world: World) -> None:
    jobs = world.jobs(SLOW)
    task_id = (await jobs.start()).snapshot.task_id
    after_restart = world.jobs(SLOW).get(task_id)
    assert after_restart is not None
    assert after_restart.status == "failed"
    assert "application stopped" in after_restart.message


async def test_a_broken_history_file_is_an_empty_history(world: World) -> None:
    world.data_dir.mkdir()
    (world.data_dir / "jobs.json").write_text('[{"task_id": 3')
    jobs = world.jobs(HAPPY)
    assert jobs.history() == []
    assert jobs.latest() is None
    last = (await seen(jobs, (await jobs.start()).snapshot.task_id))[-1]
    assert last.status == "completed"
    assert len(world.jobs(HAPPY).history()) == 1


async def test_a_history_that_cannot_be_written_does_not_stop_the_ingest(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the directory should be")
    jobs = IngestJobs([sys.executable, "-c", PRELUDE + HAPPY], tmp_path / "data")
    last = (await seen(jobs, (await jobs.start()).snapshot.task_id))[-1]
    assert last.status == "completed"


@pytest.mark.alone
async def test_close_ends_the_worker(world: World, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    jobs = world.jobs(f"Path({str(mark)!r}).write_text(str(os.getpid()))\n" + STUBBORN)
    task_id = (await jobs.start()).snapshot.task_id
    await until_processing(jobs, task_id)
    began = time.monotonic()
    await jobs.close()
    assert time.monotonic() - began < 2  # half of it is for a busy machine
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)
    snapshot = jobs.get(task_id)
    assert snapshot is not None
    assert snapshot.status == "failed"
    assert "application stopped" in snapshot.message
    await jobs.close()


async def test_an_index_that_cannot_be_opened_yet_does_not_undo_the_ingest(tmp_path: Path) -> None:
    async def on_published() -> None:
        raise StoreUnavailable("The store is not there.")

    jobs = IngestJobs([sys.executable, "-c", PRELUDE + HAPPY], tmp_path, on_published=on_published)
    last = (await seen(jobs, (await jobs.start()).snapshot.task_id))[-1]
    assert last.status == "completed"


async def test_what_a_worker_complains_of_reaches_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    complaints = """
print("a page broke the parser", file=sys.stderr, flush=True)
print("x" * 300_000, file=sys.stderr)
print("the last word", end="", file=sys.stderr, flush=True)
"""
    jobs = world.jobs(complaints + HAPPY)
    job = await jobs.start()
    assert (await seen(jobs, job.snapshot.task_id))[-1].status == "completed"
    said = [record.message for record in caplog.records]
    assert "ingest: a page broke the parser" in said
    assert "ingest: the last word" in said
    assert max(map(len, said)) < 3000


async def test_what_a_plan_complains_of_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    failing = [sys.executable, "-c", "import sys; print('a page broke the parser', file=sys.stderr); sys.exit(1)"]
    with pytest.raises(ContentError, match="the log says why"):
        await planning.dry_run(failing, dict(os.environ))
    assert "ingest: a page broke the parser" in caplog.messages


async def test_a_worker_that_a_full_disk_killed_is_said_to_have_had_no_room(small_disk: Path) -> None:
    jobs = IngestJobs([sys.executable, "-c", PRELUDE + "os.kill(os.getpid(), signal.SIGBUS)"], small_disk)
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    job = await jobs.start()
    last = (await seen(jobs, job.snapshot.task_id))[-1]
    assert last.status == "failed"
    assert last.message.startswith(f"The disk that holds {small_disk} is full")
    await jobs.close()
