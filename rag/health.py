"""The upstreams of the engine: a breaker for each, and a free check of the model server for when nobody asks."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine

from rag.errors import ModelError
from rag.resilience import CircuitBreaker
from rag.status import Part

CHECK_SECONDS = 1.5
CHECK_DISTRUSTED = 600.0  # seconds, after the check failed and the real calls went through


class Upstreams:
    """`check` asks the model server for something that costs nothing; None where there is no model server.

    A breaker without a probe belongs to what runs on this machine.
    """

    def __init__(
        self,
        chat: CircuitBreaker,
        embeddings: CircuitBreaker,
        store: CircuitBreaker,
        check: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self.chat, self.embeddings, self.store = chat, embeddings, store
        self._check = check
        self._distrusted_until = 0.0
        self._background: set[asyncio.Task[None]] = set()

    @property
    def has_models(self) -> bool:
        return self._check is not None

    def down(self, *, models_answer: bool = True, store_answers: bool = True) -> tuple[Part, ...]:
        """The names of what cannot be called, by the breakers and by what a check of this moment says."""
        answers: dict[Part, bool] = {
            "chat": not self.chat.is_open and (models_answer or self.chat.probe is None),
            "embeddings": not self.embeddings.is_open and (models_answer or self.embeddings.probe is None),
            "store": not self.store.is_open and store_answers,
        }
        return tuple(part for part, answering in answers.items() if not answering)

    async def check_models(self) -> bool:
        """Whether the model server answers a free call. Where it does not, the breakers' own probes judge."""
        models = self._models
        if self._check is None or time.monotonic() < self._distrusted_until or all(one.is_open for one in models):
            return True
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._check()
        except (ModelError, TimeoutError):
            for breaker in models:
                breaker.suspect()
            self.run(self._weigh_check())
            return False
        return True

    def record_silent_store(self) -> None:
        """A server that did not answer in time. An index of this machine is only slow."""
        if self.store.probe is not None:
            self.store.record_failure()

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Runs work beside the questions until `close`."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        for task in self._background:
            task.cancel()
        for breaker in (self.chat, self.embeddings, self.store):
            await breaker.close()

    @property
    def _models(self) -> list[CircuitBreaker]:
        return [breaker for breaker in (self.chat, self.embeddings) if breaker.probe is not None]

    async def _weigh_check(self) -> None:
        """A server may lack the free call, or be slow at it, and serve readers well."""
        if all([await breaker.settled() for breaker in self._models]):
            self._distrusted_until = time.monotonic() + CHECK_DISTRUSTED
