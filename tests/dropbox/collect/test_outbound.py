"""Bundles are applied whole or not at all, once, in order, and only as far as their desk may speak. SPEC section 15."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dropbox.delivery import MAX_ACKNOWLEDGED_BYTES
from keys import statement
from keys.bundle import CELL_BYTES, EntryType
from keys.encoding import parse_json, u8, u32
from keys.errors import NotAuthentic, Stale
from keys.inventory import CellId
from keys.minisign import SignedDocument
from keys.statement import NetworkId
from tests.simulators.newsroom import DAY, Newsroom
from tests.simulators.office import Office, acknowledging, random_cell, reply_cell, tag_of


def snapshot(office: Office) -> tuple[bytes, list[tuple[CellId, bytes]], int]:
    """Return all that a bundle could change: the documents, the listed cells, how much room there is."""
    return office.store.documents(), office.store.entries(), office.store.room().free


def document(kind: EntryType, signed: SignedDocument) -> tuple[EntryType, bytes]:
    return kind, signed.encode()


def test_a_bundle_is_applied_whole(office: Office) -> None:
    kept, gone = office.fill(2)
    visit = office.visit()
    visit.deliver(office.bundle(2, [reply_cell("of desk 2"), acknowledging([gone])]))
    call = office.newsroom.bulletin(1)

    said = visit.deliver(
        office.bundle(
            1,
            [
                document(EntryType.BULLETIN, call),
                document(EntryType.EPOCHS, office.newsroom.epochs(1, weeks=2)),
                acknowledging([gone]),
                reply_cell("a"),
                reply_cell("b"),
            ],
        )
    )

    assert said == {"desk": 1, "mark": 5, "refused": [], "reasons": {}}
    assert office.holds(kept, gone) == [True, False]
    assert office.store.read(office.address(1, "a")) == random_cell("a")
    assert office.store.read(office.address(1, "b")) == random_cell("b")
    assert set(visit.documents()) >= {"epochs-1-2", "epochs-2-1"}
    assert list(office.state.bulletins.values()) == [call]
    assert office.state.marks == {1: 5, 2: 2}


def test_a_bundle_that_comes_twice_changes_nothing_more(office: Office) -> None:
    visit = office.visit()
    raw = office.bundle(1, [reply_cell("a")])
    first = visit.deliver(raw)
    before = snapshot(office)

    assert visit.deliver(raw) == first
    assert snapshot(office) == before


def test_what_a_source_deleted_does_not_come_back_with_the_same_bundle(office: Office) -> None:
    visit = office.visit()
    raw = office.bundle(1, [reply_cell("a")])
    visit.deliver(raw)
    office.store.delete([office.address(1, "a")])

    visit.deliver(raw)

    assert office.holds(office.address(1, "a")) == [False]


def test_a_longer_bundle_adds_what_is_above_the_mark(office: Office) -> None:
    visit = office.visit()
    visit.deliver(office.bundle(1, [reply_cell("a"), reply_cell("b")]))
    office.store.delete([office.address(1, "a")])

    said = visit.deliver(office.bundle(1, [reply_cell("a"), reply_cell("b"), reply_cell("c")]))

    assert said == {"desk": 1, "mark": 3, "refused": [], "reasons": {}}
    assert office.holds(office.address(1, "a"), office.address(1, "b"), office.address(1, "c")) == [False, True, True]


def test_bundles_out_of_order_lose_nothing(office: Office) -> None:
    visit = office.visit()
    first, second = office.bundle(1, [reply_cell("a")]), office.bundle(1, [reply_cell("b")], first=2)
    before = snapshot(office)

    too_early = visit.post("/v1/outbound", second)
    assert too_early.status_code == 503
    assert "earlier" in str(parse_json(too_early.data)["hint"])
    assert snapshot(office) == before
    visit.deliver(first)
    assert visit.deliver(second)["mark"] == 2
    assert visit.deliver(first)["mark"] == 2
    assert office.holds(office.address(1, "a"), office.address(1, "b")) == [True, True]


def test_each_desk_has_numbers_of_its_own(office: Office) -> None:
    visit = office.visit()
    visit.deliver(office.bundle(1, [reply_cell("a"), reply_cell("b")]))

    assert visit.deliver(office.bundle(2, [reply_cell("a")])) == {"desk": 2, "mark": 1, "refused": [], "reasons": {}}
    assert office.address(1, "a") != office.address(2, "a")
    assert office.holds(office.address(2, "a")) == [True]


ENTRIES = [reply_cell("a"), acknowledging([bytes(32)])]


def reheaded(raw: bytes, name: bytes, value: bytes, seed: bytes) -> bytes:
    """Change a line of a bundle's header, and sign it again."""
    head, rest = raw.split(b"\n\n", 1)
    lines = [name + b" " + value if line.startswith(name + b" ") else line for line in head.split(b"\n")]
    body = b"\n".join(lines) + b"\n\n" + rest[:-64]
    return body + statement.sign(seed, body)


