"""What a desk does, with its keys alone: puts tips together from cells, and writes bundles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from keys import bundle, cell, mailbox, reply, tip
from keys.age.recipients import HybridIdentity
from keys.bundle import EntryType, OutboundHead
from keys.cell import Block, Flags, Geometry, Head, Kind, Sealer, open_cell, seal_block
from keys.codename import Codename
from keys.errors import NotForUs
from keys.inventory import CellId
from keys.mailbox import SourceKeys
from keys.primitives import system_randomness
from keys.reply import Place
from tests.simulators.dropbox import join_pieces
from tests.simulators.newsroom import Newsroom

BUNDLE_SECONDS = 28 * 86_400

Entry = tuple[EntryType, bytes]


@dataclass(frozen=True)
class TipFile:
    """A file as a desk opens it: whole or marked."""

    name: bytes
    content: bytes
    interrupted: bool


@dataclass
class Tip:
    """A tip as a desk opens it."""

    source: bytes
    message: tip.Message
    closed: bool = False
    closing: tip.Closing | None = None
    files: dict[int, TipFile] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return self.closed or (self.closing is not None and self.closing.complete)


def source_keys(newsroom: Newsroom, name: Codename) -> SourceKeys:
    """Return the keys of a codename."""
    return SourceKeys.derive(mailbox.stretch(name, newsroom.manifest.codename[0]), newsroom.network)


def identities(newsroom: Newsroom, desk: int) -> list[HybridIdentity]:
    """Return a desk's identities of this week and the next, in case one begins while a test runs."""
    chain = newsroom.chain(desk)
    return [chain.identity(newsroom.week + ahead) for ahead in (0, 1)]


def tips(newsroom: Newsroom, cells: Iterable[bytes], desk: int = 1) -> dict[bytes, list[Tip]]:
    """Put together every tip that a desk opens, by source; fail if any item isn't there whole. SPEC section 8."""
    geometry, own = Geometry(newsroom.manifest.recipients), identities(newsroom, desk)
    parts: dict[bytes, dict[int, list[Block]]] = {}
    for sealed in cells:
        try:
            block = open_cell(sealed, own, geometry)
        except NotForUs:
            continue
        assert block.head.kind is Kind.TIP
        parts.setdefault(block.head.series, {}).setdefault(block.head.item, []).append(block)
    found: dict[bytes, list[Tip]] = {}
    for series, items in parts.items():
        made = _tip(newsroom, desk, series, items)
        found.setdefault(made.source, []).append(made)
    return found


def _tip(newsroom: Newsroom, desk: int, series: bytes, items: dict[int, list[Block]]) -> Tip:
    for blocks in items.values():
        blocks.sort(key=lambda block: block.head.number)
        assert [block.head.number for block in blocks] == list(range(len(blocks))), "a cell of an item is missing"
        ends = [bool(block.flags & Flags.LAST) for block in blocks]
        assert ends == [False] * (len(blocks) - 1) + [True], "an item has no end, or two"
    assert tip.MESSAGE_ITEM in items, "a file is there without its message"
    (first,) = items.pop(tip.MESSAGE_ITEM)
    source, message = tip.open_message(first.payload, newsroom.network, series, desk)
    made = Tip(source, message, closed=bool(first.flags & Flags.CLOSED))
    for number, blocks in sorted(items.items()):
        if number == tip.CLOSING_ITEM:
            made.closing = tip.open_closing(blocks[0].payload, newsroom.network, series, source)
        else:
            data = join_pieces(blocks, newsroom.network, source)
            head = tip.read_file_head(data)
            cut = bool(blocks[-1].flags & Flags.INTERRUPTED)
            made.files[number] = TipFile(head.name, data[head.size :], cut)
    return made


class DeskPost:
    """Writes one desk's bundles to a server, one after another: numbers that follow, fillers to a multiple of B."""

    def __init__(self, newsroom: Newsroom, desk: int, server: str = "alpha") -> None:
        self.newsroom = newsroom
        self.desk = desk
        self.server = server
        self.next = 1
        self.cells: list[CellId] = []
        """The addresses of the last bundle's cells, fillers too, in the order in which they lie in it."""

    def bundle(self, *entries: Entry, signed_by: bytes | None = None) -> bytes:
        """Return a signed bundle with these entries and as many fillers as it needs."""
        size = self.newsroom.manifest.limits.bundle_cells
        cells = sum(kind is EntryType.CELL for kind, _ in entries)
        every = [*entries, *(self.filler() for _ in range(-cells % size or (0 if cells else size)))]
        sealed = [content for kind, content in every if kind is EntryType.CELL]
        self.cells = [mailbox.address(self.newsroom.network, self.desk, each[:32]) for each in sealed]
        head = OutboundHead(
            self.newsroom.network,
            self.desk,
            self.server,
            self.next,
            len(every),
            len(sealed),
            self.newsroom.now,
            self.newsroom.now + BUNDLE_SECONDS,
        )
        self.next += len(every)
        return b"".join(bundle.write_outbound(head, every, signed_by or self.newsroom.desk_seed(self.desk)))

    def filler(self) -> Entry:
        geometry = Geometry(self.newsroom.manifest.recipients)
        sealed = seal_block(Sealer([], geometry, system_randomness).seal(), cell.FILLER, geometry, b"", Flags.LAST)
        return EntryType.CELL, system_randomness(bundle.TAG_BYTES) + sealed

    def reply(
        self,
        to: Codename,
        text: str = "ตอบ",
        *,
        index: int = 0,
        attachments: Sequence[tuple[str, str, bytes]] = (),
    ) -> list[Entry]:
        """Return the entries that hold a reply to a source. SPEC section 9."""
        newsroom, geometry = self.newsroom, Geometry(self.newsroom.manifest.recipients)
        keys = source_keys(newsroom, to)
        place = Place(self.desk, newsroom.week, index, keys.public)
        payloads = reply.compose(
            place,
            newsroom.network,
            newsroom.desk_seed(self.desk),
            geometry.payload_bytes,
            language="th",
            text=text,
            state="",
            attachments=attachments,
        )
        sealer = Sealer([HybridIdentity.from_seed(keys.reply_seed).recipient()], geometry, system_randomness)
        series, entries = system_randomness(16), []
        for number, payload in enumerate(payloads):
            tag = mailbox.tag(keys.root, self.desk, place.week, index, number)
            last = Flags.LAST if number == len(payloads) - 1 else Flags.NONE
            sealed = seal_block(
                sealer.seal(tag[0] % geometry.recipients), Head(Kind.REPLY, series, 0, number), geometry, payload, last
            )
            entries.append((EntryType.CELL, tag + sealed))
        return entries

    @staticmethod
    def acknowledgement(ids: Iterable[bytes]) -> Entry:
        return EntryType.ACKNOWLEDGEMENT, b"".join(ids)
