"""What travels on a stick: signed runs of entries, parts of cells, lists of what is known. SPEC sections 14 and 15."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keys import bundle, primitives, statement
from keys.bundle import CELL_BYTES, Entry, EntryType, Known, OutboundHead, OutboundReader
from keys.encoding import to_json, u8, u32
from keys.errors import DropBoxError, Malformed, NotAuthentic, NotForUs, Stale
from keys.inventory import CellId
from keys.statement import NetworkId
from tests.keys.age.doubles import Trickle
from tests.simulators.newsroom import seeded

NETWORK = NetworkId(bytes(range(32)))
SEED = seeded("a desk")(32)
DESK = primitives.ed25519_public(SEED)
NOW = 1_794_960_000
CELL = seeded("tag and cell")(32 + CELL_BYTES)
ACKNOWLEDGED = seeded("ids")(3 * 32)
ENTRIES = [(EntryType.ACKNOWLEDGEMENT, ACKNOWLEDGED), (EntryType.CELL, CELL), (EntryType.EPOCHS, b"a document")]
HEAD = OutboundHead(NETWORK, 2, "alpha", 5, 3, 1, NOW, NOW + 86_400)


def written(
    head: OutboundHead = HEAD, entries: Iterable[tuple[EntryType, bytes]] = ENTRIES, seed: bytes = SEED
) -> bytes:
    return b"".join(bundle.write_outbound(head, entries, seed))


def signed(head: bytes, *pieces: bytes, seed: bytes = SEED) -> bytes:
    """Sign any bytes as a bundle."""
    whole = b"".join([head, *pieces])
    return whole + statement.sign(seed, whole)


def read(stream: io.BytesIO, key: bytes = DESK) -> tuple[OutboundHead, list[Entry]]:
    reader = OutboundReader(stream)
    entries = list(reader.entries())
    reader.verify(key)
    return reader.head, entries


GOOD = written()
HEADER = bundle.outbound_header(HEAD)


def test_a_bundle_is_read_back() -> None:
    head, entries = read(io.BytesIO(GOOD))

    assert head == HEAD
    assert [(entry.number, entry.type, entry.content) for entry in entries] == [
        (5 + at, type_, content) for at, (type_, content) in enumerate(ENTRIES)
    ]
    assert entries[0].acknowledged() == [ACKNOWLEDGED[at : at + 32] for at in (0, 32, 64)]
    assert entries[1].tag_and_cell() == (CELL[:32], CELL[32:])
    assert head.last == 7


@given(sizes=st.lists(st.integers(1, 70_000), min_size=1, max_size=4))
def test_how_the_stream_gives_it_never_matters(sizes: list[int]) -> None:
    assert read(Trickle(GOOD, [*sizes, 50_000])) == read(io.BytesIO(GOOD))


@given(at=st.integers(0, len(GOOD) - 1), change=st.integers(1, 255))
@example(at=len(HEADER), change=1)
@example(at=len(HEADER) + 1, change=1)
@example(at=len(GOOD) - 64, change=1)
@example(at=len(GOOD) - 1, change=1)
def test_any_changed_byte_is_noticed(at: int, change: int) -> None:
    altered = GOOD[:at] + bytes([GOOD[at] ^ change]) + GOOD[at + 1 :]

    with pytest.raises((Malformed, NotAuthentic)):
        read(io.BytesIO(altered))


@given(length=st.integers(0, len(GOOD) - 1))
@example(length=len(HEADER))
@example(length=len(GOOD) - 64)
@example(length=len(GOOD) - 1)
def test_a_bundle_cut_short_is_refused(length: int) -> None:
    with pytest.raises(Malformed):
        read(io.BytesIO(GOOD[:length]))


@pytest.mark.parametrize("more", [b"\x00", GOOD])
def test_nothing_may_follow_a_bundle(more: bytes) -> None:
    with pytest.raises(Malformed):
        read(io.BytesIO(GOOD + more))


def test_a_bundle_is_its_desks() -> None:
    with pytest.raises(NotAuthentic):
        read(io.BytesIO(GOOD), primitives.ed25519_public(seeded("another desk")(32)))
    with pytest.raises(NotAuthentic):
        read(io.BytesIO(written(seed=seeded("another desk")(32))))


def entry(type_: int, content: bytes, length: int | None = None) -> bytes:
    return u8(type_) + u32(len(content) if length is None else length) + content


def header(**changes: Any) -> bytes:
    return bundle.outbound_header(replace(HEAD, **{"entries": 1, **changes}))


ONE_CELL = entry(2, CELL)
NO_BUNDLES: dict[str, bytes] = {
    "no cell": signed(header(cells=0), entry(1, ACKNOWLEDGED)),
    "more cells than it holds": signed(header(cells=2, entries=2), ONE_CELL, entry(1, ACKNOWLEDGED)),
    "fewer cells than it holds": signed(header(entries=2), ONE_CELL, ONE_CELL),
    "more cells than entries": signed(header(cells=2), ONE_CELL),
    "more entries than it holds": signed(header(entries=2), ONE_CELL),
    "fewer entries than it holds": signed(header(), ONE_CELL, entry(1, ACKNOWLEDGED)),
    "no entry": signed(header(entries=0)),
    "entries without end": signed(header(entries=100_001), ONE_CELL),
    "desk 0": signed(header(desk=0), ONE_CELL),
    "desk 128": signed(header(desk=128), ONE_CELL),
    "numbered from 0": signed(header(first=0), ONE_CELL),
    "numbered beyond all numbers": signed(header(first=2**53 - 1, entries=2), ONE_CELL, ONE_CELL),
    "a type below the first": signed(header(entries=2), ONE_CELL, entry(0, b"x")),
    "a type behind the last": signed(header(entries=2), ONE_CELL, entry(7, b"x")),
    "a cell of another size": signed(header(), entry(2, CELL[:-1])),
    "a cell that is larger": signed(header(), entry(2, CELL + b"x")),
    "an acknowledgement of nothing": signed(header(entries=2), ONE_CELL, entry(1, b"")),
    "half an id": signed(header(entries=2), ONE_CELL, entry(1, ACKNOWLEDGED[:-1])),
    "too many ids": signed(header(entries=2), ONE_CELL, entry(1, bytes(32), 65_537 * 32)),
    "an empty document": signed(header(entries=2), ONE_CELL, entry(3, b"")),
    "a document without end": signed(header(entries=2), ONE_CELL, entry(5, b"", 2**32 - 1)),
    "a server's name that leads elsewhere": signed(header().replace(b"server alpha", b"server ../.."), ONE_CELL),
    "a server's name with a NUL": signed(header().replace(b"server alpha", b"server al\x00ha"), ONE_CELL),
    "another type": signed(header().replace(b"v1/outbound", b"v1/inventory"), ONE_CELL),
    "a header without end": b"mustshare/v1/outbound\n" + b"a" * 10_000,
    "a header that only ends": b"\n\n",
    "nothing": b"",
}


@pytest.mark.parametrize("raw", NO_BUNDLES.values(), ids=NO_BUNDLES)
def test_what_is_no_bundle_is_refused_even_when_it_is_signed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read(io.BytesIO(raw))


def test_the_longest_entries_are_read() -> None:
    acknowledged = bytes(65_536 * 32)
    entries = [(EntryType.ACKNOWLEDGEMENT, acknowledged), (EntryType.MANIFEST, bytes(1 << 20)), ENTRIES[1]]

    _, found = read(io.BytesIO(written(HEAD, entries)))
    assert len(found[0].acknowledged()) == 65_536


@pytest.mark.parametrize(
    ("head", "entries"),
    [
        (replace(HEAD, entries=2), ENTRIES),
        (replace(HEAD, cells=2), ENTRIES),
        (replace(HEAD, cells=0), [ENTRIES[0], ENTRIES[2], ENTRIES[2]]),
        (HEAD, [*ENTRIES[:2], (EntryType.EPOCHS, b"")]),
        (HEAD, [(EntryType.ACKNOWLEDGEMENT, bytes(31)), *ENTRIES[1:]]),
        (HEAD, [ENTRIES[0], (EntryType.CELL, CELL[1:]), ENTRIES[2]]),
        (HEAD, [*ENTRIES[:2], (EntryType.BULLETIN, bytes(3 << 20))]),
        (replace(HEAD, server="../x"), ENTRIES),
    ],
    ids=["entries", "cells", "none", "empty", "half an id", "a short cell", "a long document", "a path"],
)
def test_nothing_is_signed_that_no_server_reads(head: OutboundHead, entries: Sequence[tuple[EntryType, bytes]]) -> None:
    with pytest.raises((ValueError, Malformed)):
        written(head, entries)


def test_a_bundle_is_verified_only_when_all_of_it_was_read() -> None:
    reader = OutboundReader(io.BytesIO(GOOD))
    next(reader.entries())

    with pytest.raises(RuntimeError):
        reader.verify(DESK)


def test_no_more_than_an_entry_is_held() -> None:
    stream = io.BytesIO(GOOD)
    entries = OutboundReader(stream).entries()
    next(entries)

    assert stream.tell() == len(HEADER) + 5 + len(ACKNOWLEDGED)


DATES: list[tuple[int, bool]] = [
    (NOW - 86_401, False),
    (NOW - 86_400, True),
    (NOW, True),
    (NOW + 86_400, True),
    (NOW + 86_401, False),
]


@pytest.mark.parametrize(("now", "is_in_date"), DATES)
def test_a_bundle_has_its_time(now: int, is_in_date: bool) -> None:
    with contextlib.nullcontext() if is_in_date else pytest.raises(Stale):
        HEAD.check_dates(now)


@pytest.mark.parametrize(("mark", "follows"), [(3, False), (4, True), (5, True), (100, True)])
def test_no_entry_is_left_out(mark: int, follows: bool) -> None:
    with contextlib.nullcontext() if follows else pytest.raises(Stale):
        bundle.refuse_gap(HEAD, mark)


# Invariant: whatever bytes come, they are a bundle, a part or a list, or one of our errors is raised, and no other.
pieces = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([HEADER, ONE_CELL, entry(1, ACKNOWLEDGED), GOOD[-64:], b"\n\n", b"mustshare/v1/"]),
)


@given(parts=st.lists(pieces, max_size=6))
def test_any_bytes_raise_only_our_errors(parts: list[bytes]) -> None:
    raw = b"".join(parts)
    with contextlib.suppress(DropBoxError):
        read(io.BytesIO(raw))
    with contextlib.suppress(DropBoxError):
        bundle.parse_cells_header(bundle.read_header(io.BytesIO(raw)), NETWORK, "alpha")
    with contextlib.suppress(DropBoxError):
        bundle.parse_known(raw, NETWORK)


PART_HEADER = bundle.cells_header(NETWORK, "alpha", 12)


def test_a_part_says_under_which_inventory_it_was_fetched() -> None:
    stream = io.BytesIO(PART_HEADER + b"a cell")

    assert bundle.parse_cells_header(bundle.read_header(stream), NETWORK, "alpha") == 12
    assert stream.read() == b"a cell"


FOREIGN: dict[str, tuple[bytes, type[DropBoxError]]] = {
    "another server's": (bundle.cells_header(NETWORK, "beta", 12), NotForUs),
    "another network's": (bundle.cells_header(NetworkId(bytes(32)), "alpha", 12), NotForUs),
    "under no inventory": (PART_HEADER.replace(b"inventory 12", b"inventory x"), Malformed),
    "another type": (PART_HEADER.replace(b"v1/cells", b"v1/cell"), Malformed),
    "cut in its header": (PART_HEADER[:-1], Malformed),
}


@pytest.mark.parametrize(("raw", "error"), FOREIGN.values(), ids=FOREIGN)
def test_a_part_is_one_servers(raw: bytes, error: type[DropBoxError]) -> None:
    with pytest.raises(error):
        bundle.parse_cells_header(bundle.read_header(io.BytesIO(raw)), NETWORK, "alpha")


names = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)


@given(
    desk=st.integers(1, 127),
    inventories=st.dictionaries(names, st.integers(0, 2**53 - 1), max_size=3),
    ids=st.frozensets(st.binary(min_size=32, max_size=32), max_size=5),
)
def test_what_a_station_knows_is_read_back(desk: int, inventories: dict[str, int], ids: frozenset[bytes]) -> None:
    raw = bundle.known(NETWORK, desk, inventories, [CellId(each) for each in ids])

    assert bundle.parse_known(raw, NETWORK) == Known(desk, inventories, frozenset(CellId(each) for each in ids))


def listing(head: dict[str, Any], ids: bytes, desk: int = 1) -> bytes:
    encoded = to_json(head)
    return statement.make("known", NETWORK, [("desk", desk)], u32(len(encoded)) + encoded + ids)


PLAIN = {"version": 1, "inventories": {"alpha": 3}}
ID_ONE, ID_TWO = bytes(31) + b"\x01", bytes(31) + b"\x02"
NO_LISTS: dict[str, bytes] = {
    "another version": listing({**PLAIN, "version": 2}, ID_ONE),
    "a field that nobody knows": listing({**PLAIN, "more": 1}, ID_ONE),
    "no inventories": listing({"version": 1}, ID_ONE),
    "a server's name that leads elsewhere": listing({"version": 1, "inventories": {"../x": 1}}, ID_ONE),
    "a sequence that is a word": listing({"version": 1, "inventories": {"alpha": "1"}}, ID_ONE),
    "a sequence below zero": listing({"version": 1, "inventories": {"alpha": -1}}, ID_ONE),
    "unsorted": listing(PLAIN, ID_TWO + ID_ONE),
    "an id twice": listing(PLAIN, ID_ONE + ID_ONE),
    "half an id": listing(PLAIN, ID_ONE[:-1]),
    "desk 0": listing(PLAIN, ID_ONE, desk=0),
    "desk 128": listing(PLAIN, ID_ONE, desk=128),
    "no body": statement.make("known", NETWORK, [("desk", 1)], b""),
}


@pytest.mark.parametrize("raw", NO_LISTS.values(), ids=NO_LISTS)
def test_what_is_no_list_of_known_cells_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        bundle.parse_known(raw, NETWORK)


def test_another_networks_list_is_not_for_us() -> None:
    with pytest.raises(NotForUs):
        bundle.parse_known(bundle.known(NETWORK, 1, {}, []), NetworkId(bytes(32)))


def test_an_entry_says_nothing_of_its_content_by_itself() -> None:
    shown: Callable[[Entry], str] = repr
    assert shown(Entry(4, EntryType.CELL, b"content")) == "Entry(4, CELL)"
