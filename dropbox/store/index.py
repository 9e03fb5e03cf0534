"""The flat index: one record of fixed size for each slot, at the slot's own place. SPEC section 18.4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dropbox.store.files import File
from keys import primitives
from keys.encoding import Reader, u32
from keys.errors import Misconfigured
from keys.inventory import DIGEST_BYTES, ID_BYTES, CellId
from keys.primitives import Randomness

RECORD_BYTES = 96
ACKNOWLEDGED_BYTES = 16
DESKS = 8 * ACKNOWLEDGED_BYTES
_ACKNOWLEDGED_AT = ID_BYTES + DIGEST_BYTES
_CHECKED_BYTES = _ACKNOWLEDGED_AT + ACKNOWLEDGED_BYTES
_CHECKSUM_BYTES = 16
_LABEL = b"mustshare/v1/record\0"
_ZEROS = bytes(RECORD_BYTES)


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a stored cell: its id, its seal digest, and which desks have acknowledged it (bit by number)."""

    cell_id: CellId
    digest: bytes
    acknowledged: int = 0

    def encode(self, slot: int) -> bytes:
        """Return the 96 bytes for that slot. The checksum names the slot: a record serves in no other place."""
        checked = self.cell_id + self.digest + self.acknowledged.to_bytes(ACKNOWLEDGED_BYTES, "little")
        return checked + _checksum(slot, checked)


def _checksum(slot: int, checked: bytes) -> bytes:
    return primitives.blake2b(_LABEL + u32(slot) + checked, _CHECKSUM_BYTES)


def decode(slot: int, raw: bytes) -> Record | None:
    """Return the record, or None when these 96 bytes are noise: the slot is free.

    Raises:
        Misconfigured: they are zeros. Nothing here ever writes zeros, so a disk has lost its index, and to take
            the slot for free would be to overwrite a cell.
    """
    checked = raw[:_CHECKED_BYTES]
    if _checksum(slot, checked) != raw[_CHECKED_BYTES:]:
        if raw == _ZEROS:
            raise Misconfigured(
                "The store's index is damaged: it holds zeros.",
                "Don't start the server. Let somebody copy the data folder and look at the disk first.",
            )
        return None
    reader = Reader(checked)
    cell_id, digest = CellId(reader.take(ID_BYTES)), reader.take(DIGEST_BYTES)
    return Record(cell_id, digest, int.from_bytes(reader.take(ACKNOWLEDGED_BYTES), "little"))


class Index:
    """The file of records. Whoever calls holds the lock that what they do needs."""

    __slots__ = ("_file", "slots")

    def __init__(self, file: File) -> None:
        self._file = file
        self.slots = file.size // RECORD_BYTES

    def read(self, slot: int) -> Record | None:
        return decode(slot, self._file.read(slot * RECORD_BYTES, RECORD_BYTES))

    def read_raw(self) -> bytes:
        """Return the whole file, for what looks at every record."""
        return self._file.read(0, self.slots * RECORD_BYTES)

    def live(self) -> Iterator[tuple[int, Record]]:
        """Yield each stored cell's slot and record, by slot."""
        raw = self.read_raw()
        for slot in range(self.slots):
            record = decode(slot, raw[slot * RECORD_BYTES : (slot + 1) * RECORD_BYTES])
            if record is not None:
                yield slot, record

    def write(self, slot: int, raw: bytes) -> None:
        self._file.write(slot * RECORD_BYTES, raw)

    def sync(self) -> None:
        self._file.sync()


def entry_of(raw: bytes, slot: int) -> tuple[CellId, bytes]:
    """Return id and digest from the whole file's bytes, of a slot that is known to hold a cell."""
    at = slot * RECORD_BYTES
    return CellId(raw[at : at + ID_BYTES]), raw[at + ID_BYTES : at + _ACKNOWLEDGED_AT]


def acknowledged_of(raw: bytes, slot: int) -> int:
    """Return the acknowledgement bits from the whole file's bytes, of a slot that is known to hold a cell."""
    at = slot * RECORD_BYTES + _ACKNOWLEDGED_AT
    return int.from_bytes(raw[at : at + ACKNOWLEDGED_BYTES], "little")


def free_record(randomness: Randomness) -> bytes:
    """Return a free slot's record: 96 random bytes."""
    return randomness(RECORD_BYTES)