def desk_one(change: Callable[[bytes, bytes], bytes]) -> Callable[[Office], bytes]:
    """Change a good bundle of desk 1, given its signing seed."""
    return lambda office: change(office.bundle(1, ENTRIES), office.newsroom.desk_seed(1))


REFUSED: dict[str, tuple[Callable[[Office], bytes], int]] = {
    "signed by another desk": (
        lambda office: office.bundle(1, ENTRIES, signed_by=office.newsroom.desk_seed(2)),
        403,
    ),
    "signed by a root": (lambda office: office.bundle(1, ENTRIES, signed_by=office.newsroom.root_seeds[0]), 403),
    "signed by a courier": (
        lambda office: office.bundle(1, ENTRIES, signed_by=office.newsroom.courier_seeds["carrier"]),
        403,
    ),
    "of a desk that there isn't": (
        lambda office: office.bundle(3, ENTRIES, signed_by=office.newsroom.desk_seed(1)),
        404,
    ),
    "for another network": (lambda office: office.bundle(1, ENTRIES, network=NetworkId(bytes(32))), 404),
    "for another server": (lambda office: office.bundle(1, ENTRIES, server="beta"), 404),
    "expired": (lambda office: office.bundle(1, ENTRIES, expires=office.newsroom.now - 1), 503),
    "from the future": (lambda office: office.bundle(1, ENTRIES, issued=office.newsroom.now + DAY + 1), 503),
    "beginning behind a gap": (lambda office: office.bundle(1, ENTRIES, first=2), 503),
    "beginning far behind": (lambda office: office.bundle(1, ENTRIES, first=2**40), 503),
    "a byte cut off": (desk_one(lambda raw, seed: raw[:-1]), 400),
    "its signature cut off": (desk_one(lambda raw, seed: raw[:-64]), 400),
    "cut in the cell": (desk_one(lambda raw, seed: raw[:100_000]), 400),
    "cut in the header": (desk_one(lambda raw, seed: raw[:60]), 400),
    "a byte behind its end": (desk_one(lambda raw, seed: raw + b"\x00"), 400),
    "itself behind its end": (desk_one(lambda raw, seed: raw + raw), 400),
    "a server's name with a path": (desk_one(lambda raw, seed: reheaded(raw, b"server", b"../alpha", seed)), 400),
    "a server's name with a NUL": (desk_one(lambda raw, seed: reheaded(raw, b"server", b"al\x00pha", seed)), 400),
    "a desk's number with a path": (desk_one(lambda raw, seed: reheaded(raw, b"desk", b"1/../2", seed)), 400),
    "a line more in its header": (desk_one(lambda raw, seed: reheaded(raw, b"first", b"1\nmore 1", seed)), 400),
    "no cell": (lambda office: reheaded(_without_cells(office), b"cells", b"0", office.newsroom.desk_seed(1)), 400),
    "more than any station acknowledges": (lambda office: _hoarding(office), 400),
    "nothing": (lambda office: b"", 400),
}


