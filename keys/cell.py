"""The cell: the one object that is ever stored. Blocks, sealing them as they fill, opening them. SPEC section 7.

A cell is sealed 64 KiB by 64 KiB into whatever the caller gives as a sink, so that a slow upload holds one chunk in
memory and no plaintext ever waits for a cell to fill.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Protocol, TypeVar

from keys import primitives
from keys.age import header, stream
from keys.age.recipients import HybridIdentity, HybridRecipient
from keys.bundle import CELL_BYTES
from keys.encoding import u8, u32
from keys.errors import Malformed, NotForUs
from keys.primitives import AEAD_TAG_BYTES, Randomness

T = TypeVar("T")

MAGIC = b"MSC1"
HEAD_BYTES = 32
TRAILER_BYTES = 8
SERIES_BYTES = 16
CHUNK_BYTES = stream.CHUNK_BYTES
FILE_KEY_BYTES = 16
_FIXED_HEADER_BYTES = 22 + 48
_STANZA_BYTES = 1557
_NONCE_BYTES = 16


class Kind(IntEnum):
    """What a cell holds."""

    TIP = 1
    REPLY = 2
    FILLER = 3
    REFERRAL = 4


class Flags(IntFlag):
    """What a cell's trailer says of its item."""

    NONE = 0
    LAST = 1
    INTERRUPTED = 2
    CLOSED = 4


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes that follow from the number of stanzas R of a network, in bytes."""

    recipients: int

    def __post_init__(self) -> None:
        if not 2 <= self.recipients <= 16:
            raise ValueError("a cell has 2 to 16 stanzas")

    @property
    def sealed_head_bytes(self) -> int:
        """Length of the age header and nonce: what the seal digest covers."""
        return _FIXED_HEADER_BYTES + _STANZA_BYTES * self.recipients + _NONCE_BYTES

    @property
    def block_bytes(self) -> int:
        sealed = CELL_BYTES - self.sealed_head_bytes
        chunks = -(-sealed // (CHUNK_BYTES + AEAD_TAG_BYTES))
        return sealed - chunks * AEAD_TAG_BYTES

    @property
    def payload_bytes(self) -> int:
        """How many bytes of an item one cell carries."""
        return self.block_bytes - HEAD_BYTES - TRAILER_BYTES


@dataclass(frozen=True, slots=True)
class Head:
    """Where a cell belongs: its kind, its series (a tip's or reply's id), its item and its number therein."""

    kind: Kind
    series: bytes
    item: int
    number: int

    def encode(self) -> bytes:
        return MAGIC + u8(self.kind) + bytes(3) + self.series + u32(self.item) + u32(self.number)


FILLER = Head(Kind.FILLER, bytes(SERIES_BYTES), 0, 0)


@dataclass(frozen=True, slots=True)
class Seal:
    """An age header made ahead, with the payload key that belongs to it. Used for one cell and never again."""

    prefix: bytes
    payload_key: bytes

    def __repr__(self) -> str:
        return "Seal(…)"

    @property
    def digest(self) -> bytes:
        """The seal digest of the cell that will be sealed with this. SPEC section 7.3."""
        return primitives.sha256(self.prefix)


class Sealer:
    """Makes seals to fixed recipients, filled up to R with throw-away ones. SPEC section 7.1.

    The throw-away keys are made here and their private halves dropped at once; a stanza to one of them can't be told
    from any other. Making a seal costs R encapsulations and needs no plaintext, so it may be done ahead of time.

    Args:
        recipients: at most R, each the newsroom's for this week, or the source's.
        geometry: the network's.
    """

    def __init__(self, recipients: Sequence[HybridRecipient], geometry: Geometry, randomness: Randomness) -> None:
        if len(recipients) > geometry.recipients:
            raise ValueError("there are more recipients than stanzas")
        self._recipients = tuple(recipients)
        self._fillers = tuple(
            HybridIdentity.from_seed(randomness(primitives.KEY_BYTES)).recipient()
            for _ in range(geometry.recipients - len(recipients))
        )
        self._randomness = randomness

    def seal(self, place: int | None = None) -> Seal:
        """Make one seal, its stanzas in random order; with `place`, the first recipient's stanza stands there."""
        if place is None:
            order = shuffled([*self._recipients, *self._fillers], self._randomness)
        else:
            order = shuffled([*self._recipients[1:], *self._fillers], self._randomness)
            order.insert(place, self._recipients[0])
        file_key = self._randomness(FILE_KEY_BYTES)
        stanzas = [stanza for recipient in order for stanza in recipient.wrap(file_key, self._randomness)]
        nonce = self._randomness(_NONCE_BYTES)
        return Seal(header.header_bytes(file_key, stanzas) + nonce, stream.payload_key(file_key, nonce))


