"""A desk's bundle while it streams in: what it would change, gathered and not yet done. SPEC section 15.

Each entry that can't be taken is passed over with a reason; the others stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from dropbox.admitted import Admitted
from dropbox.store import Deposit
from keys import mailbox
from keys.bundle import Entry, EntryType
from keys.cell import Geometry, seal_digest
from keys.errors import DropBoxError, Malformed
from keys.inventory import ID_BYTES, CellId
from keys.manifest import Manifest
from keys.minisign import SignedDocument

MAX_ACKNOWLEDGED_BYTES = 32 << 20
"""A million ids: kept in memory until the signature is known."""
MAX_BULLETINS = 1_024
MAX_OTHER_DOCUMENTS = 64
MAX_REASONS = 100
_KINDS = {
    EntryType.MANIFEST: "manifest",
    EntryType.EPOCHS: "epochs",
    EntryType.BULLETIN: "bulletin",
    EntryType.CLOSE: "close",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of a bundle: how far the desk's entries are applied now, and which were passed over.

    `refused` lists what nobody has confirmed yet, of earlier bundles too; `reasons` says why, of this one.
    """

    desk: int
    mark: int
    refused: tuple[int, ...]
    reasons: Mapping[int, str] = field(default_factory=dict)


class Gathered:
    """A bundle's effects, before its signature is known to be good.

    Args:
        document_bytes: how many bytes of documents are kept: more than the region holds could never be admitted.
    """

    def __init__(self, in_force: Manifest, desk: int, deposit: Deposit, document_bytes: int) -> None:
        self._network = in_force.network
        self._geometry = Geometry(in_force.recipients)
        self._desk = desk
        self._deposit = deposit
        self._document_bytes = document_bytes
        self._documents: list[tuple[int, str, SignedDocument]] = []
        self._addresses: dict[CellId, int] = {}
        self._acknowledgements: list[Entry] = []
        self._acknowledged_bytes = 0
        self._refused: dict[int, str] = {}

    def add(self, entry: Entry) -> None:
        """Take in one entry.

        Raises:
            Malformed: the bundle acknowledges more than any station does.
            NoRoom, Misconfigured: there is no slot for a cell, or the disk refused.
        """
        if entry.type is EntryType.ACKNOWLEDGEMENT:
            self._acknowledge(entry)
        elif entry.type is EntryType.CELL:
            self._keep(entry)
        else:
            self._read(entry)

    def _acknowledge(self, entry: Entry) -> None:
        self._acknowledged_bytes += len(entry.content)
        if self._acknowledged_bytes > MAX_ACKNOWLEDGED_BYTES:
            raise Malformed(
                f"The bundle acknowledges more than {MAX_ACKNOWLEDGED_BYTES // ID_BYTES} cells.",
                "Make a new one at the station.",
            )
        self._acknowledgements.append(entry)

    def _keep(self, entry: Entry) -> None:
        tag, cell = entry.tag_and_cell()
        address = CellId(mailbox.address(self._network, self._desk, tag))
        if address in self._addresses:
            self._refused[entry.number] = "Its address stands in the bundle before."
        else:
            self._deposit.append(cell, address, seal_digest(cell, self._geometry))
            self._addresses[address] = entry.number

    def _read(self, entry: Entry) -> None:
        kind = _KINDS[entry.type]
        alike = sum((each == "bulletin") == (kind == "bulletin") for _, each, _ in self._documents)
        if alike >= (MAX_BULLETINS if kind == "bulletin" else MAX_OTHER_DOCUMENTS):
            self._refused[entry.number] = "One bundle brings no more documents of its kind."
            return
        self._document_bytes -= len(entry.content)
        if self._document_bytes < 0:
            self._refused[entry.number] = "The bundle brings more documents than this server has room for."
            return
        try:
            document = SignedDocument.decode(entry.content)
        except Malformed as error:
            self._refused[entry.number] = error.message  # What can't even be read isn't admitted either.
        else:
            self._documents.append((entry.number, kind, document))

    @property
    def addresses(self) -> Sequence[CellId]:
        """Where the bundle's cells would stand."""
        return list(self._addresses)

    def acknowledged(self) -> Iterator[CellId]:
        """Yield every id that the desk acknowledges."""
        return chain.from_iterable(entry.acknowledged() for entry in self._acknowledgements)

    def admitted(self, before: Admitted, now: int, room: int) -> tuple[Admitted, dict[int, str]]:
        """Return what would be in force with the bundle's documents, and why each that isn't admitted is not."""
        refused = {}
        for number, kind, document in self._documents:
            try:
                before = before.admitting(kind, document, now, room)
            except DropBoxError as error:
                refused[number] = error.message
        return before, refused

    def refused(self, held: Sequence[bool], documents: Mapping[int, str]) -> dict[int, str]:
        """Return every entry that is passed over, with its reason.

        Args:
            held: of each of `addresses`, whether a cell stands there already.
            documents: those that aren't admitted.
        """
        taken = zip(self._addresses.values(), held, strict=True)
        there = {number: "A cell stands at its address already." for number, is_held in taken if is_held}
        return dict(sorted({**self._refused, **documents, **there}.items()))
