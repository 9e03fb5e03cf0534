"""What a cell holds when it is open: a block, and the sizes that follow from R. SPEC sections 7.1 and 7.2."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from keys.age.stream import CHUNK_BYTES, NONCE_BYTES
from keys.bundle import CELL_BYTES
from keys.encoding import u8, u32
from keys.errors import Malformed
from keys.primitives import AEAD_TAG_BYTES

MAGIC = b"MSC1"
HEAD_BYTES = 32
TRAILER_BYTES = 8
SERIES_BYTES = 16
MIN_STANZAS, MAX_STANZAS = 2, 16

_FRAME_BYTES = 22 + 48
"""age's version line and the line of its MAC."""
_STANZA_BYTES = 1557


class Kind(IntEnum):
    """What a cell holds."""

    TIP = 1
    REPLY = 2
    FILLER = 3
    REFERRAL = 4


class Flags(IntFlag):
    """What a cell's trailer says of its item. The others stand only beside LAST."""

    NONE = 0
    LAST = 1
    INTERRUPTED = 2
    CLOSED = 4


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes that follow from the number of stanzas R of a network, in bytes."""

    recipients: int

    def __post_init__(self) -> None:
        if not MIN_STANZAS <= self.recipients <= MAX_STANZAS:
            raise ValueError("a cell has 2 to 16 stanzas")

    @property
    def sealed_head_bytes(self) -> int:
        """Length of the age header and nonce: what the seal digest covers."""
        return _FRAME_BYTES + _STANZA_BYTES * self.recipients + NONCE_BYTES

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
        """Raises: ValueError: the series hasn't 16 bytes, or a number doesn't fit."""
        if len(self.series) != SERIES_BYTES or not (0 <= self.item < 2**32 and 0 <= self.number < 2**32):
            raise ValueError("a block's series has 16 bytes, its item and number 32 bits each")
        return MAGIC + u8(self.kind) + bytes(3) + self.series + u32(self.item) + u32(self.number)


FILLER = Head(Kind.FILLER, bytes(SERIES_BYTES), 0, 0)


@dataclass(frozen=True, slots=True)
class Block:
    """An opened cell."""

    head: Head
    payload: bytes
    flags: Flags

    def __repr__(self) -> str:
        return "Block(…)"


def encode_trailer(length: int, flags: Flags) -> bytes:
    return u32(length) + u8(flags) + bytes(3)


def parse_head(block: bytes) -> Head:
    """Read the head of a block, given its first bytes. Raises: Malformed."""
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
    head = parse_head(block)
    length = int.from_bytes(block[-TRAILER_BYTES:-4], "big")
    raw_flags = block[-4]
    if length > geometry.payload_bytes or raw_flags > 7 or any(block[-3:]):
        raise Malformed("The trailer of a block is impossible.")
    end, padding = HEAD_BYTES + length, geometry.payload_bytes - length
    if block.count(0, end, end + padding) != padding:
        raise Malformed("The padding of a block is not zeros.")
    flags = Flags(raw_flags)
    if head.kind is Kind.FILLER and (head != FILLER or length):
        raise Malformed("A filler is not empty.")
    if not flags & Flags.LAST and (padding or flags):
        raise Malformed("A cell that isn't its item's last is not full, or says how the item ends.")
    return Block(head, block[HEAD_BYTES:end], flags)
