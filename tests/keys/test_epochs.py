"""Which weekly keys a server believes, what it never goes below, and when the box is open. SPEC section 11."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import bulletin, epochs, manifest
from keys import errors as error_classes
from keys.encoding import parse_json, to_json, week_of, week_start
from keys.epochs import Closed, EpochList, Floors
from keys.errors import DropBoxError, Malformed, NotAuthentic, NotForUs, Stale
from keys.manifest import Manifest
from keys.minisign import SignedDocument
from tests.simulators.newsroom import DAY, NOW, Newsroom

VECTORS = sorted((Path(__file__).parents[1] / "vectors" / "epochs").glob("list-*.json"))
WEEK = week_of(NOW)


def admitted(newsroom: Newsroom, document: SignedDocument, last: EpochList | None = None, floor: int = 0) -> EpochList:
    return epochs.admit(document, newsroom.manifest, last, floor, newsroom.now)


def test_a_list_gives_a_recipient_for_each_of_its_weeks_and_no_other() -> None:
    newsroom = Newsroom()

    found = admitted(newsroom, newsroom.epochs(2, weeks=3))

    assert (found.desk, found.sequence, found.weeks) == (2, 1, range(WEEK, WEEK + 3))
    for week in found.weeks:
        assert found.recipient_for(week) == newsroom.chains[2, 1].identity(week).recipient()
    for week in (WEEK - 1, WEEK + 3):
        with pytest.raises(Stale):
            found.recipient_for(week)


def unsigned(n: Newsroom) -> SignedDocument:
    return SignedDocument(n.epochs(1).statement, ())


def of_another_type(n: Newsroom) -> SignedDocument:
    return n.sign("manifest", n.epochs(1).statement, n.desk_seed(1))


def renamed(n: Newsroom) -> SignedDocument:
    """Desk 2 signs a list that says it is desk 1's."""
    return n.epochs(1, signed_by=n.desk_seed(2))


def of_a_stranger(n: Newsroom) -> SignedDocument:
    n.add_desk(3)
    return n.epochs(3)


# What is offered, and what follows. The desks' keys are those of the manifest in force.
LISTS: list[tuple[str, Callable[[Newsroom], SignedDocument], type[DropBoxError] | None]] = [
    ("from this week on", lambda n: n.epochs(1), None),
    ("from the next week on", lambda n: n.epochs(1, first_week=WEEK + 1), None),
    ("13 weeks from this one", lambda n: n.epochs(1, weeks=13), None),
    ("13 weeks from the next", lambda n: n.epochs(1, weeks=13, first_week=WEEK + 1), Stale),
    ("this week alone", lambda n: n.epochs(1, weeks=1), None),
    ("past", lambda n: n.epochs(1, weeks=2, issued=n.now - 14 * DAY), Stale),
    ("old, still covering this week", lambda n: n.epochs(1, weeks=3, issued=n.now - 14 * DAY), None),
    ("issued within a day's tolerance", lambda n: n.epochs(1, issued=n.now + DAY), None),
    ("issued in the future", lambda n: n.epochs(1, issued=n.now + DAY + 1), Stale),
    ("for weeks that are far away", lambda n: n.epochs(1, weeks=1, issued=n.now + 100 * DAY), Stale),
    ("unsigned", unsigned, NotAuthentic),
    ("signed as another type", of_another_type, NotAuthentic),
    ("another desk's in this one's name", renamed, NotAuthentic),
    ("signed by a root", lambda n: n.epochs(1, signed_by=n.root_seeds[0]), NotAuthentic),
    ("of a desk that isn't in the manifest", of_a_stranger, NotForUs),
    ("another network's", lambda _: Newsroom("elsewhere").epochs(1), NotForUs),
]


@pytest.mark.parametrize(("name", "make", "error"), LISTS, ids=[scenario[0] for scenario in LISTS])
def test_lists(name: str, make: Callable[[Newsroom], SignedDocument], error: type[DropBoxError] | None) -> None:
    newsroom = Newsroom()
    document = make(newsroom)

    with contextlib.nullcontext() if error is None else pytest.raises(error):
        assert admitted(newsroom, document).raw == document.statement


