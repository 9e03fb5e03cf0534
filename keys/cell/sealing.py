"""Sealing cells as they fill: 64 KiB by 64 KiB, into whatever the caller gives as a sink. SPEC section 7.

A slow upload holds one chunk in memory, and no plaintext ever waits for a cell to fill.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from keys import primitives
from keys.age import header, stream
from keys.age.recipients import HybridIdentity, HybridRecipient
from keys.age.stream import CHUNK_BYTES, NONCE_BYTES
from keys.cell.block import Flags, Geometry, Head, Kind, encode_trailer
from keys.primitives import AEAD_TAG_BYTES, Randomness

T = TypeVar("T")

_BLANK = memoryview(bytes(CHUNK_BYTES))


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
    from any other, though it wraps nothing. Making a seal costs R encapsulations and needs no plaintext, so it may be
    done ahead of time.

    Args:
        recipients: at most R, each the newsroom's for this week, or the source's.
        geometry: the network's.
    """

    def __init__(self, recipients: Sequence[HybridRecipient], geometry: Geometry, randomness: Randomness) -> None:
        if len(recipients) > geometry.recipients:
            raise ValueError("there are more recipients than stanzas")
        self.recipients = tuple(recipients)
        self.geometry = geometry
        self._nobodies = tuple(
            HybridIdentity.from_seed(randomness(primitives.KEY_BYTES)).recipient()
            for _ in range(geometry.recipients - len(recipients))
        )
        self._randomness = randomness

    def seal(self, place: int | None = None) -> Seal:
        """Make one seal, its stanzas in random order; with `place`, the first recipient's stanza stands there.

        Raises:
            ValueError: there is no such place, or nobody to stand there.
        """
        file_key = self._randomness(header.FILE_KEY_BYTES)
        stanzas = [stanza for recipient in self.recipients for stanza in recipient.wrap(file_key, self._randomness)]
        decoys = [nobody.decoy(self._randomness) for nobody in self._nobodies]
        if place is None:
            order = shuffled([*stanzas, *decoys], self._randomness)
        else:
            order = shuffled([*stanzas[1:], *decoys], self._randomness)
            if not stanzas or not 0 <= place <= len(order):
                raise ValueError("no recipient can stand at that place")
            order.insert(place, stanzas[0])
        nonce = self._randomness(NONCE_BYTES)
        return Seal(header.header_bytes(file_key, order) + nonce, stream.payload_key(file_key, nonce))


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
    """Takes the sealed bytes of one cell, piece by piece, in order. The memory of a piece is reused afterwards."""

    def __call__(self, piece: bytes | memoryview, /) -> object: ...


