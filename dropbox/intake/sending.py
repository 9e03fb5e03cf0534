"""One tip on its way in: each item sealed as it streams and committed by itself. SPEC section 8, promise 7.

`Sending` knows nothing of forms or pages: it takes a message, then files as pieces, then the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from keys import tip
from keys.cell import Flags, Geometry, ItemWriter, Kind, Seal
from keys.errors import NoRoom, Refused
from keys.primitives import Randomness
from keys.statement import NetworkId

TIP_ID_BYTES = 16
CELL_ID_BYTES = 32


class CellStore(Protocol):
    """What the intake asks of the store."""

    def item(self, cells_hint: int = 1) -> PendingItem:
        """Begin an item. Raises: NoRoom."""
        ...


class PendingItem(Protocol):
    """Cells written but not yet visible. Either `commit` or `abort` ends it; a killed worker's are swept away."""

    def cell(self, cell_id: bytes, digest: bytes) -> Callable[[bytes | memoryview], object]:
        """Claim a slot for one more cell and return what takes its bytes. Raises: NoRoom."""
        ...

    def commit(self) -> None:
        """Make all cells visible at once, after fsync."""
        ...

    def abort(self) -> None: ...


class State(Enum):
    """What became of one file."""

    STORED = "stored"
    INTERRUPTED = "interrupted"
    TOO_LARGE = "too-large"
    NO_ROOM = "no-room"
    TOO_MANY = "too-many"
    FAILED = "failed"


KEPT = (State.STORED, State.INTERRUPTED, State.TOO_LARGE)
"""States in which at least what came is kept. A file that is too large keeps its beginning, marked interrupted."""


@dataclass(frozen=True, slots=True)
class ReceiptEntry:
    """One file on the receipt: what was stored of it, by size and SHA-256, or why not."""

    name: bytes
    size: int
    sha256: bytes
    state: State


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was stored, shown only after fsync. `broken` says that the upload ended before the form did."""

    message_bytes: int
    files: tuple[ReceiptEntry, ...]
    broken: bool

    @property
    def stored_bytes(self) -> int:
        return self.message_bytes + sum(entry.size for entry in self.files if entry.state in KEPT)

    @property
    def stored_items(self) -> int:
        return 1 + sum(entry.state in KEPT for entry in self.files)

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
        signing_seed: the source's; every message and closing item is signed with it.
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

    def _open(self, pending: PendingItem, item: int) -> ItemWriter:
        def open_cell() -> tuple[Seal, Callable[[bytes | memoryview], object]]:
            seal = self._seals()
            return seal, pending.cell(self._randomness(CELL_ID_BYTES), seal.digest)

        return ItemWriter(Kind.TIP, self._tip, item, self._geometry, open_cell)

    def _whole(self, item: int, data: bytes, flags: Flags) -> None:
        pending = self._store.item(1)
        try:
            writer = self._open(pending, item)
            writer.write(data)
            writer.finish(flags)
            pending.commit()
        except BaseException:
            pending.abort()
            raise

    def message(self, message: tip.Message, *, closed: bool) -> None:
        """Seal and commit the message; `closed` when no file follows.

        Raises:
            Refused: it doesn't fit one cell.
            NoRoom: not even for a text.
        """
        data = tip.sign_message(message, self._network, self._signing_seed, self._tip)
        if len(data) > self._geometry.payload_bytes:
            raise Refused("The message is too long.", "Shorten it, or send the long part as a file.")
        self._whole(tip.MESSAGE_ITEM, data, Flags.CLOSED if closed else Flags.NONE)
        self._message_bytes = len(message.text.encode())

    def file(self, name: bytes, declared_type: bytes) -> FileIntake:
        """Begin the next file; the one before must have ended."""
        if len(self._entries) >= self._limits.files:
            return FileIntake(self, name, State.TOO_MANY)
        self._item += 1
        intake = FileIntake(self, name)
        try:
            pending = self._store.item(2)
        except NoRoom:
            return FileIntake(self, name, State.NO_ROOM)
        intake.begin(pending, lambda: self._open(pending, self._item), tip.file_head(name, declared_type))
        return intake

    def record(self, entry: ReceiptEntry) -> None:
        """Note what became of a file: called by its intake when it has ended."""
        self._entries.append(entry)
        if entry.state in KEPT:
            cut = entry.state is not State.STORED
            self._closing.append(tip.ClosingEntry(self._item, entry.size, entry.sha256, cut))

    @property
    def limits(self) -> FileLimits:
        return self._limits

    @property
    def items_stored(self) -> int:
        """How many items are committed so far, the message among them."""
        return 1 + len(self._closing)

    def close(self, *, broken: bool) -> Receipt:
        """Commit the closing item and return the receipt. A tip without files was closed by its message.

        A closing item that finds no room is left out: the station then says "not closed", which is true.
        """
        receipt = Receipt(self._message_bytes, tuple(self._entries), broken)
        if not self._entries and not broken:
            return receipt
        closing = tip.Closing(receipt.complete, tuple(self._closing))
        data = tip.sign_closing(closing, self._network, self._signing_seed, self._tip)
        try:
            self._whole(tip.CLOSING_ITEM, data, Flags.CLOSED)
        except NoRoom:
            return receipt
        return receipt


class FileIntake:
    """One file as it streams in. Whatever happens, `end` must be called once, and tells the receipt."""

    def __init__(self, sending: Sending, name: bytes, state: State = State.STORED) -> None:
        self._sending = sending
        self._name = name
        self._state = state
        self._pending: PendingItem | None = None
        self._writer: ItemWriter | None = None
        self._digest = hashlib.sha256()
        self._size = 0

    def begin(self, pending: PendingItem, open_writer: Callable[[], ItemWriter], head: bytes) -> None:
        self._pending = pending
        try:
            self._writer = open_writer()
            self._writer.write(head)
        except NoRoom:
            self._give_up(State.NO_ROOM)

    def write(self, data: bytes | memoryview) -> None:
        """Take a piece. Past the limit, or when room runs out, pieces are taken and dropped."""
        if self._writer is None or self._state is not State.STORED:
            return
        view = memoryview(data)
        if self._size + len(view) > self._sending.limits.file_bytes:
            view = view[: self._sending.limits.file_bytes - self._size]
            self._state = State.TOO_LARGE
        try:
            self._writer.write(view)
        except NoRoom:
            self._give_up(State.NO_ROOM)
            return
        except OSError:
            self._give_up(State.FAILED)
            return
        self._digest.update(view)
        self._size += len(view)

    def _give_up(self, state: State) -> None:
        self._state = state
        self._writer = None
        if self._pending is not None:
            self._pending.abort()
            self._pending = None

    def end(self, *, broken: bool = False) -> State:
        """Commit what came, marked interrupted when it isn't all of it, and note it for the receipt."""
        if self._writer is not None and self._pending is not None:
            if broken and self._state is State.STORED:
                self._state = State.INTERRUPTED
            try:
                cut = self._state is not State.STORED
                self._writer.finish(Flags.INTERRUPTED if cut else Flags.NONE)
                self._pending.commit()
            except NoRoom:
                self._give_up(State.NO_ROOM)
            except OSError:
                self._give_up(State.FAILED)
        kept = self._state in KEPT
        size = self._size if kept else 0
        self._sending.record(ReceiptEntry(self._name, size, self._digest.digest() if kept else b"", self._state))
        return self._state
