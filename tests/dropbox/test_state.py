"""What a server remembers comes back as it was, and is believed only as far as its signatures go."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox import state as state_module
from dropbox.admitted import Admitted
from dropbox.state import State
from keys.epochs import Closed, Floors
from keys.errors import Malformed, NoRoom
from keys.inventory import MAX_REFUSED
from keys.minisign import SignedDocument
from keys.statement import NetworkId
from tests.simulators.newsroom import Newsroom

NEWSROOM = Newsroom(desks=2)
LISTS = {desk: NEWSROOM.epochs(desk, weeks=2) for desk in (1, 2)}
CALL = NEWSROOM.bulletin(1)
ORDER = NEWSROOM.close_order()


def full() -> State:
    """A state with one of everything."""
    return State(
        NEWSROOM.network,
        manifests=tuple(NEWSROOM.documents),
        epochs=LISTS,
        bulletins={NEWSROOM.admit_bulletin(CALL).id: CALL},
        order=ORDER,
        floors=Floors(1, {1: 1, 2: 1}, NEWSROOM.week, NEWSROOM.now),
        marks={1: 7, 2: 0},
        refused={1: (3, 5), 2: ()},
        inventory=12,
    )


desks = st.integers(1, 127)


@given(
    marks=st.dictionaries(desks, st.integers(0, 2**53 - 1)),
    refused=st.dictionaries(desks, st.lists(st.integers(0, 2**53 - 1), max_size=9).map(tuple)),
    inventory=st.integers(0, 2**53 - 1),
    network=st.binary(min_size=32, max_size=32),
)
def test_numbers_come_back(
    marks: dict[int, int], refused: dict[int, tuple[int, ...]], inventory: int, network: bytes
) -> None:
    state = State(NetworkId(network), marks=marks, refused=refused, inventory=inventory)
    assert State.decode(state.encode()) == state


def test_everything_comes_back() -> None:
    assert State.decode(full().encode()) == full()
    assert State.decode(State(NEWSROOM.network).encode()) == State(NEWSROOM.network)


@given(st.binary(max_size=300), st.integers(0, 10_000))
def test_anything_else_is_refused(noise: bytes, at: int) -> None:
    encoded = full().encode()
    at %= len(encoded)
    for damaged in (noise, encoded[:at], encoded[:at] + noise, encoded + b"\0"):
        if damaged != encoded:
            with pytest.raises(Malformed):
                State.decode(damaged)


def test_all_that_verifies_is_in_force() -> None:
    admitted = Admitted.verify(full(), NEWSROOM.now)
    assert admitted.manifest == NEWSROOM.manifest
    assert set(admitted.lists) == {1, 2} and len(admitted.bulletins) == 1 and admitted.order is not None
    assert admitted.rejected == ()
    assert admitted.open_at(NEWSROOM.now).reason is Closed.ORDERED


def test_what_does_not_verify_is_counted_and_never_used() -> None:
    forged = NEWSROOM.epochs(1, sequence=9, signed_by=NEWSROOM.desk_seed(2))
    unsigned = SignedDocument(CALL.statement, ())
    state = replace(
        full(),
        epochs={1: forged, 2: LISTS[2]},
        bulletins={bytes(16): unsigned},
        order=SignedDocument(ORDER.statement, CALL.signatures),
    )
    admitted = Admitted.verify(state, NEWSROOM.now)
    assert (set(admitted.lists), dict(admitted.bulletins), admitted.order, len(admitted.rejected)) == ({2}, {}, None, 3)


def test_without_a_manifest_nothing_is_believed() -> None:
    few = SignedDocument(NEWSROOM.documents[0].statement, NEWSROOM.documents[0].signatures[:1])
    for manifests, rejected in (((), 0), ((few,), 1)):
        admitted = Admitted.verify(replace(full(), manifests=manifests), NEWSROOM.now)
        assert (admitted.manifest, dict(admitted.lists), admitted.order) == (None, {}, None)
        assert len(admitted.rejected) == rejected
        assert admitted.open_at(NEWSROOM.now).reason is Closed.NO_MANIFEST


def test_a_list_whose_weeks_are_past_is_no_forgery() -> None:
    admitted = Admitted.verify(replace(full(), order=None), NEWSROOM.now + 30 * 86_400)
    assert (dict(admitted.lists), admitted.rejected) == ({}, ())


def test_refusals_that_an_inventory_can_list_fit() -> None:
    state = replace(full(), refused={1: tuple(range(MAX_REFUSED))})
    assert State.decode(state.encode()) == state


def test_no_more_documents_are_written_than_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    count = sum(1 for _ in full().documents())
    monkeypatch.setattr(state_module, "MAX_DOCUMENTS", count)
    assert State.decode(full().encode()) == full()
    monkeypatch.setattr(state_module, "MAX_DOCUMENTS", count - 1)
    with pytest.raises(NoRoom):
        full().encode()


def test_another_states_documents_leave_the_numbers() -> None:
    bare = State(NEWSROOM.network, marks={1: 9}, inventory=4)
    assert not bare.has_documents_of(full())
    with_them = bare.with_documents_of(full())
    assert with_them.has_documents_of(full())
    assert (with_them.marks, with_them.inventory, with_them.floors) == ({1: 9}, 4, Floors())