class CellWriter:
    """Seals one block as it fills: head, payload, zeros, trailer. Each full 64 KiB chunk goes to the sink at once.

    A chunk is sealed only when the byte after it is there, or at the end: age marks the last one.
    """

    def __init__(self, seal: Seal, head: Head, geometry: Geometry, sink: Sink) -> None:
        encoded = head.encode()
        self._chunks = stream.Chunks(seal.payload_key)
        self._sink = sink
        self._geometry = geometry
        self._room = geometry.payload_bytes
        self._length = 0
        self._plain = bytearray(CHUNK_BYTES)
        self._sealed = memoryview(bytearray(CHUNK_BYTES + AEAD_TAG_BYTES))
        self._filled = 0
        self._chunk = 0
        sink(seal.prefix)
        self._put(encoded)

    @property
    def room(self) -> int:
        """How many payload bytes still fit: none, once it is finished."""
        return self._room

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add payload. Raises: ValueError: when it is more than there is room for."""
        if len(data) > self._room:
            raise ValueError("the cell has no room for that")
        self._room -= len(data)
        self._length += len(data)
        self._put(data)

    def finish(self, flags: Flags) -> None:
        """Fill up with zeros, write the trailer, seal the last chunk. Nothing may be written afterwards.

        Raises:
            ValueError: a cell that isn't the last isn't full, or `flags` say how an item ends that goes on.
        """
        if not flags & Flags.LAST and (self._room or flags):
            raise ValueError("only the last cell of an item may have room left, or say how the item ends")
        self._zeros(self._room)
        self._room = 0
        self._put(encode_trailer(self._length, flags))
        if self._chunk * CHUNK_BYTES + self._filled != self._geometry.block_bytes:
            raise RuntimeError("a cell was finished twice")
        self._seal_held(last=True)
        self._plain[:] = _BLANK

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while len(view):
            if self._filled == CHUNK_BYTES:
                self._seal_held(last=False)
            if not self._filled and len(view) > CHUNK_BYTES:
                self._seal(view[:CHUNK_BYTES], last=False)  # Where a whole chunk lies at hand, it isn't copied.
                view = view[CHUNK_BYTES:]
                continue
            take = min(CHUNK_BYTES - self._filled, len(view))
            self._plain[self._filled : self._filled + take] = view[:take]
            self._filled += take
            view = view[take:]

    def _zeros(self, count: int) -> None:
        while count:
            take = min(count, CHUNK_BYTES)
            self._put(_BLANK[:take])
            count -= take

    def _seal_held(self, *, last: bool) -> None:
        plain, self._filled = memoryview(self._plain)[: self._filled], 0
        self._seal(plain, last=last)

    def _seal(self, plain: memoryview, *, last: bool) -> None:
        out = self._sealed[: len(plain) + AEAD_TAG_BYTES]
        self._chunks.seal_into(self._chunk, last, plain, out)
        self._chunk += 1
        self._sink(out)


OpenCell = Callable[[], tuple[Seal, Sink]]
"""Called when an item needs its next cell: where it goes, and the seal to use."""


class Frame(Protocol):
    """What stands before and behind the bytes of an item in each of its cells: `keys.tip` signs files' pieces so."""

    head: bytes
    tail_bytes: int

    def tail(self, number: int, flags: int, content_sha256: bytes, /) -> bytes:
        """Return what stands behind the bytes of one cell, given its number and flags: `tail_bytes` of it."""
        ...


class ItemWriter:
    """Seals an item of any length into as many cells as it needs; every cell but the last is full.

    The last cell is kept open until there is more or the item ends, since its trailer must say that it is the last.

    Args:
        frame: what each cell carries besides the item's bytes; nothing when left out.
    """

    def __init__(
        self,
        kind: Kind,
        series: bytes,
        item: int,
        geometry: Geometry,
        open_cell: OpenCell,
        frame: Frame | None = None,
    ) -> None:
        self._kind = kind
        self._series = series
        self._item = item
        self._geometry = geometry
        self._open_cell = open_cell
        self._frame = frame
        self._number = 0
        self.size = 0
        self._cell = self._next()

    def _next(self) -> _FramedCell:
        seal, sink = self._open_cell()
        head = Head(self._kind, self._series, self._item, self._number)
        self._number += 1  # Only once a cell was had: a number that is missing would look like a lost cell.
        return _FramedCell(CellWriter(seal, head, self._geometry, sink), head.number, self._frame)

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


class _FramedCell:
    """One cell of an item, with its frame around what is written."""

    def __init__(self, cell: CellWriter, number: int, frame: Frame | None) -> None:
        self._cell = cell
        self._number = number
        self._frame = frame
        self._hash = hashlib.sha256()
        if frame is not None:
            cell.write(frame.head)

    @property
    def room(self) -> int:
        return self._cell.room - (self._frame.tail_bytes if self._frame is not None else 0)

    def write(self, data: memoryview) -> None:
        if self._frame is not None:
            self._hash.update(data)
        self._cell.write(data)

    def finish(self, flags: Flags) -> None:
        if self._frame is not None:
            self._cell.write(self._frame.tail(self._number, int(flags), self._hash.digest()))
        self._cell.finish(flags)


def seal_block(seal: Seal, head: Head, geometry: Geometry, payload: bytes, flags: Flags) -> bytes:
    """Seal one whole cell in memory (replies, fillers). Returns 262,144 bytes."""
    parts: list[bytes] = []
    writer = CellWriter(seal, head, geometry, lambda piece: parts.append(bytes(piece)))
    writer.write(payload)
    writer.finish(flags)
    return b"".join(parts)
