"""What the tests of cells share: keys, sealing in memory, and blocks written byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from keys.age import HybridIdentity
from keys.age import header as headers
from keys.age.header import Stanza
from keys.age.stream import Chunks, payload_key
from keys.cell import Block, Flags, Frame, Geometry, ItemWriter, Kind, Seal, Sealer, Sink, open_cell
from tests.simulators.newsroom import seeded

SERIES = bytes(range(16))
NETWORKS = (2, 6, 16)
"""R of the networks that are tried: the smallest, the usual, the largest."""


@cache
def identity(name: str) -> HybridIdentity:
    return HybridIdentity.from_seed(seeded(name)(32))


@cache
def sealer(recipients: int, *names: str) -> Sealer:
    """Return a sealer to the identities of these names, in a network of so many stanzas."""
    return Sealer([identity(name).recipient() for name in names], Geometry(recipients), seeded(f"sealer {names}"))


@cache
def seal(recipients: int = 6) -> Seal:
    """Return a seal to Somchai. Real ones are used once; tests compare what one seal makes of different writes."""
    return sealer(recipients, "Somchai").seal()


def seal_item(
    content: Sequence[bytes | memoryview],
    geometry: Geometry,
    *,
    flags: Flags = Flags.NONE,
    kind: Kind = Kind.TIP,
    item: int = 1,
    make: Callable[[], Seal] | None = None,
    frame: Frame | None = None,
) -> list[bytes]:
    """Write an item piece by piece; return its cells."""
    cells: list[list[bytes]] = []

    def open_next() -> tuple[Seal, Sink]:
        pieces: list[bytes] = []
        cells.append(pieces)
        return (make or (lambda: seal(geometry.recipients)))(), lambda piece: pieces.append(bytes(piece))

    writer = ItemWriter(kind, SERIES, item, geometry, open_next, frame)
    for piece in content:
        writer.write(piece)
    writer.finish(flags)
    return [b"".join(pieces) for pieces in cells]


def opened(cells: Sequence[bytes], geometry: Geometry, name: str = "Somchai") -> list[Block]:
    return [open_cell(each, [identity(name)], geometry) for each in cells]


def raw_block(
    geometry: Geometry,
    head: bytes = b"MSC1" + bytes([1, 0, 0, 0]) + SERIES + bytes([0, 0, 0, 1, 0, 0, 0, 0]),
    payload: bytes = b"",
    *,
    length: int | None = None,
    flags: int = 1,
    changes: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """Write a block as SPEC 7.2 has it, and change bytes of it; a negative place counts from the end."""
    size = 262_144 - 22 - 1557 * geometry.recipients - 48 - 16 - 64
    trailer = (len(payload) if length is None else length).to_bytes(4) + bytes([flags, 0, 0, 0])
    block = bytearray(head + payload + bytes(size - 40 - len(payload)) + trailer)
    for place, value in changes:
        at = place % size
        block[at : at + len(value)] = value
    return bytes(block)


def seal_raw(block: bytes, made: Seal) -> bytes:
    """Seal any bytes as a cell's plaintext, as age does."""
    chunks = Chunks(made.payload_key)
    starts = range(0, len(block), 65_536)
    sealed = [
        chunks.seal(number, number == len(starts) - 1, block[at : at + 65_536]) for number, at in enumerate(starts)
    ]
    return b"".join([made.prefix, *sealed])


def seal_with(stanzas: Sequence[Stanza], file_key: bytes) -> Seal:
    """Make a seal over stanzas that no `Sealer` makes."""
    nonce = bytes(16)
    return Seal(headers.header_bytes(file_key, stanzas) + nonce, payload_key(file_key, nonce))
