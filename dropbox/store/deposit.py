"""An item on its way in: its cells are written to claimed slots, and become visible together or never."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType

from dropbox.store.custody import Custody
from dropbox.store.files import Bytes
from dropbox.store.slab import PAGE_BYTES, Slab
from keys.bundle import CELL_BYTES
from keys.errors import NoRoom
from keys.inventory import DIGEST_BYTES, ID_BYTES, CellId

_LEAST_BYTES = 32_768
_SPARE_DIVISOR = 8
_MOST_SPARE = 16
_CELLS_A_SYNC = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change did: the ids that existed already and were refused, and the ids of cells that are gone."""

    refused: tuple[CellId, ...]
    removed: tuple[CellId, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A cell that lies whole in a claimed slot, and isn't listed yet."""

    slot: int
    cell_id: CellId
    digest: bytes


class SlotWriter:
    """Writes one cell, piece by piece as it is sealed. Keeps less than 32 KiB in memory, and that sealed.

    Pieces of an age file end anywhere; the disk is given whole pages, since a page written in part must first be read,
    and not a few of them by themselves.
    """

    __slots__ = ("_at", "_carry", "_done", "_filled", "_slab", "slot")

    def __init__(self, slab: Slab, slot: int, done: Callable[[Written], None]) -> None:
        self._slab = slab
        self._done = done
        self._carry = b""
        self._at = 0
        self._filled = 0
        self.slot = slot

    def write(self, piece: Bytes) -> None:
        """Write the next bytes of the cell. The caller may reuse the piece's memory afterwards.

        Raises:
            NoRoom, Misconfigured: the disk refused.
            ValueError: the cell is longer than a cell.
        """
        view = memoryview(piece)
        self._filled += len(view)
        if self._filled > CELL_BYTES:
            raise ValueError("a cell has 262,144 bytes")
        whole = (self._filled - self._at) // PAGE_BYTES * PAGE_BYTES
        if whole < _LEAST_BYTES and self._filled < CELL_BYTES:
            self._carry += view
            return
        taken = whole - len(self._carry)
        self._slab.write(self.slot, self._at, self._carry, view[:taken])
        self._at += whole
        self._carry = bytes(view[taken:])

    def finish(self, cell_id: bytes, digest: bytes) -> None:
        """Name the cell, which then belongs to the deposit. Raises: ValueError: it isn't full, or a size is wrong."""
        if self._at != CELL_BYTES:
            raise ValueError("a cell has 262,144 bytes")
        if len(cell_id) != ID_BYTES or len(digest) != DIGEST_BYTES:
            raise ValueError("an id and a digest have 32 bytes each")
        self._done(Written(self.slot, CellId(bytes(cell_id)), bytes(digest)))


class Stage(Enum):
    """How far a deposit came."""

    OPEN = "open"
    COMMITTING = "committing"
    ENDED = "ended"


class Deposit:
    """The cells of one item. Used as a context manager: left without a commit, its slots are overwritten and freed.

    One thread at a time. Cells may be open side by side: claim the next one before the last is finished, and a full
    drop box is noticed while the last can still be marked as interrupted. A large item claims a few slots at a time, an
    eighth of what it has; those that it doesn't use are given back as they were.
    """

    def __init__(
        self,
        custody: Custody,
        slab: Slab,
        commit: Callable[[Deposit], Outcome],
        *,
        first_floor: int,
        floor: int,
        allowance: int = 0,
    ) -> None:
        """Begin an item.

        Args:
            first_floor, floor: how many slots must stay free after the first claim, and after any further one.
            allowance: how many slots may be claimed all the same when no more are free than that.
        """
        self._custody = custody
        self._slab = slab
        self._commit = commit
        self._first_floor = first_floor
        self._floor = floor
        self._allowance = allowance
        self.stage = Stage.OPEN
        self.slots: list[int] = []
        self._spare: list[int] = []
        self.written: list[Written] = []

    def __enter__(self) -> Deposit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def begin_cell(self) -> SlotWriter:
        """Claim a random free slot and return its writer. Raises: NoRoom: what is finished may still be committed."""
        self._expect(Stage.OPEN)
        if not self._spare:
            wanted = min(1 + len(self.slots) // _SPARE_DIVISOR, _MOST_SPARE)
            self._spare = self._claim(wanted, self._floor if self.slots else self._first_floor)
        slot = self._spare.pop()
        self.slots.append(slot)
        return SlotWriter(self._slab, slot, self._done)

    def _claim(self, wanted: int, floor: int) -> list[int]:
        """Claim where there is room, else out of the allowance. Raises: NoRoom: both are used up."""
        if not self._allowance or self._custody.claims.free > floor:
            try:
                return self._custody.claim(wanted, floor)
            except NoRoom:
                if not self._allowance:
                    raise
        claimed = self._custody.claim(min(wanted, self._allowance), 0)
        self._allowance -= len(claimed)
        return claimed

    def _done(self, cell: Written) -> None:
        self.written.append(cell)
        if len(self.written) % _CELLS_A_SYNC == 0:
            self._slab.begin_sync()

    def append(self, cell: Bytes, cell_id: bytes, digest: bytes) -> None:
        """Write a whole cell. Raises: NoRoom, Misconfigured, ValueError: as `SlotWriter`."""
        writer = self.begin_cell()
        writer.write(cell)
        writer.finish(cell_id, digest)

    def commit(self) -> Outcome:
        """Make all finished cells visible at once. When this returns they are on the disk; unfinished ones are dropped.

        Raises:
            NoRoom, Misconfigured: the disk refused. Say that the item was not stored. (Should the failing disk have
                kept the redo record in spite of it, the item shows up later; half of it never does.)
        """
        return self._commit(self)

    def abort(self) -> None:
        """Overwrite what was written and free its slots. Does nothing to a deposit that has ended.

        A deposit whose commit failed without certainty keeps its slots: to overwrite them could destroy an item that
        stands. The next transaction finds out; what doesn't stand is overwritten when the process has ended.
        """
        if self.stage is Stage.OPEN:
            self.stage = Stage.ENDED
            self._give_back()
            self._custody.wipe(self.slots)

    def advance(self, expected: Stage, stage: Stage) -> None:
        """Move on; for the store. Raises: RuntimeError: a deposit is committed once."""
        self._expect(expected)
        self.stage = stage
        if stage is Stage.ENDED:
            self._give_back()

    def _give_back(self) -> None:
        spare, self._spare = self._spare, []
        self._custody.give_back(spare)

    def _expect(self, stage: Stage) -> None:
        if self.stage is not stage:
            raise RuntimeError("this deposit has ended")
