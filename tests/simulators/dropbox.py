"""A drop box in memory: it seals tips into cells, signs inventories, fills sticks and takes bundles, as SPEC says.

It stands on `keys` alone, so that the station is tested against the formats and not against the server. Sources stand
beside it. Everything that a real server or courier might do wrong is asked for by an argument.

    box = DropBox(Newsroom(desks=2))
    source = Source(box.newsroom)
    tip = box.send(source, "ข้อความ", [File("ชื่อ.pdf", b"…")])
    box.fill(stick)                        # inventory, documents and cells below stick/mustshare
    box.deliver(stick)                     # what the station put into stick/mustshare/outbound
    source.replies(box, desk=1)            # verified, as the source's page would show them
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keys import bundle, cell, inventory, mailbox, minisign, primitives, reply, tip
from keys.age import HybridIdentity, HybridRecipient
from keys.bundle import EntryType, OutboundReader
from keys.cell import Flags, Geometry, Head, ItemWriter, Kind, Sealer
from keys.errors import DropBoxError, NotForUs
from keys.inventory import CellId, Health
from keys.mailbox import SourceKeys
from keys.minisign import SignedDocument
from keys.reply import Place
from keys.statement import NetworkId
from keys.tip import PIECE_FRAME_BYTES, Closing, ClosingEntry, Mailbox, Message, PieceSigner
from tests.simulators.newsroom import Newsroom


@dataclass(frozen=True)
class File:
    """A file as a browser sends it. `stops_at` bytes the upload breaks off."""

    name: str | bytes
    content: bytes = b""
    type: str = "application/octet-stream"
    stops_at: int | None = None

    @property
    def raw_name(self) -> bytes:
        return self.name.encode() if isinstance(self.name, str) else self.name

    @property
    def arrived(self) -> bytes:
        return self.content[: self.stops_at]


@dataclass(frozen=True)
class Sent:
    """What became of a tip: its id, and the ids of its cells by item number, in order."""

    tip: bytes
    cells: dict[int, list[CellId]]

    @property
    def all(self) -> list[CellId]:
        return [each for ids in self.cells.values() for each in ids]


@dataclass(frozen=True)
class Received:
    """A reply as the source reads it."""

    week: int
    index: int
    reply: reply.Reply
    attachments: list[bytes]


class Source:
    """Somebody with a codename. `index` tells sources of one network apart."""

    def __init__(self, newsroom: Newsroom, index: int = 0) -> None:
        stretched = primitives.sha256(b"source %d" % index)
        self.keys = SourceKeys.derive(stretched, newsroom.network)
        self.identity = HybridIdentity.from_seed(self.keys.reply_seed)
        self.newsroom = newsroom

    @property
    def mailbox(self) -> Mailbox:
        return Mailbox(self.keys.root, str(self.identity.recipient()))

    def addresses(self, desk: int) -> Iterable[tuple[int, int, CellId]]:
        """Yield week, index and address of every first cell that the mailbox page would look up. SPEC 6.4."""
        limits, network = self.newsroom.manifest.limits, self.newsroom.network
        for week in range(self.newsroom.week - limits.acknowledge_weeks - 2, self.newsroom.week + 2):
            for index in range(limits.reply_slots):
                tag = mailbox.tag(self.keys.root, desk, week, index)
                yield week, index, mailbox.address(network, desk, tag)

    def replies(self, box: DropBox, desk: int = 1) -> list[Received]:
        """Return the replies of a desk that stand in the box, verified as SPEC 9 asks."""
        found = []
        key = self.newsroom.manifest.desk(desk).key.public
        for week, index, address in self.addresses(desk):
            if address not in box.cells:
                continue
            place = Place(desk, week, index, self.keys.public)
            opened = reply.open_first(self._payload(box, desk, place, 0), place, self.newsroom.network, key)
            payloads = [self._payload(box, desk, place, number) for number in range(opened.cells)]
            attachments = [
                reply.read_attachment(opened, number, iter(payloads)) for number in range(len(opened.attachments))
            ]
            found.append(Received(week, index, opened, attachments))
        return found

    def _payload(self, box: DropBox, desk: int, place: Place, number: int) -> bytes:
        tag = mailbox.tag(self.keys.root, desk, place.week, place.index, number)
        stored = box.cells[mailbox.address(self.newsroom.network, desk, tag)]
        block = cell.open_cell(stored, [self.identity], box.geometry, tag[0] % box.geometry.recipients)
        assert block.head.kind is Kind.REPLY and block.head.number == number
        return block.payload

    def delete(self, box: DropBox, received: Received, desk: int = 1) -> None:
        """Delete a reply, as the button on the page does."""
        for number in range(received.reply.cells):
            tag = mailbox.tag(self.keys.root, desk, received.week, received.index, number)
            del box.cells[mailbox.address(self.newsroom.network, desk, tag)]


@dataclass
class Applied:
    """What a bundle did. `refused` are entry numbers."""

    desk: int
    entries: int = 0
    refused: list[int] = field(default_factory=list)
    acknowledged: set[CellId] = field(default_factory=set)
    cells: int = 0
    documents: list[tuple[EntryType, SignedDocument]] = field(default_factory=list)


class DropBox:
    """A server of a newsroom, by its name in the manifest."""

    def __init__(self, newsroom: Newsroom, name: str = "alpha") -> None:
        self.newsroom = newsroom
        self.name = name
        self.geometry = Geometry(newsroom.manifest.recipients)
        self.cells: dict[CellId, bytes] = {}
        self.sequence = 0
        self.marks: dict[int, int] = {}
        self.refused: dict[int, list[int]] = {}
        self.acknowledged: dict[CellId, set[int]] = {}
        self.documents: dict[str, SignedDocument] = {}

    def recipients(self, desks: Collection[int], week: int | None = None) -> list[HybridRecipient]:
        """Return the desks' recipients of a week, the present one when left out."""
        lists = self.newsroom.lists()
        return [lists[desk].recipient_for(self.newsroom.week if week is None else week) for desk in sorted(desks)]

    def store(self, sealed: bytes, address: CellId | None = None) -> CellId:
        """Keep a cell under a random id, or under its address."""
        address = address or CellId(self.newsroom.randomness(32))
        self.cells[address] = sealed
        return address

    def send(
        self,
        source: Source,
        text: str = "",
        files: Sequence[File] = (),
        *,
        desks: Collection[int] = (1,),
        sealed_to: Collection[int] | None = None,
        with_mailbox: bool | Mailbox = True,
        closed: bool = True,
        tip_id: bytes | None = None,
        signed_by: bytes | None = None,
        week: int | None = None,
        change: Callable[[Message], Message] = lambda message: message,
    ) -> Sent:
        """Take a tip as the server does, and seal it.

        Args:
            sealed_to: the desks whose keys it is sealed to, when they aren't those that the message names.
            with_mailbox: another mailbox than the source's own, or none.
            closed: False for an upload that ended before its closing item.
            tip_id, signed_by: somebody else's tip id and signing seed, for forgeries.
            week: the week that it is sealed to, when it isn't the present one.
        """
        newsroom = self.newsroom
        tip_id = tip_id or newsroom.randomness(16)
        seed = signed_by or source.keys.signing_seed
        box = (source.mailbox if with_mailbox else None) if isinstance(with_mailbox, bool) else with_mailbox
        message = change(
            Message(
                week=newsroom.week if week is None else week,
                language="th",
                text=text,
                desks=tuple(sorted(desks)),
                refer="ask",
                mailbox=box,
            )
        )
        sealer = Sealer(
            self.recipients(desks if sealed_to is None else sealed_to, week), self.geometry, newsroom.randomness
        )
        cells = {}
        item = tip.sign_message(message, newsroom.network, seed, tip_id)
        cells[0] = self.seal_item(sealer, tip_id, 0, item, Flags.CLOSED if closed and not files else Flags.NONE)
        entries = []
        for number, file in enumerate(files, 1):
            broken = Flags.NONE if file.stops_at is None else Flags.INTERRUPTED
            content = tip.file_head(file.raw_name, file.type.encode()) + file.arrived
            cells[number] = self.seal_item(sealer, tip_id, number, content, broken, signed_by=seed)
            entries.append(
                ClosingEntry(number, len(file.arrived), primitives.sha256(file.arrived), file.stops_at is not None)
            )
        if files and closed:
            closing = Closing(not any(entry.interrupted for entry in entries), tuple(entries))
            raw = tip.sign_closing(closing, newsroom.network, seed, tip_id)
            cells[tip.CLOSING_ITEM] = self.seal_item(sealer, tip_id, tip.CLOSING_ITEM, raw, Flags.CLOSED)
        return Sent(tip_id, cells)

    def seal_item(
        self,
        sealer: Sealer,
        series: bytes,
        item: int,
        content: bytes,
        flags: Flags = Flags.NONE,
        kind: Kind = Kind.TIP,
        *,
        signed_by: bytes | None = None,
    ) -> list[CellId]:
        """Seal an item of any kind into cells and keep them; with a seed, as a file whose pieces it signs."""
        made: list[list[bytes]] = []

        def open_cell() -> tuple[cell.Seal, cell.Sink]:
            pieces: list[bytes] = []
            made.append(pieces)
            return sealer.seal(), lambda piece: pieces.append(bytes(piece))

        frame = PieceSigner(self.newsroom.network, series, item, signed_by) if signed_by else None
        writer = ItemWriter(kind, series, item, self.geometry, open_cell, frame)
        writer.write(content)
        writer.finish(flags)
        return [self.store(b"".join(pieces)) for pieces in made]

    def foreign(self) -> CellId:
        """Keep a cell that no desk opens, as a reply to a source is."""
        sealer = Sealer([], self.geometry, self.newsroom.randomness)
        return self.store(cell.seal_block(sealer.seal(), cell.FILLER, self.geometry, b"", Flags.LAST))

    def digest(self, each: CellId) -> bytes:
        return cell.seal_digest(self.cells[each], self.geometry)

    def inventory(self, *, sequence: int | None = None, signed_by: bytes | None = None) -> tuple[bytes, bytes]:
        """Sign what the box holds now, with the next number."""
        self.sequence = self.sequence + 1 if sequence is None else sequence
        raw = inventory.compose(
            self.newsroom.network,
            self.name,
            self.sequence,
            self.newsroom.now,
            manifest=self.newsroom.manifest.sequence,
            marks=self.marks,
            refused=self.refused,
            health=Health("0.1.0", 365, dict.fromkeys(self.newsroom.manifest.desk_numbers, 56), 1000, 900),
            entries=[(each, self.digest(each)) for each in sorted(self.cells)],
        )
        return raw, minisign.sign(signed_by or self.newsroom.server_seeds[self.name], raw, "inventory")

    def folder(self, stick: Path) -> Path:
        return stick / "mustshare" / "inbound" / self.name

    def fill(
        self,
        stick: Path,
        only: Collection[CellId] | None = None,
        *,
        part_cells: int = 1_000,
        change: Callable[[CellId, bytes], bytes] = lambda _, sealed: sealed,
        with_inventory: bool = True,
    ) -> None:
        """Do what a courier does: write the inventory, the documents and the cells that the station lacks to a stick.

        Args:
            only: just these cells; all when left out.
            part_cells: how many cells go into one file.
            change: what happens to a cell on the way.
        """
        folder = self.folder(stick)
        folder.mkdir(parents=True, exist_ok=True)
        if with_inventory:
            raw, signature = self.inventory()
            (folder / "inventory").write_bytes(raw)
            (folder / "inventory.minisig").write_bytes(signature)
        for number, document in enumerate(self.newsroom.documents, 1):
            self.write_document(folder, f"manifest-{number}", document)
        for name, document in self.documents.items():
            self.write_document(folder, name, document)
        known = self.known(stick)
        wanted = [each for each in sorted(self.cells) if each not in known and (only is None or each in only)]
        header = bundle.cells_header(self.newsroom.network, self.name, self.sequence)
        for part, at in enumerate(range(0, len(wanted), part_cells), 1):
            records = (each + change(each, self.cells[each]) for each in wanted[at : at + part_cells])
            (folder / f"cells-{self.sequence}-{part}").write_bytes(b"".join(itertools.chain([header], records)))

    def fill_with_one_file(self, stick: Path, size: int, desk: int = 1) -> bytes:
        """Write a stick with one file of so many bytes, its cells in random order; return the file's SHA-256.

        For large files: nothing is kept in memory but an inventory.
        """
        folder = self.folder(stick)
        folder.mkdir(parents=True)
        sealer = Sealer(self.recipients((desk,)), self.geometry, self.newsroom.randomness)
        head, tip_id = tip.file_head(b"large", b""), self.newsroom.randomness(16)
        full = self.geometry.payload_bytes - PIECE_FRAME_BYTES
        signer = PieceSigner(self.newsroom.network, tip_id, 1, self.newsroom.randomness(32))
        pattern = (self.newsroom.randomness(full) * 2)[: full + 256]
        count = -(-(len(head) + size) // full)
        order = cell.shuffled(range(count), self.newsroom.randomness)
        header = bundle.cells_header(self.newsroom.network, self.name, 1)

        def content(number: int) -> bytes:
            piece = pattern[number % 256 :][:full]
            piece = head + piece[: full - len(head)] if number == 0 else piece
            return piece[: len(head) + size - full * number]

        entries = []
        for part, at in enumerate(range(0, count, 8_000), 1):
            with (folder / f"cells-1-{part}").open("wb") as file:
                file.write(header)
                for number in order[at : at + 8_000]:
                    flags = Flags.LAST if number == count - 1 else Flags.NONE
                    seal, where = sealer.seal(), Head(Kind.TIP, tip_id, 1, number)
                    piece = content(number)
                    payload = signer.head + piece + signer.tail(number, flags, primitives.sha256(piece))
                    sealed = cell.seal_block(seal, where, self.geometry, payload, flags)
                    entries.append((self.newsroom.randomness(32), seal.digest))
                    file.write(entries[-1][0] + sealed)
        raw = inventory.compose(
            self.newsroom.network,
            self.name,
            1,
            self.newsroom.now,
            manifest=self.newsroom.manifest.sequence,
            marks={},
            refused={},
            health=Health(),
            entries=sorted(entries),
        )
        (folder / "inventory").write_bytes(raw)
        (folder / "inventory.minisig").write_bytes(
            minisign.sign(self.newsroom.server_seeds[self.name], raw, "inventory")
        )
        digest = hashlib.sha256(content(0)[len(head) :])
        for number in range(1, count):
            digest.update(content(number))
        return digest.digest()

    @staticmethod
    def write_document(folder: Path, name: str, document: SignedDocument) -> None:
        (folder / name).write_bytes(document.statement)
        for number, signature in enumerate(document.signatures):
            ending = f".{number}.minisig" if number else ".minisig"
            (folder / f"{name}{ending}").write_bytes(signature)

    def known(self, stick: Path) -> frozenset[CellId]:
        """Return the ids that every station of a stick has."""
        lists = [
            bundle.parse_known(path.read_bytes(), self.newsroom.network).ids
            for path in (stick / "mustshare").glob("known-*")
        ]
        return frozenset.intersection(*lists) if lists else frozenset()

    def deliver(self, stick: Path) -> list[Applied]:
        """Apply every bundle for this server on a stick, as the server does, each whole or not at all.

        Raises:
            DropBoxError: a bundle isn't good; nothing of it was applied.
        """
        applied = []
        for path in sorted((stick / "mustshare" / "outbound").glob("[!.]*")):
            with path.open("rb") as stream:
                reader = OutboundReader(stream)
                if reader.head.server == self.name:
                    applied.append(self._apply(reader))
        return applied

    def _apply(self, reader: OutboundReader) -> Applied:
        head = reader.head
        if head.network != self.newsroom.network:
            raise NotForUs("another network's bundle")
        entries = list(reader.entries())
        reader.verify(self.newsroom.manifest.desk(head.desk).key.public)
        head.check_dates(self.newsroom.now)
        mark = self.marks.get(head.desk, 0)
        bundle.refuse_gap(head, mark)
        assert head.cells and head.cells % self.newsroom.manifest.limits.bundle_cells == 0
        result = Applied(head.desk)
        for entry in entries:
            if entry.number <= mark:
                continue
            result.entries += 1
            self._apply_entry(entry, head.desk, result)
        self.marks[head.desk] = max(mark, head.first + head.entries - 1)
        if result.entries:
            self.refused[head.desk] = result.refused
        return result

    def _apply_entry(self, entry: bundle.Entry, desk: int, result: Applied) -> None:
        match entry.type:
            case EntryType.ACKNOWLEDGEMENT:
                for each in entry.acknowledged():
                    result.acknowledged.add(each)
                    self.acknowledged.setdefault(each, set()).add(desk)
                    if self.acknowledged[each] >= set(self.newsroom.manifest.desk_numbers):
                        self.cells.pop(each, None)
            case EntryType.CELL:
                tag, sealed = entry.tag_and_cell()
                address = mailbox.address(self.newsroom.network, desk, tag)
                if address in self.cells:
                    result.refused.append(entry.number)
                else:
                    self.store(sealed, address)
                    result.cells += 1
            case _:
                document = SignedDocument.decode(entry.content)
                result.documents.append((entry.type, document))
                try:
                    self._admit(entry.type, document)
                except DropBoxError:
                    result.refused.append(entry.number)

    def _admit(self, kind: EntryType, document: SignedDocument) -> None:
        newsroom = self.newsroom
        match kind:
            case EntryType.EPOCHS:
                made = newsroom.admit_epochs(_desk_of(document), document)
                self.documents[f"epochs-{made.desk}-{made.sequence}"] = document
            case EntryType.BULLETIN:
                newsroom.admit_bulletin(document)


def join_pieces(blocks: Sequence[cell.Block], network: NetworkId, source: bytes) -> bytes:
    """Return the bytes of a file's cells in their order, each piece of which this source must have signed."""
    opened = [
        tip.open_piece(each.payload, network, each.head.series, each.head.item, each.head.number, each.flags)
        for each in blocks
    ]
    assert {signer for signer, _ in opened} == {source}
    return b"".join(piece for _, piece in opened)


def _desk_of(document: SignedDocument) -> int:
    line = next(line for line in document.statement.split(b"\n") if line.startswith(b"desk "))
    return int(line.removeprefix(b"desk "))
