"""Transactions over index and documents: whole or not at all, through one redo record. SPEC section 18.6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dropbox.store import region
from dropbox.store.files import File
from dropbox.store.index import RECORD_BYTES, Index
from dropbox.store.noise import fill, noise
from keys.encoding import Reader, u8, u32
from keys.errors import Malformed, Misconfigured
from keys.primitives import Randomness

_CHANGE_BYTES = 4 + RECORD_BYTES


def redo_bytes(slots: int, documents_bytes: int) -> int:
    """Return the size of a redo file that holds the largest transaction: every record, and the documents."""
    return region.HEAD_BYTES + 4 + slots * _CHANGE_BYTES + 1 + documents_bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """What changes together: records by slot, as the 96 bytes to be written, and perhaps the documents."""

    records: Mapping[int, bytes] = field(default_factory=dict)
    documents: bytes | None = None

    def encode(self) -> bytes:
        changes = (u32(slot) + self.records[slot] for slot in sorted(self.records))
        tail = u8(0) if self.documents is None else u8(1) + self.documents
        return b"".join([u32(len(self.records)), *changes, tail])


def parse(payload: bytes, slots: int) -> Transaction:
    """Read a transaction back. Raises: Malformed."""
    reader = Reader(payload)
    count = reader.u32()
    if count > slots:
        raise Malformed("A redo record changes more slots than there are.")
    records: dict[int, bytes] = {}
    for _ in range(count):
        slot = reader.u32()
        records[slot] = reader.take(RECORD_BYTES)
    if any(slot >= slots for slot in records):
        raise Malformed("A redo record names a slot that isn't there.")
    has_documents = reader.u8()
    documents = reader.take(reader.left) if has_documents == 1 else None
    reader.done()
    return Transaction(records, documents)


class Journal:
    """Writes transactions. Callers hold the transaction lock; a failure at any step is theirs to see through.

    A transaction stands from the moment the redo record is on the disk. Until `finish` it is repeated by `recover`,
    however often: each record is written whole, never by difference.
    """

    __slots__ = ("_documents", "_index", "_randomness", "_redo")

    def __init__(self, index: Index, documents: File, redo: File, randomness: Randomness) -> None:
        self._index = index
        self._documents = documents
        self._redo = redo
        self._randomness = randomness

    def begin(self, transaction: Transaction) -> int:
        """Write the redo record, to the disk; returns its length.

        Raises:
            NoRoom, Misconfigured: it may stand or not.
        """
        data = region.compose(region.REDO_LABEL, transaction.encode())
        if len(data) > self._redo.size:
            raise ValueError("a transaction is larger than the largest one")
        self._redo.write(0, data)
        self._redo.sync()
        return len(data)

    def apply(self, transaction: Transaction) -> None:
        """Do what the redo record says, to the disk."""
        for slot in sorted(transaction.records):
            self._index.write(slot, transaction.records[slot])
        if transaction.records:
            self._index.sync()
        if transaction.documents is not None:
            data = region.compose(region.DOCUMENTS_LABEL, transaction.documents)
            self._documents.write(0, data, noise(self._documents.size - len(data), self._randomness))
            self._documents.sync()

    def finish(self, length: int) -> None:
        """Overwrite the first `length` bytes of the redo record, to the disk: what changed together is forgotten."""
        self._redo.write(0, noise(length, self._randomness))
        self._redo.sync()

    def cancel(self) -> None:
        """Make sure that a redo record which may be on the disk isn't. Raises: NoRoom, Misconfigured: no telling."""
        self.finish(region.HEAD_BYTES)
        fill(self._redo, self._randomness)

    def left_over(self) -> Transaction | None:
        """Return the transaction that stands in the redo record, if one does.

        Raises:
            Misconfigured: it is whole but fits no store of this size.
        """
        payload = region.read(self._redo, region.REDO_LABEL)
        if payload is None:
            return None
        try:
            return parse(payload, self._index.slots)
        except Malformed as error:
            raise Misconfigured(
                "The store's redo record belongs to another store.", "Put the right data folder in its place."
            ) from error

    def recover(self) -> None:
        """Finish the transaction that stands, if any, and overwrite the whole redo file: it may hold part of one."""
        transaction = self.left_over()
        if transaction is not None:
            self.apply(transaction)
        fill(self._redo, self._randomness)

    def documents(self) -> bytes:
        """Return the documents. Raises: Misconfigured: they are damaged."""
        blob = region.read(self._documents, region.DOCUMENTS_LABEL)
        if blob is None:
            raise Misconfigured(
                "The store's documents are damaged.", "Look at the disk, then make the data folder anew."
            )
        return blob

    def documents_room(self) -> int:
        """Return how many bytes the documents may have."""
        return self._documents.size - region.HEAD_BYTES
