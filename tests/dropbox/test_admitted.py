"""One more document is judged as all documents together would be, and nothing is verified twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import pytest

from dropbox.admitted import Admitted
from dropbox.state import State
from keys import epochs, minisign, statement
from keys.epochs import Closed
from keys.errors import Malformed, NoRoom, NotAuthentic, Refused, Stale
from keys.languages import Text
from keys.minisign import SignedDocument
from tests.simulators.newsroom import DAY, Newsroom

ROOM = 1 << 20


def fold(before: Admitted, newsroom: Newsroom, *documents: SignedDocument, room: int = ROOM) -> Admitted:
    for document in documents:
        before = before.admitting(statement.type_of(document.statement), document, newsroom.now, room)
    return before


@pytest.fixture
def newsroom() -> Newsroom:
    return Newsroom(desks=3)


@pytest.fixture
def founded(newsroom: Newsroom) -> Admitted:
    empty = Admitted.verify(State(newsroom.network), newsroom.now)
    return fold(empty, newsroom, *newsroom.documents, *(newsroom.epochs(desk, weeks=2) for desk in (1, 2, 3)))


@contextmanager
def counting(module: object, name: str) -> Iterator[mock.Mock]:
    """Count the calls of a function, which does what it does."""
    with mock.patch.object(module, name, wraps=getattr(module, name)) as counted:
        yield counted


def test_folding_in_is_verifying_all(newsroom: Newsroom, founded: Admitted) -> None:
    call = newsroom.bulletin(1)
    folded = fold(founded, newsroom, call, newsroom.bulletin(2), newsroom.epochs(1, weeks=3), newsroom.close_order())
    assert folded == Admitted.verify(folded.state, newsroom.now)
    assert fold(folded, newsroom, call) is folded


def test_nothing_is_verified_again_when_only_numbers_changed(newsroom: Newsroom, founded: Admitted) -> None:
    before = fold(founded, newsroom, *(newsroom.bulletin(1) for _ in range(5)))
    state = State.decode(replace(before.state, marks={1: 7}, inventory=3).encode())
    with counting(minisign, "signers") as verified, counting(epochs, "parse") as parsed:
        after = Admitted.verify(state, newsroom.now, before)
    assert (verified.call_count, parsed.call_count) == (0, 0)
    assert after == Admitted.verify(state, newsroom.now)


def test_each_of_many_bulletins_is_verified_once(newsroom: Newsroom, founded: Admitted) -> None:
    many = [newsroom.bulletin(1) for _ in range(60)]
    with counting(minisign, "signers") as verified, counting(epochs, "parse") as parsed:
        folded = fold(founded, newsroom, *many)
        Admitted.verify(State.decode(folded.state.encode()), newsroom.now, folded)
    assert (verified.call_count, parsed.call_count) == (60, 0)


def test_what_was_verified_does_not_outlive_its_date_or_its_key(newsroom: Newsroom, founded: Admitted) -> None:
    later = newsroom.now + 30 * DAY
    assert Admitted.verify(founded.state, later, founded) == Admitted.verify(founded.state, later)
    earlier = newsroom.now - 3 * DAY
    before = fold(founded, newsroom, newsroom.bulletin(1))
    assert Admitted.verify(before.state, earlier, before) == Admitted.verify(before.state, earlier)

    renewed = newsroom.succession(desks=(newsroom.add_desk(1), newsroom.desk(2), newsroom.desk(3)))
    state = replace(before.state, manifests=(*before.state.manifests, renewed))
    after = Admitted.verify(state, newsroom.now, before)
    assert after == Admitted.verify(state, newsroom.now)
    assert set(after.lists) == {2, 3} and not after.bulletins and len(after.rejected) == 2


def test_another_networks_state_takes_nothing_over(newsroom: Newsroom, founded: Admitted) -> None:
    other = State(Newsroom("other").network)
    assert Admitted.verify(other, newsroom.now, founded).manifest is None


def test_a_forged_document_is_not_taken_for_a_known_one(newsroom: Newsroom, founded: Admitted) -> None:
    call = newsroom.bulletin(1)
    before = fold(founded, newsroom, call)
    (name,) = before.bulletins
    state = replace(before.state, bulletins={name: SignedDocument(call.statement + b" ", call.signatures)})
    (told,) = Admitted.verify(state, newsroom.now, before).rejected
    assert (told.kind, told.desk, told.bulletin) == ("bulletin", 1, name) and "sign" in told.because


def test_a_new_manifest_drops_what_nobody_in_it_signed(newsroom: Newsroom, founded: Admitted) -> None:
    before = fold(founded, newsroom, *(newsroom.bulletin(desk) for desk in (1, 2, 3)))
    before = replace(before, state=replace(before.state, refused={1: (1,), 3: (2,)}))
    renewed = newsroom.add_desk(2)
    after = fold(before, newsroom, newsroom.succession(desks=(newsroom.desk(1), renewed), retired_desks=(3,)))
    assert [each.desk for each in after.bulletins.values()] == [1]
    assert len(after.state.bulletins) == 1 and set(after.state.epochs) == {1, 2}
    assert after.state.refused == {1: (1,)}
    assert after == Admitted.verify(after.state, newsroom.now)


def test_a_run_of_manifests_that_does_not_verify_is_begun_anew_below_the_floor(
    newsroom: Newsroom, founded: Admitted
) -> None:
    newsroom.publish()
    before = fold(founded, newsroom, newsroom.documents[-1])
    first, second = before.state.manifests
    damaged = replace(before.state, manifests=(SignedDocument(first.statement, ()), second))
    nothing = Admitted.verify(damaged, newsroom.now)
    assert nothing.manifest is None
    again = fold(nothing, newsroom, first)
    assert again.open_at(newsroom.now).reason is Closed.MANIFEST_ROLLED_BACK
    assert fold(again, newsroom, second).open_at(newsroom.now).is_open


def test_a_clock_that_is_behind_drops_nothing(newsroom: Newsroom, founded: Admitted) -> None:
    before = fold(founded, newsroom, newsroom.bulletin(1, issued=newsroom.now))
    document = newsroom.succession(valid_from=newsroom.now - 9 * DAY, valid_until=newsroom.now + 9 * DAY)
    after = before.admitting("manifest", document, newsroom.now - 5 * DAY, ROOM)
    assert len(after.state.bulletins) == 1 and not after.bulletins


def test_a_full_share_still_takes_a_shorter_revision(newsroom: Newsroom, founded: Admitted) -> None:
    long = Text("ก" * 5_000, "a" * 5_000)
    room = 1 << 19
    before, count = founded, 0
    with pytest.raises(NoRoom):
        for count in range(100):
            before = fold(before, newsroom, newsroom.bulletin(1, id=bytes([count] * 16), body=long), room=room)
    assert count > 1
    fold(before, newsroom, newsroom.bulletin(2, body=long), room=room)
    withdrawn = newsroom.bulletin(1, id=bytes(16), revision=2, withdrawn=True, body=Text("", ""))
    after = fold(before, newsroom, withdrawn, newsroom.bulletin(1, body=Text("สั้น", "short")), room=room)
    assert len(after.bulletins_of(1)) == count + 1


def test_what_finds_no_room_is_not_even_verified(newsroom: Newsroom, founded: Admitted) -> None:
    huge = newsroom.bulletin(1, body=Text("ก" * 20_000, "a" * 60_000))
    with counting(minisign, "signers") as verified, pytest.raises(NoRoom):
        fold(founded, newsroom, huge, room=1 << 17)
    assert verified.call_count == 0


def test_nobody_takes_a_bulletins_id(newsroom: Newsroom, founded: Admitted) -> None:
    before = fold(founded, newsroom, newsroom.bulletin(1, id=bytes(16)))
    with pytest.raises(Refused):
        fold(before, newsroom, newsroom.bulletin(2, id=bytes(16), revision=2))
    unverified = replace(before, bulletins={})
    with pytest.raises(Refused):
        fold(unverified, newsroom, newsroom.bulletin(2, id=bytes(16), revision=2))


def test_what_is_not_admitted_says_why(newsroom: Newsroom, founded: Admitted) -> None:
    nothing = Admitted.verify(State(newsroom.network), newsroom.now)
    with pytest.raises(Stale, match="no manifest"):
        fold(nothing, newsroom, newsroom.bulletin(1))
    with pytest.raises(Malformed):
        founded.admitting("inventory", newsroom.bulletin(1), newsroom.now, ROOM)
    padded = newsroom.epochs(1, weeks=1)
    with pytest.raises(Malformed, match="larger"):
        fold(founded, newsroom, SignedDocument(padded.statement, (*padded.signatures, bytes(60_000))))
    with pytest.raises(NotAuthentic):
        fold(founded, newsroom, newsroom.epochs(1, weeks=1, signed_by=newsroom.desk_seed(2)))


def test_documents_that_do_not_fit_together_are_refused(newsroom: Newsroom, founded: Admitted) -> None:
    used = sum(len(each.encode()) for each in founded.state.documents())
    with pytest.raises(NoRoom):
        fold(founded, newsroom, newsroom.succession(), room=used)
