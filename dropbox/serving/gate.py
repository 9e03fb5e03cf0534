"""The gate before the key derivation: so many places on the whole machine, one of them kept for sending.

Turning a codename into keys takes 64 MiB and a tenth of a second of a core, by design. Whoever could start as many as
they like would hold up the machine. A place is a lock on a file (flock): the kernel frees it when a process dies, as
a semaphore would not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dropbox.serving.turns import FairQueue, Place
from keys.errors import NoRoom

SENDING = "send"
"""The lane that the reserved places are kept for."""
POLL_SECONDS = 0.01


class Busy(NoRoom):
    """Too many people are at it right now."""

    http_status = 503
    default_remedy = "Try again in a moment."


class Gate:
    """The gate as one process sees it; gates on the same folder share their places.

    A caller waits at most `wait_seconds`, in turns by circuit; no more than `waiting` callers of this process wait in
    a lane, nor more than `waiting_per_circuit` of one circuit. Safe to use from any number of threads; made before
    or after the fork.
    """

    def __init__(
        self,
        folder: Path,
        *,
        places: int = 2,
        reserved: int = 1,
        wait_seconds: float = 20.0,
        waiting: int = 64,
        waiting_per_circuit: int = 2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 <= reserved < places:
            raise ValueError("At least one place must be open to every lane.")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files = [folder / f"place-{number}" for number in range(places)]
        self._reserved = reserved
        self._wait_seconds = wait_seconds
        self._waiting = waiting
        self._waiting_per_circuit = waiting_per_circuit
        self._clock = clock
        self._changed = threading.Condition()
        self._queues: dict[bool, FairQueue[None]] = {True: FairQueue(), False: FairQueue()}

    @contextlib.contextmanager
    def place(self, lane: str, circuit: int | None) -> Iterator[None]:
        """Hold one place for the length of a `with` block. The lane `SENDING` may use those that are reserved.

        Raises:
            Busy: the queue is full, or no place came free in time.
        """
        descriptor = self._wait(lane == SENDING, circuit)
        try:
            yield
        finally:
            os.close(descriptor)  # And with it the lock.

    def _wait(self, sending: bool, circuit: int | None) -> int:
        queue = self._queues[sending]
        with self._changed:
            full = circuit is not None and queue.length_of(circuit) >= self._waiting_per_circuit
            if full or len(queue) >= self._waiting:
                raise Busy("Too many people are using this page right now.")
            own = queue.join(circuit, None, self._clock() + self._wait_seconds)
            try:
                return self._wait_for_turn(queue, own, sending)
            finally:
                if own.waits:
                    queue.withdraw(own)
                self._changed.notify_all()

    def _wait_for_turn(self, queue: FairQueue[None], own: Place[None], sending: bool) -> int:
        while True:
            if queue.first() is own:
                descriptor = self._try(sending)
                if descriptor is not None:
                    queue.take()
                    return descriptor
                # Other processes hold the places; only the first in turn asks again, the others sleep.
                patience = POLL_SECONDS
            else:
                patience = own.deadline - self._clock()
            if self._clock() >= own.deadline:
                raise Busy("Too many people are using this page right now.")
            self._changed.wait(max(0.0, patience))

    def _try(self, sending: bool) -> int | None:
        for file in self._files if sending else self._files[self._reserved :]:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                os.close(descriptor)
        return None