def _without_cells(office: Office) -> bytes:
    """Return a bundle of one acknowledgement, as `write_outbound` wouldn't write it."""
    head = office.bundle(1, ENTRIES[:1]).split(b"\n\n", 1)[0] + b"\n\n"
    body = head + u8(1) + u32(32) + bytes(32)
    return body + statement.sign(office.newsroom.desk_seed(1), body)


def _hoarding(office: Office) -> bytes:
    count = MAX_ACKNOWLEDGED_BYTES // (65_536 * 32) + 1
    return office.bundle(1, [reply_cell("a"), *[acknowledging([bytes(65_536 * 32)])] * count])


@pytest.mark.parametrize(("make", "status"), REFUSED.values(), ids=REFUSED)
def test_a_bundle_that_is_not_good_changes_nothing(
    office: Office, make: Callable[[Office], bytes], status: int
) -> None:
    office.fill(1)
    visit = office.visit()
    before = snapshot(office)

    answer = visit.post("/v1/outbound", make(office))

    assert answer.status_code == status, answer.data
    assert set(parse_json(answer.data)) == {"error", "hint"}
    assert snapshot(office) == before
    assert visit.deliver(office.bundle(1, ENTRIES))["mark"] == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(at=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), cut=st.booleans())
def test_any_changed_or_missing_byte_changes_nothing(office: Office, at: float, change: int, cut: bool) -> None:
    raw = bytearray(office.bundle(1, [reply_cell("a"), acknowledging([bytes(32)])]))
    place = int(at * len(raw))
    if cut:
        del raw[place:]
    else:
        raw[place] ^= change
    before = snapshot(office)

    answer = office.visit().post("/v1/outbound", bytes(raw))

    assert answer.status_code in (400, 403, 404, 503)
    assert snapshot(office) == before


def test_no_desk_takes_another_desks_address(office: Office) -> None:
    # Desk 2 knows the mailbox's root, and so the tag: what it signs stands at an address of its own.
    visit = office.visit()
    visit.deliver(office.bundle(2, [(EntryType.CELL, tag_of("a") + random_cell("forged"))]))

    visit.deliver(office.bundle(1, [reply_cell("a")]))

    assert office.store.read(office.address(1, "a")) == random_cell("a")
    assert office.store.read(office.address(2, "a")) == random_cell("forged")


def test_an_address_that_exists_is_passed_over_and_told(office: Office) -> None:
    visit = office.visit()
    visit.deliver(office.bundle(1, [reply_cell("a")]))
    other = (EntryType.CELL, tag_of("a") + random_cell("another"))

    said = visit.deliver(office.bundle(1, [other, reply_cell("b")], first=2))

    assert said == {"desk": 1, "mark": 3, "refused": [2], "reasons": {"2": "A cell stands at its address already."}}
    assert office.store.read(office.address(1, "a")) == random_cell("a")
    assert office.holds(office.address(1, "b")) == [True]
    assert visit.inventory().refused == {1: (2,)}


def test_an_address_twice_in_one_bundle_is_told_too(office: Office) -> None:
    other = (EntryType.CELL, tag_of("a") + random_cell("another"))

    said = office.visit().deliver(office.bundle(1, [reply_cell("a"), other]))

    assert said["refused"] == [2]
    assert office.store.read(office.address(1, "a")) == random_cell("a")


def test_what_was_refused_is_told_until_the_desk_has_heard(office: Office) -> None:
    visit = office.visit()
    visit.deliver(office.bundle(1, [reply_cell("a"), reply_cell("a")]))
    visit.deliver(office.bundle(1, [reply_cell("b"), reply_cell("b")], first=3))
    assert visit.inventory().refused == {1: (4,)}

    # A bundle that still begins at 3 tells that nobody has confirmed 4; one that begins at 5, that somebody has.
    visit.deliver(office.bundle(1, [reply_cell("b"), reply_cell("b"), reply_cell("b")], first=3))
    assert visit.inventory().refused == {1: (4, 5)}
    visit.deliver(office.bundle(1, [reply_cell("c")], first=6))
    assert visit.inventory().refused == {1: ()}


