"""A disk in memory that fails on command: at any write or sync, by a kill, a power cut or an error.

What is written is in the cache until it is synced. A kill leaves the cache; a power cut keeps of it whatever sectors
chance picks. A write that fails or is cut off has got as far as chance says.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from keys.errors import Misconfigured, NoRoom

SECTOR_BYTES = 512


class Crash(BaseException):
    """The process died here. No `except` of the code under test may catch it."""


class Fault(Enum):
    """What happens at the chosen operation."""

    KILL = "the process is killed"
    ERROR = "one operation fails"
    DEAD = "this and every later operation fails, until the disk is mended"
    FULL = "one operation finds the disk full"


class SimulatedFile:
    """One file: what the running system sees, and what is on the disk."""

    def __init__(self, disk: SimulatedDisk, name: str, size: int) -> None:
        self._disk = disk
        self.name = name
        self.seen = bytearray(size)
        self.kept = bytearray(size)
        self.unsynced: set[int] = set()
        self.times: list[int] = []
        self.owned = False

    @property
    def size(self) -> int:
        return len(self.seen)

    def read(self, offset: int, length: int) -> bytes:
        self._disk.alive()
        if offset + length > self.size:
            raise Misconfigured("A file of the data folder is shorter than it was.")
        return bytes(self.seen[offset : offset + length])

    def write(self, offset: int, *parts: bytes | bytearray | memoryview) -> None:
        data = b"".join(parts)
        if offset + len(data) > self.size:
            raise AssertionError("the store wrote past a preallocated file")
        with self._disk.operation():
            self._put(offset, data[: self._disk.chance.randrange(len(data) + 1)] if self._disk.failing else data)

    def _put(self, offset: int, data: bytes) -> None:
        self.seen[offset : offset + len(data)] = data
        if data:
            self.unsynced.update(range(offset // SECTOR_BYTES, (offset + len(data) - 1) // SECTOR_BYTES + 1))

    def sync(self) -> None:
        self._keep(set(self.unsynced))

    def sync_range(self, offset: int, length: int) -> None:
        self._keep({s for s in self.unsynced if offset <= s * SECTOR_BYTES < offset + length})

    def _keep(self, sectors: set[int]) -> None:
        with self._disk.operation():
            if self._disk.failing:
                sectors = {s for s in sorted(sectors) if self._disk.chance.random() < 0.5}
            self.settle(sectors)

    def settle(self, sectors: set[int]) -> None:
        for sector in sectors:
            at = sector * SECTOR_BYTES
            self.kept[at : at + SECTOR_BYTES] = self.seen[at : at + SECTOR_BYTES]
        self.unsynced -= sectors

    def begin_sync(self) -> None:
        """A hint, and this disk doesn't take it."""

    def set_time(self, nanoseconds: int) -> None:
        self._disk.alive()
        self.times.append(nanoseconds)

    def own(self) -> None:
        if self.owned:
            raise Misconfigured("Another server has this data folder open.")
        self.owned = True

    def close(self) -> None:
        self.owned = False


class SimulatedDisk:
    """A data folder, as the store asks for one. Holding a lock twice is reported instead of waiting for ever."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.files: dict[str, SimulatedFile] = {}
        self.failing = False
        self.operations = 0
        self._crashed = False
        self._fault: Fault | None = None
        self._until_fault = 0
        self._held: set[str] = set()

    def open(self, name: str, *, read_only: bool = False) -> SimulatedFile:
        if name not in self.files:
            raise Misconfigured(f"The data folder has no {name}.")
        return self.files[name]

    def create(self, name: str, size: int) -> SimulatedFile:
        with self.operation():
            self.files[name] = SimulatedFile(self, name, size)
        return self.files[name]

    def remove(self, name: str) -> None:
        self.files.pop(name, None)

    def sync(self) -> None:
        self.alive()

    def close(self) -> None: ...

    @contextmanager
    def lock(self, name: str, *, shared: bool = False) -> Iterator[None]:
        self.alive()
        if name in self._held:
            raise AssertionError(f"waits for ever for {name}")
        self._held.add(name)
        try:
            yield
        finally:
            self._held.discard(name)

    def alive(self) -> None:
        """A dead process does nothing any more."""
        if self._crashed:
            raise Crash

    def fail(self, fault: Fault, after: int) -> None:
        """Have the fault happen after so many more writes and syncs."""
        self._fault, self._until_fault = fault, after

    @contextmanager
    def operation(self) -> Iterator[None]:
        """One write or sync. While `failing`, it does part of its work, and then it fails."""
        self.alive()
        self.operations += 1
        self.failing = self._fault is not None and self._until_fault == 0
        if self._fault is not None and self._until_fault > 0:
            self._until_fault -= 1
        yield
        if self.failing:
            raise self._end(self._fault)

    def _end(self, fault: Fault | None) -> BaseException:
        self.failing = False
        if fault is Fault.DEAD:
            return Misconfigured("The disk refuses everything.")
        self._fault = None
        if fault is Fault.KILL:
            self._crashed = True
            return Crash()
        return NoRoom("The disk is full.") if fault is Fault.FULL else Misconfigured("The disk refused.")

    def mend(self) -> None:
        """Take back a fault that hasn't happened yet, or that lasts."""
        self._fault = None

    def go_on(self) -> None:
        """The process that died is gone; others see what it wrote."""
        self._crashed = False
        self._held.clear()

    def restart(self, *, power_cut: bool) -> None:
        """Everything that ran is gone; after a power cut also what chance picks of the cache."""
        self.go_on()
        for file in self.files.values():
            if power_cut:
                file.settle({s for s in sorted(file.unsynced) if self.chance.random() < 0.5})
                file.seen[:] = file.kept
                file.unsynced.clear()
            file.owned = False
