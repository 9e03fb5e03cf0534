"""What travels on a stick: inbound cells, the list of known ids, a desk's signed bundles. SPEC sections 14 and 15.

Nothing here touches a file. Readers take binary streams; nothing inside a stream is ever a path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

from keys import primitives, statement
from keys.encoding import u8, u32
from keys.errors import Malformed, NotForUs, Stale
from keys.inventory import ID_BYTES, CellId, check_server_name
from keys.minisign import MAX_DOCUMENT_BYTES, MAX_SIGNATURES
from keys.statement import MAX_HEADER_BYTES, NetworkId, Statement

CELL_BYTES = 262_144
TAG_BYTES = 32
MAX_PART_BYTES = 2 * 1024**3 - 1  # FAT32's files end below 4 GiB, some drivers' below 2.
MAX_ACKNOWLEDGED = 65_536
MAX_ENTRIES = 100_000
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
_LONGEST = {
    EntryType.ACKNOWLEDGEMENT: MAX_ACKNOWLEDGED * ID_BYTES,
    EntryType.CELL: TAG_BYTES + CELL_BYTES,
    EntryType.BULLETIN: _LARGEST_DOCUMENT,
    EntryType.EPOCHS: _LARGEST_DOCUMENT,
    EntryType.MANIFEST: _LARGEST_DOCUMENT,
    EntryType.CLOSE: _LARGEST_DOCUMENT,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One numbered entry of an outbound bundle."""

    number: int
    type: EntryType
    content: bytes

    def __repr__(self) -> str:
        return f"Entry({self.number}, {self.type.name})"

    def acknowledged(self) -> list[CellId]:
        """The ids in an acknowledgement."""
        return [CellId(self.content[at : at + ID_BYTES]) for at in range(0, len(self.content), ID_BYTES)]

    def tag_and_cell(self) -> tuple[bytes, bytes]:
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

    def check_dates(self, now: int) -> None:
        """Raises: Stale: expired, or issued more than a day ahead of now."""
        if now > self.expires:
            raise Stale("This bundle has expired.", "Make a new one at the station: nothing in it is lost.")
        if self.issued > now + 86_400:
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
        ValueError: the entries aren't as many, or not as many cells, as the header says.
    """
    digest = hashlib.blake2b(digest_size=64)
    raw_head = outbound_header(head)
    digest.update(raw_head)
    yield raw_head
    count = cells = 0
    for type_, content in entries:
        if len(content) > _LONGEST[type_]:
            raise ValueError("an outbound entry is too long")
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

    Args:
        stream: its `read(n)` may return fewer bytes than asked for, and nothing at the end.

    Raises:
        Malformed: from every method, when the bytes don't follow the format or end too early.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.blake2b(digest_size=64)
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
            parsed.number("desk", 127),
            check_server_name(parsed.value("server")),
            parsed.number("first"),
            parsed.number("entries", MAX_ENTRIES),
            parsed.number("cells", MAX_ENTRIES),
            parsed.number("issued"),
            parsed.number("expires"),
        )
        if not head.desk or not head.first or not head.entries:
            raise Malformed("A bundle's header counts from zero where it must count from one.")
        return head

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, in order. Must be read to its end before `verify`."""
        cells = 0
        for number in range(self.head.first, self.head.first + self.head.entries):
            raw = self._take(5)
            try:
                type_ = EntryType(raw[0])
            except ValueError as error:
                raise Malformed("A bundle has an entry of an unknown type.") from error
            length = int.from_bytes(raw[1:], "big")
            if length > _LONGEST[type_] or not length:
                raise Malformed("An entry of the bundle has an impossible length.")
            if type_ is EntryType.CELL and length != _LONGEST[type_]:
                raise Malformed("A cell in the bundle has the wrong size.")
            if type_ is EntryType.ACKNOWLEDGEMENT and length % ID_BYTES:
                raise Malformed("An acknowledgement in the bundle is cut short.")
            cells += type_ is EntryType.CELL
            yield Entry(number, type_, self._take(length))
        if cells != self.head.cells:
            raise Malformed("The bundle doesn't hold as many cells as it announces.")

    def verify(self, desk_key: bytes) -> None:
        """Check the desk's signature over all that was read, and that nothing follows.

        Raises:
            NotAuthentic: it isn't that desk's.
        """
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
    return statement.header("cells", network, [("server", check_server_name(server)), ("inventory", inventory)])


def read_cells(stream: BinaryIO, network: NetworkId, server: str) -> Iterator[tuple[CellId, bytes]]:
    """Yield the cells of one inbound part. They are only bytes until checked against a signed inventory.

    Raises:
        Malformed: not a part of cells, or its last cell is cut short (the ones before it have been yielded).
        NotForUs: another network's or server's.
    """
    head = statement.parse(read_header(stream), "cells", CELLS_CONTEXT, network)
    if head.value("server") != server:
        raise NotForUs("These cells are another server's.")
    while record := _read_up_to(stream, ID_BYTES + CELL_BYTES):
        if len(record) != ID_BYTES + CELL_BYTES:
            raise Malformed("The last cell of this part is cut short.", "Let the courier fetch the rest again.")
        yield CellId(record[:ID_BYTES]), record[ID_BYTES:]


def _read_up_to(stream: BinaryIO, length: int) -> bytes:
    parts = []
    while length and (part := stream.read(length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def known(network: NetworkId, desk: int, ids: Iterable[CellId]) -> bytes:
    """Return the list of ids that a station already has, for its stick."""
    return statement.make("known", network, [("desk", desk)], b"".join(sorted(set(ids))))


def parse_known(raw: bytes, network: NetworkId) -> tuple[int, frozenset[CellId]]:
    """Return the desk and the ids that needn't be fetched again. Raises: Malformed, NotForUs."""
    parsed: Statement = statement.parse(raw, "known", KNOWN_CONTEXT, network)
    if len(parsed.body) % ID_BYTES:
        raise Malformed("The list of known cells is cut short.")
    ids = frozenset(CellId(parsed.body[at : at + ID_BYTES]) for at in range(0, len(parsed.body), ID_BYTES))
    return parsed.number("desk", 127), ids


def refuse_gap(head: OutboundHead, mark: int) -> None:
    """Raises: Stale: the bundle begins after entries that this server has never seen."""
    if head.first > mark + 1:
        raise Stale(
            "Entries before this bundle are missing.", "Deliver the desk's earlier bundle first, or make a new one."
        )
