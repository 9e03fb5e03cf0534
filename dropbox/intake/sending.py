"""One tip on its way in: each item sealed as it streams and committed by itself. SPEC section 8, promise 7.

`Sending` knows nothing of forms or pages: it takes a message, then files as pieces, then the end.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from dropbox.refusals import TooLong
from keys import tip
from keys.bundle import CELL_BYTES
from keys.cell import Flags, Geometry, ItemWriter, Kind, Seal
from keys.errors import DropBoxError, NoRoom
from keys.primitives import Randomness
from keys.statement import NetworkId

TIP_ID_BYTES = 16
CELL_ID_BYTES = 32


class SlotWriter(Protocol):
    """Takes the bytes of one cell, then its name."""

    def write(self, piece: bytes | memoryview, /) -> object: ...

    def finish(self, cell_id: bytes, digest: bytes, /) -> object: ...


class Deposit(Protocol):
    """Cells written but not yet visible. Either `commit` or `abort` ends it; a killed worker's are swept away."""

    def begin_cell(self) -> SlotWriter:
        """Raises: NoRoom: what is finished may still be committed."""
        ...

    def commit(self) -> object:
        """Make all finished cells visible at once, after fsync."""
        ...

    def abort(self) -> None: ...


class CellStore(Protocol):
    """What the intake asks of the store."""

    def item(self, cells: int = 1) -> Deposit:
        """Begin an item of so many cells at least. Raises: NoRoom."""
        ...


class State(Enum):
    """What became of one file."""

    STORED = "stored"
    INTERRUPTED = "interrupted"
    TOO_LARGE = "too-large"
    NO_ROOM = "no-room"
    TOO_MANY = "too-many"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ReceiptEntry:
    """One file on the receipt: how much of it is kept, by size and SHA-256, and why not all, if so."""

    name: bytes
    size: int
    sha256: bytes
    state: State
    kept: bool

    def __repr__(self) -> str:
        return "ReceiptEntry(…)"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was stored, shown only after fsync. `broken` says that the upload ended before the form did."""

    message_bytes: int
    message_sha256: bytes
    files: tuple[ReceiptEntry, ...]
    broken: bool

    @property
    def stored_bytes(self) -> int:
        return self.message_bytes + sum(entry.size for entry in self.files if entry.kept)

    @property
    def stored_items(self) -> int:
        return 1 + sum(entry.kept for entry in self.files)

    @property
    def complete(self) -> bool:
        return not self.broken and all(entry.state is State.STORED for entry in self.files)


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How large and how many files one tip may have."""

    file_bytes: int
    files: int


class Sending:
    """Seals one tip. The message comes first and is committed before any file; `close` comes last.

    Args:
        seals: makes the next seal, to the desks that the source chose.
        signing_seed: the source's; the message, each piece of a file and the closing item are signed with it.
    """

    def __init__(
        self,
        store: CellStore,
        seals: Callable[[], Seal],
        geometry: Geometry,
        network: NetworkId,
        signing_seed: bytes,
        limits: FileLimits,
        randomness: Randomness,
    ) -> None:
        self._store = store
        self._seals = seals
        self._geometry = geometry
        self._network = network
        self._signing_seed = signing_seed
        self._limits = limits
        self._randomness = randomness
        self._tip = randomness(TIP_ID_BYTES)
        self._entries: list[ReceiptEntry] = []
        self._closing: list[tip.ClosingEntry] = []
        self._item = tip.MESSAGE_ITEM
        self._message_bytes = 0
        self._message_sha256 = b""

    def open_item(self, deposit: Deposit, item: int) -> ItemWriter:
        """Return the writer of one item of this tip, whose cells go into a deposit. Raises: NoRoom."""

        def open_cell() -> tuple[Seal, _Sink]:
            slot = deposit.begin_cell()
            seal = self._seals()
            return seal, _Sink(slot, self._randomness(CELL_ID_BYTES), seal.digest)

        small = item in (tip.MESSAGE_ITEM, tip.CLOSING_ITEM)  # Signed as a whole.
        frame = None if small else tip.PieceSigner(self._network, self._tip, item, self._signing_seed)
        return ItemWriter(Kind.TIP, self._tip, item, self._geometry, open_cell, frame)

    def _whole(self, item: int, data: bytes, flags: Flags) -> None:
        deposit = self._store.item(1)
        try:
            writer = self.open_item(deposit, item)
            writer.write(data)
            writer.finish(flags)
            deposit.commit()
        finally:
            deposit.abort()

    def message(self, message: tip.Message, *, closed: bool) -> None:
        """Seal and commit the message; `closed` when no file follows.

        Raises:
            TooLong: it doesn't fit one cell.
            NoRoom: not even for a text.
        """
        data = tip.sign_message(message, self._network, self._signing_seed, self._tip)
        if len(data) > self._geometry.payload_bytes:
            raise TooLong
        self._whole(tip.MESSAGE_ITEM, data, Flags.CLOSED if closed else Flags.NONE)
        said = (message.text, *(answer for _, answer in message.answers))
        self._message_sha256 = tip.message_digest(data)
        self._message_bytes = sum(len(text.encode()) for text in said)

    def file(self, name: bytes, declared_type: bytes) -> FileIntake:
        """Begin the next file; the one before must have ended."""
        item = self._item + 1
        if len(self._entries) >= self._limits.files:
            return FileIntake(self, item, name, State.TOO_MANY)
        return FileIntake.begin(self, self._store, item, name, tip.file_head(name, declared_type))

    def record(self, item: int, entry: ReceiptEntry) -> None:
        """Note what became of a file: called by its intake when it has ended. Without cells its number is free."""
        self._entries.append(entry)
        if entry.kept:
            self._item = item
            cut = entry.state is not State.STORED
            self._closing.append(tip.ClosingEntry(item, entry.size, entry.sha256, cut))

    @property
    def limits(self) -> FileLimits:
        return self._limits

    @property
    def items_stored(self) -> int:
        """How many items are committed so far, the message among them."""
        return 1 + len(self._closing)

    def close(self, *, broken: bool) -> Receipt:
        """Commit the closing item and return the receipt. A tip without files was closed by its message.

        A closing item that can't be stored is left out: the station then says "not closed", which is true, and what
        the receipt names is stored all the same.
        """
        receipt = Receipt(self._message_bytes, self._message_sha256, tuple(self._entries), broken)
        if not self._entries and not broken:
            return receipt
        closing = tip.Closing(receipt.complete, tuple(self._closing))
        data = tip.sign_closing(closing, self._network, self._signing_seed, self._tip)
        with contextlib.suppress(DropBoxError):
            self._whole(tip.CLOSING_ITEM, data, Flags.CLOSED)
        return receipt


