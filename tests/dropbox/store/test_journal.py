"""The redo record's form: read back what was written, or refuse."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from dropbox.store import region
from dropbox.store.index import RECORD_BYTES
from dropbox.store.journal import Transaction, parse, redo_bytes
from keys.errors import Malformed
from tests.simulators.disk import SimulatedDisk

SLOTS = 40
transactions = st.builds(
    Transaction,
    st.dictionaries(st.integers(0, SLOTS - 1), st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES), max_size=5),
    st.none() | st.binary(max_size=50),
)


@given(transactions)
def test_a_transaction_reads_back(transaction: Transaction) -> None:
    assert parse(transaction.encode(), SLOTS) == transaction


@given(transactions)
def test_its_bytes_tell_no_order(transaction: Transaction) -> None:
    backwards = Transaction(dict(reversed([*transaction.records.items()])), transaction.documents)
    assert backwards.encode() == transaction.encode()


@given(st.binary(max_size=300))
def test_any_bytes_are_a_transaction_or_malformed(payload: bytes) -> None:
    try:
        transaction = parse(payload, SLOTS)
    except Malformed:
        return
    assert all(slot < SLOTS for slot in transaction.records)


@given(transactions, st.integers(0, 600), st.integers(1, 255))
def test_a_broken_redo_record_is_no_redo_record(transaction: Transaction, at: int, flip: int) -> None:
    file = SimulatedDisk(0).create("redo", redo_bytes(SLOTS, 200))
    file.write(0, random.Random(1).randbytes(file.size))
    data = region.compose(region.REDO_LABEL, transaction.encode())
    file.write(0, data)
    assert region.read(file, region.REDO_LABEL) == transaction.encode()
    assert region.read(file, region.DOCUMENTS_LABEL) is None
    at %= len(data)
    file.write(at, bytes([data[at] ^ flip]))
    assert region.read(file, region.REDO_LABEL) is None


def test_the_redo_file_holds_the_largest_transaction_exactly() -> None:
    records = {slot: bytes(RECORD_BYTES) for slot in range(SLOTS)}
    documents = bytes(200 - region.HEAD_BYTES)
    largest = region.compose(region.REDO_LABEL, Transaction(records, documents).encode())
    assert 0 <= redo_bytes(SLOTS, 200) - len(largest) <= region.HEAD_BYTES
