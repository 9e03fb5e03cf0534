"""Blocks: one spelling for each, sizes that follow from R, and nothing but our errors. SPEC sections 7.1 and 7.2."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.cell import FILLER, Block, Flags, Geometry, Head, Kind, parse_block
from keys.cell.block import encode_trailer, parse_head
from keys.encoding import u32
from keys.errors import DropBoxError, Malformed
from keys.primitives import sha256
from keys.statement import NetworkId
from keys.tip import PieceSigner
from tests.keys.cell.doubles import NETWORKS, SERIES, raw_block

SPEC = (Path(__file__).parents[3] / "docs" / "SPEC.md").read_text(encoding="utf-8")
SIX = Geometry(6)


@pytest.mark.parametrize("recipients", range(2, 17))
def test_sizes_are_those_of_the_spec(recipients: int) -> None:
    geometry = Geometry(recipients)

    assert geometry.sealed_head_bytes == 22 + 1557 * recipients + 48 + 16
    assert geometry.block_bytes == 262_144 - 22 - 1557 * recipients - 48 - 16 - 64
    assert geometry.payload_bytes == geometry.block_bytes - 40


@pytest.mark.parametrize("recipients", [-1, 0, 1, 17])
def test_no_other_network_has_cells(recipients: int) -> None:
    with pytest.raises(ValueError, match="2 to 16"):
        Geometry(recipients)


def test_the_worked_bytes_are_what_is_written() -> None:
    section = SPEC[SPEC.index("7.5. Worked bytes") : SPEC.index("## 8.")]
    start, end = (bytes.fromhex(text) for text in re.findall(r"```hex\n(.*?)```", section, re.DOTALL))
    (zeros,) = re.findall(r"goes on with ([0-9,]+) zeros", section)
    pieces = SPEC[SPEC.index("8.4.1. Worked bytes") : SPEC.index("8.5.")]
    (both,) = re.findall(r"```hex\n(.*?)```", pieces, re.DOTALL)
    body, payload = (bytes.fromhex(part) for part in both.split("\n\n"))
    head, flags = Head(Kind.TIP, SERIES, 3, 2), Flags.LAST | Flags.INTERRUPTED
    signer = PieceSigner(NetworkId(bytes(range(32))), SERIES, 3, b"\x42" * 32)
    piece, digest = "ต้องแฉ".encode(), sha256("ต้องแฉ".encode())

    assert body == u32(3) + u32(2) + bytes([flags]) + digest
    assert payload == signer.head + piece + signer.tail(2, flags, digest)
    assert f"({len(payload)} bytes)" in pieces

    assert start == head.encode() + payload
    assert end == encode_trailer(len(payload), flags)
    whole = start + bytes(int(zeros.replace(",", ""))) + end
    assert parse_block(whole, SIX) == Block(head, payload, flags)


kinds = st.sampled_from([Kind.TIP, Kind.REPLY, Kind.REFERRAL])
numbers = st.integers(0, 2**32 - 1)
last_flags = st.sampled_from([Flags.LAST, Flags.LAST | Flags.INTERRUPTED, Flags.LAST | Flags.CLOSED, Flags(7)])


@given(
    kind=kinds, series=st.binary(min_size=16, max_size=16), item=numbers, number=numbers, payload=st.binary(max_size=80)
)
def test_what_is_written_is_read_back(kind: Kind, series: bytes, item: int, number: int, payload: bytes) -> None:
    head = Head(kind, series, item, number)

    assert parse_head(head.encode()) == head
    assert parse_block(raw_block(SIX, head.encode(), payload), SIX) == Block(head, payload, Flags.LAST)


@pytest.mark.parametrize("recipients", NETWORKS)
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_block_may_be_full_to_the_last_byte(recipients: int, missing: int) -> None:
    geometry = Geometry(recipients)
    payload = b"\x55" * (geometry.payload_bytes - missing)

    assert parse_block(raw_block(geometry, payload=payload), geometry).payload == payload


def test_a_full_block_needn_t_be_the_last() -> None:
    payload = b"\x55" * SIX.payload_bytes

    assert parse_block(raw_block(SIX, payload=payload, flags=0), SIX).flags == Flags.NONE


FULL = b"\x55" * SIX.payload_bytes
FILLER_HEAD = FILLER.encode()
REFUSED = {
    "another magic": raw_block(SIX, changes=[(0, b"MSC2")]),
    "kind 0": raw_block(SIX, changes=[(4, b"\x00")]),
    "kind 5": raw_block(SIX, changes=[(4, b"\x05")]),
    "something behind the kind": raw_block(SIX, changes=[(5, b"\x01")]),
    "something before the series": raw_block(SIX, changes=[(7, b"\x01")]),
    "padding behind the payload": raw_block(SIX, payload=b"abc", changes=[(35, b"\x01")]),
    "padding before the trailer": raw_block(SIX, payload=b"abc", changes=[(-9, b"\x01")]),
    "padding of an empty payload": raw_block(SIX, changes=[(32, b"\x01")]),
    "a length that leaves payload behind": raw_block(SIX, payload=b"abc", length=2),
    "a length of one more than fits": raw_block(SIX, payload=FULL, length=SIX.payload_bytes + 1),
    "a length of everything": raw_block(SIX, length=2**32 - 1),
    "an undefined flag": raw_block(SIX, flags=9),
    "all flags": raw_block(SIX, flags=255),
    "the first byte behind the flags": raw_block(SIX, changes=[(-3, b"\x01")]),
    "the last byte": raw_block(SIX, changes=[(-1, b"\x01")]),
    "not the last, and not full": raw_block(SIX, payload=FULL[1:], flags=0),
    "not the last, and empty": raw_block(SIX, flags=0),
    "interrupted, and not the last": raw_block(SIX, payload=FULL, flags=2),
    "closed, and not the last": raw_block(SIX, payload=FULL, flags=4),
    "a filler with content": raw_block(SIX, FILLER_HEAD, b"x"),
    "a filler with a series": raw_block(SIX, FILLER_HEAD, changes=[(8, b"\x01")]),
    "a filler with an item": raw_block(SIX, FILLER_HEAD, changes=[(27, b"\x01")]),
    "a filler with a number": raw_block(SIX, FILLER_HEAD, changes=[(31, b"\x01")]),
    "a byte too short": raw_block(SIX)[:-1],
    "a byte too long": raw_block(SIX) + b"\x00",
    "another network's": raw_block(Geometry(5)),
    "a head alone": raw_block(SIX)[:32],
    "nothing": b"",
}


@pytest.mark.parametrize("block", REFUSED.values(), ids=REFUSED)
def test_a_block_has_one_spelling(block: bytes) -> None:
    with pytest.raises(Malformed):
        parse_block(block, SIX)


def test_a_filler_is_a_block() -> None:
    assert parse_block(raw_block(SIX, FILLER_HEAD), SIX) == Block(FILLER, b"", Flags.LAST)


@given(start=st.binary(max_size=40), end=st.binary(max_size=12))
def test_any_bytes_raise_only_our_errors(start: bytes, end: bytes) -> None:
    size = SIX.block_bytes
    for block in (start, start + bytes(size - len(start) - len(end)) + end, b"MSC1" + start):
        with contextlib.suppress(DropBoxError):
            parse_block(block, SIX)
        with contextlib.suppress(DropBoxError):
            parse_head(block)


@given(place=st.integers(0, SIX.block_bytes - 1), change=st.integers(1, 255))
def test_no_changed_byte_is_read_as_the_same_block(place: int, change: int) -> None:
    block = raw_block(SIX, payload=b"payload")
    altered = block[:place] + bytes([block[place] ^ change]) + block[place + 1 :]

    with contextlib.suppress(Malformed):
        assert parse_block(altered, SIX) != parse_block(block, SIX)


@pytest.mark.parametrize(
    "head",
    [
        Head(Kind.TIP, bytes(15), 0, 0),
        Head(Kind.TIP, bytes(17), 0, 0),
        Head(Kind.TIP, SERIES, 2**32, 0),
        Head(Kind.TIP, SERIES, 0, 2**32),
        Head(Kind.TIP, SERIES, -1, 0),
    ],
    ids=str,
)
def test_a_head_that_no_block_can_have_is_a_programmers_mistake(head: Head) -> None:
    with pytest.raises(ValueError, match="series"):
        head.encode()


def test_an_opened_cell_says_nothing_of_its_content_by_itself() -> None:
    assert "secret" not in repr(Block(Head(Kind.TIP, SERIES, 0, 0), b"secret", Flags.LAST))
