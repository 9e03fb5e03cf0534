"""The box gives recipients only for what is signed and in date, and remembers what it must never go below."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox.box import Box, ServerKey
from dropbox.consensus import Comparison, Consensus
from dropbox.state import State
from dropbox.store import Change, Store
from keys import cell, inventory
from keys.cell import Flags
from keys.epochs import Closed
from keys.errors import DropBoxError, NotAuthentic, Refused, Stale
from keys.inventory import CellId
from keys.primitives import system_randomness
from tests.simulators.newsroom import DAY, Newsroom


class Server:
    """A box over a real store, with a newsroom that signs for it."""

    def __init__(self, folder: Path) -> None:
        self.newsroom = Newsroom(desks=2)
        self.consensus: Consensus | None = None
        Store.create(folder / "data", 8, documents_bytes=1 << 20)
        self.store = Store.open(folder / "data")
        self.store.apply(Change(documents=State(self.newsroom.network).encode()))
        self.box = self.again()

    def again(self, seed: bytes | None = None) -> Box:
        """Another process's box over the same store."""
        key = ServerKey("alpha", seed or self.newsroom.server_seeds["alpha"])
        return Box(
            self.store,
            key,
            lambda: self.newsroom.now,
            system_randomness,
            "0.1.0",
            compare=lambda now: self.consensus.compare(now) if self.consensus else Comparison.NOT_COMPARED,
        )

    def found(self) -> None:
        self.box.admit(self.newsroom.documents)
        for desk in (1, 2):
            document = self.newsroom.epochs(desk, weeks=2)
            self.newsroom.admit_epochs(desk, document)
            self.box.admit([document])

    @property
    def state(self) -> State:
        return State.decode(self.store.documents())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.store.close()


def test_nothing_is_sealed_before_everything_is_signed(server: Server) -> None:
    for step in ([], server.newsroom.documents):
        server.box.admit(step)
        assert not server.box.openness().is_open
        with pytest.raises(Stale):
            server.box.sealer([1])
    server.box.admit([server.newsroom.epochs(1, weeks=2)])
    assert server.box.openness().desks == (1,)
    for desks in ([], [2], [1, 2], [9]):
        with pytest.raises(Stale):
            server.box.sealer(desks)


def test_a_seal_opens_at_the_chosen_desks_alone(server: Server) -> None:
    server.found()
    week, sealer = server.box.sealer([2])
    sealed = cell.seal_block(sealer.seal(), cell.FILLER, server.box.geometry, b"", Flags.LAST)
    assert week == server.newsroom.week
    cell.open_cell(sealed, [server.newsroom.chain(2).identity(week)], server.box.geometry)
    with pytest.raises(DropBoxError):
        cell.open_cell(sealed, [server.newsroom.chain(1).identity(week)], server.box.geometry)


def test_sealing_raises_the_floor_first(server: Server) -> None:
    server.found()
    server.newsroom.pass_time(weeks=1)
    server.box.sealer([1])
    assert server.state.floors.week == server.newsroom.week
    server.newsroom.pass_time(weeks=-1)
    with pytest.raises(Stale):
        server.box.sealer([1])
    with pytest.raises(Stale):
        server.again().sealer([1])


def consensus_of(now: int) -> Consensus:
    return Consensus(now - 600, now + 3_000, now + 10_200)


@pytest.mark.parametrize("leap", [30 * DAY, -2 * 3_600], ids=["ahead", "behind"])
def test_a_clock_that_the_consensus_contradicts_closes_the_box_and_raises_nothing(server: Server, leap: int) -> None:
    server.found()
    server.consensus = consensus_of(server.newsroom.now)
    server.box.sealer([1])
    server.box.inventory()
    before = server.state.floors
    right = server.newsroom.now

    server.newsroom.now = right + leap
    assert server.box.openness().reason is Closed.CLOCK_DISAGREES
    with pytest.raises(Stale):
        server.box.sealer([1])
    server.box.inventory()  # What was taken in before can be carried away all the same.
    assert server.state.floors == before

    server.newsroom.now = right + 60
    assert server.box.sealer([1])[0] == server.newsroom.week
    server.box.inventory()
    assert server.state.floors.latest == right + 60


