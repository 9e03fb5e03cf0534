"""Lanes: kinds of request that have threads of their own, so that a flood of one kind can't hold up another.

An upload may last for hours; if it could take the thread that shows a page, a few of them would close the site. So
each request is told by method, path and announced length to which lane it belongs, before it costs a thread.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote_to_bytes

from dropbox.serving.answer import Request
from dropbox.serving.head import Head
from dropbox.serving.turns import FairQueue, Key, Place
from keys.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane, as it stands in each worker process that serves it.

    `threads` requests run at a time, at most `per_circuit` of one circuit; `waiting` more may wait, at most
    `waiting_per_circuit` of one, for `wait_seconds`; who finds no room, or waits in vain, gets the prepared page 503.
    A body above `max_body_bytes` gets 413. A lane that `gathers` takes a thread only when the whole body is there, so
    that no slow sender holds one: for small bodies, which are kept in memory. A slow reader holds a thread only while
    more than about 128 KiB of its answer, what the socket buffers, is left: downloads belong into a lane of their own.
    """

    name: str
    threads: int
    max_body_bytes: int
    gathers: bool = False
    waiting: int = 64
    wait_seconds: float = 5.0
    per_circuit: int = 6
    waiting_per_circuit: int = 12

    def __post_init__(self) -> None:
        if min(self.threads, self.per_circuit) < 1 or min(self.waiting, self.max_body_bytes) < 0:
            raise Misconfigured(f"The lane {self.name} has no room.")


@dataclass(frozen=True, slots=True)
class Route:
    """A line of the table that chooses lanes: the first that fits a request names its lane.

    `path` is compared with the decoded path. A `*` stands for one step of it, and at its end for whatever follows. The
    announced length of the body must be `over_bytes` or more.
    """

    lane: str
    path: str
    methods: frozenset[str] = frozenset({"POST"})
    over_bytes: int = 0

    def fits(self, head: Head) -> bool:
        if head.method not in self.methods or head.length < self.over_bytes:
            return False
        # Decoded, as the application will see it: an escape must not lead around a lane.
        path = unquote_to_bytes(head.path).decode("latin-1")
        return _pattern(self.path).fullmatch(path) is not None


@cache
def _pattern(path: str) -> re.Pattern[str]:
    """Turn a route's path into a pattern. Called with the few paths of the plan."""
    beginning = path.endswith("*")
    steps = "[^/]*".join(map(re.escape, path.removesuffix("*").split("*")))
    return re.compile(steps + (".*" if beginning else ""), re.DOTALL)


class LanePool:
    """The threads of one lane in one worker process, and those who wait for one.

    Args:
        answer: serves one request, in one of the pool's threads. Must not raise.
    """

    def __init__(
        self, lane: Lane, answer: Callable[[Request], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lane = lane
        self._answer = answer
        self._clock = clock
        self._changed = threading.Condition()
        self._queue: FairQueue[Request] = FairQueue()
        self._running: set[Request] = set()
        self._per_circuit: Counter[Key] = Counter()
        self._started = 0
        self._idle = 0

    def offer(self, request: Request) -> bool:
        """Take a request in, to be answered now or soon; return False when there is no room for it."""
        circuit = request.head.circuit
        with self._changed:
            free = self.lane.threads - len(self._running)
            if len(self._queue) >= self.lane.waiting + free:
                return False
            if circuit is not None and self._queue.length_of(circuit) >= self.lane.waiting_per_circuit:
                return False
            self._queue.join(circuit, request, self._clock() + self.lane.wait_seconds)
            if self._idle < len(self._queue) and self._started < self.lane.threads:
                self._started += 1
                threading.Thread(target=self._work, name=f"{self.lane.name}-{self._started}", daemon=True).start()
            self._changed.notify()
        return True

    def expired(self, now: float) -> list[Request]:
        """Take out and return the requests that have waited in vain."""
        with self._changed:
            return [place.item for place in self._queue.expire(now)]

    @property
    def held(self) -> int:
        """How many requests run or wait."""
        with self._changed:
            return len(self._running) + len(self._queue)

    def running(self) -> list[Request]:
        """Return the requests that are being answered now."""
        with self._changed:
            return list(self._running)

    def _work(self) -> None:
        while True:
            request = self._next()
            try:
                self._answer(request)
            finally:
                self._done(request)
                del request  # An idle thread must not keep the last request alive.

    def _next(self) -> Request:
        with self._changed:
            while (place := self._queue.take(self._eligible)) is None:
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return self._begin(place)

    def _begin(self, place: Place[Request]) -> Request:
        request = place.item
        self._running.add(request)
        self._per_circuit[request.head.circuit] += 1
        return request

    def _done(self, request: Request) -> None:
        with self._changed:
            self._running.discard(request)
            self._per_circuit[request.head.circuit] -= 1
            if self._per_circuit[request.head.circuit] <= 0:
                del self._per_circuit[request.head.circuit]
            self._changed.notify()

    def _eligible(self, circuit: Key) -> bool:
        return circuit is None or self._per_circuit[circuit] < self.lane.per_circuit
