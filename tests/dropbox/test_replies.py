"""Looking through a mailbox takes the same work for everybody, and a failing disk is never an empty mailbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from dropbox.replies import Mailboxes, Work, addresses
from keys import mailbox, primitives, reply
from keys.age.recipients import HybridIdentity
from keys.bundle import CELL_BYTES
from keys.cell import Flags, Geometry, Head, Kind, Sealer, seal_block
from keys.encoding import week_of
from keys.errors import Misconfigured, NotAuthentic, NotForUs
from keys.inventory import CellId
from keys.mailbox import SourceKeys
from keys.reply import Place
from keys.terms import Limits
from tests.simulators.newsroom import Newsroom, seeded

LIMITS = Limits(acknowledge_weeks=1, reply_slots=2)


class Shelf:
    """Cells in memory that count what is asked of them."""

    def __init__(self) -> None:
        self.cells: dict[bytes, bytes] = {}
        self.asked: list[str] = []
        self.broken = False

    def holds(self, ids: Sequence[bytes], /) -> list[bool]:
        self.asked += ["holds"] * len(ids)
        return [each in self.cells for each in ids]

    def read(self, cell_id: bytes, /) -> bytes:
        self.asked.append("read")
        if self.broken:
            raise Misconfigured("the disk refused")
        if cell_id not in self.cells:
            raise NotForUs("no such cell")
        return self.cells[cell_id]

    def read_any(self) -> bytes:
        self.asked.append("read")
        return bytes(CELL_BYTES)


class Office:
    """A newsroom that answers one source."""

    def __init__(self, recipients: int = 2) -> None:
        self.newsroom = Newsroom(f"of {recipients}", desks=2, recipients=recipients, limits=LIMITS)
        self.shelf = Shelf()
        self.keys = SourceKeys.derive(primitives.sha256(b"source"), self.newsroom.network)
        self.geometry = Geometry(recipients)

    def put(self, place: Place, *, kind: Kind = Kind.REPLY, text: str = "answer", content: bytes = b"") -> list[CellId]:
        """Store a reply at its place; return its addresses."""
        payloads = reply.compose(
            place,
            self.newsroom.network,
            self.newsroom.desk_seed(place.desk),
            self.geometry.payload_bytes,
            language="th",
            text=text,
            state="",
            attachments=[("a", "", content)] if content else [],
        )
        sealer = Sealer(
            [HybridIdentity.from_seed(self.keys.reply_seed).recipient()], self.geometry, self.newsroom.randomness
        )
        ids = []
        for number, payload in enumerate(payloads):
            tag = mailbox.tag(self.keys.root, place.desk, place.week, place.index, number)
            seal = sealer.seal(tag[0] % self.geometry.recipients)
            last = Flags.LAST if number == len(payloads) - 1 else Flags.NONE
            ids.append(mailbox.address(self.newsroom.network, place.desk, tag))
            self.shelf.cells[ids[-1]] = seal_block(seal, Head(kind, bytes(16), 0, number), self.geometry, payload, last)
        return ids

    def place(self, desk: int = 1, week: int = 0, index: int = 0) -> Place:
        return Place(desk, week_of(self.newsroom.now) + week, index, self.keys.public)

    def mailboxes(self) -> Mailboxes:
        return Mailboxes(self.shelf, seeded("mailboxes"))

    def look(self, work: Work | None = None) -> list[str]:
        found = self.mailboxes().look(self.keys, self.newsroom.manifest, self.newsroom.now, work)
        return [each.reply.text for each in found]


@pytest.fixture
def office() -> Iterator[Office]:
    yield Office()


def test_equal_work_with_and_without_replies(office: Office) -> None:
    expected = (LIMITS.acknowledge_weeks + 4) * LIMITS.reply_slots * 2
    counts = []
    for replies in ([], [office.place()], [office.place(index=1), office.place(desk=2), office.place(week=-1)]):
        for place in replies:
            office.put(place)
        office.shelf.asked.clear()
        work = Work()
        office.look(work)
        assert work == Work(expected, expected, expected)
        counts.append((office.shelf.asked.count("holds"), office.shelf.asked.count("read")))
    assert counts == [(expected, expected)] * 3


def test_one_set_of_mailboxes_serves_networks_of_any_number_of_stanzas() -> None:
    narrow, wide = Office(2), Office(4)
    for office in (narrow, wide):
        office.put(office.place())
    shared = Mailboxes(narrow.shelf, seeded("shared"))
    narrow.shelf.cells |= wide.shelf.cells
    for office in (narrow, wide, narrow):
        found = shared.look(office.keys, office.newsroom.manifest, office.newsroom.now)
        assert [each.reply.text for each in found] == ["answer"]


def test_what_does_not_belong_there_is_passed_over(office: Office) -> None:
    office.put(office.place(index=0), text="good")
    (elsewhere,) = office.put(office.place(index=1), text="replayed")
    (filler,) = office.put(office.place(week=-1), kind=Kind.TIP)
    (noise,) = office.put(office.place(desk=2))
    office.shelf.cells[elsewhere] = office.shelf.cells[office.put(office.place(index=0), text="good")[0]]
    office.shelf.cells[noise] = seeded("noise")(CELL_BYTES)
    assert filler in office.shelf.cells
    assert office.look() == ["good"]


def test_a_failing_disk_is_no_empty_mailbox(office: Office) -> None:
    office.put(office.place())
    office.shelf.broken = True
    with pytest.raises(Misconfigured):
        office.look()


def test_all_addresses_of_a_reply_are_known(office: Office) -> None:
    content = b"x" * 600_000
    ids = office.put(office.place(), content=content)
    (found,) = office.mailboxes().look(office.keys, office.newsroom.manifest, office.newsroom.now)
    assert addresses(found, office.newsroom.network) == ids and len(ids) == 3
    assert office.mailboxes().attachment(found, 0, office.newsroom.manifest) == content


def test_exchanged_parts_of_an_attachment_are_noticed(office: Office) -> None:
    ids = office.put(office.place(), content=b"x" * 600_000)
    (found,) = office.mailboxes().look(office.keys, office.newsroom.manifest, office.newsroom.now)
    office.shelf.cells[ids[1]], office.shelf.cells[ids[2]] = office.shelf.cells[ids[2]], office.shelf.cells[ids[1]]
    with pytest.raises((NotAuthentic, NotForUs)):
        office.mailboxes().attachment(found, 0, office.newsroom.manifest)
    del office.shelf.cells[ids[1]]
    with pytest.raises(NotForUs):
        office.mailboxes().attachment(found, 0, office.newsroom.manifest)


def test_early_weeks_begin_with_the_first(office: Office) -> None:
    work = Work()
    office.mailboxes().look(office.keys, office.newsroom.manifest, 86_400, work)
    assert work.lookups == 2 * LIMITS.reply_slots * 2, "weeks 0 and 1"
