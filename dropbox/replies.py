"""Looks through a source's mailbox with the same work whatever is in it. SPEC section 6.4, promises 2 and 12.

Every address that could hold a reply is looked up, always all of them. For each, one cell is read, opened and verified:
the one found, or a stand-in that this process made in the same way to a key of its own. The counts are equal; times
are measured in scripts/bench.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from keys import mailbox, reply
from keys.age.recipients import HybridIdentity
from keys.cell import Block, Flags, Geometry, Head, Kind, Sealer, open_cell, seal_block
from keys.encoding import week_of
from keys.errors import Malformed, NotAuthentic, NotForUs
from keys.inventory import CellId
from keys.mailbox import SourceKeys
from keys.manifest import Manifest
from keys.minisign import SigningKey
from keys.primitives import KEY_BYTES, Randomness
from keys.reply import Place, Reply
from keys.statement import NetworkId

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
    """A reply that verifies: where it stands, what it says, and the keys that opened it."""

    place: Place
    reply: Reply
    keys: SourceKeys


@dataclass(frozen=True, slots=True)
class _Target:
    """A cell to be opened, and how: whose stanza, at which place of the header, signed by whom for which address."""

    identity: HybridIdentity
    stanza: int
    place: Place
    network: NetworkId
    desk_key: bytes


class Mailboxes:
    """Opens mailboxes under the manifest in force."""

    def __init__(self, cells: Cells, randomness: Randomness) -> None:
        self._cells = cells
        self._randomness = randomness
        self._stand_in: tuple[Geometry, _Target, bytes] | None = None

    def look(self, keys: SourceKeys, manifest: Manifest, now: int, work: Work | None = None) -> list[Found]:
        """Return every reply to a source that verifies, newest week first.

        Whatever doesn't open, or isn't signed by its desk for exactly this place, is passed over: whoever else knows
        the mailbox's root could have put it there.
        """
        work = Work() if work is None else work
        geometry = Geometry(manifest.recipients)
        targets = list(_targets(keys, manifest, now))
        ids = [cell_id for cell_id, _ in targets]
        held = self._cells.holds(ids)
        work.lookups += len(ids)
        found = []
        for (cell_id, target), is_held in zip(targets, held, strict=True):
            work.reads += 1
            work.openings += 1
            if not is_held:
                self._read_nothing(geometry)
            elif (reading := self._read(cell_id, target, geometry)) is not None:
                found.append(Found(target.place, reading, keys))
        return sorted(found, key=lambda each: (-each.place.week, -each.place.index, each.place.desk))

    def _read(self, cell_id: CellId, target: _Target, geometry: Geometry) -> Reply | None:
        try:
            return _open(self._cells.read(cell_id), target, geometry)
        except (Malformed, NotAuthentic, NotForUs):
            return None

    def _read_nothing(self, geometry: Geometry) -> None:
        """Read some slot for nothing, and open and verify the stand-in."""
        if self._stand_in is None or self._stand_in[0] != geometry:
            self._stand_in = (geometry, *_make_stand_in(geometry, self._randomness))
        _, target, cell = self._stand_in
        self._cells.read_any()
        _open(cell, target, geometry)

    def attachment(self, found: Found, number: int, manifest: Manifest) -> bytes:
        """Return one attachment, verified against what the desk signed.

        Raises:
            NotForUs: a cell is gone.
            NotAuthentic, Malformed: a cell isn't this reply's.
        """
        return reply.read_attachment(found.reply, number, self._payloads(found, manifest))

    def _payloads(self, found: Found, manifest: Manifest) -> Iterator[bytes]:
        geometry = Geometry(manifest.recipients)
        identity = HybridIdentity.from_seed(found.keys.reply_seed)
        for number, (tag, cell_id) in enumerate(_cells_of(found, manifest.network)):
            block = open_cell(self._cells.read(cell_id), [identity], geometry, tag[0] % geometry.recipients)
            if block.head.kind is not Kind.REPLY or block.head.number != number:
                raise NotAuthentic("A part of this attachment stands in the wrong place.")
            yield block.payload


def addresses(found: Found, network: NetworkId) -> list[CellId]:
    """Return the ids of all cells of a reply, in order."""
    return [cell_id for _, cell_id in _cells_of(found, network)]


def _cells_of(found: Found, network: NetworkId) -> Iterator[tuple[bytes, CellId]]:
    place = found.place
    for number in range(found.reply.cells):
        tag = mailbox.tag(found.keys.root, place.desk, place.week, place.index, number)
        yield tag, mailbox.address(network, place.desk, tag)


def _targets(keys: SourceKeys, manifest: Manifest, now: int) -> Iterator[tuple[CellId, _Target]]:
    """Yield every address that SPEC 6.4 names, with what would open a reply there."""
    identity = HybridIdentity.from_seed(keys.reply_seed)
    week = week_of(now)
    first = max(week - manifest.limits.acknowledge_weeks - WEEKS_BEYOND_LIFETIME, 0)
    for desk in manifest.desks:
        for at in range(first, week + WEEKS_AHEAD + 1):
            for index in range(manifest.limits.reply_slots):
                tag = mailbox.tag(keys.root, desk.number, at, index)
                place = Place(desk.number, at, index, keys.public)
                target = _Target(identity, tag[0] % manifest.recipients, place, manifest.network, desk.key.public)
                yield mailbox.address(manifest.network, desk.number, tag), target


def _open(cell: bytes, target: _Target, geometry: Geometry) -> Reply:
    """Open the first cell of a reply and verify it. Raises: Malformed, NotForUs, NotAuthentic."""
    block: Block = open_cell(cell, [target.identity], geometry, target.stanza)
    if block.head.kind is not Kind.REPLY or block.head.item or block.head.number:
        raise NotForUs("This cell doesn't begin a reply.")
    return reply.open_first(block.payload, target.place, target.network, target.desk_key)


def _make_stand_in(geometry: Geometry, randomness: Randomness) -> tuple[_Target, bytes]:
    """Make a reply from nobody to nobody, sealed and signed as any other."""
    identity = HybridIdentity.from_seed(randomness(KEY_BYTES))
    signing_seed, network = randomness(KEY_BYTES), NetworkId(randomness(KEY_BYTES))
    place = Place(1, 0, 0, randomness(KEY_BYTES))
    payload, *_ = reply.compose(
        place, network, signing_seed, geometry.payload_bytes, language="en", text="", state="opened", attachments=[]
    )
    target = _Target(identity, 0, place, network, SigningKey.of(signing_seed).public)
    seal = Sealer([identity.recipient()], geometry, randomness).seal(place=0)
    head = Head(Kind.REPLY, randomness(16), 0, 0)
    return target, seal_block(seal, head, geometry, payload, Flags.LAST)