def test_a_list_is_never_rolled_back() -> None:
    newsroom = Newsroom()
    first, second, third = (newsroom.epochs(1) for _ in range(3))
    last = admitted(newsroom, second)

    assert admitted(newsroom, third, last).sequence == 3
    assert admitted(newsroom, SignedDocument(second.statement, ()), last) is last
    for old, floor in ((first, 0), (first, 2)):
        with pytest.raises(Stale):
            admitted(newsroom, old, last, floor)
    with pytest.raises(Stale):
        admitted(newsroom, newsroom.epochs(1, sequence=2), last)


def test_the_floor_holds_when_the_list_itself_was_lost() -> None:
    newsroom = Newsroom()
    first, second = newsroom.epochs(1), newsroom.epochs(1)

    with pytest.raises(Stale):
        admitted(newsroom, first, None, 2)
    assert admitted(newsroom, second, None, 2).sequence == 2


def test_a_desk_with_a_new_key_signs_anew() -> None:
    newsroom = Newsroom()
    document = newsroom.epochs(2)
    last = newsroom.admit_epochs(2, document)
    newsroom.publish(desks=(newsroom.desk(1), newsroom.add_desk(2)))

    assert newsroom.openness().desks == (1,)
    with pytest.raises(NotAuthentic):
        admitted(newsroom, document, last)
    again = newsroom.sign("epochs", document.statement, newsroom.desk_seed(2))
    newsroom.admit_epochs(2, again)
    assert newsroom.openness().desks == (1, 2)


def list_with(**changes: Any) -> bytes:
    head, body = NEWSROOM_LIST.statement.split(b"\n\n", 1)
    return head + b"\n\n" + to_json({**parse_json(body), **changes})


NEWSROOM = Newsroom()
NEWSROOM_LIST = NEWSROOM.epochs(1, weeks=2)
EPOCHS: list[dict[str, Any]] = parse_json(NEWSROOM_LIST.statement.split(b"\n\n", 1)[1])["epochs"]
X25519 = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"surprise": 1},
        {"issued": -1},
        {"issued": "now"},
        {"epochs": []},
        {"epochs": [EPOCHS[0], EPOCHS[0]]},
        {"epochs": [EPOCHS[1], EPOCHS[0]]},
        {"epochs": [EPOCHS[0], {**EPOCHS[1], "week": WEEK + 2}]},
        {"epochs": [EPOCHS[0], {**EPOCHS[0], "week": WEEK + 1}]},
        {"epochs": [{**EPOCHS[0], "surprise": 1}]},
        {"epochs": [{"week": WEEK}]},
        {"epochs": [{"week": WEEK, "recipient": X25519}]},
        {"epochs": [{"week": WEEK, "recipient": EPOCHS[0]["recipient"].upper()}]},
        {"epochs": [{"week": WEEK, "recipient": EPOCHS[0]["recipient"][:-1] + "q"}]},
        {"epochs": [{"week": str(WEEK), "recipient": EPOCHS[0]["recipient"]}]},
        {"issued": week_start(WEEK) - 8 * DAY},
        {"issued": week_start(WEEK + 1)},
        {"epochs": "none"},
    ],
    ids=lambda changes: json.dumps(changes)[:50],
)
def test_a_list_has_one_form(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        epochs.parse(list_with(**changes))


def test_14_weeks_are_too_many() -> None:
    with pytest.raises(Malformed):
        Newsroom().epochs(1, weeks=14)


@settings(max_examples=150)
@given(at=st.integers(0), change=st.integers(1, 255))
def test_any_changed_byte_of_a_list_is_refused(at: int, change: int) -> None:
    altered = bytearray(NEWSROOM_LIST.statement)
    altered[at % len(altered)] ^= change

    with pytest.raises(DropBoxError):
        admitted(NEWSROOM, SignedDocument(bytes(altered), NEWSROOM_LIST.signatures))


@given(data=st.binary(max_size=200), cut=st.integers(0, 4000))
def test_any_bytes_raise_only_our_errors(data: bytes, cut: int) -> None:
    head, body = NEWSROOM_LIST.statement.split(b"\n\n", 1)
    for raw in (data, head + b"\n\n" + data, head + b"\n\n" + body[: cut % len(body)] + data):
        with contextlib.suppress(DropBoxError):
            epochs.parse(raw)
        with contextlib.suppress(DropBoxError):
            Floors.parse(raw)


def test_floors_only_rise() -> None:
    newsroom = Newsroom()
    newsroom.publish()
    high = Floors().advance(manifest=newsroom.manifest, lists=newsroom.lists().values(), week=WEEK, now=NOW)

    low = high.advance(manifest=manifest.parse(newsroom.documents[0].statement), lists=(), week=WEEK - 1, now=NOW - DAY)

    assert low == high == Floors(2, {1: 1, 2: 1}, WEEK, NOW)
    assert Floors.parse(high.encode()) == high
    assert (high.sequence_of(1), high.sequence_of(9)) == (1, 0)


@given(
    one=st.builds(Floors, st.integers(0, 9), st.dictionaries(st.integers(1, 9), st.integers(1, 9)), st.integers(0, 9)),
    now=st.integers(0, 9),
    week=st.integers(0, 9),
)
def test_floors_never_fall(one: Floors, now: int, week: int) -> None:
    risen = one.advance(week=week, now=now)

    assert risen.week >= one.week
    assert risen.latest >= one.latest
    assert risen.lists == one.lists
    assert Floors.parse(risen.encode()) == risen


@pytest.mark.parametrize(
    ("now", "week", "fine"),
    [
        (NOW, None, True),
        (NOW - DAY, None, True),
        (NOW - DAY - 1, None, False),
        (NOW, WEEK, True),
        (NOW, WEEK - 1, False),
        (NOW, WEEK + 1, True),
        (week_start(WEEK) - 1, None, False),
    ],
)
def test_a_clock_behind_or_a_week_below_is_refused(now: int, week: int | None, fine: bool) -> None:
    floors = Floors(week=WEEK, latest=NOW)

    with contextlib.nullcontext() if fine else pytest.raises(Stale):
        floors.check(now, week)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"version": 1, "manifest": 1, "lists": {"0x1": 1}, "week": 1, "latest": 1}',
        b'{"version": 1, "manifest": 1, "lists": {"1": true}, "week": 1, "latest": 1}',
        b'{"version": 1, "manifest": 1, "lists": {}, "week": 1, "latest": 1, "more": 1}',
        b'{"version": 1, "manifest": -1, "lists": {}, "week": 1, "latest": 1}',
    ],
)
def test_damaged_floors_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Floors.parse(data)


