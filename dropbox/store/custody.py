"""The two locks, and what they guard: the slots' owners and the ids in memory, the transactions on the disk.

The *memory lock* is held for microseconds, while a slot is claimed or an id looked up. The *transaction lock* is held
for the few milliseconds of a commit; within it the memory lock may be taken, never the other way round. Both die with
a worker that is killed; whoever takes one next sees by the shared counters that something was left half done, and
mends it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from dropbox.store import layout
from dropbox.store.claims import STORED, Claims
from dropbox.store.counters import Counters
from dropbox.store.directory import Directory
from dropbox.store.files import Folder
from dropbox.store.index import Index
from dropbox.store.journal import Journal, Transaction
from dropbox.store.slab import Slab
from keys.errors import DropBoxError, NoRoom
from keys.inventory import CellId
from keys.primitives import Randomness

_WIPED_AT_ONCE = 64


@dataclass(slots=True)
class Plan:
    """One transaction and what it means for the maps in memory, as (id, slot)."""

    transaction: Transaction
    added: list[tuple[CellId, int]] = field(default_factory=list)
    removed: list[tuple[CellId, int]] = field(default_factory=list)


class _Held(threading.local):
    """Whether this thread holds the transaction lock, and what it is to wipe when it no longer does."""

    def __init__(self) -> None:
        self.inside = False
        self.slots: set[int] = set()

    @contextmanager
    def entered(self) -> Iterator[None]:
        self.inside = True
        try:
            yield
        finally:
            self.inside = False

    def handed_over(self) -> list[int]:
        slots, self.slots = self.slots, set()
        return sorted(slots)


class Custody:
    """Keeps slots, records and memory in step, among threads and forked processes, through any of their deaths."""

    def __init__(self, folder: Folder, slab: Slab, index: Index, journal: Journal, randomness: Randomness) -> None:
        self._folder = folder
        self._slab = slab
        self._index = index
        self._journal = journal
        self._randomness = randomness
        self._held = _Held()
        self.counters = Counters()
        self.claims = Claims(slab.slots)
        self.directory = Directory(slab.slots)
        self.counters.unsettled = 1  # Nothing is known yet: the first to take a lock reads the index.

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Hold the memory lock, over maps that agree with the disk."""
        while True:
            with self._folder.lock(layout.INDEX):
                if not self.counters.unsettled:
                    yield
                    return
            with self.transaction():
                pass  # Taking this lock mends.

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the memory lock to change the maps. An exception, or a kill, leaves them marked as unsettled."""
        with self.settled():
            self.counters.unsettled = 1
            yield
            self.counters.unsettled = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the transaction lock, over files and maps that agree. A thread that holds it may take it again.

        What `wipe_afterwards` was given is wiped when the lock is free again: others needn't wait for gigabytes.
        """
        if self._held.inside:
            self._mend()
            yield
            return
        try:
            with self._folder.lock(layout.REDO), self._held.entered():
                self._mend()
                yield
        finally:
            self.wipe(self._held.handed_over())

    def wipe_afterwards(self, slots: Sequence[int]) -> None:
        """Have slots wiped that this process has claimed, at the end of the transaction that this thread holds."""
        self._held.slots |= {*slots}

    def _mend(self) -> None:
        """Finish what a killed worker or a failed disk left, if anything. The transaction lock is held."""
        if not (self.counters.pending or self.counters.unsettled):
            return
        with self._folder.lock(layout.INDEX):
            if not (self.counters.pending or self.counters.unsettled):
                return  # Somebody was only changing the maps just then.
            self.counters.unsettled = 1
            self._journal.recover()
            self.wipe_afterwards(self._read_index())
            self.counters.documents_version += 1
            self.counters.pending = 0

    def _read_index(self) -> list[int]:
        """Make the maps anew. Both locks are held. Returns the slots whose record went, now claimed by this process."""
        stored = {slot: record.cell_id for slot, record in self._index.live()}
        orphans = self.claims.rebuild(stored, os.getpid())
        self.directory.rebuild(stored.items())
        self.counters.generation += 1
        self.counters.unsettled = 0
        return orphans

    def commit(self, plan: Plan) -> None:
        """Make a planned transaction stand, on the disk and for everybody. The caller holds the transaction lock.

        Slots of removed cells are wiped when it is given back.

        Raises:
            NoRoom, Misconfigured: the disk refused. Where `in_doubt` says so afterwards, the transaction may still
                come to stand; otherwise nothing was changed.
        """
        self.counters.pending = 1
        try:
            length = self._journal.begin(plan.transaction)
        except DropBoxError:
            self._journal.cancel()
            self.counters.pending = 0
            raise
        self._journal.apply(plan.transaction)
        self._enter(plan)
        self.wipe_afterwards([slot for _, slot in plan.removed])
        try:
            self._journal.finish(length)
        except DropBoxError:
            return  # It stands. Since it is still marked as pending, the next transaction repeats the overwriting.
        self.counters.pending = 0

    def _enter(self, plan: Plan) -> None:
        """Bring the maps in step with a transaction that was just applied."""
        with self._folder.lock(layout.INDEX):
            if plan.transaction.documents is not None:
                self.counters.documents_version += 1
            if self.counters.unsettled:  # Somebody died while claiming: the index says it all, this plan included.
                self._read_index()
                return
            self.counters.unsettled = 1
            for cell_id, _ in plan.removed:
                self.directory.remove(cell_id)
            for cell_id, slot in plan.added:
                self.directory.add(cell_id, slot)
            self.claims.assign((slot for _, slot in plan.added), STORED)
            self.claims.assign((slot for _, slot in plan.removed), os.getpid())
            self.counters.generation += 1
            self.counters.unsettled = 0

    @property
    def in_doubt(self) -> bool:
        """Whether a transaction that failed may still come to stand."""
        return bool(self.counters.pending)

    def claim(self, wanted: int, keep_free: int) -> list[int]:
        """Claim random free slots for this process, leaving at least `keep_free`: one at least, or as many as wanted.

        Raises: NoRoom.
        """
        slots = self._try_claim(wanted, keep_free)
        if not slots:
            self.release_dead()
            slots = self._try_claim(wanted, keep_free)
        if not slots:
            raise _full()
        return slots

    def expect(self, slots: int, keep_free: int, allowance: int = 0) -> None:
        """Raises: NoRoom: so many slots can't be claimed and still leave `keep_free`, but for the allowance."""
        if self._within(keep_free, allowance) < slots:
            self.release_dead()
        if self._within(keep_free, allowance) < slots:
            raise _full()

    def _within(self, keep_free: int, allowance: int) -> int:
        """Return how many slots can be claimed, of those below `keep_free` no more than the allowance."""
        free = self.claims.free
        return min(free, max(0, free - keep_free) + allowance)

    def _try_claim(self, wanted: int, keep_free: int) -> list[int]:
        with self._changing():
            count = min(wanted, self.claims.free - keep_free)
            return [self.claims.take(os.getpid(), self._randomness) for _ in range(count)]

    def give_back(self, slots: Sequence[int]) -> None:
        """Make slots free that this process has claimed and not written to."""
        if slots:
            with self._changing():
                self.claims.release(slots)

    def wipe(self, slots: Sequence[int]) -> None:
        """Overwrite slots that this process has claimed, and make them free."""
        for at in range(0, len(slots), _WIPED_AT_ONCE):
            some = slots[at : at + _WIPED_AT_ONCE]
            self._slab.wipe(some)
            with self._changing():
                self.claims.release(some)

    def release_worker(self, process: int) -> None:
        """Overwrite and free what a process that has ended had claimed and not committed."""
        with self.transaction(), self._changing():
            # Claimed anew under the lock, so that no two who notice the same death free a slot twice.
            slots = self.claims.owned_by(process)
            self.claims.assign(slots, os.getpid())
            self.wipe_afterwards(slots)

    def release_dead(self) -> None:
        """Release what any process has claimed that is no more."""
        for process in self.claims.processes():
            if not _lives(process):
                self.release_worker(process)

    def sweep(self) -> None:
        """Overwrite every free slot that holds a cell or part of one. For start-up, before anybody claims."""
        leftovers = [slot for slot in self._free_slots() if self._slab.holds_text(slot)]
        self._slab.wipe(leftovers)

    def _free_slots(self) -> list[int]:
        with self.settled():
            return [slot for slot, owner in enumerate(self.claims.owners()) if owner != STORED]


def _full() -> NoRoom:
    return NoRoom("The drop box is full.", "Try again in some days, or send less: text finds room longest.")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
