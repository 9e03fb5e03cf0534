"""Opening cells: of this network's shape, by their readers, unchanged; and any bytes raise only our errors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keys.age import X25519Identity
from keys.age.header import Stanza
from keys.age.recipients import HYBRID
from keys.cell import (
    CELL_BYTES,
    Flags,
    Geometry,
    Head,
    Kind,
    open_block,
    open_cell,
    peek,
    seal_block,
    seal_digest,
    unwrap,
)
from keys.errors import DropBoxError, Malformed, NotAuthentic, NotForUs
from tests.keys.cell.doubles import SERIES, identity, raw_block, seal, seal_raw, seal_with, sealer
from tests.simulators.newsroom import seeded

SIX = Geometry(6)
HEAD = Head(Kind.TIP, SERIES, 2, 0)
CELL = seal_block(seal(), HEAD, SIX, b"payload" * 20_000, Flags.LAST)
SOMCHAI = identity("Somchai")


@given(place=st.integers(0, CELL_BYTES - 1), change=st.integers(1, 255))
@example(place=0, change=1)
@example(place=SIX.sealed_head_bytes - 17, change=1)
@example(place=SIX.sealed_head_bytes - 1, change=1)
@example(place=SIX.sealed_head_bytes, change=1)
@example(place=CELL_BYTES - 1, change=128)
def test_any_changed_byte_is_noticed(place: int, change: int) -> None:
    altered = CELL[:place] + bytes([CELL[place] ^ change]) + CELL[place + 1 :]

    with pytest.raises((Malformed, NotAuthentic, NotForUs)):
        open_cell(altered, [SOMCHAI], SIX)
    behind = place >= SIX.sealed_head_bytes
    assert (seal_digest(altered, SIX) == seal_digest(CELL, SIX)) is behind


@given(place=st.integers(SIX.sealed_head_bytes, CELL_BYTES - 1), change=st.integers(1, 255))
def test_a_reader_is_told_of_any_change_behind_the_header(place: int, change: int) -> None:
    altered = CELL[:place] + bytes([CELL[place] ^ change]) + CELL[place + 1 :]

    with pytest.raises(NotAuthentic):
        open_cell(altered, [SOMCHAI], SIX)


@pytest.mark.parametrize("length", [0, 1, SIX.sealed_head_bytes, CELL_BYTES - 1, CELL_BYTES + 1, 2 * CELL_BYTES])
def test_a_cell_of_another_length_is_none(length: int) -> None:
    cell = (CELL + CELL)[:length]
    key = unwrap(CELL[: SIX.sealed_head_bytes], [SOMCHAI], SIX)

    with pytest.raises(Malformed):
        open_cell(cell, [SOMCHAI], SIX)
    with pytest.raises(Malformed):
        open_block(key, cell, SIX)
    if length != SIX.sealed_head_bytes:
        with pytest.raises(Malformed):
            unwrap(cell, [SOMCHAI], SIX)


def in_place_of_the_first(stanza: Stanza) -> list[Stanza]:
    """R stanzas to Somchai, but for the first."""
    return [stanza, *(SOMCHAI.recipient().wrap(bytes(16), seeded("w"))[0] for _ in range(5))]


def another_type_of_the_same_size() -> bytes:
    (good,) = SOMCHAI.recipient().wrap(bytes(16), seeded("w"))
    made = seal_with(in_place_of_the_first(Stanza("mlkem768x25518", good.arguments, good.body)), bytes(16))
    return seal_raw(raw_block(SIX), made)


def a_classical_reader_among_them() -> bytes:
    (classical,) = X25519Identity(bytes([1]) * 32).recipient().wrap(bytes(16), seeded("w"))
    made = seal_with(in_place_of_the_first(classical), bytes(16))
    return seal_raw(raw_block(SIX), made)[:CELL_BYTES].ljust(CELL_BYTES, b"\x00")


def of_so_many_stanzas(recipients: int) -> Callable[[], bytes]:
    def make() -> bytes:
        geometry = Geometry(recipients)
        return seal_block(seal(recipients), HEAD, geometry, b"", Flags.LAST)

    return make


def a_stanza_longer_by_an_argument() -> bytes:
    (good,) = SOMCHAI.recipient().wrap(bytes(16), seeded("w"))
    made = seal_with(in_place_of_the_first(Stanza(HYBRID, (*good.arguments, "x"), good.body)), bytes(16))
    return (made.prefix + seal_raw(raw_block(SIX), made)[len(made.prefix) :])[:CELL_BYTES]


SHAPES: dict[str, Callable[[], bytes]] = {
    "a stanza of another type and the same size": another_type_of_the_same_size,
    "a classical reader, for a quantum computer to come": a_classical_reader_among_them,
    "a stanza too few": of_so_many_stanzas(5),
    "a stanza too many": of_so_many_stanzas(7),
    "a stanza that is longer": a_stanza_longer_by_an_argument,
}


@pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES)
def test_a_header_of_another_shape_is_no_cells(make: Callable[[], bytes]) -> None:
    with pytest.raises(Malformed):
        open_cell(make(), [SOMCHAI], SIX)


def test_a_bad_stanza_is_refused_whichever_key_is_held() -> None:
    with pytest.raises(Malformed):
        open_cell(another_type_of_the_same_size(), [identity("Prasit")], SIX)


def test_what_opens_but_holds_no_block_is_malformed() -> None:
    for block in (raw_block(SIX, flags=0), bytes(SIX.block_bytes)):
        with pytest.raises(Malformed):
            open_cell(seal_raw(block, seal()), [SOMCHAI], SIX)


def test_the_first_identity_that_fits_opens() -> None:
    taken = []

    def tried() -> object:
        for name in ("Prasit", "Somchai", "Malee"):
            taken.append(name)
            yield identity(name)

    cell = seal_block(sealer(6, "Malee", "Somchai").seal(), HEAD, SIX, b"x", Flags.LAST)
    open_cell(cell, tried(), SIX)  # type: ignore[arg-type]
    assert taken == ["Prasit", "Somchai"]


def test_without_an_identity_nothing_opens() -> None:
    with pytest.raises(NotForUs):
        open_cell(CELL, [], SIX)


def test_a_place_that_there_isnt_opens_nothing() -> None:
    with pytest.raises(NotForUs):
        open_cell(CELL, [SOMCHAI], SIX, 6)


def test_the_first_chunk_tells_where_a_cell_belongs() -> None:
    start = SIX.sealed_head_bytes
    key = unwrap(CELL[:start], [SOMCHAI], SIX)

    head, payload = peek(key, CELL[start : start + 65_552])
    assert (head, payload) == (HEAD, (b"payload" * 20_000)[: 65_536 - 32])
    assert open_block(key, CELL, SIX).payload == b"payload" * 20_000
    with pytest.raises(NotAuthentic):
        peek(key, CELL[start + 65_552 : start + 2 * 65_552])
    with pytest.raises(NotAuthentic):
        peek(key, CELL[start : start + 65_551])


def test_the_payload_of_another_cell_does_not_open() -> None:
    other = seal_block(sealer(6, "Somchai").seal(), HEAD, SIX, b"other", Flags.LAST)
    mixed = CELL[: SIX.sealed_head_bytes] + other[SIX.sealed_head_bytes :]

    with pytest.raises(NotAuthentic):
        open_cell(mixed, [SOMCHAI], SIX)


@given(start=st.binary(max_size=300), keep=st.integers(0, SIX.sealed_head_bytes))
def test_any_bytes_raise_only_our_errors(start: bytes, keep: int) -> None:
    key = unwrap(CELL[: SIX.sealed_head_bytes], [SOMCHAI], SIX)
    for data in (start, (CELL[:keep] + start).ljust(CELL_BYTES, b"\x00")[:CELL_BYTES]):
        with contextlib.suppress(DropBoxError):
            open_cell(data, [SOMCHAI], SIX)
        with contextlib.suppress(DropBoxError):
            unwrap(data[: SIX.sealed_head_bytes], [SOMCHAI], SIX)
        with contextlib.suppress(DropBoxError):
            open_block(key, data, SIX)
        with contextlib.suppress(DropBoxError):
            peek(key, data)


@given(at=st.integers(0, SIX.sealed_head_bytes - 1), put=st.binary(min_size=1, max_size=80))
def test_a_mangled_header_raises_only_our_errors(at: int, put: bytes) -> None:
    mangled = (CELL[:at] + put + CELL[at + len(put) :])[:CELL_BYTES]

    with contextlib.suppress(Malformed, NotAuthentic, NotForUs):
        open_cell(mangled, [SOMCHAI], SIX)
