"""Waiting for a condition, until a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

Result = TypeVar("Result")

Progress = Callable[[str, float], None]
"""Told what is being waited for, and how much of the whole is done (0 to 1)."""

_POLL_SECONDS: Final = 0.1


def silent(what: str, done: float) -> None:
    """A progress callback for callers that show none."""


class Deadline:
    """A point in time `seconds` from now. The clock never goes backwards."""

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._end = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds that remain; zero when it has passed."""
        return max(0.0, self._end - self._clock())

    def until(self, condition: Callable[[], Result | None]) -> Result | None:
        """Return the condition's first true result, or its last one when time is up. It is asked at least once."""
        while True:
            result = condition()
            if result or not self.left:
                return result
            self._sleep(min(_POLL_SECONDS, self.left))