def shuffled(values: Iterable[T], randomness: Randomness) -> list[T]:
    """Return the values in a uniformly random order (Fisher and Yates, by rejection)."""
    order = list(values)
    for last in range(len(order) - 1, 0, -1):
        other = below(last + 1, randomness)
        order[last], order[other] = order[other], order[last]
    return order


def below(limit: int, randomness: Randomness) -> int:
    """Return a uniformly random number from 0 to `limit` − 1, for limits up to 2**32."""
    largest = 2**32 - 2**32 % limit
    while (value := int.from_bytes(randomness(4), "big")) >= largest:
        continue
    return value % limit


class Sink(Protocol):
    """Takes the sealed bytes of one cell, piece by piece, in order."""

    def __call__(self, piece: bytes | memoryview, /) -> object: ...


class CellWriter:
    """Seals one block as it fills: head, payload, zeros, trailer. Each full 64 KiB chunk goes to the sink at once.

    A chunk is sealed only when the byte after it is there, or at the end: age marks the last one.
    """

    def __init__(self, seal: Seal, head: Head, geometry: Geometry, sink: Sink) -> None:
        self._aead = primitives.Aead(seal.payload_key)
        self._sink = sink
        self._room = geometry.payload_bytes
        self._capacity = geometry.payload_bytes
        self._block_bytes = geometry.block_bytes
        self._plain = bytearray(CHUNK_BYTES)
        self._sealed = bytearray(CHUNK_BYTES + AEAD_TAG_BYTES)
        self._filled = 0
        self._chunk = 0
        self._written = 0
        sink(seal.prefix)
        self._put(head.encode())

    @property
    def room(self) -> int:
        """How many payload bytes still fit."""
        return self._room

    def write(self, data: memoryview) -> None:
        """Add payload. Raises: ValueError: when it is more than there is room for."""
        if len(data) > self._room:
            raise ValueError("the cell has no room for that")
        self._room -= len(data)
        self._put(data)

    def finish(self, flags: Flags) -> None:
        """Fill up with zeros, write the trailer, seal the last chunk. Nothing may be written afterwards."""
        length = self._capacity - self._room
        self._zeros(self._room)
        self._put(u32(length) + u8(flags) + bytes(3))
        if self._written != self._block_bytes:
            raise RuntimeError("a cell was filled wrongly")
        self._seal(last=True)
        self._plain[:] = bytes(CHUNK_BYTES)

    def _put(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self._written += len(view)
        while len(view):
            if self._filled == CHUNK_BYTES:
                self._seal(last=False)
            take = min(CHUNK_BYTES - self._filled, len(view))
            self._plain[self._filled : self._filled + take] = view[:take]
            self._filled += take
            view = view[take:]

    def _zeros(self, count: int) -> None:
        blank = memoryview(bytes(CHUNK_BYTES))
        while count:
            take = min(count, CHUNK_BYTES)
            self._put(blank[:take])
            count -= take

    def _seal(self, *, last: bool) -> None:
        out = memoryview(self._sealed)[: self._filled + AEAD_TAG_BYTES]
        self._aead.seal_into(stream.chunk_nonce(self._chunk, last), memoryview(self._plain)[: self._filled], out)
        self._chunk += 1
        self._filled = 0
        self._sink(out)


OpenCell = Callable[[], tuple[Seal, Sink]]
"""Called when an item needs its next cell: where it goes, and the seal to use."""


class ItemWriter:
    """Seals an item of any length into as many cells as it needs; every cell but the last is full.

    The last cell is kept open until there is more or the item ends, since its trailer must say that it is the last.
    """

    def __init__(self, kind: Kind, series: bytes, item: int, geometry: Geometry, open_cell: OpenCell) -> None:
        self._kind = kind
        self._series = series
        self._item = item
        self._geometry = geometry
        self._open_cell = open_cell
        self._number = 0
        self.size = 0
        self._cell = self._next()

    def _next(self) -> CellWriter:
        seal, sink = self._open_cell()
        head = Head(self._kind, self._series, self._item, self._number)
        self._number += 1  # Only once a cell was had: a number that is missing would look like a lost cell.
        return CellWriter(seal, head, self._geometry, sink)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes of the item. `size` counts what was taken, also when `open_cell` raises in between.

        The next cell is opened before the full one is finished, so that when none can be had the full one can still
        be finished as the item's last.
        """
        view = memoryview(data)
        while len(view):
            if not self._cell.room:
                following = self._next()
                self._cell.finish(Flags.NONE)
                self._cell = following
            take = min(self._cell.room, len(view))
            self._cell.write(view[:take])
            self.size += take
            view = view[take:]

    def finish(self, flags: Flags = Flags.NONE) -> None:
        """End the item: its last cell gets `flags` besides LAST."""
        self._cell.finish(Flags.LAST | flags)


def seal_block(seal: Seal, head: Head, geometry: Geometry, payload: bytes, flags: Flags) -> bytes:
    """Seal one whole cell in memory (replies, fillers). Returns 262,144 bytes."""
    parts: list[bytes] = []
    writer = CellWriter(seal, head, geometry, lambda piece: parts.append(bytes(piece)))
    writer.write(memoryview(payload))
    writer.finish(flags)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Block:
    """An opened cell."""

    head: Head
    payload: bytes
    flags: Flags

    def __repr__(self) -> str:
        return "Block(…)"


def seal_digest(cell: bytes, geometry: Geometry) -> bytes:
    """SHA-256 over a cell's age header and nonce. SPEC section 7.3."""
    return primitives.sha256(cell[: geometry.sealed_head_bytes])


def open_cell(cell: bytes, identities: Iterable[HybridIdentity], geometry: Geometry, place: int | None = None) -> Block:
    """Open a cell with the first identity that fits; with `place`, only the stanza there is tried.

    Raises:
        Malformed: it isn't a cell of this network's shape, outside or inside.
        NotForUs: no identity opens it.
        NotAuthentic: it was addressed to one of them, but changed afterwards.
    """
    if len(cell) != CELL_BYTES:
        raise Malformed("A cell has the wrong size.")
    return open_block(unwrap(cell[: geometry.sealed_head_bytes], identities, geometry, place), cell, geometry)


def unwrap(
    sealed_head: bytes, identities: Iterable[HybridIdentity], geometry: Geometry, place: int | None = None
) -> bytes:
    """Return the payload key of a cell, given its age header and nonce: the bytes that its seal digest covers.

    The identity that fits is the last one taken from `identities`. Raises: as `open_cell`.
    """
    source = io.BytesIO(sealed_head)
    parsed = header.parse(source)
    if len(parsed.stanzas) != geometry.recipients or source.tell() != geometry.sealed_head_bytes - _NONCE_BYTES:
        raise Malformed("A cell's header isn't of this network's shape.")
    stanzas = parsed.stanzas if place is None else parsed.stanzas[place : place + 1]
    for identity in identities:
        file_key = identity.unwrap(stanzas)
        if file_key is not None:
            break
    else:
        raise NotForUs("No key held here opens this cell.")
    parsed.verify(file_key)
    nonce = source.read(_NONCE_BYTES)
    if len(nonce) != _NONCE_BYTES:
        raise Malformed("A cell has the wrong size.")
    return stream.payload_key(file_key, nonce)


def peek(payload_key: bytes, first_chunk: bytes | memoryview) -> Head:
    """Say where a cell belongs, given only the first sealed chunk behind its header and nonce.

    So that a station may sort a stick's cells without reading all of each. The rest is not checked here.

    Raises:
        NotAuthentic: the chunk was changed.
        Malformed: it isn't the beginning of a block.
    """
    return _parse_head(stream.Chunks(payload_key).open(0, False, first_chunk))


def open_block(payload_key: bytes, cell: bytes | memoryview, geometry: Geometry) -> Block:
    """Open the block of a cell whose payload key `unwrap` gave. Raises: NotAuthentic, Malformed: as `open_cell`."""
    sealed = memoryview(cell)[geometry.sealed_head_bytes :]
    return parse_block(stream.open_chunks(payload_key, sealed), geometry)


def _parse_head(block: bytes) -> Head:
    if len(block) < HEAD_BYTES or block[:4] != MAGIC or any(block[5:8]):
        raise Malformed("An opened cell doesn't hold a block of this version.")
    try:
        kind = Kind(block[4])
    except ValueError as error:
        raise Malformed("A block is of an unknown kind.") from error
    return Head(kind, block[8:24], int.from_bytes(block[24:28], "big"), int.from_bytes(block[28:32], "big"))


def parse_block(block: bytes, geometry: Geometry) -> Block:
    """Parse a cell's plaintext strictly. Raises: Malformed."""
    if len(block) != geometry.block_bytes:
        raise Malformed("An opened cell doesn't hold a block of this version.")
    head = _parse_head(block)
    length = int.from_bytes(block[-TRAILER_BYTES:-4], "big")
    raw_flags = block[-4]
    if length > geometry.payload_bytes or raw_flags > 7 or any(block[-3:]):
        raise Malformed("The trailer of a block is impossible.")
    end = HEAD_BYTES + length
    if block.count(0, end, len(block) - TRAILER_BYTES) != len(block) - TRAILER_BYTES - end:
        raise Malformed("The padding of a block is not zeros.")
    flags = Flags(raw_flags)
    if head.kind is Kind.FILLER and (head != FILLER or length):
        raise Malformed("A filler is not empty.")
    if not flags & Flags.LAST and length != geometry.payload_bytes:
        raise Malformed("A cell that isn't its item's last is not full.")
    return Block(head, block[HEAD_BYTES:end], flags)
