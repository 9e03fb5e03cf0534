"""Numbers that all processes of one server share: what is under way, and how much work was done."""

from __future__ import annotations

import mmap

_WORD_BYTES = 8


class _Counter:
    """One 64-bit number at its own place of the shared map."""

    __slots__ = ("_place",)

    def __init__(self, place: int) -> None:
        self._place = place

    def __get__(self, instance: Counters, owner: type[Counters]) -> int:
        return instance.words[self._place]

    def __set__(self, instance: Counters, value: int) -> None:
        instance.words[self._place] = value


class Counters:
    """A shared anonymous map, made before fork. Never on a disk.

    `pending` is set while a transaction is being written, `unsettled` while the maps in memory are being changed. Both
    outlive a worker that is killed meanwhile: whoever takes the lock next finds them set and mends what was left.
    """

    __slots__ = ("words",)

    pending = _Counter(0)
    unsettled = _Counter(1)
    generation = _Counter(2)
    documents_version = _Counter(3)
    lookups = _Counter(4)
    reads = _Counter(5)

    def __init__(self) -> None:
        self.words = memoryview(mmap.mmap(-1, 6 * _WORD_BYTES)).cast("Q")
