"""What a bundle changes, all of it together; and working out which records that means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dropbox.store.custody import Custody, Plan
from dropbox.store.deposit import Deposit, Outcome, Written
from dropbox.store.index import DESKS, Index, Record, acknowledged_of, free_record
from dropbox.store.journal import Transaction
from keys.errors import Misconfigured
from keys.inventory import CellId
from keys.primitives import Randomness


@dataclass(frozen=True, slots=True)
class Change:
    """One transaction, in this order: deposits become visible, acknowledgements are noted, cells go, documents change.

    Args:
        deposits: items whose cells are written; a cell whose id exists is refused, the rest stands.
        acknowledged: ids by the number of the desk that signed for them. Ids that aren't here are passed over.
        current_desks: the desks of the manifest in force. When given, every cell that all of them have acknowledged,
            now or earlier, is deleted. So a retired desk blocks nothing.
        deleted: ids of cells to delete, whoever acknowledged them. Ids that aren't here are passed over.
        documents: what the documents region holds from now on.
    """

    deposits: Sequence[Deposit] = ()
    acknowledged: Mapping[int, Iterable[bytes]] = field(default_factory=dict)
    current_desks: frozenset[int] | None = None
    deleted: Iterable[bytes] = ()
    documents: bytes | None = None

    def __post_init__(self) -> None:
        desks = {*self.acknowledged, *(self.current_desks or ())}
        if any(not 0 <= desk < DESKS for desk in desks):
            raise ValueError("a desk's number is 0 to 127")
        if self.current_desks is not None and not self.current_desks:
            raise ValueError("without a single desk every cell would count as acknowledged")


class Planner:
    """Works out a change against what is stored.

    The caller holds the transaction lock throughout: only under it do ids come and go, so the memory lock isn't needed.
    """

    def __init__(self, custody: Custody, index: Index, randomness: Randomness) -> None:
        self._custody = custody
        self._index = index
        self._randomness = randomness
        self._records: dict[int, Record] = {}
        self._added: dict[CellId, int] = {}
        self._removed: dict[CellId, int] = {}
        self._refused: list[CellId] = []

    def plan(self, change: Change, written: Iterable[Written]) -> Plan:
        """Return the transaction. Raises: Misconfigured: index and memory disagree, so the disk is failing."""
        for cell in written:
            self._put(cell)
        for desk, ids in change.acknowledged.items():
            self._acknowledge(desk, ids)
        for cell_id in change.deleted:
            self._remove(cell_id)
        if change.current_desks is not None:
            self._remove_acknowledged(sum(1 << desk for desk in change.current_desks))
        return self._result(change.documents)

    @property
    def outcome(self) -> Outcome:
        return Outcome(tuple(self._refused), tuple(self._removed))

    def _put(self, cell: Written) -> None:
        if self._slot(cell.cell_id) is not None:
            self._refused.append(cell.cell_id)
            return
        self._added[cell.cell_id] = cell.slot
        self._records[cell.slot] = Record(cell.cell_id, cell.digest)

    def _slot(self, cell_id: bytes) -> int | None:
        added = self._added.get(CellId(cell_id))
        return self._custody.directory.find(cell_id) if added is None else added

    def _record(self, slot: int) -> Record:
        record = self._records.get(slot) or self._index.read(slot)
        if record is None:
            raise Misconfigured("The store's index changed on the disk by itself.", "Stop the server, check the disk.")
        return record

    def _acknowledge(self, desk: int, ids: Iterable[bytes]) -> None:
        for cell_id in ids:
            slot = self._slot(cell_id)
            if slot is not None:
                record = self._record(slot)
                self._records[slot] = replace(record, acknowledged=record.acknowledged | 1 << desk)

    def _remove(self, cell_id: bytes) -> None:
        slot = self._slot(cell_id)
        if slot is not None:
            self._removed[CellId(cell_id)] = slot

    def _remove_acknowledged(self, desks: int) -> None:
        raw = self._index.read_raw()
        for slot in {*self._custody.claims.stored(), *self._records}:
            record = self._records.get(slot)
            acknowledged = acknowledged_of(raw, slot) if record is None else record.acknowledged
            if acknowledged & desks == desks:
                self._remove(self._record(slot).cell_id)

    def _result(self, documents: bytes | None) -> Plan:
        """A cell that comes and goes in one change leaves no record at all."""
        removed = [(cell_id, slot) for cell_id, slot in self._removed.items() if cell_id not in self._added]
        added = [(cell_id, slot) for cell_id, slot in self._added.items() if cell_id not in self._removed]
        gone = set(self._removed.values())
        records = {slot: record.encode(slot) for slot, record in self._records.items() if slot not in gone}
        records |= {slot: free_record(self._randomness) for _, slot in removed}
        return Plan(Transaction(records, documents), added, removed)
