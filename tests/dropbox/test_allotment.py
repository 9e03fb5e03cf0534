"""Each desk has its share of the documents region, and half of it is nobody's to fill with bulletins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox.allotment import MAX_BULLETINS, Allotment, check_list, check_signatures, size_of
from dropbox.state import State
from keys.encoding import u32
from keys.errors import Malformed, NoRoom
from keys.minisign import SignedDocument
from keys.statement import NetworkId

ROOM = (8 << 20) - 36


def paper(size: int, *signatures: int) -> SignedDocument:
    return SignedDocument(bytes(size), tuple(bytes(each) for each in signatures))


@given(desks=st.integers(1, 16), room=st.integers(1 << 12, 1 << 24))
def test_all_desks_together_leave_half_of_the_region(desks: int, room: int) -> None:
    shares = Allotment(room, desks)
    assert shares.bulletin_bytes * desks <= room // 2
    assert shares.bulletins * desks <= MAX_BULLETINS


def test_a_desk_of_six_has_room_for_long_bulletins_and_many_short_ones() -> None:
    shares = Allotment(ROOM, 6)
    assert (shares.bulletins, shares.bulletin_bytes) == (682, 699_047)


def test_a_share_is_filled_to_its_last_byte_and_no_further() -> None:
    shares = Allotment(ROOM, 6)
    fits = paper(shares.bulletin_bytes - size_of(paper(1_000, 300)) - size_of(paper(0, 300)), 300)
    shares.check_bulletin(fits, [paper(1_000, 300)])
    with pytest.raises(NoRoom, match="bytes"):
        shares.check_bulletin(paper(len(fits.statement) + 1, 300), [paper(1_000, 300)])


def test_a_desk_has_only_so_many_however_short() -> None:
    shares = Allotment(ROOM, 6)
    shares.check_bulletin(paper(1), [paper(1)] * 681)
    with pytest.raises(NoRoom, match="682 bulletins"):
        shares.check_bulletin(paper(1), [paper(1)] * 682)


def test_what_no_station_writes_takes_no_room() -> None:
    check_list(paper(65_536, 1_024))
    for document in (paper(65_537), paper(10, 1_025)):
        with pytest.raises(Malformed):
            check_list(document)
    with pytest.raises(Malformed):
        check_signatures(paper(10, 300, 65_535))
    with pytest.raises(Malformed):
        Allotment(ROOM, 6).check_bulletin(paper(10, 1_025), [])


def test_all_documents_together_leave_room_for_what_stands_before_them() -> None:
    shares = Allotment(10_000, 6)
    shares.check_total([paper(8_000)])
    with pytest.raises(NoRoom):
        shares.check_total([paper(8_000), paper(720)])


@given(st.lists(st.tuples(st.integers(0, 3_000), st.lists(st.integers(0, 400), max_size=3)), max_size=6))
def test_a_document_never_takes_more_than_its_size(sizes: list[tuple[int, list[int]]]) -> None:
    papers = tuple(paper(size, *signatures) for size, signatures in sizes)
    state = State(NetworkId(bytes(32)), manifests=papers)
    alone = len(State(NetworkId(bytes(32))).encode())
    assert len(state.encode()) <= alone + sum(size_of(each) for each in papers)
    assert all(len(u32(0)) + len(each.encode()) < size_of(each) for each in papers)
