"""The worker's one loop: sockets that became readable, moments that have come, and calls from its threads."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import selectors
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

Callback = Callable[[], None]


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class Handle:
    """Something the loop will call, until it is cancelled."""

    __slots__ = ("callback", "vital")

    def __init__(self, callback: Callback, *, vital: bool = False) -> None:
        self.callback: Callback | None = callback
        self.vital = vital

    def cancel(self) -> None:
        self.callback = None  # The callback may hold a request: let go of it now, not when the moment comes.


class Loop:
    """Owned by one thread; only `soon` may be called from others."""

    def __init__(self, on_error: Callable[[Exception], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._on_error = on_error
        self.now = clock
        self._selector = selectors.DefaultSelector()
        self._moments: list[tuple[float, int, Handle]] = []
        self._order = itertools.count()
        self._calls: deque[Callback] = deque()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._bell, selectors.EVENT_READ, Handle(self._answer_bell, vital=True))

    def watch(self, source: HasFileno | int, callback: Callback, *, vital: bool = False) -> None:
        """Call back each time the source is readable, as long as it stays so.

        A source whose callback raises is watched no longer, unless it is vital (a listener).
        """
        self._selector.register(source, selectors.EVENT_READ, Handle(callback, vital=vital))

    def unwatch(self, source: HasFileno | int) -> None:
        """Stop watching; harmless when the source isn't watched."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(source).data.cancel()

    def at(self, moment: float, callback: Callback) -> Handle:
        """Call back once, at or soon after this moment of `now`."""
        handle = Handle(callback)
        heapq.heappush(self._moments, (moment, next(self._order), handle))
        return handle

    def soon(self, callback: Callback) -> None:
        """Call back from the loop's own thread, at its next turn. Safe from any thread."""
        self._calls.append(callback)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._bell, 1)

    def turn(self, longest_seconds: float) -> None:
        """Wait for something to do, at most this long, and do what is due.

        An exception in one connection's callback is reported and ends nothing else: a worker that died of it would
        break every upload that it holds.
        """
        for key, _ in self._selector.select(self._patience(longest_seconds)):
            if not self._call(key.data) and not key.data.vital:
                self.unwatch(key.fileobj)
        while self._moments and self._moments[0][0] <= self.now():
            self._call(heapq.heappop(self._moments)[2])
        for _ in range(len(self._calls)):
            self._call(Handle(self._calls.popleft()))

    @property
    def quiet(self) -> bool:
        """Whether no call from a thread waits to be made."""
        return not self._calls

    def close(self) -> None:
        self._selector.close()
        os.close(self._bell)

    def _patience(self, longest_seconds: float) -> float:
        while self._moments and self._moments[0][2].callback is None:
            heapq.heappop(self._moments)
        if self._calls:
            return 0.0
        if not self._moments:
            return longest_seconds
        return min(longest_seconds, max(0.0, self._moments[0][0] - self.now()))

    def _call(self, handle: Handle) -> bool:
        if handle.callback is None:
            return True
        try:
            handle.callback()
        except Exception as error:  # noqa: BLE001 - see `turn`
            self._on_error(error)
            return False
        return True

    def _answer_bell(self) -> None:
        os.eventfd_read(self._bell)
