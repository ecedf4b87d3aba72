"""A circuit breaker (Nygard, Release It!): who stays silent is left in peace, so that not everybody waits for it."""

import time

SECONDS = 15.0


class Breaker:
    """Closed until a call got no answer in time. Then it admits one try every `seconds`, until one is answered."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._next_try: float | None = None

    def admits(self) -> bool:
        """Whether to call. While it is open whoever is admitted keeps the others away."""
        if self._next_try is None:
            return True
        now = time.monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + self._seconds
        return True

    def answered(self) -> None:
        self._next_try = None

    def was_silent(self) -> None:
        self._next_try = time.monotonic() + self._seconds
