"""Where a cell lies, by its id: a hash table in memory that all workers share."""

from __future__ import annotations

import mmap
from collections.abc import Iterable

from keys.inventory import ID_BYTES, CellId

_WORD_BYTES = 4
_EMPTY = 0


class Directory:
    """An open-addressed table in shared anonymous memory made before fork; at most half full.

    Callers hold the memory lock to look up, and the transaction lock besides to change anything.
    No process keeps a copy, so nothing has to be rebuilt after a commit and 400,000 ids cost each worker nothing. A
    lookup walks its whole run of the table whether it finds the id on the way or not: one that is there and one that
    isn't cost the same. Places come from `hash`, which is keyed at random for each interpreter and what it forks
    (nobody else can share this memory), so that no desk can choose ids that crowd one place.
    """

    __slots__ = ("_ids", "_mask", "_table")

    def __init__(self, slots: int) -> None:
        size = 1 << (2 * slots).bit_length()
        self._mask = size - 1
        self._table = memoryview(mmap.mmap(-1, size * _WORD_BYTES)).cast("I")
        self._ids = mmap.mmap(-1, slots * ID_BYTES)

    def find(self, cell_id: bytes) -> int | None:
        """Return the slot that holds this cell."""
        found = None
        place = hash(cell_id) & self._mask
        while entry := self._table[place]:
            if self._id(entry - 1) == cell_id:
                found = entry - 1
            place = (place + 1) & self._mask
        return found

    def add(self, cell_id: CellId, slot: int) -> None:
        """Enter an id that isn't there yet."""
        self._ids[slot * ID_BYTES : (slot + 1) * ID_BYTES] = cell_id
        place = hash(cell_id) & self._mask
        while self._table[place]:
            place = (place + 1) & self._mask
        self._table[place] = slot + 1

    def remove(self, cell_id: CellId) -> None:
        """Strike an id out, and close the gap so that every run stays whole. Raises: KeyError: it isn't there."""
        gap = self._place(cell_id)
        place = gap
        while True:
            place = (place + 1) & self._mask
            entry = self._table[place]
            if not entry:
                break
            home = hash(self._id(entry - 1)) & self._mask
            if (place - home) & self._mask >= (place - gap) & self._mask:
                self._table[gap] = entry
                gap = place
        self._table[gap] = _EMPTY

    def rebuild(self, stored: Iterable[tuple[int, CellId]]) -> None:
        """Start over with these slots and ids."""
        self._table[:] = memoryview(bytes(self._table.nbytes)).cast("I")
        for slot, cell_id in stored:
            self.add(cell_id, slot)

    def _id(self, slot: int) -> bytes:
        return self._ids[slot * ID_BYTES : (slot + 1) * ID_BYTES]

    def _place(self, cell_id: CellId) -> int:
        place = hash(cell_id) & self._mask
        while entry := self._table[place]:
            if self._id(entry - 1) == cell_id:
                return place
            place = (place + 1) & self._mask
        raise KeyError("no such cell")
