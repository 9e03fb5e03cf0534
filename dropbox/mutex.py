"""A lock between all threads of all processes of one server, which the death of its holder frees."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Mutex:
    """Made before the workers fork; hold it with `with mutex.held():`, briefly, and never twice in a thread.

    The kernel's record lock keeps processes apart and goes with a process that is killed; the other lock keeps the
    threads of one process apart, which the first one doesn't. The file under it is memory and has no name.
    """

    def __init__(self) -> None:
        self._threads = threading.Lock()
        self._file = os.memfd_create("mutex")

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
