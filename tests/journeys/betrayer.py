"""A desk that the source chose, and that turns on the source: what it can make of what a chosen desk has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keys import bundle, epochs, reply, tip
from keys.age.recipients import HybridIdentity, HybridRecipient
from keys.bundle import EntryType, OutboundHead
from keys.cell import FILLER, Flags, Geometry, Head, Kind, Sealer, seal_block
from keys.primitives import system_randomness
from keys.reply import Place
from tests.journeys.practice import Practice

DAY = 86_400


class Betrayer:
    """A desk of the practice newsroom, with its own key and what its station exports of a thread.

    Args:
        number, folder: which desk.
        thread: the thread's number at its station.
    """

    def __init__(self, newsroom: Practice, number: int, folder: str, thread: int) -> None:
        self.manifest = newsroom.manifest()
        self.number = number
        self._newsroom = newsroom
        self._stick = newsroom.stick(folder)
        self._seed = newsroom.desk_key(number).desk.signing_seed
        self._geometry = Geometry(self.manifest.recipients)
        target = newsroom.folder / f"export-{folder}"
        target.mkdir()
        exported = Path(newsroom.station(folder, "export", thread, "--to", target)["folder"])
        self.signed = (exported / "1/message.signed").read_bytes()
        self.message = tip.parse_message(self.signed[96:])
        assert self.message.mailbox is not None
        self.mailbox = self.message.mailbox
        self.tip = bytes.fromhex(newsroom.station(folder, "show", thread)["tips"][0]["tip"])

    @property
    def source(self) -> bytes:
        """The public key that names the source's thread."""
        return self.signed[:32]

    def sign_as_source(self, message: tip.Message, tip_id: bytes) -> bytes:
        """A message in the source's name: with the source's public key, and a signature by the desk's own."""
        return self.source + tip.sign_message(message, self.manifest.network, self._seed, tip_id)[32:]

    def tip_cell(self, item: bytes, tip_id: bytes, desk: int, week: int) -> bytes:
        """Seal a message to another desk, as the server would."""
        listed = epochs.parse(self._newsroom.document(f"epochs-{desk}-1").statement)
        seal = Sealer([listed.recipient_for(week)], self._geometry, system_randomness).seal()
        return seal_block(seal, Head(Kind.TIP, tip_id, 0, 0), self._geometry, item, Flags.LAST | Flags.CLOSED)

    def reply_cell(self, tag: bytes, place: Place, text: str) -> bytes:
        """Seal a reply to the source that claims to stand at a place, signed with the desk's own key."""
        recipient = HybridRecipient.from_text(self.mailbox.recipient)
        seal = Sealer([recipient], self._geometry, system_randomness).seal(tag[0] % self._geometry.recipients)
        [payload] = reply.compose(
            place,
            self.manifest.network,
            self._seed,
            self._geometry.payload_bytes,
            language="th",
            text=text,
            state="closed",
            attachments=[],
        )
        head = Head(Kind.REPLY, system_randomness(16), 0, 0)
        return seal_block(seal, head, self._geometry, payload, Flags.LAST)

    def filler(self) -> bytes:
        seal = Sealer([HybridIdentity.from_seed(system_randomness(32)).recipient()], self._geometry, system_randomness)
        return seal_block(seal.seal(), FILLER, self._geometry, b"", Flags.LAST)

    def put_on_stick(
        self, cells: Sequence[tuple[bytes, bytes]], first: int, now: int, *, in_name_of: int | None = None
    ) -> Path:
        """Write a bundle of cells with their tags, filled up as servers want it, to the desk's stick."""
        size = self.manifest.limits.bundle_cells
        fillers = [(system_randomness(32), self.filler()) for _ in range(-len(cells) % size)]
        entries = [(EntryType.CELL, tag + sealed) for tag, sealed in (*cells, *fillers)]
        desk = self.number if in_name_of is None else in_name_of
        count = len(entries)
        head = OutboundHead(self.manifest.network, desk, "alpha", first, count, count, now, now + DAY)
        folder = self._stick / "mustshare/outbound"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"desk-{desk}-alpha"
        path.write_bytes(b"".join(bundle.write_outbound(head, entries, self._seed)))
        return path
