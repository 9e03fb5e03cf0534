"""What a desk answers: for one place of one source, in as many cells as it needs. SPEC section 9."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import primitives, reply, statement
from keys.cell import Geometry
from keys.encoding import parse_json, to_json, u32
from keys.errors import DropBoxError, Malformed, NotAuthentic
from keys.reply import Attachment, Place, Reply
from keys.statement import NetworkId
from tests.simulators.newsroom import seeded

NETWORK = NetworkId(bytes(range(32)))
SEED = seeded("a desk")(32)
DESK = primitives.ed25519_public(SEED)
PLACE = Place(2, 2968, 5, bytes([9]) * 32)
SMALL = 1_000
"""What a small cell would carry: borders are the same, and tests quick."""
TEXT = "เราอ่านแล้ว ขอเอกสารหน้าสองด้วย"


def compose(
    attachments: list[tuple[str, str, bytes]] | None = None, *, text: str = TEXT, payload_bytes: int = SMALL
) -> list[bytes]:
    return reply.compose(
        PLACE,
        NETWORK,
        SEED,
        payload_bytes,
        language="th",
        text=text,
        state="needs-more",
        attachments=attachments or [],
    )


def first_bytes(attachments: list[tuple[str, str, bytes]]) -> int:
    """Return how long a reply is before its attachments."""
    return reply.open_first(compose(attachments)[0], PLACE, NETWORK, DESK).attachments_at


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
files = st.lists(st.tuples(names, st.just("text/plain"), st.binary(max_size=2_500)), max_size=3)


@given(attachments=files)
def test_a_reply_is_read_back_with_each_attachment(attachments: list[tuple[str, str, bytes]]) -> None:
    payloads = compose(attachments)
    read = reply.open_first(payloads[0], PLACE, NETWORK, DESK)

    assert (read.text, read.language, read.state, read.cells) == (TEXT, "th", "needs-more", len(payloads))
    assert read.attachments == tuple(
        Attachment(name, type_, len(data), primitives.sha256(data)) for name, type_, data in attachments
    )
    for number, (_, _, data) in enumerate(attachments):
        assert reply.read_attachment(read, number, iter(payloads)) == data
    assert {len(payload) for payload in payloads[:-1]} <= {SMALL}


@pytest.mark.parametrize("near", [-1, 0, 1])
@pytest.mark.parametrize("cells", [1, 2, 9, 10, 11, 99, 100])
def test_every_border_of_a_cell_is_met(cells: int, near: int) -> None:
    # Where the number of cells takes another digit, the reply grows by a byte of its own.
    start = first_bytes([("a", "b", b"x" * SMALL)])
    data = b"x" * (cells * SMALL - start + near)
    payloads = compose([("a", "b", data)])
    read = reply.open_first(payloads[0], PLACE, NETWORK, DESK)

    assert read.cells == len(payloads) == -(-(read.attachments_at + len(data)) // SMALL)
    assert reply.read_attachment(read, 0, iter(payloads)) == data


def test_real_cells_carry_the_largest_reply_that_a_manifest_allows() -> None:
    largest = 268_435_456

    assert largest // Geometry(16).payload_bytes + 1 < reply.MAX_CELLS


def forged(**changes: Any) -> Callable[[], Place]:
    return lambda: replace(PLACE, **changes)


PLACES: dict[str, Callable[[], Place]] = {
    "another desk's": forged(desk=1),
    "another week's": forged(week=2969),
    "another place's": forged(index=4),
    "another source's": forged(source=bytes([8]) * 32),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_reply_serves_at_its_own_place_alone(place: Callable[[], Place]) -> None:
    with pytest.raises(NotAuthentic):
        reply.open_first(compose()[0], place(), NETWORK, DESK)


def test_a_reply_is_its_desks_in_its_network() -> None:
    other = primitives.ed25519_public(seeded("another desk")(32))

    with pytest.raises(NotAuthentic):
        reply.open_first(compose()[0], PLACE, NETWORK, other)
    with pytest.raises(NotAuthentic):
        reply.open_first(compose()[0], PLACE, NetworkId(bytes(32)), DESK)


FIRST = compose()[0]


@given(at=st.integers(0, len(FIRST) - 1), change=st.integers(1, 255))
def test_any_changed_byte_is_noticed(at: int, change: int) -> None:
    with pytest.raises((Malformed, NotAuthentic)):
        reply.open_first(FIRST[:at] + bytes([FIRST[at] ^ change]) + FIRST[at + 1 :], PLACE, NETWORK, DESK)


def signed(change: Callable[[dict[str, Any]], dict[str, Any]], behind: bytes = b"") -> bytes:
    """Return a first payload that the desk did sign, whatever it says."""
    body = to_json(change(parse_json(FIRST[68:])))
    signature = statement.sign(SEED, statement.make("reply", NETWORK, PLACE.context(), body))
    return u32(64 + len(body)) + signature + body + behind


def changed(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: {**body, **fields}


def attached(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    entry = {"name": "a", "type": "b", "size": 0, "sha256": primitives.sha256(b"").hex(), **fields}
    return lambda body: {**body, "attachments": [entry]}


NO_REPLIES: dict[str, bytes] = {
    "another version": signed(changed(version=2)),
    "a field that nobody knows": signed(changed(more="")),
    "another language": signed(changed(language="de")),
    "another state": signed(changed(state="ignored")),
    "a text too long": signed(changed(text="x" * 6_001)),
    "no cell": signed(changed(cells=0)),
    "more cells than it has": signed(changed(cells=2)),
    "cells without end": signed(changed(cells=4_097)),
    "an attachment that isn't there": signed(attached(size=5)),
    "an attachment in one cell that needs two": signed(attached(size=5_000)),
    "an attachment with more": signed(attached(more="")),
    "an attachment of no size": signed(attached(size=-1)),
    "a name too long": signed(attached(name="x" * 1_025)),
    "a type too long": signed(attached(type="x" * 257)),
    "21 attachments": signed(lambda body: {**body, "attachments": attached()(body)["attachments"] * 21}),
    "something behind it": signed(lambda body: body, b"x"),
    "cut in its signature": FIRST[:60],
    "a length below a signature's": u32(63) + FIRST[4:],
    "a length behind its end": u32(len(FIRST)) + FIRST[4:],
    "nothing": b"",
}


@pytest.mark.parametrize("payload", NO_REPLIES.values(), ids=NO_REPLIES)
def test_what_is_no_reply_is_refused_even_when_it_is_signed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        reply.open_first(payload, PLACE, NETWORK, DESK)


FILES = [("ก.pdf", "application/pdf", b"a" * 1_500), ("empty", "", b""), ("ข", "text/plain", b"b" * 1_700)]


def spoiled(change: Callable[[list[bytes]], list[bytes]]) -> tuple[Reply, list[bytes]]:
    payloads = compose(FILES)
    return reply.open_first(payloads[0], PLACE, NETWORK, DESK), change(payloads)


SPOILED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a byte changed": lambda payloads: [payloads[0], payloads[1][:9] + b"!" + payloads[1][10:], *payloads[2:]],
    "a cell missing": lambda payloads: [payloads[0], *payloads[2:]],
    "its last cell missing": lambda payloads: payloads[:2],
    "cells exchanged": lambda payloads: [payloads[0], payloads[2], payloads[1], *payloads[3:]],
    "all but the first missing": lambda payloads: payloads[:1],
    "none": lambda payloads: [],
}


@pytest.mark.parametrize("change", SPOILED.values(), ids=SPOILED)
def test_no_attachment_is_handed_out_that_the_desk_did_not_sign(change: Callable[[list[bytes]], list[bytes]]) -> None:
    read, payloads = spoiled(change)

    with pytest.raises(NotAuthentic):
        reply.read_attachment(read, 0, iter(payloads))


def test_an_attachment_takes_no_more_cells_than_it_needs() -> None:
    read, payloads = spoiled(lambda payloads: payloads)
    taken: list[int] = []

    def cells() -> Iterator[bytes]:
        for number, payload in enumerate(payloads):
            taken.append(number)
            yield payload

    assert reply.read_attachment(read, 0, cells()) == FILES[0][2]
    assert taken == [0, 1, 2]
    assert len(payloads) == 4
    assert reply.read_attachment(read, 1, cells()) == b""
    assert reply.read_attachment(read, 2, cells()) == FILES[2][2]


UNREADABLE: dict[str, dict[str, Any]] = {
    "a text too long": {"text": "x" * 6_001},
    "a text too long in bytes": {"text": "ก" * 2_001},
    "a text that isn't text": {"text": "\udcff"},
    "a name that isn't text": {"attachments": [("\udcff.pdf", "", b"")]},
    "a name too long": {"attachments": [("x" * 1_025, "", b"")]},
    "a type that isn't text": {"attachments": [("x", "\ud800", b"")]},
    "a type too long": {"attachments": [("x", "x" * 257, b"")]},
    "too many attachments": {"attachments": [("x", "", b"")] * 21},
    "another state": {"state": "ignored"},
    "another language": {"language": "de"},
    "words that fill more than a cell": {"text": "x" * 1_000},
    "too many cells": {"attachments": [("x", "", bytes(SMALL * 4_096))]},
}


@pytest.mark.parametrize("changes", UNREADABLE.values(), ids=UNREADABLE)
def test_nothing_is_signed_that_no_source_reads(changes: dict[str, Any]) -> None:
    words: dict[str, Any] = {"language": "th", "text": TEXT, "state": "", "attachments": []}

    with pytest.raises(Malformed):
        reply.compose(PLACE, NETWORK, SEED, SMALL, **{**words, **changes})


@pytest.mark.parametrize("state", reply.STATES)
def test_each_state_is_read_back(state: str) -> None:
    payloads = reply.compose(PLACE, NETWORK, SEED, SMALL, language="en", text="", state=state, attachments=[])

    assert reply.open_first(payloads[0], PLACE, NETWORK, DESK).state == state


@given(data=st.binary(max_size=300))
def test_any_bytes_raise_only_our_errors(data: bytes) -> None:
    for raw in (data, FIRST[:68] + data, u32(64 + len(data)) + FIRST[4:68] + data):
        with contextlib.suppress(DropBoxError):
            reply.open_first(raw, PLACE, NETWORK, DESK)


def test_nothing_shows_by_itself_what_a_desk_answers() -> None:
    read = reply.open_first(compose(FILES)[0], PLACE, NETWORK, DESK)

    assert TEXT not in repr(read)
    assert "pdf" not in repr(read.attachments)
