"""What travels on a stick: inbound cells, the list of known ids, a desk's signed bundles. SPEC sections 14 and 15.

Nothing here touches a file. Readers take binary streams; nothing inside a stream is ever a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import BinaryIO

from keys import primitives, statement
from keys.encoding import INTEGER_MAX, Fields, Reader, parse_json, to_json, u8, u32
from keys.errors import Malformed, NotForUs, Stale
from keys.inventory import ID_BYTES, CellId, check_server_name
from keys.minisign import MAX_DOCUMENT_BYTES, MAX_SIGNATURES
from keys.statement import MAX_HEADER_BYTES, NetworkId, Statement

CELL_BYTES = 262_144
TAG_BYTES = 32
MAX_PART_BYTES = 2 * 1024**3 - 1  # FAT32's files end below 4 GiB, some drivers' below 2.
MAX_ACKNOWLEDGED = 65_536
MAX_ENTRIES = 100_000
MAX_DESK = 127
MAX_ISSUED_AHEAD_SECONDS = 86_400
SIGNATURE_BYTES = primitives.SIGNATURE_BYTES

OUTBOUND_CONTEXT = ("desk", "server", "first", "entries", "cells", "issued", "expires")
CELLS_CONTEXT = ("server", "inventory")
KNOWN_CONTEXT = ("desk",)


class EntryType(IntEnum):
    """What an outbound entry is."""

    ACKNOWLEDGEMENT = 1
    CELL = 2
    BULLETIN = 3
    EPOCHS = 4
    MANIFEST = 5
    CLOSE = 6


_LARGEST_DOCUMENT = 4 + MAX_DOCUMENT_BYTES + 1 + MAX_SIGNATURES * (2 + 65_535)


def _length_fits(type_: EntryType, length: int) -> bool:
    """Say whether an entry of this type may have so many bytes. SPEC section 15.1."""
    match type_:
        case EntryType.ACKNOWLEDGEMENT:
            return 0 < length <= MAX_ACKNOWLEDGED * ID_BYTES and length % ID_BYTES == 0
        case EntryType.CELL:
            return length == TAG_BYTES + CELL_BYTES
        case _:
            return 0 < length <= _LARGEST_DOCUMENT


@dataclass(frozen=True, slots=True)
class Entry:
    """One numbered entry of an outbound bundle."""

    number: int
    type: EntryType
    content: bytes

    def __repr__(self) -> str:
        return f"Entry({self.number}, {self.type.name})"

    def acknowledged(self) -> list[CellId]:
        """Return the ids in an acknowledgement."""
        return [CellId(self.content[at : at + ID_BYTES]) for at in range(0, len(self.content), ID_BYTES)]

    def tag_and_cell(self) -> tuple[bytes, bytes]:
        """Return the tag that a cell's address comes from, and the cell."""
        return self.content[:TAG_BYTES], self.content[TAG_BYTES:]


@dataclass(frozen=True, slots=True)
class OutboundHead:
    """The header of an outbound bundle: unverified until the signature behind the entries has been checked."""

    network: NetworkId
    desk: int
    server: str
    first: int
    entries: int
    cells: int
    issued: int
    expires: int

    @property
    def last(self) -> int:
        """The number of the last entry."""
        return self.first + self.entries - 1

    @property
    def can_be(self) -> bool:
        """Whether a bundle may count so. SPEC section 15.1."""
        return (
            0 < self.desk <= MAX_DESK
            and 0 < self.cells <= self.entries <= MAX_ENTRIES
            and 0 < self.first <= self.last <= INTEGER_MAX
        )

    def check_dates(self, now: int) -> None:
        """Raises: Stale: expired, or issued more than a day ahead of now."""
        if now > self.expires:
            raise Stale("This bundle has expired.", "Make a new one at the station: nothing in it is lost.")
        if self.issued > now + MAX_ISSUED_AHEAD_SECONDS:
            raise Stale("This bundle was made in the future.", "Check the clocks of the station and of this machine.")


def outbound_header(head: OutboundHead) -> bytes:
    context: list[tuple[str, str | int]] = [
        ("desk", head.desk),
        ("server", check_server_name(head.server)),
        ("first", head.first),
        ("entries", head.entries),
        ("cells", head.cells),
        ("issued", head.issued),
        ("expires", head.expires),
    ]
    return statement.header("outbound", head.network, context)


def write_outbound(head: OutboundHead, entries: Iterable[tuple[EntryType, bytes]], desk_seed: bytes) -> Iterator[bytes]:
    """Yield the bytes of a signed bundle, piece by piece; memory holds one entry.

    Raises:
        ValueError: the entries aren't as many, or not as many cells, as the header says, or no reader would take one.
    """
    if not head.can_be:
        raise ValueError("no reader would take a bundle that counts so")
    digest = primitives.Blake2b512()
    raw_head = outbound_header(head)
    digest.update(raw_head)
    yield raw_head
    count = cells = 0
    for type_, content in entries:
        if not _length_fits(type_, len(content)):
            raise ValueError("an outbound entry has an impossible length")
        count += 1
        cells += type_ is EntryType.CELL
        piece = u8(type_) + u32(len(content)) + content
        digest.update(piece)
        yield piece
    if (count, cells) != (head.entries, head.cells):
        raise ValueError("the entries of a bundle aren't those that its header announces")
    yield primitives.ed25519_sign(desk_seed, digest.digest())


