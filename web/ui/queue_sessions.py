"""Bounds what Gradio's queue remembers of sessions: messages that nobody fetched and the ids of ended events.

Gradio forgets a session when its stream is cut off in the middle, and no other. A session of a page that was closed,
or of a caller that never opened the stream, would stay, with every message that was sent to it.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from gradio.queueing import Queue

from web.problems import Problem, not_found

MOST_SESSIONS = 512
IDLE_SECONDS = 60.0


class QueueSessions:
    """Forgets sessions that are idle: no stream is open and no event under way since `idle` seconds, or since less
    when there are more than `most`.
    """

    def __init__(self, queue: Queue, most: int = MOST_SESSIONS, idle: float = IDLE_SECONDS) -> None:
        self._queue, self._most, self._idle = queue, most, idle
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._streams: Counter[str] = Counter()

    def joined(self, session: str | None) -> None:
        """Makes room for a session that is about to queue an event. Raises Problem 503 when all are busy."""
        if session is not None:
            self._touch(session)
        self._forget_idle()
        if len(self._seen) > self._most and session is not None:
            self._seen.pop(session)
            raise Problem(503, "busy", "This application is busy. Please try again.", True, 5.0)

    def knows(self, session: str) -> bool:
        return session in self._queue.pending_messages_per_session

    def of_event(self, event_id: str) -> str:
        """The session of a queued or ended event. Raises Problem 404."""
        queued = self._queue.event_ids_to_events.get(event_id)
        if queued is not None:
            return queued.session_hash
        for session, events in self._queue.pending_event_ids_session.items():
            if event_id in events:
                return session
        raise not_found()

    @contextmanager
    def streaming(self, session: str) -> Iterator[None]:
        self._touch(session)
        self._streams[session] += 1
        try:
            yield
        finally:
            self._streams[session] -= 1
            if not self._streams[session]:
                del self._streams[session]
            self._touch(session)

    def _touch(self, session: str) -> None:
        self._seen[session] = time.monotonic()
        self._seen.move_to_end(session)

    def _forget_idle(self) -> None:
        now = time.monotonic()
        for session in self._queue.pending_messages_per_session:
            self._seen.setdefault(session, now)  # one that Gradio named itself
        for session, seen in list(self._seen.items()):
            if now - seen < self._idle and len(self._seen) <= self._most:
                return  # the ones that follow were seen later
            if self._is_busy(session):
                continue
            del self._seen[session]
            self._queue.pending_messages_per_session.pop(session, None)
            self._queue.pending_event_ids_session.pop(session, None)

    def _is_busy(self, session: str) -> bool:
        if self._streams[session]:
            return True
        events = self._queue.event_ids_to_events
        return any(event in events for event in self._queue.pending_event_ids_session.get(session, ()))