def test_an_open_box_has_a_recipient_for_each_open_desk() -> None:
    newsroom = Newsroom(desks=3)

    found = newsroom.openness()

    assert found.is_open
    assert found.reason is None
    assert (found.week, found.desks) == (WEEK, (1, 2, 3))
    assert found.recipients[2] == newsroom.chain(2).identity(WEEK).recipient()


def test_a_desk_without_a_key_for_this_week_is_closed_alone() -> None:
    newsroom = Newsroom()
    newsroom.admit_epochs(1, newsroom.epochs(1, weeks=1))
    newsroom.admit_epochs(2, newsroom.epochs(2, weeks=4))

    newsroom.pass_time(weeks=1)
    assert newsroom.openness().desks == (2,)
    newsroom.pass_time(weeks=3)
    assert newsroom.openness().reason is Closed.NO_EPOCHS


def test_a_list_that_begins_next_week_opens_next_week() -> None:
    newsroom = Newsroom(desks=1)
    newsroom.admit_epochs(1, newsroom.epochs(1, first_week=WEEK + 1))

    assert newsroom.openness().reason is Closed.NO_EPOCHS
    newsroom.pass_time(weeks=1)
    assert newsroom.openness().is_open


def _orders(newsroom: Newsroom) -> bulletin.CloseOrder:
    return bulletin.admit_close(newsroom.close_order(), newsroom.manifest)


def with_the_same_keys(newsroom: Newsroom) -> dict[int, EpochList]:
    """Return the lists of another network whose desks use the same keys, as one that practises may."""
    other = Newsroom("elsewhere")
    other.desk_secrets = newsroom.desk_secrets
    other.publish(desks=newsroom.terms.desks)
    return other.lists()