def _foreign_epochs(office: Office) -> tuple[EntryType, bytes]:
    return document(EntryType.EPOCHS, Newsroom("elsewhere").epochs(1, weeks=1))


NOT_ADMITTED: dict[str, Callable[[Office], tuple[EntryType, bytes]]] = {
    "an epoch list of another network": _foreign_epochs,
    "an epoch list signed by another desk": lambda office: document(
        EntryType.EPOCHS, office.newsroom.epochs(1, weeks=1, signed_by=office.newsroom.desk_seed(2))
    ),
    "an epoch list of a lower number": lambda office: document(
        EntryType.EPOCHS, office.newsroom.epochs(1, weeks=2, sequence=1)
    ),
    "a manifest signed by one root": lambda office: document(EntryType.MANIFEST, office.newsroom.succession([0])),
    "a manifest out of order": lambda office: document(EntryType.MANIFEST, office.newsroom.succession(sequence=5)),
    "a bulletin that a root signed": lambda office: document(
        EntryType.BULLETIN, replace(office.newsroom.bulletin(1), signatures=())
    ),
    "a close order by a courier": lambda office: document(
        EntryType.CLOSE, office.newsroom.close_order(office.newsroom.courier_seeds["carrier"])
    ),
    "a manifest that says it is a bulletin": lambda office: document(
        EntryType.BULLETIN, office.newsroom.succession(supporters=())
    ),
    "a document that can't be read": lambda office: (EntryType.MANIFEST, b"not a document"),
    "a document with a path in it": lambda office: (EntryType.BULLETIN, b"../../etc/passwd\x00"),
}


@pytest.mark.parametrize("make", NOT_ADMITTED.values(), ids=NOT_ADMITTED)
def test_a_document_that_is_not_admitted_is_passed_over_and_told(
    office: Office, make: Callable[[Office], tuple[EntryType, bytes]]
) -> None:
    before = office.state

    said = office.visit().deliver(office.bundle(1, [make(office), reply_cell("a")]))

    assert (said["mark"], said["refused"]) == (2, [1])
    assert list(said["reasons"]) == ["1"] and said["reasons"]["1"].endswith(".")
    assert office.holds(office.address(1, "a")) == [True]
    after = office.state
    assert (after.manifests, after.epochs, after.bulletins) == (before.manifests, before.epochs, before.bulletins)
    assert after.order is None


def test_a_desk_may_bring_the_roots_manifest_and_another_desks_list(office: Office) -> None:
    manifest = office.newsroom.succession(supporters=())
    other = office.newsroom.epochs(2, weeks=2)

    said = office.visit().deliver(
        office.bundle(1, [document(EntryType.MANIFEST, manifest), document(EntryType.EPOCHS, other), reply_cell()])
    )

    assert said["refused"] == []
    assert office.box.manifest.sequence == 2
    assert office.state.epochs[2] == other


def test_one_desks_flood_of_bulletins_keeps_nobody_else_out(office: Office) -> None:
    """Desk 1 fills its share; desk 2, a manifest, a list and a close order find theirs."""
    newsroom, visit = office.newsroom, office.visit()
    flood = [document(EntryType.BULLETIN, newsroom.bulletin(1)) for _ in range(40)]

    said = visit.deliver(office.bundle(1, [*flood, reply_cell("a")]))

    assert 0 < len(said["refused"]) < 40, "what has room stands, entry by entry"
    assert "more than" in said["reasons"][str(said["refused"][0])]
    assert len(office.state.bulletins) == 40 - len(said["refused"])
    entries = [
        document(EntryType.BULLETIN, newsroom.bulletin(2)),
        document(EntryType.EPOCHS, newsroom.epochs(2, weeks=13)),
        document(EntryType.MANIFEST, newsroom.succession(supporters=())),
        reply_cell("b"),
    ]
    assert visit.deliver(office.bundle(2, entries))["refused"] == []
    newsroom.publish(supporters=())
    closing = [document(EntryType.CLOSE, newsroom.close_order()), reply_cell("c")]
    assert visit.deliver(office.bundle(2, closing, first=5))["refused"] == []
    assert not office.box.openness().is_open


