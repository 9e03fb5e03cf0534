"""The store: cells come in whole items, are found by id, acknowledged, and go. SPEC section 18.

Opened once, before the server forks its workers; every worker and thread then uses the same object. Nothing here knows
what a cell holds. Times and orders leave no trace in the folder: places are random, and all files have one time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from dropbox.store import founding, layout
from dropbox.store.change import Change, Planner
from dropbox.store.custody import Custody, Plan
from dropbox.store.deposit import Deposit, Outcome, Stage
from dropbox.store.files import DataFolder, Folder
from dropbox.store.index import Index, entry_of, free_record
from dropbox.store.journal import Journal
from dropbox.store.noise import Progress
from dropbox.store.slab import Slab
from keys.cell import below
from keys.errors import DropBoxError, NoRoom, NotForUs
from keys.inventory import CellId
from keys.primitives import Randomness, system_randomness

Clock = Callable[[], int]
"""Returns nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Room:
    """Slots in all, slots nobody holds, and how many of these are kept for text and bundles."""

    slots: int
    free: int
    reserve: int


@dataclass(frozen=True, slots=True)
class Work:
    """How many ids all workers have looked up, and how many cells they have read, since the start."""

    lookups: int
    reads: int


class Store:
    """One data folder, open. Every method may be called by any thread of any process forked after `open`."""

    def __init__(
        self,
        folder: Folder,
        *,
        reserve_slots: int = 0,
        randomness: Randomness = system_randomness,
        clock: Clock = time.time_ns,
    ) -> None:
        """Take an opened folder for this server alone; `open` says the rest."""
        self._folder = folder
        self._randomness = randomness
        self._clock = clock
        self._reserve = reserve_slots
        self._files = founding.open_files(folder)
        try:
            self._files.slab.own()
            self._slab = Slab(self._files.slab, randomness)
            self._index = Index(self._files.index)
            self._journal = Journal(self._index, self._files.documents, self._files.redo, randomness)
            self._custody = Custody(folder, self._slab, self._index, self._journal, randomness)
            with self._custody.transaction():
                self._journal.documents()
            self._custody.sweep()
            self._touch()
        except BaseException:
            self._files.close()
            raise

    @classmethod
    def create(
        cls,
        path: Path,
        slots: int,
        *,
        documents_bytes: int = founding.DOCUMENTS_BYTES,
        randomness: Randomness = system_randomness,
        progress: Progress | None = None,
    ) -> None:
        """Make a data folder for so many cells, every byte of it noise.

        Raises:
            Refused: the folder isn't empty.
            NoRoom: the disk is too small. No file is left behind.
            Misconfigured: the disk refused.
        """
        folder = DataFolder.make(path)
        try:
            founding.found(folder, slots, documents_bytes, randomness, progress)
        finally:
            folder.close()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        reserve_slots: int = 0,
        randomness: Randomness = system_randomness,
        clock: Clock = time.time_ns,
    ) -> Store:
        """Open a data folder for one server, before it forks its workers.

        Finishes the transaction that a killed server left standing, and overwrites every free slot that holds a cell.

        Args:
            reserve_slots: how many free slots items of more than one cell must leave.

        Raises:
            Misconfigured: no data folder, damaged, readable by others, or another server has it.
        """
        folder = DataFolder(path)
        try:
            return cls(folder, reserve_slots=reserve_slots, randomness=randomness, clock=clock)
        except BaseException:
            folder.close()
            raise

    def close(self) -> None:
        """Close this process's files. The folder is free for another server when all that were forked have ended."""
        self._files.close()
        self._folder.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def item(self, cells: int = 1, *, reserved: bool = False) -> Deposit:
        """Begin an item.

        Args:
            cells: how many it will have, as far as is known. It may have more. An item of one cell may lie in the
                reserve, but for the quarter of it that bundles find; cells beyond its first may not.
            reserved: a quarter of the reserve's slots may be taken for its cells. For bundles, of which nobody knows
                whose they are until they have come in whole: they must neither take what texts need, nor, since they
                free room, wait for room.

        Raises:
            NoRoom: so many cells can't be taken now.
        """
        quarter = -(-self._reserve // 4)
        first_floor = quarter if cells == 1 and not reserved else self._reserve
        allowance = quarter if reserved else 0
        self._custody.expect(cells, first_floor, allowance)
        return Deposit(
            self._custody, self._slab, self._commit, first_floor=first_floor, floor=self._reserve, allowance=allowance
        )

    def _commit(self, deposit: Deposit) -> Outcome:
        return self.apply(Change(deposits=(deposit,)))

    def apply(self, change: Change) -> Outcome:
        """Do everything a change says, in one transaction.

        When this returns it is on the disk, and the cells that went are overwritten there.

        Raises:
            NoRoom: the documents don't fit, or the disk is full.
            Misconfigured: the disk refused. Nothing was done, unless the failing disk kept the redo record; then all of
                it is done by the next transaction.
        """
        if change.documents is not None and len(change.documents) > self.documents_room:
            raise NoRoom("The documents don't fit into the data folder.", "Make a data folder with more room for them.")
        written = [cell for deposit in change.deposits for cell in deposit.written]
        self._slab.sync([cell.slot for cell in written])
        with self._custody.transaction():
            planner = Planner(self._custody, self._index, self._randomness)
            plan = planner.plan(change, written)
            self._stand(plan, change.deposits)
            kept = {slot for _, slot in plan.added}
            claimed = (slot for deposit in change.deposits for slot in deposit.slots)
            self._custody.wipe_afterwards([slot for slot in claimed if slot not in kept])
        self._touch()
        return planner.outcome

    def _stand(self, plan: Plan, deposits: Sequence[Deposit]) -> None:
        for deposit in deposits:
            deposit.advance(Stage.OPEN, Stage.COMMITTING)
        try:
            if plan.transaction.records or plan.transaction.documents is not None:
                self._custody.commit(plan)
        except DropBoxError:
            if not self._custody.in_doubt:
                for deposit in deposits:
                    deposit.advance(Stage.COMMITTING, Stage.OPEN)
            raise
        for deposit in deposits:
            deposit.advance(Stage.COMMITTING, Stage.ENDED)

    def delete(self, ids: Iterable[bytes]) -> tuple[CellId, ...]:
        """Delete cells, whoever acknowledged them; returns the ids that were there."""
        return self.apply(Change(deleted=ids)).removed

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold one more lock, under which alone documents are read in order to be replaced. Dies with its holder.

        It comes before the store's own locks, so `apply` may be called within it, and texts that arrive meanwhile don't
        wait for it. A thread that holds it must not take it again.
        """
        with self._folder.lock(layout.DOCUMENTS):
            yield

    def holds(self, ids: Sequence[bytes]) -> list[bool]:
        """Say of each id whether its cell is stored. Counted, and the same work whatever the answer."""
        with self._custody.settled():
            self._custody.counters.lookups += len(ids)
            return [self._custody.directory.find(cell_id) is not None for cell_id in ids]

    def read(self, cell_id: bytes) -> bytes:
        """Return a cell: 262,144 bytes. Raises: NotForUs: there is none by that id, or it just went."""
        slot = self._find(cell_id, reads=1)
        if slot is None:
            raise _no_such_cell()
        cell = self._slab.read(slot)
        if self._find(cell_id, reads=0) != slot:
            raise _no_such_cell()  # It was deleted meanwhile: these bytes may be noise, or another cell's.
        return cell

    def read_any(self) -> bytes:
        """Return a random slot's bytes, for work that mustn't tell whether there was a cell to read. Counted alike."""
        nobody = bytes(32)
        slot = below(self._slab.slots, self._randomness)
        self._find(nobody, reads=1)
        data = self._slab.read(slot)
        self._find(nobody, reads=0)
        return data

    def _find(self, cell_id: bytes, *, reads: int) -> int | None:
        with self._custody.settled():
            self._custody.counters.reads += reads
            return self._custody.directory.find(cell_id)

    def entries(self) -> list[tuple[CellId, bytes]]:
        """Return id and seal digest of every stored cell, sorted by id: what an inventory lists."""
        with self._custody.transaction():
            raw, slots = self._index.read_raw(), self._custody.claims.stored()
        return sorted(entry_of(raw, slot) for slot in slots)

    def documents(self) -> bytes:
        """Return the documents as one transaction left them. Keep them until `documents_version` changes."""
        with self._custody.transaction():
            return self._journal.documents()

    @property
    def documents_room(self) -> int:
        """How many bytes the documents may have."""
        return self._journal.documents_room()

    @property
    def documents_version(self) -> int:
        """A number that changes whenever the documents may have changed, through whichever process."""
        return self._custody.counters.documents_version

    @property
    def generation(self) -> int:
        """A number that changes whenever anything stored may have changed, through whichever process."""
        return self._custody.counters.generation

    def room(self) -> Room:
        return Room(self._slab.slots, self._custody.claims.free, self._reserve)

    def work(self) -> Work:
        """Return how much was looked up and read, for tests of equal work."""
        return Work(self._custody.counters.lookups, self._custody.counters.reads)

    def release_worker(self, process: int) -> None:
        """Overwrite and free what a worker that has ended was still writing. For the arbiter, when it has reaped it."""
        self._custody.release_worker(process)

    def stir(self) -> None:
        """Rewrite a random free slot and its record with other noise, and renew all files' times.

        Called by a timer, so that what a file's time or its changed blocks tell is that the timer ran. Also releases
        what workers had claimed whose death nobody reported.
        """
        self._custody.release_dead()
        try:
            (slot,) = self._custody.claim(1, 0)
        except NoRoom:
            self._touch()
            return
        self._index.write(slot, free_record(self._randomness))
        self._index.sync()
        self._custody.wipe([slot])
        self._touch()

    def _touch(self) -> None:
        now = self._clock()
        for file in self._files.all():
            file.set_time(now)


def _no_such_cell() -> NotForUs:
    return NotForUs("There is no such cell.", "Fetch a fresh inventory: it may have been deleted.")