class _Sink:
    """Passes a cell's bytes to its slot, and names the cell when it is full."""

    def __init__(self, slot: SlotWriter, cell_id: bytes, digest: bytes) -> None:
        self._slot = slot
        self._cell_id = cell_id
        self._digest = digest
        self._left = CELL_BYTES

    def __call__(self, piece: bytes | memoryview) -> None:
        self._slot.write(piece)
        self._left -= len(piece)
        if not self._left:
            self._slot.finish(self._cell_id, self._digest)


class FileIntake:
    """One file as it streams in. Nothing that befalls it is raised: the receipt tells, and the next file is taken.

    Either `end` or `drop` must be called once.
    """

    def __init__(self, sending: Sending, item: int, name: bytes, state: State = State.STORED) -> None:
        self._sending = sending
        self._item = item
        self._name = name
        self._state = state
        self._deposit: Deposit | None = None
        self._writer: ItemWriter | None = None
        self._digest = hashlib.sha256()
        self._head_bytes = 0

    @classmethod
    def begin(cls, sending: Sending, store: CellStore, item: int, name: bytes, head: bytes) -> FileIntake:
        """Claim the first cell and write the file's head; without room, an intake that takes and drops everything."""
        intake = cls(sending, item, name)
        try:
            intake._deposit = store.item(2)  # Two: what one cell would hold must not use the room kept for texts.
            intake._writer = sending.open_item(intake._deposit, item)
            intake._writer.write(head)
            intake._head_bytes = len(head)
        except DropBoxError as error:
            intake._give_up(error)
        return intake

    @property
    def _size(self) -> int:
        return self._writer.size - self._head_bytes if self._writer is not None else 0

    def write(self, data: bytes | memoryview) -> None:
        """Take a piece. Past the limit, or when room runs out, pieces are taken and dropped."""
        if self._writer is None or self._state is not State.STORED:
            return
        view, before = memoryview(data), self._size
        if before + len(view) > self._sending.limits.file_bytes:
            view = view[: self._sending.limits.file_bytes - before]
            self._state = State.TOO_LARGE
        try:
            self._writer.write(view)
        except NoRoom:
            self._state = State.NO_ROOM  # What fitted is kept; the cell that is open will be the last.
        except DropBoxError as error:
            self._give_up(error)
            return
        self._digest.update(view[: self._size - before])

    def end(self, *, broken: bool = False) -> None:
        """Commit what came, marked interrupted when it isn't all of it, and note it for the receipt."""
        if broken and self._state is State.STORED:
            self._state = State.INTERRUPTED
        size = self._size
        if self._writer is not None and self._deposit is not None:
            try:
                self._writer.finish(Flags.NONE if self._state is State.STORED else Flags.INTERRUPTED)
                self._deposit.commit()
            except DropBoxError as error:
                self._give_up(error)
        kept = self._writer is not None
        entry = ReceiptEntry(self._name, size if kept else 0, self._digest.digest() if kept else b"", self._state, kept)
        self._sending.record(self._item, entry)

    def drop(self) -> None:
        """Keep nothing of it: the program itself failed."""
        self._writer = None
        if self._deposit is not None:
            self._deposit.abort()

    def _give_up(self, error: DropBoxError) -> None:
        self._state = State.NO_ROOM if isinstance(error, NoRoom) else State.FAILED
        self.drop()
