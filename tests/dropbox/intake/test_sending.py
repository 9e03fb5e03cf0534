"""One tip over a store that refuses: what is committed stays, what isn't leaves nothing, and the receipt is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from dropbox.intake.sending import FileIntake, FileLimits, Receipt, Sending, State
from dropbox.refusals import TooLong
from keys import tip
from keys.cell import Geometry, Sealer
from keys.errors import DropBoxError, Misconfigured, NoRoom
from keys.inventory import CellId
from tests.simulators.newsroom import Newsroom, seeded

GEOMETRY = Geometry(2)
NEWSROOM = Newsroom(desks=1, recipients=2)
SEED = seeded("source")(32)
CELL = GEOMETRY.payload_bytes - tip.PIECE_FRAME_BYTES


@dataclass
class Shelf:
    """A store in memory that refuses at chosen operations: `refuse[operation number] = error`."""

    refuse: dict[str, DropBoxError] = field(default_factory=dict)
    room: int = 1_000
    cells: dict[CellId, bytes] = field(default_factory=dict)
    expected: list[int] = field(default_factory=list)
    claimed: int = 0

    def item(self, cells: int = 1) -> ShelfDeposit:
        self.expected.append(cells)
        self.check("item")
        return ShelfDeposit(self)

    def check(self, operation: str) -> None:
        if operation in self.refuse:
            raise self.refuse.pop(operation)


class ShelfDeposit:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._written: dict[CellId, bytes] = {}
        self._open = True

    def begin_cell(self) -> ShelfWriter:
        self._shelf.check("begin_cell")
        if self._shelf.claimed >= self._shelf.room:
            raise NoRoom("no room")
        self._shelf.claimed += 1
        return ShelfWriter(self._shelf, self._written)

    def commit(self) -> None:
        self._shelf.check("commit")
        self._open = False
        self._shelf.cells |= self._written

    def abort(self) -> None:
        if self._open:
            self._open = False
            self._shelf.claimed -= len(self._written)


class ShelfWriter:
    def __init__(self, shelf: Shelf, written: dict[CellId, bytes]) -> None:
        self._shelf = shelf
        self._written = written
        self._parts: list[bytes] = []

    def write(self, piece: bytes | memoryview) -> None:
        self._shelf.check("write")
        self._parts.append(bytes(piece))

    def finish(self, cell_id: bytes, digest: bytes) -> None:
        self._written[CellId(cell_id)] = b"".join(self._parts)


def sending(shelf: Shelf, limits: FileLimits | None = None) -> Sending:
    randomness = seeded("sending")
    sealer = Sealer([], GEOMETRY, randomness)
    return Sending(shelf, sealer.seal, GEOMETRY, NEWSROOM.network, SEED, limits or FileLimits(10 * CELL, 5), randomness)


def message(text: str = "a text") -> tip.Message:
    return tip.Message(week=NEWSROOM.week, language="en", text=text, desks=(1,), refer="ask", mailbox=None)


def put(to: Sending, name: bytes, content: bytes, before_end: Callable[[FileIntake], None] = lambda _: None) -> None:
    intake = to.file(name, b"")
    for at in range(0, len(content), 70_001):
        intake.write(content[at : at + 70_001])
    before_end(intake)
    intake.end()


def states(receipt: Receipt) -> list[tuple[bytes, State, int, bool]]:
    return [(entry.name, entry.state, entry.size, entry.kept) for entry in receipt.files]


FULL = NoRoom("no room")
BROKEN = Misconfigured("the disk refused")


@pytest.mark.parametrize("operation", ["item", "begin_cell", "commit", "write"])
@pytest.mark.parametrize("error", [FULL, BROKEN])
def test_a_message_that_is_refused_leaves_nothing(operation: str, error: DropBoxError) -> None:
    shelf = Shelf({operation: error})
    with pytest.raises(type(error)):
        sending(shelf).message(message(), closed=True)
    assert shelf.cells == {}


def test_a_message_that_fits_no_cell_is_too_long() -> None:
    shelf = Shelf()
    with pytest.raises(TooLong):
        sending(shelf).message(message("\x01" * 60_000), closed=True)
    assert (shelf.cells, shelf.claimed) == ({}, 0)


@pytest.mark.parametrize("operation", ["item", "begin_cell", "write", "commit"])
@pytest.mark.parametrize(("error", "state"), [(FULL, State.NO_ROOM), (BROKEN, State.FAILED)])
def test_a_file_that_is_refused_spares_the_others(operation: str, error: DropBoxError, state: State) -> None:
    shelf = Shelf()
    tip_ = sending(shelf)
    tip_.message(message(), closed=False)
    put(tip_, b"before", b"1")
    shelf.refuse[operation] = error
    put(tip_, b"refused", b"2")
    put(tip_, b"after", b"3" * 100)
    receipt = tip_.close(broken=False)
    assert states(receipt) == [
        (b"before", State.STORED, 1, True),
        (b"refused", state, 0, False),
        (b"after", State.STORED, 100, True),
    ]
    assert (receipt.complete, receipt.broken, receipt.stored_items) == (False, False, 3)
    assert receipt.stored_bytes == len("a text") + 101
    assert len(shelf.cells) == 4


def test_a_disk_that_fails_within_a_file_leaves_none_of_it() -> None:
    shelf = Shelf()
    tip_ = sending(shelf)
    tip_.message(message(), closed=False)
    before = set(shelf.cells)
    intake = tip_.file(b"large", b"")
    intake.write(bytes(CELL))
    intake.write(bytes(CELL))
    shelf.refuse["write"] = BROKEN
    for _ in range(3):
        intake.write(bytes(CELL))
    intake.end()
    assert set(shelf.cells) == before
    assert states(tip_.close(broken=False)) == [(b"large", State.FAILED, 0, False)]


def test_room_that_runs_out_keeps_what_fitted() -> None:
    shelf = Shelf(room=4)
    tip_ = sending(shelf)
    tip_.message(message(), closed=False)
    put(tip_, b"large", b"x" * (5 * CELL))
    receipt = tip_.close(broken=False)
    ((name, state, size, kept),) = states(receipt)
    assert (name, state, kept) == (b"large", State.NO_ROOM, True)
    assert size == 3 * CELL - len(tip.file_head(b"large", b""))
    assert len(shelf.cells) == 4, "and the closing item, which finds no room, is left out"


@pytest.mark.parametrize("operation", ["item", "begin_cell", "write", "commit"])
@pytest.mark.parametrize("error", [FULL, BROKEN])
def test_a_closing_item_that_is_refused_takes_nothing_back(operation: str, error: DropBoxError) -> None:
    shelf = Shelf()
    tip_ = sending(shelf)
    tip_.message(message(), closed=False)
    put(tip_, b"file", b"1")
    shelf.refuse[operation] = error
    receipt = tip_.close(broken=False)
    assert receipt.complete and len(shelf.cells) == 2


def test_texts_may_use_the_room_kept_for_them_and_files_may_not() -> None:
    shelf = Shelf()
    tip_ = sending(shelf)
    tip_.message(message(), closed=False)
    put(tip_, b"small", b"1")
    tip_.close(broken=False)
    assert shelf.expected == [1, 2, 1]


def test_a_program_that_fails_within_a_file_leaves_none_of_it() -> None:
    shelf = Shelf()
    tip_ = sending(shelf)
    tip_.message(message(), closed=False)
    before = set(shelf.cells)
    intake = tip_.file(b"a", b"")
    intake.write(bytes(3 * CELL))
    intake.drop()
    assert set(shelf.cells) == before


def test_nothing_of_a_receipt_is_printed() -> None:
    shelf = Shelf()
    tip_ = sending(shelf)
    tip_.message(message(), closed=False)
    put(tip_, b"secret", b"1")
    assert "secret" not in repr(tip_.close(broken=False))
