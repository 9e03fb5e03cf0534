"""Which words are a desk's own, and who may close the box. SPEC section 12."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import bulletin
from keys.bulletin import Bulletin
from keys.encoding import parse_json, to_json
from keys.errors import DropBoxError, Malformed, NotAuthentic, NotForUs, Refused, Stale
from keys.languages import Text
from keys.minisign import SignedDocument
from tests.simulators.newsroom import DAY, Newsroom

ID = bytes(16)


def test_a_bulletin_is_read_back_as_it_was_written() -> None:
    newsroom = Newsroom()
    post = newsroom.post(kind="update", about=bytes([7]) * 16, state="checking", withdrawn=True)
    raw = bulletin.compose(newsroom.network, 2, ID, 3, post)

    found = newsroom.admit_bulletin(newsroom.sign("bulletin", raw, newsroom.desk_seed(2)))

    assert found == Bulletin(raw, newsroom.network, 2, ID, 3, post)


# Who signs a bulletin of desk 1, where one or two signatures are asked for, and what follows.
SIGNED: list[tuple[str, int, Callable[[Newsroom], list[bytes]], type[DropBoxError] | None]] = [
    ("its desk", 1, lambda n: [n.desk_seed(1)], None),
    ("nobody", 1, lambda n: [], NotAuthentic),
    ("another desk", 1, lambda n: [n.desk_seed(2)], NotAuthentic),
    ("a root", 1, lambda n: [n.root_seeds[0]], NotAuthentic),
    ("its desk alone, of two", 2, lambda n: [n.desk_seed(1)], NotAuthentic),
    ("its desk twice, of two", 2, lambda n: [n.desk_seed(1), n.desk_seed(1)], NotAuthentic),
    ("its desk and another", 2, lambda n: [n.desk_seed(1), n.desk_seed(2)], None),
    ("two others", 2, lambda n: [n.desk_seed(2), n.desk_seed(3)], NotAuthentic),
    ("its desk and a root", 2, lambda n: [n.desk_seed(1), n.root_seeds[0]], NotAuthentic),
]


@pytest.mark.parametrize(("name", "asked", "seeds", "error"), SIGNED, ids=[scenario[0] for scenario in SIGNED])
def test_who_signs(
    name: str, asked: int, seeds: Callable[[Newsroom], list[bytes]], error: type[DropBoxError] | None
) -> None:
    newsroom = Newsroom(desks=3, bulletin_signatures=asked)
    raw = newsroom.bulletin(1).statement

    with contextlib.nullcontext() if error is None else pytest.raises(error):
        assert newsroom.admit_bulletin(newsroom.sign("bulletin", raw, *seeds(newsroom))).raw == raw


def test_the_highest_revision_wins_and_none_comes_back() -> None:
    newsroom = Newsroom()
    first = newsroom.bulletin(1, id=ID)
    second = newsroom.bulletin(1, id=ID, revision=2, withdrawn=True)
    last = newsroom.admit_bulletin(second, newsroom.admit_bulletin(first))

    assert last.post.withdrawn
    assert newsroom.admit_bulletin(SignedDocument(second.statement, ()), last) is last
    with pytest.raises(Stale):
        newsroom.admit_bulletin(first, last)
    with pytest.raises(Stale):
        newsroom.admit_bulletin(newsroom.bulletin(1, id=ID, revision=2), last)


def test_no_desk_takes_another_desks_bulletin_over() -> None:
    newsroom = Newsroom()
    last = newsroom.admit_bulletin(newsroom.bulletin(1, id=ID))

    with pytest.raises(Refused):
        newsroom.admit_bulletin(newsroom.bulletin(2, id=ID, revision=2), last)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda n: n.bulletin(1, issued=n.now + DAY + 1), Stale),
        (lambda n: Newsroom("elsewhere").bulletin(1), NotForUs),
        (lambda n: n.add_desk(9) and n.bulletin(9), NotForUs),
    ],
)
def test_a_bulletin_is_refused(make: Callable[[Newsroom], SignedDocument], error: type[DropBoxError]) -> None:
    newsroom = Newsroom()
    document = make(newsroom)

    with pytest.raises(error):
        newsroom.admit_bulletin(document)


NEWSROOM = Newsroom()
DOCUMENT = NEWSROOM.bulletin(1, id=ID)
HEAD, _, REST = DOCUMENT.statement.partition(b"\n\n")
BODY = parse_json(REST)
LONG = {"th": "ก" * 30_000, "en": "a"}


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"version": 0},
        {"kind": "news"},
        {"state": ""},
        {"about": "00"},
        {"about": "0" * 33},
        {"withdrawn": 0},
        {"issued": -1},
        {"title": {"th": "", "en": "a"}},
        {"title": {"th": "ก\n", "en": "a"}},
        {"title": LONG},
        {"body": LONG},
        {"body": "text"},
        {"body": {"th": "ก", "en": "\x1b]0;title\x07"}},
        {"questions": [{"th": "ก", "en": "a"}] * 9},
        {"questions": [LONG]},
        {"questions": ["when"]},
    ],
    ids=lambda changes: json.dumps(changes)[:50],
)
def test_a_bulletin_has_one_form(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        bulletin.parse(HEAD + b"\n\n" + to_json({**BODY, **changes}))


@pytest.mark.parametrize("name", sorted(BODY))
def test_no_field_may_be_missing(name: str) -> None:
    with pytest.raises(Malformed):
        bulletin.parse(HEAD + b"\n\n" + to_json({key: value for key, value in BODY.items() if key != name}))


@pytest.mark.parametrize("head", [HEAD.replace(b"desk 1", b"desk 0"), HEAD.replace(b"revision 1", b"revision 0")])
def test_desks_and_revisions_are_numbered_from_one(head: bytes) -> None:
    with pytest.raises(Malformed):
        bulletin.parse(head + b"\n\n" + REST)


@settings(max_examples=150)
@given(at=st.integers(0), change=st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, change: int) -> None:
    altered = bytearray(DOCUMENT.statement)
    altered[at % len(altered)] ^= change

    with pytest.raises(DropBoxError):
        NEWSROOM.admit_bulletin(SignedDocument(bytes(altered), DOCUMENT.signatures))


@given(data=st.binary(max_size=200))
def test_any_bytes_raise_only_our_errors(data: bytes) -> None:
    close = NEWSROOM.close_order().statement.partition(b"\n\n")[0]
    for raw in (data, HEAD + b"\n\n" + data, close + b"\n\n" + data):
        for read in (bulletin.parse, bulletin.parse_close):
            with contextlib.suppress(DropBoxError):
                read(raw)


@pytest.mark.parametrize(
    ("seed", "error"),
    [
        (lambda n: n.root_seeds[2], None),
        (lambda n: n.desk_seed(2), None),
        (lambda n: n.server_seeds["alpha"], NotAuthentic),
        (lambda n: n.courier_seeds["carrier"], NotAuthentic),
        (lambda n: bytes(32), NotAuthentic),
    ],
    ids=["a root", "a desk", "a server", "a courier", "a stranger"],
)
def test_who_may_close_the_box(seed: Callable[[Newsroom], bytes], error: type[DropBoxError] | None) -> None:
    document = NEWSROOM.close_order(signed_by=seed(NEWSROOM))

    with contextlib.nullcontext() if error is None else pytest.raises(error):
        assert bulletin.admit_close(document, NEWSROOM.manifest).closes(NEWSROOM.manifest)


def test_an_order_serves_for_one_manifest() -> None:
    newsroom = Newsroom()
    document = newsroom.close_order()
    order = bulletin.admit_close(document, newsroom.manifest)
    newsroom.publish()

    assert not order.closes(newsroom.manifest)
    assert not order.closes(Newsroom("elsewhere").manifest)
    with pytest.raises(Stale):
        bulletin.admit_close(document, newsroom.manifest)
    with pytest.raises(NotForUs):
        bulletin.admit_close(document, Newsroom("elsewhere").manifest)


def test_an_order_gives_its_reason_in_both_languages() -> None:
    order = bulletin.admit_close(NEWSROOM.close_order(), NEWSROOM.manifest)

    assert order.reason == Text("พักก่อน", "A pause")