# What is wrong, and the one reason that the box gives.
CLOSED: list[tuple[str, Callable[[Newsroom], epochs.Openness], Closed]] = [
    ("no manifest", lambda n: epochs.openness(None, n.lists(), Floors(), None, n.now), Closed.NO_MANIFEST),
    ("expired", lambda n: opened(n, now=n.manifest.valid_until), Closed.MANIFEST_EXPIRED),
    ("not yet valid", lambda n: opened(n, now=n.manifest.valid_from - 1), Closed.MANIFEST_NOT_YET_VALID),
    ("rolled back", lambda n: opened(n, floors=Floors(manifest=2)), Closed.MANIFEST_ROLLED_BACK),
    ("ordered to close", lambda n: n.openness(order=_orders(n)), Closed.ORDERED),
    ("clock that tor's consensus contradicts", lambda n: opened(n, disagrees=True), Closed.CLOCK_DISAGREES),
    ("clock behind", lambda n: opened(n, floors=Floors(latest=n.now + DAY + 1)), Closed.CLOCK_BEHIND),
    ("week below the floor", lambda n: opened(n, floors=Floors(week=WEEK + 1)), Closed.WEEK_BELOW_FLOOR),
    ("no lists", lambda n: opened(n, lists={}), Closed.NO_EPOCHS),
    ("lists rolled back", lambda n: opened(n, floors=Floors(lists={1: 2, 2: 2})), Closed.NO_EPOCHS),
    ("lists that nobody verified", lambda n: opened(n, lists=unverified(n)), Closed.NO_EPOCHS),
    ("each list under the other's number", lambda n: opened(n, lists=swapped(n)), Closed.NO_EPOCHS),
    ("another network's lists, of the same keys", lambda n: opened(n, lists=with_the_same_keys(n)), Closed.NO_EPOCHS),
    ("another network's lists", lambda n: opened(n, lists=Newsroom("elsewhere").lists()), Closed.NO_EPOCHS),
]


def opened(
    newsroom: Newsroom,
    *,
    lists: dict[int, EpochList] | None = None,
    floors: Floors | None = None,
    now: int | None = None,
    disagrees: bool = False,
) -> epochs.Openness:
    return epochs.openness(
        newsroom.manifest,
        newsroom.lists() if lists is None else lists,
        floors or Floors(),
        None,
        newsroom.now if now is None else now,
        disagrees=disagrees,
    )


def unverified(newsroom: Newsroom) -> dict[int, EpochList]:
    return {desk: epochs.parse(each.raw) for desk, each in newsroom.lists().items()}


def swapped(newsroom: Newsroom) -> dict[int, EpochList]:
    return {1: newsroom.lists()[2], 2: newsroom.lists()[1]}


@pytest.mark.parametrize(("name", "make", "reason"), CLOSED, ids=[scenario[0] for scenario in CLOSED])
def test_the_box_closes_and_says_why(name: str, make: Callable[[Newsroom], epochs.Openness], reason: Closed) -> None:
    newsroom = Newsroom()
    assert newsroom.openness().is_open

    found = make(newsroom)

    assert (found.reason, found.is_open, found.recipients) == (reason, False, {})


def test_every_reason_is_shown_by_a_scenario() -> None:
    assert {reason for _, _, reason in CLOSED} == set(Closed)


def test_a_new_manifest_ends_a_close_order() -> None:
    newsroom = Newsroom()
    order = _orders(newsroom)
    assert newsroom.openness(order=order).reason is Closed.ORDERED

    newsroom.publish()

    assert newsroom.openness(order=order).is_open


def test_retired_desks_are_not_open() -> None:
    newsroom = Newsroom()
    lists = newsroom.lists()
    newsroom.publish(desks=newsroom.terms.desks[:1], retired_desks=(2,))

    assert opened(newsroom, lists=lists).desks == (1,)


def test_a_list_serves_the_desk_that_it_names_though_another_took_over_its_key() -> None:
    newsroom = Newsroom()
    lists = newsroom.lists()
    heir = replace(newsroom.desk(2), key=newsroom.desk(1).key)
    newsroom.publish(desks=(heir,), retired_desks=(1,))

    assert opened(newsroom, lists={2: lists[1]}).reason is Closed.NO_EPOCHS


def _manifest(vector: dict[str, Any]) -> Manifest:
    return manifest.parse(vector["manifest"].encode())


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vectors(path: Path) -> None:
    vector = json.loads(path.read_bytes())
    document = SignedDocument(vector["statement"].encode(), tuple(each.encode() for each in vector["signatures"]))
    if vector["expect"] != "admitted":
        with pytest.raises(getattr(error_classes, vector["expect"])):
            epochs.admit(document, _manifest(vector), None, vector["floor"], vector["now"])
        return
    found = epochs.admit(document, _manifest(vector), None, vector["floor"], vector["now"])
    assert list(found.weeks) == vector["weeks"]


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 6


def test_a_verified_list_is_marked_by_its_signer() -> None:
    found = admitted(NEWSROOM, NEWSROOM_LIST)

    assert found.signer == NEWSROOM.desk(1).key
    assert replace(found, signer=None) == epochs.parse(NEWSROOM_LIST.statement)
