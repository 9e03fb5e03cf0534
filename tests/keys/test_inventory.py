"""What a server says it holds: its own word, in order, and never an older one. SPEC section 13."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import inventory, minisign, statement
from keys.encoding import parse_json, to_json, u32
from keys.errors import DropBoxError, Malformed, NotAuthentic, NotForUs, Stale
from keys.inventory import CellId, Health
from keys.minisign import SigningKey
from keys.statement import NetworkId
from tests.simulators.newsroom import seeded

NETWORK = NetworkId(bytes(range(32)))
SEED = seeded("a server")(32)
OTHER_SEED = seeded("another server")(32)
KEYS = {"alpha": SigningKey.of(SEED), "beta": SigningKey.of(OTHER_SEED)}
HEALTH = Health("0.1.0", 300, {1: 56, 2: 0}, 1_000, 900)

ids = st.binary(min_size=32, max_size=32)


def made(
    entries: list[tuple[bytes, bytes]] | None = None, *, server: str = "alpha", sequence: int = 7, **changes: Any
) -> bytes:
    said: dict[str, Any] = {"manifest": 3, "marks": {1: 12, 2: 0}, "refused": {1: [3, 9]}, "health": HEALTH, **changes}
    return inventory.compose(
        NETWORK, server, sequence, 1_794_960_000, entries=ENTRIES if entries is None else entries, **said
    )


def signed(raw: bytes, seed: bytes = SEED) -> bytes:
    return minisign.sign(seed, raw, "inventory")


ENTRIES = sorted((seeded(f"cell {number}")(32), seeded(f"digest {number}")(32)) for number in range(3))
GOOD = made()


@given(listing=st.dictionaries(ids, ids, max_size=6), sequence=st.integers(0, 2**53 - 1))
def test_an_inventory_is_read_back(listing: dict[bytes, bytes], sequence: int) -> None:
    raw = made(sorted(listing.items()), sequence=sequence)
    read = inventory.admit(raw, signed(raw), NETWORK, KEYS, {})

    assert (read.server, read.sequence, read.time, read.manifest) == ("alpha", sequence, 1_794_960_000, 3)
    assert read.marks == {1: 12, 2: 0}
    assert read.refused == {1: (3, 9)}
    assert read.health == HEALTH
    assert read.digests == listing
    assert list(read.digests) == sorted(listing)
    assert read.raw == raw


def test_an_empty_box_has_an_inventory_too() -> None:
    raw = made([], marks={}, refused={}, health=Health())

    assert inventory.admit(raw, signed(raw), NETWORK, KEYS, {}).digests == {}


WORD: dict[str, tuple[Callable[[], tuple[bytes, bytes]], type[DropBoxError]]] = {
    "signed by another server": (lambda: (GOOD, signed(GOOD, OTHER_SEED)), NotAuthentic),
    "signed as something else": (lambda: (GOOD, minisign.sign(SEED, GOOD, "manifest")), NotAuthentic),
    "not signed": (lambda: (GOOD, b""), Malformed),
    "another's signature": (lambda: (GOOD, signed(made([]))), NotAuthentic),
    "of a server that the manifest lacks": (lambda: (made(server="gamma"), signed(made(server="gamma"))), NotAuthentic),
    "in another server's name": (lambda: (made(server="beta"), signed(made(server="beta"))), NotAuthentic),
    "something behind it": (lambda: (GOOD + bytes(64), signed(GOOD)), NotAuthentic),
}


@pytest.mark.parametrize(("word", "error"), WORD.values(), ids=WORD)
def test_an_inventory_is_its_servers_word(word: Callable[[], tuple[bytes, bytes]], error: type[DropBoxError]) -> None:
    with pytest.raises(error):
        inventory.admit(*word(), NETWORK, KEYS, {})


def test_another_networks_inventory_is_not_for_us() -> None:
    with pytest.raises(NotForUs):
        inventory.admit(GOOD, signed(GOOD), NetworkId(bytes(32)), KEYS, {})


@pytest.mark.parametrize(
    ("last", "admitted"), [({}, True), ({"alpha": 6}, True), ({"alpha": 7}, True), ({"alpha": 8}, False)]
)
def test_an_older_inventory_is_refused(last: dict[str, int], admitted: bool) -> None:
    with contextlib.nullcontext() if admitted else pytest.raises(Stale):
        assert inventory.admit(GOOD, signed(GOOD), NETWORK, KEYS, {**last, "beta": 100}).sequence == 7


def rewritten(change: Callable[[dict[str, Any]], dict[str, Any]], cells: bytes | None = None) -> bytes:
    """Return an inventory that says something else, in the same layout."""
    parsed = statement.parse(GOOD, "inventory", inventory.CONTEXT)
    length = int.from_bytes(parsed.body[:4])
    head = to_json(change(parse_json(parsed.body[4 : 4 + length])))
    context = [(name, value) for name, value in parsed.context]
    return statement.make(
        "inventory", NETWORK, context, u32(len(head)) + head + (parsed.body[4 + length :] if cells is None else cells)
    )


def changed(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda head: {**head, **fields}


def unhealthy(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda head: {**head, "health": {**head["health"], **fields}}


ONE, TWO = (cell + digest for cell, digest in ENTRIES[:2])
NO_INVENTORIES: dict[str, bytes] = {
    "another version": rewritten(changed(version=2)),
    "a field that nobody knows": rewritten(changed(tips=4)),
    "a mark of desk 0": rewritten(changed(marks={"0": 1})),
    "a mark of desk 128": rewritten(changed(marks={"128": 1})),
    "a desk in another spelling": rewritten(changed(marks={"01": 1})),
    "a mark that is a word": rewritten(changed(marks={"1": "12"})),
    "a mark below zero": rewritten(changed(marks={"1": -1})),
    "a mark that is true": rewritten(changed(marks={"1": True})),
    "refused entries that are no list": rewritten(changed(refused={"1": 3})),
    "a refused entry that is no number": rewritten(changed(refused={"1": ["3"]})),
    "too many refused entries": rewritten(changed(refused={"1": [1] * 1_001})),
    "health that tells of tips": rewritten(unhealthy(tips=1)),
    "health without its slots": rewritten(lambda head: {**head, "health": {"version": ""}}),
    "days of desk 0": rewritten(unhealthy(days_left_epochs={"0": 1})),
    "days below zero": rewritten(unhealthy(days_left_epochs={"1": -1})),
    "cells that are not sorted": rewritten(changed(), TWO + ONE),
    "a cell twice": rewritten(changed(), ONE + ONE),
    "a cell with two digests": rewritten(changed(), ONE + ONE[:32] + TWO[32:]),
    "cells cut short": rewritten(changed(), ONE + TWO[:-1]),
    "no head": statement.make("inventory", NETWORK, [("server", "alpha"), ("sequence", 1), ("time", 1)], b""),
    "a head behind its end": statement.make(
        "inventory", NETWORK, [("server", "alpha"), ("sequence", 1), ("time", 1)], u32(99) + b"{}"
    ),
    "a time in another spelling": GOOD.replace(b"time 1794960000", b"time 01794960000"),
    "another type": GOOD.replace(b"v1/inventory", b"v1/known"),
}


@pytest.mark.parametrize("raw", NO_INVENTORIES.values(), ids=NO_INVENTORIES)
def test_what_is_no_inventory_is_refused_even_when_it_is_signed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        inventory.admit(raw, signed(raw), NETWORK, KEYS, {})


@pytest.mark.parametrize("name", ["..", "a/b", "", "Alpha", "a" * 33, "a b", "ก", "alpha\n", "."])
def test_a_servers_name_is_safe_as_a_folders(name: str) -> None:
    with pytest.raises(Malformed):
        inventory.check_server_name(name)


@given(at=st.integers(0, len(GOOD) - 1), change=st.integers(1, 255))
def test_any_changed_byte_is_noticed(at: int, change: int) -> None:
    altered = GOOD[:at] + bytes([GOOD[at] ^ change]) + GOOD[at + 1 :]

    with pytest.raises((Malformed, NotAuthentic, NotForUs)):
        inventory.admit(altered, signed(GOOD), NETWORK, KEYS, {})


@given(data=st.binary(max_size=300))
def test_any_bytes_raise_only_our_errors(data: bytes) -> None:
    head = GOOD[: GOOD.index(b"\n\n") + 2]
    for raw in (data, head + data, head + u32(len(data)) + data):
        for signature in (data, signed(raw)):
            with contextlib.suppress(DropBoxError):
                inventory.admit(raw, signature, NETWORK, KEYS, {})


@pytest.mark.parametrize(
    "entries",
    [ENTRIES[::-1], [ENTRIES[0], ENTRIES[0]], [(bytes(31), bytes(32))], [(bytes(32), bytes(33))]],
    ids=["unsorted", "twice", "a short id", "a long digest"],
)
def test_a_list_that_no_station_reads_is_a_programmers_mistake(entries: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ValueError, match="entries"):
        made(entries)


def test_more_refused_entries_than_fit_are_left_out() -> None:
    raw = made(refused={1: list(range(1, 2_000))})

    assert inventory.admit(raw, signed(raw), NETWORK, KEYS, {}).refused == {1: tuple(range(1, 1_001))}


def test_a_full_box_is_read_in_a_moment() -> None:
    entries = [(number.to_bytes(32), bytes(32)) for number in range(1, 20_001)]
    raw = made(entries)

    assert len(inventory.admit(raw, signed(raw), NETWORK, KEYS, {}).digests) == 20_000
    assert CellId((1).to_bytes(32)) in inventory.admit(raw, signed(raw), NETWORK, KEYS, {}).digests
