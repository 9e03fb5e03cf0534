"""How many bundles come in at once, and for how long: no courier keeps the others out. SPEC section 19.4."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from keys import primitives
from keys.errors import DropBoxError, NoRoom

PLACES = 2
RETRY_SECONDS = 30
GRACE_SECONDS = 600
LEAST_BYTES_A_SECOND = 4_096
MOST_SECONDS = 12 * 3600
"""As long as a login serves."""


class Busy(NoRoom):
    """Others are delivering."""

    http_status = 503
    default_remedy = "Try again in a minute: the bundle stays on the stick until it is confirmed."


class BusyAlready(Busy):
    """This courier is delivering."""

    http_status = 429


class TooSlow(DropBoxError):
    """A bundle took longer than any honest circuit needs."""

    exit_code = 75
    http_status = 408
    default_remedy = "Run the courier again: tor takes another circuit then."


class Deliveries:
    """The places for bundles: one for each courier, and so many in all. Make it before the workers fork.

    The kernel's record locks keep processes apart and go with a process that is killed; what this process holds is
    remembered beside them, since they don't keep its threads apart. The file under them is memory and has no name.

    Args:
        clock: seconds, never set back.
    """

    def __init__(self, places: int = PLACES, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places = range(places)
        self._file = os.memfd_create("deliveries")
        self._threads = threading.Lock()
        self._held: set[int] = set()

    @contextmanager
    def place(self, courier: bytes) -> Iterator[None]:
        """Hold a place for the length of a `with` block.

        Args:
            courier: its public key.

        Raises:
            BusyAlready: this courier has one. Busy: others have all.
        """
        own = len(self._places) + int.from_bytes(primitives.blake2b(courier)[:6], "big")
        if not self._take(own):
            raise BusyAlready("This courier is delivering another bundle just now.")
        try:
            place = next((each for each in self._places if self._take(each)), None)
            if place is None:
                raise Busy("Other couriers are delivering just now.")
            try:
                yield
            finally:
                self._give_back(place)
        finally:
            self._give_back(own)

    def hurried(self, stream: BinaryIO, length: int) -> Hurried:
        """Return a bundle's body of so many bytes, whose time begins now."""
        return Hurried(stream, length, self._clock)

    def _take(self, byte: int) -> bool:
        with self._threads:
            if byte in self._held:
                return False
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
            except (BlockingIOError, PermissionError):
                return False
            self._held.add(byte)
            return True

    def _give_back(self, byte: int) -> None:
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)
            self._held.discard(byte)


def allowed_seconds(length: int) -> float:
    """Return how long a bundle of so many bytes may take to come in."""
    return min(GRACE_SECONDS + length / LEAST_BYTES_A_SECOND, MOST_SECONDS)


class Hurried:
    """A bundle's body, which ends with an error when it takes too long as a whole, however steadily it comes.

    Args:
        length: how many bytes it says it has.
    """

    def __init__(self, stream: BinaryIO, length: int, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._end = clock() + allowed_seconds(length)

    def read(self, size: int = -1, /) -> bytes:
        """Raises: TooSlow: its time is over."""
        data = self._stream.read(size)
        if self._clock() > self._end:
            raise TooSlow("The bundle took too long to arrive; nothing of it was applied.")
        return data