class OutboundReader:
    """Reads a bundle as a stream: the head, then each entry, then the signature over all of it.

    Nothing that `entries` yields may take effect before `verify` has returned: until then it is only bytes.
    After an error nothing more can be read.

    Args:
        stream: its `read(n)` may return fewer bytes than asked for, and nothing at the end.

    Raises:
        Malformed: from every method, when the bytes don't follow the format or end too early.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = primitives.Blake2b512()
        self._read_to_end = False
        self.head = self._read_head()

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = self._stream.read(min(length, 1 << 18))
            if not part:
                raise Malformed("The bundle is cut short.", "Copy or fetch it again: nothing was applied.")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _take(self, length: int) -> bytes:
        data = self._exactly(length)
        self._digest.update(data)
        return data

    def _read_head(self) -> OutboundHead:
        raw = read_header(self._stream)
        self._digest.update(raw)
        parsed = statement.parse(raw, "outbound", OUTBOUND_CONTEXT)
        head = OutboundHead(
            parsed.network,
            parsed.number("desk", MAX_DESK),
            check_server_name(parsed.value("server")),
            parsed.number("first"),
            parsed.number("entries", MAX_ENTRIES),
            parsed.number("cells", MAX_ENTRIES),
            parsed.number("issued"),
            parsed.number("expires"),
        )
        if not head.can_be:
            raise Malformed("A bundle's header counts what can't be.")
        return head

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, in order. Must be read to its end before `verify`."""
        cells = 0
        for number in range(self.head.first, self.head.last + 1):
            raw = self._take(5)
            try:
                type_ = EntryType(raw[0])
            except ValueError as error:
                raise Malformed("A bundle has an entry of an unknown type.") from error
            length = int.from_bytes(raw[1:], "big")
            if not _length_fits(type_, length):
                raise Malformed("An entry of the bundle has an impossible length.")
            cells += type_ is EntryType.CELL
            yield Entry(number, type_, self._take(length))
        if cells != self.head.cells:
            raise Malformed("The bundle doesn't hold as many cells as it announces.")
        self._read_to_end = True

    def verify(self, desk_key: bytes) -> None:
        """Check the desk's signature over all that was read, and that nothing follows.

        Raises:
            NotAuthentic: it isn't that desk's.
            RuntimeError: the entries weren't read to their end.
        """
        if not self._read_to_end:
            raise RuntimeError("a bundle is verified when all of it has been read")
        signature = self._exactly(SIGNATURE_BYTES)
        if self._stream.read(1):
            raise Malformed("There is something behind the end of the bundle.")
        primitives.ed25519_verify(desk_key, self._digest.digest(), signature)


def read_header(stream: BinaryIO) -> bytes:
    """Read a statement's header from a stream, up to and with its empty line. Raises: Malformed."""
    raw = b""
    while not raw.endswith(b"\n\n"):
        byte = stream.read(1)
        if not byte or len(raw) >= MAX_HEADER_BYTES:
            raise Malformed("This file doesn't begin with the header of a statement.")
        raw += byte
    return raw


def cells_header(network: NetworkId, server: str, inventory: int) -> bytes:
    """Return what an inbound part begins with."""
    return statement.header("cells", network, [("server", check_server_name(server)), ("inventory", inventory)])


def parse_cells_header(header: bytes, network: NetworkId, server: str) -> int:
    """Return the sequence of the inventory under which a part's cells were fetched.

    Raises:
        Malformed: not the header of a part.
        NotForUs: another network's or server's.
    """
    parsed = statement.parse(header, "cells", CELLS_CONTEXT, network)
    if parsed.value("server") != server:
        raise NotForUs("These cells are another server's.")
    return parsed.number("inventory")


@dataclass(frozen=True, slots=True)
class Known:
    """What a station has written on a stick that it has read: what needn't be fetched again.

    `inventories` says by server how far it has looked: a cell that lay on the stick under that inventory or an older
    one, and isn't among the `ids`, came damaged and is to be fetched again.
    """

    desk: int
    inventories: Mapping[str, int]
    ids: frozenset[CellId]


def known(network: NetworkId, desk: int, inventories: Mapping[str, int], ids: Iterable[CellId]) -> bytes:
    """Return what a station writes on a stick, as `Known` has it."""
    head = to_json({"version": 1, "inventories": dict(inventories)})
    body = b"".join([u32(len(head)), head, *sorted(set(ids))])
    return statement.make("known", network, [("desk", desk)], body)


def parse_known(raw: bytes, network: NetworkId) -> Known:
    """Read what a station wrote on a stick. Raises: Malformed, NotForUs."""
    parsed: Statement = statement.parse(raw, "known", KNOWN_CONTEXT, network)
    desk = parsed.number("desk", MAX_DESK)
    reader = Reader(parsed.body)
    fields = Fields(parse_json(reader.take(reader.u32())), "list of known cells")
    fields.integer("version", 1, 1)
    inventories = fields.object("inventories")
    fields.done()
    for name in inventories:
        check_server_name(name)
    sequences = Fields(inventories, "list of known cells")
    read = {name: sequences.integer(name, 0, INTEGER_MAX) for name in inventories}
    packed = reader.take(reader.left)
    if not desk or len(packed) % ID_BYTES:
        raise Malformed("The list of known cells is cut short, or no desk's.")
    ids = [CellId(packed[at : at + ID_BYTES]) for at in range(0, len(packed), ID_BYTES)]
    if any(one >= other for one, other in pairwise(ids)):
        raise Malformed("The known cells are not sorted and distinct.")
    return Known(desk, read, frozenset(ids))


def refuse_gap(head: OutboundHead, mark: int) -> None:
    """Raises: Stale: the bundle begins after entries that this server has never seen."""
    if head.first > mark + 1:
        raise Stale(
            "Entries before this bundle are missing.", "Deliver the desk's earlier bundle first, or make a new one."
        )
