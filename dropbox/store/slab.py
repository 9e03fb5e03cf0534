"""The slab: equal slots of one cell each, free ones full of noise. SPEC section 18.3."""

from __future__ import annotations

from collections.abc import Sequence

from dropbox.store.files import Bytes, File
from dropbox.store.noise import noise
from keys.bundle import CELL_BYTES
from keys.primitives import Randomness

PAGE_BYTES = 4_096
_RANGED_SLOTS = 32
# An age header and nonce of the most stanzas a network may have (16) is 24,998 bytes of text.
_HEADER_BYTES = 28_672
_SECTOR_BYTES = 512
_SAMPLE_BYTES = 48


class Slab:
    """The file of slots. Which slot belongs to whom is decided elsewhere."""

    __slots__ = ("_file", "_randomness", "slots")

    def __init__(self, file: File, randomness: Randomness) -> None:
        self._file = file
        self._randomness = randomness
        self.slots = file.size // CELL_BYTES

    def read(self, slot: int) -> bytes:
        return self._file.read(slot * CELL_BYTES, CELL_BYTES)

    def write(self, slot: int, offset: int, *parts: Bytes) -> None:
        self._file.write(slot * CELL_BYTES + offset, *parts)

    def begin_sync(self) -> None:
        """Let what was written begin to go to the disk, so that less is left to wait for when it must be there."""
        self._file.begin_sync()

    def sync(self, slots: Sequence[int]) -> None:
        """Return when these slots are on the disk. Few are synced each by itself: a text doesn't wait for uploads."""
        if len(slots) > _RANGED_SLOTS:
            self._file.sync()
            return
        for slot in slots:
            self._file.sync_range(slot * CELL_BYTES, CELL_BYTES)

    def wipe(self, slots: Sequence[int]) -> None:
        """Overwrite the slots with noise, to the disk."""
        for slot in slots:
            self._file.write(slot * CELL_BYTES, noise(CELL_BYTES, self._randomness))
        self.sync(slots)

    def holds_text(self, slot: int) -> bool:
        """Tell whether any sector at the slot's beginning is text, as an age header is and noise never.

        Looking at the first line only would miss a cell whose first page was lost with the power, but not its second.
        """
        head = self._file.read(slot * CELL_BYTES, _HEADER_BYTES)
        return any(head[at : at + _SAMPLE_BYTES].isascii() for at in range(0, _HEADER_BYTES, _SECTOR_BYTES))