def test_more_documents_than_the_server_has_room_for_are_passed_over_and_the_rest_stands(office: Office) -> None:
    junk = [(EntryType.BULLETIN, bytes(1 << 20))] * 3

    said = office.visit().deliver(office.bundle(1, [*junk, reply_cell("a")]))

    assert (said["mark"], said["refused"]) == (4, [1, 2, 3])
    assert office.holds(office.address(1, "a")) == [True]


def test_one_bundle_brings_only_so_many_lists(office: Office) -> None:
    one = office.newsroom.epochs(1, weeks=1)

    said = office.visit().deliver(office.bundle(1, [*[document(EntryType.EPOCHS, one)] * 66, reply_cell("a")]))

    assert said["refused"] == [65, 66]


def test_a_desk_whose_key_was_replaced_meanwhile_delivers_nothing(office: Office) -> None:
    """The manifest takes desk 1's key away while a bundle signed with it is still coming in."""
    raw = office.bundle(1, [reply_cell("a")])
    before = office.store.entries()
    renewed = office.newsroom.succession(desks=(office.newsroom.add_desk(1), office.newsroom.desk(2)))

    class Overtaken(io.BytesIO):
        overtaken = False

        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 1_000 and not self.overtaken:
                self.overtaken = True
                office.box.admit([renewed])
            return super().read(size)

    with pytest.raises(Stale, match="changed"):
        office.box.deliver(Overtaken(raw))
    assert office.store.entries() == before


def test_a_close_order_closes_the_box(office: Office) -> None:
    order = office.newsroom.close_order(office.newsroom.desk_seed(2))

    office.visit().deliver(office.bundle(1, [document(EntryType.CLOSE, order), reply_cell()]))

    assert not office.box.openness().is_open


def test_a_cell_goes_when_every_desk_has_acknowledged_it(office: Office) -> None:
    ids = office.fill(3)
    visit = office.visit()

    visit.deliver(office.bundle(1, [reply_cell("a"), acknowledging(ids)]))
    assert office.holds(*ids) == [True] * 3
    visit.deliver(office.bundle(2, [reply_cell("b"), acknowledging(ids[:2])]))
    assert office.holds(*ids) == [False, False, True]
    assert visit.inventory().digests.keys() == {ids[2], office.address(1, "a"), office.address(2, "b")}


def test_no_desk_acknowledges_in_another_desks_name(office: Office) -> None:
    ids = office.fill(1)
    visit = office.visit()

    visit.deliver(office.bundle(1, [reply_cell("a"), acknowledging(ids)]))
    visit.deliver(office.bundle(1, [reply_cell("b"), acknowledging(ids)], first=3))

    assert office.holds(*ids) == [True]


def test_an_acknowledgement_of_what_there_is_not_does_no_harm(office: Office) -> None:
    said = office.visit().deliver(office.bundle(1, [reply_cell(), acknowledging([bytes(32), b"\xff" * 32])]))

    assert said["refused"] == []


def retire(office: Office, number: int) -> SignedDocument:
    """Return the manifest that retires a desk."""
    desks = tuple(desk for desk in office.newsroom.manifest.desks if desk.number != number)
    return office.newsroom.succession(desks=desks, retired_desks=(number,))