def test_a_clock_that_leapt_ahead_uncompared_closes_the_box_until_it_is_mended(server: Server) -> None:
    """What the comparison is for: without one, floors follow any clock."""
    server.found()
    right = server.newsroom.now
    server.newsroom.now = right + 30 * DAY
    server.box.inventory()
    server.newsroom.now = right
    server.consensus = consensus_of(right)
    assert server.box.openness().reason is Closed.CLOCK_BEHIND


def test_every_process_sees_what_one_has_admitted(server: Server) -> None:
    other = server.again()
    assert other.admitted().manifest is None
    server.found()
    assert other.manifest == server.newsroom.manifest
    assert other.openness().desks == (1, 2)


def test_documents_that_are_not_admitted_change_nothing(server: Server) -> None:
    server.found()
    before = server.store.documents()
    good = server.newsroom.epochs(1, weeks=2)
    forged = server.newsroom.epochs(2, weeks=2, signed_by=server.newsroom.desk_seed(1))
    with pytest.raises(NotAuthentic):
        server.box.admit([good, forged])
    assert server.store.documents() == before
    with pytest.raises(DropBoxError):
        server.box.admit([server.newsroom.succession(signed_by=[0])])
    assert server.store.documents() == before


def test_a_desk_that_left_takes_its_list_along(server: Server) -> None:
    server.found()
    staying = server.newsroom.terms.desks[:1]
    server.newsroom.publish(desks=staying, retired_desks=(2,))
    server.box.admit(server.newsroom.documents[-1:])
    assert set(server.state.epochs) == {1}
    assert server.box.openness().desks == (1,)


def test_a_server_belongs_to_one_network_only(server: Server) -> None:
    other = Newsroom("another")
    server.box.join(other.network)
    server.box.join(server.newsroom.network)
    server.found()
    with pytest.raises(Refused):
        server.box.join(other.network)


def test_documents_have_the_names_of_sticks(server: Server) -> None:
    server.found()
    server.newsroom.publish()
    server.box.admit([*server.newsroom.documents[-1:], server.newsroom.bulletin(1, id=bytes(range(16)))])
    names = [name for name, _ in server.box.documents()]
    assert names == ["manifest-1", "manifest-2", "epochs-1-1", "epochs-2-1", f"bulletin-{bytes(range(16)).hex()}"]


def test_inventories_are_numbered_signed_and_list_every_cell(server: Server) -> None:
    server.found()
    _, sealer = server.box.sealer([1])
    seal = sealer.seal()
    sealed = cell.seal_block(seal, cell.FILLER, server.box.geometry, b"", Flags.LAST)
    name = CellId(system_randomness(32))
    with server.store.item(1) as deposit:
        deposit.append(sealed, name, seal.digest)
        deposit.commit()
    for box, sequence in ((server.box, 1), (server.again(), 2), (server.box, 3)):
        raw, signature = box.inventory()
        keys = {each.name: each.key for each in server.newsroom.manifest.servers}
        listed = inventory.admit(raw, signature, server.newsroom.network, keys, {})
        assert (listed.sequence, listed.server, listed.time) == (sequence, "alpha", server.newsroom.now)
        assert dict(listed.digests) == {name: seal.digest}
    assert server.state.floors.latest == server.newsroom.now


def test_retiring_a_desk_frees_what_it_alone_held_up(server: Server) -> None:
    server.found()
    name = CellId(bytes(32))
    with server.store.item() as deposit:
        deposit.append(bytes(cell.CELL_BYTES), name, bytes(32))
        deposit.commit()
    server.store.apply(Change(acknowledged={1: [name]}, current_desks=frozenset({1, 2})))
    assert server.store.holds([name]) == [True]
    server.newsroom.publish(desks=server.newsroom.terms.desks[:1], retired_desks=(2,))
    server.box.admit(server.newsroom.documents[-1:])
    assert server.store.holds([name]) == [False]


def test_a_key_that_the_manifest_does_not_list_signs_nothing(server: Server) -> None:
    server.found()
    with pytest.raises(Refused):
        server.again(seed=bytes(32)).inventory()


def test_keys_are_not_printed(server: Server) -> None:
    assert repr(ServerKey("alpha", b"secret")) == "ServerKey('alpha')"
