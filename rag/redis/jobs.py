"""The one ingest of all processes: a lock that expires unless it is renewed, and beside it how far its job is."""

import time
from contextlib import suppress

from pydantic import TypeAdapter, ValidationError

from rag.errors import IngestRunning
from rag.ingest.job_snapshot import JobSnapshot, ended
from rag.redis import RedisUnavailable
from rag.redis.connection import PREFIX, RedisConnection

LOCK_SECONDS = 15.0
_SHOWN_SECONDS = 24 * 3600
_STOP_SECONDS = 30
_GONE = "The process that ran the ingest has ended; the index is as it was before. Start it again to finish it."

_job: TypeAdapter[JobSnapshot] = TypeAdapter(JobSnapshot)

# KEYS: lock, job, stop. ARGV: task id, job, milliseconds of the lock, seconds of the job. A claim that is asked twice
# is given twice, and a claim that was lost is renewed where nobody else has it.
_CLAIM = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[3]) or redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[4])
  return false
end
return redis.call('GET', KEYS[2]) or ''
"""
_TELL = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[4])
return redis.call('GET', KEYS[3]) == ARGV[1] and 1 or 0
"""
_END = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[4])
return redis.call('DEL', KEYS[1], KEYS[3])
"""


class RedisJobCoordinator:
    """`index` names what is written: processes with another index do not wait for each other."""

    def __init__(self, connection: RedisConnection, index: str, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self._connection, self._lock_seconds = connection, lock_seconds
        self._lock, self._shown, self._stop = (f"{PREFIX}:ingest:{index}:{part}" for part in ("lock", "job", "stop"))

    async def acquire(self, job: JobSnapshot) -> JobSnapshot | None:
        try:
            elsewhere = await self._run(_CLAIM, job)
        except RedisUnavailable:
            return None
        if elsewhere is None:
            return None
        assert isinstance(elsewhere, bytes)
        running = _decoded(elsewhere)
        if running is None:
            raise IngestRunning("Another process is ingesting the book already; wait until that run has ended.")
        return running

    async def heartbeat(self, job: JobSnapshot) -> bool:
        try:
            return await self._run(_TELL, job) == 1
        except RedisUnavailable:
            return False

    async def release(self, job: JobSnapshot) -> None:
        with suppress(RedisUnavailable):
            await self._run(_END, job)

    async def current(self) -> JobSnapshot | None:
        try:
            shown, lock = await self._connection.run(lambda redis: redis.mget(self._shown, self._lock))
        except RedisUnavailable:
            return None
        job = _decoded(shown) if shown else None
        if job is not None and not job.terminal and lock is None:
            return ended(job, "failed", _GONE, time.time())
        return job

    async def request_cancel(self, task_id: str) -> None:
        with suppress(RedisUnavailable):
            await self._connection.run(lambda redis: redis.set(self._stop, task_id, ex=_STOP_SECONDS))

    async def close(self) -> None:
        await self._connection.close()

    async def _run(self, script: str, job: JobSnapshot) -> object:
        keys = (self._lock, self._shown, self._stop)
        values = (job.task_id, _job.dump_json(job).decode(), str(int(self._lock_seconds * 1000)), str(_SHOWN_SECONDS))
        answer: object = await self._connection.run(lambda redis: redis.eval(script, len(keys), *keys, *values))
        return answer


def _decoded(value: bytes | str) -> JobSnapshot | None:
    try:
        return _job.validate_json(value)
    except ValidationError:
        return None
