"""Looks through a source's mailbox with the same work whatever is in it. SPEC section 6.4, promises 2 and 12.

Every address that could hold a reply is looked up, always all of them. For each, one cell is read and one is opened:
the one found, or a stand-in that was sealed in the same way to a key of this process. The counts are equal; times are
measured in scripts/bench.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from keys import mailbox, reply
from keys.age.recipients import HybridIdentity
from keys.cell import FILLER, Block, Flags, Geometry, Kind, Sealer, open_cell, seal_block
from keys.encoding import week_of
from keys.errors import DropBoxError, NotAuthentic
from keys.inventory import CellId
from keys.mailbox import SourceKeys
from keys.manifest import Manifest
from keys.primitives import KEY_BYTES, Randomness
from keys.reply import Place, Reply

WEEKS_BEYOND_LIFETIME = 2
WEEKS_AHEAD = 1


class Cells(Protocol):
    """What is asked of the store."""

    def holds(self, ids: Sequence[bytes], /) -> list[bool]:
        """Say of each id whether its cell is stored; the same work for each."""
        ...

    def read(self, cell_id: bytes, /) -> bytes:
        """Raises: NotForUs: there is no such cell."""
        ...

    def read_any(self) -> bytes:
        """Return the bytes of a random slot: the work of `read` without its meaning."""
        ...


@dataclass(slots=True)
class Work:
    """What one look through a mailbox took: for tests of promise 12."""

    lookups: int = 0
    reads: int = 0
    openings: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A reply that verifies: where it stands, what it says, and the ids of all its cells in order."""

    place: Place
    reply: Reply
    cells: tuple[CellId, ...]


class Mailboxes:
    """Opens mailboxes under the manifest in force. Make one before the workers fork."""

    def __init__(self, cells: Cells, geometry: Geometry, randomness: Randomness) -> None:
        self._cells = cells
        self._geometry = geometry
        self._nobody = HybridIdentity.from_seed(randomness(KEY_BYTES))
        seal = Sealer([self._nobody.recipient()], geometry, randomness).seal(place=0)
        self._stand_in = seal_block(seal, FILLER, geometry, b"", Flags.LAST)

    def look(self, keys: SourceKeys, manifest: Manifest, now: int, work: Work | None = None) -> list[Found]:
        """Return every reply to a source that verifies, newest week first.

        Whatever doesn't open, or isn't signed by its desk for exactly this place, is passed over: whoever else knows
        the mailbox's root could have put it there.
        """
        work = Work() if work is None else work
        identity = HybridIdentity.from_seed(keys.reply_seed)
        places = list(self._places(keys, manifest, now))
        ids = [mailbox.address(manifest.network, place.desk, tag) for place, tag in places]
        held = self._cells.holds(ids)
        work.lookups += len(ids)
        found = []
        for (place, tag), cell_id, is_held in zip(places, ids, held, strict=True):
            block = self._open(cell_id if is_held else None, tag, identity, work)
            if block is not None and (reading := self._verified(block, place, keys, manifest)) is not None:
                found.append(reading)
        return sorted(found, key=lambda each: (each.place.week, each.place.index, each.place.desk), reverse=True)

    def _places(self, keys: SourceKeys, manifest: Manifest, now: int) -> Iterator[tuple[Place, bytes]]:
        first = week_of(now) - manifest.limits.acknowledge_weeks - WEEKS_BEYOND_LIFETIME
        for week in range(max(first, 0), week_of(now) + WEEKS_AHEAD + 1):
            for desk in manifest.desk_numbers:
                for index in range(manifest.limits.reply_slots):
                    yield Place(desk, week, index, keys.public), mailbox.tag(keys.root, desk, week, index)

    def _open(self, cell_id: bytes | None, tag: bytes, identity: HybridIdentity, work: Work) -> Block | None:
        """Read and open one cell: the reply's, or the stand-in after reading some other slot for nothing."""
        work.reads += 1
        work.openings += 1
        if cell_id is None:
            self._cells.read_any()
            open_cell(self._stand_in, [self._nobody], self._geometry, place=0)
            return None
        try:
            return open_cell(self._cells.read(cell_id), [identity], self._geometry, tag[0] % self._geometry.recipients)
        except DropBoxError:
            return None

    def _verified(self, block: Block, place: Place, keys: SourceKeys, manifest: Manifest) -> Found | None:
        if block.head.kind is not Kind.REPLY or block.head.item or block.head.number:
            return None
        try:
            reading = reply.open_first(block.payload, place, manifest.network, manifest.desk(place.desk).key.public)
        except DropBoxError:
            return None
        tags = (mailbox.tag(keys.root, place.desk, place.week, place.index, number) for number in range(reading.cells))
        return Found(place, reading, tuple(CellId(mailbox.address(manifest.network, place.desk, tag)) for tag in tags))

    def attachment(self, found: Found, number: int, keys: SourceKeys) -> bytes:
        """Return one attachment, verified against what the desk signed.

        Raises:
            NotForUs: a cell is gone.
            NotAuthentic: a cell isn't this reply's.
        """
        identity = HybridIdentity.from_seed(keys.reply_seed)
        return reply.read_attachment(found.reply, number, self._payloads(found, keys, identity))

    def _payloads(self, found: Found, keys: SourceKeys, identity: HybridIdentity) -> Iterator[bytes]:
        place = found.place
        for number, cell_id in enumerate(found.cells):
            tag = mailbox.tag(keys.root, place.desk, place.week, place.index, number)
            block = open_cell(self._cells.read(cell_id), [identity], self._geometry, tag[0] % self._geometry.recipients)
            if block.head.kind is not Kind.REPLY or block.head.number != number:
                raise NotAuthentic("A part of this attachment stands in the wrong place.")
            yield block.payload
