"""Records of the flat index, byte for byte."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox.store.index import RECORD_BYTES, Record, decode
from dropbox.store.region import DOCUMENTS_LABEL, compose
from keys.errors import Misconfigured
from keys.inventory import CellId

records = st.builds(
    Record,
    st.binary(min_size=32, max_size=32).map(CellId),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**128 - 1),
)
slots = st.integers(0, 2**32 - 1)


@given(slot=slots, record=records)
def test_a_record_reads_back_from_its_slot(slot: int, record: Record) -> None:
    raw = record.encode(slot)
    assert len(raw) == RECORD_BYTES
    assert decode(slot, raw) == record


@given(slot=slots, record=records, at=st.integers(0, RECORD_BYTES - 1), flip=st.integers(1, 255))
def test_a_changed_record_is_none(slot: int, record: Record, at: int, flip: int) -> None:
    raw = bytearray(record.encode(slot))
    raw[at] ^= flip
    assert decode(slot, bytes(raw)) is None


@given(slot=slots, other=slots, record=records)
def test_a_record_serves_in_no_other_slot(slot: int, other: int, record: Record) -> None:
    assert slot == other or decode(other, record.encode(slot)) is None


def test_an_index_of_zeros_is_damage_and_not_room() -> None:
    with pytest.raises(Misconfigured, match="damaged"):
        decode(7, bytes(RECORD_BYTES))


def worked(title: str) -> bytes:
    """Return the bytes that the specification gives in hexadecimal under that title."""
    text = (Path(__file__).parents[3] / "docs" / "spec-parts" / "store.md").read_text("utf-8")
    block = text.split(title, 1)[1].split("```", 2)[1]
    return bytes.fromhex("".join(re.findall(r"^[0-9a-f]{2,64}", block, re.MULTILINE)))


def test_the_specifications_worked_record_is_ours() -> None:
    record = Record(CellId(bytes(range(32))), bytes(range(32, 64)), 1 << 1 | 1 << 3 | 1 << 127)
    assert worked("Worked record") == record.encode(5)


def test_the_specifications_worked_region_is_ours() -> None:
    assert worked("Worked region") == compose(DOCUMENTS_LABEL, b"hello")