def test_a_retired_desk_blocks_nothing(office: Office) -> None:
    ids = office.fill(2)
    visit = office.visit()
    visit.deliver(office.bundle(1, [reply_cell("a"), acknowledging(ids[:1])]))
    assert office.holds(*ids) == [True, True]

    visit.deliver(office.bundle(1, [document(EntryType.MANIFEST, retire(office, 2)), reply_cell("b")], first=3))
    assert office.holds(*ids) == [False, True]
    visit.deliver(office.bundle(1, [reply_cell("c"), acknowledging(ids[1:])], first=5))
    assert office.holds(*ids) == [False, False]


def test_a_retired_desk_delivers_nothing_more(office: Office) -> None:
    visit = office.visit()
    visit.deliver(office.bundle(1, [document(EntryType.MANIFEST, retire(office, 2)), reply_cell("a")]))

    assert visit.post("/v1/outbound", office.bundle(2, [reply_cell("b")])).status_code == 404


def test_a_bundle_finds_room_where_a_file_would_not_and_leaves_texts_theirs(tmp_path: Path) -> None:
    office = Office(tmp_path, reserve=8)
    office.fill(16)
    visit = office.visit()
    before = snapshot(office)

    too_much = visit.post("/v1/outbound", office.bundle(1, [reply_cell(str(number)) for number in range(3)]))
    assert too_much.status_code == 507
    assert snapshot(office) == before
    assert visit.deliver(office.bundle(1, [reply_cell("a"), reply_cell("b")]))["mark"] == 2
    office.close()


def test_before_its_signature_a_bundle_takes_no_more_than_a_quarter_of_the_reserve(tmp_path: Path) -> None:
    """A bundle that is forged, and says that it has few cells: texts are taken in meanwhile."""
    office = Office(tmp_path, reserve=8)
    office.fill(16)
    forged = office.bundle(1, [reply_cell("a"), reply_cell("b")], signed_by=office.newsroom.courier_seeds["carrier"])
    least = 24

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal least
            least = min(least, office.store.room().free)
            with office.store.item() as text:
                text.begin_cell()
            return super().read(size)

    with pytest.raises(NotAuthentic):
        office.box.deliver(Watched(forged))
    assert least == 6
    assert office.store.room().free == 8
    office.close()


class Breaking(io.BytesIO):
    """A body whose sender is gone before its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            raise ConnectionResetError("gone")
        return data


def test_a_connection_that_breaks_changes_nothing(office: Office) -> None:
    raw = office.bundle(1, [reply_cell("a"), reply_cell("b")])
    before = snapshot(office)

    for length in (0, 40, 1_000, CELL_BYTES + 2_000, len(raw) - 1):
        with pytest.raises(ConnectionResetError):
            office.box.deliver(Breaking(raw[:length]))
        assert snapshot(office) == before


def test_what_is_on_the_way_is_seen_by_nobody(office: Office) -> None:
    raw = office.bundle(1, [reply_cell("a"), reply_cell("b")])
    seen: list[list[bool]] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            seen.append(office.holds(office.address(1, "a"), office.address(1, "b")))
            return super().read(size)

    office.box.deliver(Watched(raw))

    assert seen.count([False, False]) == len(seen) > 4
    assert office.holds(office.address(1, "a"), office.address(1, "b")) == [True, True]


def test_two_deliveries_at_once_are_one_after_the_other(office: Office) -> None:
    """The second bundle comes whole while the first is still streaming in."""
    one, other = office.bundle(1, [reply_cell("a")]), office.bundle(1, [reply_cell("a"), reply_cell("b")])

    class Interrupting(io.BytesIO):
        delivered = False

        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 1_000 and not self.delivered:
                self.delivered = True
                office.box.deliver(io.BytesIO(other))
            return super().read(size)

    visit = office.visit()
    with pytest.raises(Stale, match="just now"):
        office.box.deliver(Interrupting(one))
    assert visit.inventory().marks == {1: 2}
    assert visit.deliver(one)["mark"] == 2
    assert office.holds(office.address(1, "a"), office.address(1, "b")) == [True, True]
