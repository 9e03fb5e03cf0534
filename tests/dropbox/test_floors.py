"""The floors beside the data folder: they rise with admitted documents, and an older state is seen against them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dropbox.box import Box, ServerKey
from dropbox.floors import FloorsFile
from dropbox.state import State
from dropbox.store import Change, Store
from keys.epochs import Closed, Floors
from keys.errors import Misconfigured, Stale
from keys.primitives import system_randomness
from tests.simulators.newsroom import Newsroom


class Server:
    """A box whose floors are kept, and whose state can be put back."""

    def __init__(self, folder: Path) -> None:
        self.newsroom = Newsroom()
        self.floors = FloorsFile(folder / "floors.json")
        Store.create(folder / "data", 4, documents_bytes=200_000)
        self.store = Store.open(folder / "data")
        self.put(State(self.newsroom.network))
        key = ServerKey("alpha", self.newsroom.server_seeds["alpha"])
        self.box = Box(self.store, key, lambda: self.newsroom.now, system_randomness, "", self.floors)
        self.box.admit(self.newsroom.documents)
        self.publish()

    def publish(self) -> None:
        for desk in self.newsroom.manifest.desk_numbers:
            document = self.newsroom.epochs(desk)
            self.newsroom.admit_epochs(desk, document)
            self.box.admit([document])

    def state(self) -> State:
        return State.decode(self.store.documents())

    def put(self, state: State) -> None:
        self.store.apply(Change(documents=state.encode()))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.store.close()


def test_they_rise_with_what_is_admitted(server: Server) -> None:
    assert server.floors.over(State(server.newsroom.network)).floors == Floors(1, {1: 1, 2: 1})
    server.newsroom.publish()
    server.box.admit(server.newsroom.documents[-1:])
    server.publish()
    assert server.floors.over(State(server.newsroom.network)).floors == Floors(2, {1: 2, 2: 2})


def test_an_older_manifest_put_back_closes_the_box_until_the_newest_is_delivered(server: Server) -> None:
    older = server.state()
    server.newsroom.publish()
    server.box.admit(server.newsroom.documents[-1:])
    server.put(older)
    assert server.box.openness().reason is Closed.MANIFEST_ROLLED_BACK
    with pytest.raises(Stale):
        server.box.sealer([1])
    server.box.admit(server.newsroom.documents[-1:])
    assert server.box.openness().is_open


def test_older_epoch_lists_put_back_close_their_desks(server: Server) -> None:
    older = server.state()
    server.publish()
    newest = server.state().epochs
    server.put(older)
    assert server.box.openness().reason is Closed.NO_EPOCHS
    with pytest.raises(Stale):
        server.box.admit([older.epochs[1]])
    server.box.admit([newest[1]])
    assert server.box.openness().desks == (1,)


def test_neither_week_nor_time_is_kept(server: Server) -> None:
    """They rise when somebody sends or fetches: this file's time would tell when that was."""
    before = server.floors.path.read_bytes(), server.floors.path.stat().st_ctime_ns
    server.box.sealer([1])
    server.box.inventory()
    server.box.keep_floors()
    assert server.state().floors.week and server.state().floors.latest
    assert (server.floors.path.read_bytes(), server.floors.path.stat().st_ctime_ns) == before


def test_a_state_that_is_higher_stays_higher(server: Server) -> None:
    state = server.state()
    higher = replace(state, floors=Floors(7, {1: 9}, week=3, latest=4))
    assert server.floors.over(higher).floors == Floors(7, {1: 9, 2: 1}, week=3, latest=4)


def test_only_its_owner_may_read_it(server: Server) -> None:
    assert stat.S_IMODE(server.floors.path.stat().st_mode) == 0o600


def test_a_damaged_file_is_an_error_and_no_floor(server: Server) -> None:
    server.floors.path.write_bytes(b"{}")
    with pytest.raises(Misconfigured):
        server.floors.over(server.state())
    with pytest.raises(Misconfigured):
        server.box.keep_floors()


def test_a_folder_that_refuses_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        FloorsFile(tmp_path / "missing" / "floors.json").keep(State(Newsroom().network, floors=Floors(1)))
