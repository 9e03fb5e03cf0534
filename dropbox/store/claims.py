"""Who holds which slot: nobody, a process that is writing to it, or a stored cell. Shared by all workers."""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterable

from keys.cell import below
from keys.primitives import Randomness

FREE = 0
STORED = -1
_WORD_BYTES = 4


class Claims:
    """An owner for each slot, and the list of free ones, in shared anonymous memory made before fork.

    The list is in no order that means anything, and a claim takes a uniformly random place of it: where a cell comes
    to lie says nothing of when it came or what lies beside it. Callers hold the memory lock. An owner is written
    before the list is, so that a process killed in between leaves a claim in its name, which `owned_by` finds.
    """

    __slots__ = ("_count", "_free", "_owners", "slots")

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._owners = memoryview(mmap.mmap(-1, slots * _WORD_BYTES)).cast("i")
        self._free = memoryview(mmap.mmap(-1, slots * _WORD_BYTES)).cast("I")
        self._count = memoryview(mmap.mmap(-1, _WORD_BYTES)).cast("I")

    @property
    def free(self) -> int:
        """How many slots nobody holds."""
        return self._count[0]

    def owner(self, slot: int) -> int:
        return self._owners[slot]

    def owners(self) -> list[int]:
        """Return the owner of each slot, as they are now."""
        return self._owners.tolist()

    def stored(self) -> list[int]:
        """Return the slots that hold a cell."""
        return [slot for slot, owner in enumerate(self.owners()) if owner == STORED]

    def owned_by(self, process: int) -> list[int]:
        return [slot for slot, owner in enumerate(self.owners()) if owner == process]

    def processes(self) -> set[int]:
        """Return every process that has claimed a slot."""
        return set(self.owners()) - {FREE, STORED}

    def take(self, process: int, randomness: Randomness) -> int:
        """Claim a free slot, each with the same chance. Raises: IndexError: there is none."""
        count = self._count[0]
        if not count:
            raise IndexError("no slot is free")
        place = below(count, randomness)
        slot = self._free[place]
        self._owners[slot] = process
        self._free[place] = self._free[count - 1]
        self._count[0] = count - 1
        return slot

    def assign(self, slots: Iterable[int], owner: int) -> None:
        """Hand slots that somebody holds to another owner, a process or `STORED`."""
        for slot in slots:
            self._owners[slot] = owner

    def release(self, slots: Iterable[int]) -> None:
        """Make slots that somebody holds free again."""
        for slot in slots:
            self._owners[slot] = FREE
            self._free[self._count[0]] = slot
            self._count[0] += 1

    def rebuild(self, stored: Collection[int], process: int) -> list[int]:
        """Set the owners right by what the index says is stored, and make the list of free slots anew.

        Returns the slots that held a cell whose record is gone: given to `process`, which must overwrite them.
        """
        orphans = []
        count = 0
        for slot, owner in enumerate(self.owners()):
            if slot in stored:
                self._owners[slot] = STORED
            elif owner == STORED:
                self._owners[slot] = process
                orphans.append(slot)
            elif owner == FREE:
                self._free[count] = slot
                count += 1
        self._count[0] = count
        return orphans
