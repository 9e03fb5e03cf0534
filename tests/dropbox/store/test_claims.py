"""Slots and their owners."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from dropbox.store.claims import FREE, STORED, Claims


def fresh(slots: int) -> Claims:
    claims = Claims(slots)
    assert claims.rebuild((), 1) == []
    return claims


def test_every_free_slot_has_the_same_chance() -> None:
    """Chi-square over 20 slots and 20,000 claims: 19 degrees of freedom, so beyond 19 + 6 √38 is no chance."""
    chance = random.Random(7)
    claims = fresh(40)
    claims.assign([claims.take(1, chance.randbytes) for _ in range(20)], STORED)
    counts: dict[int, int] = {}
    for _ in range(20_000):
        slot = claims.take(1, chance.randbytes)
        counts[slot] = counts.get(slot, 0) + 1
        claims.release([slot])
    assert sum((count - 1_000) ** 2 / 1_000 for count in counts.values()) < 19 + 6 * 38**0.5
    assert len(counts) == 20


@given(st.integers(1, 30), st.lists(st.integers(0, 99)), st.integers(0, 2**32))
def test_no_slot_is_given_twice_and_none_gets_lost(slots: int, moves: list[int], seed: int) -> None:
    chance = random.Random(seed)
    claims, held = fresh(slots), set[int]()
    for move in moves:
        if move < 60 and claims.free:
            slot = claims.take(5, chance.randbytes)
            assert slot not in held
            held.add(slot)
        elif held:
            claims.release([slot := held.pop()])
        assert claims.free == slots - len(held)
        assert set(claims.owned_by(5)) == held


def test_rebuilding_keeps_what_processes_hold_and_hands_over_what_lost_its_record() -> None:
    claims = fresh(6)
    everything = [claims.take(9, random.Random(0).randbytes) for _ in range(6)]
    claims.release([0, 1])
    claims.assign([2, 3], STORED)
    assert sorted(everything) == list(range(6))

    orphans = claims.rebuild({2: b"", 4: b""}, 77)

    assert orphans == [3]
    assert claims.owners() == [FREE, FREE, STORED, 77, STORED, 9]
    assert claims.free == 2
    assert claims.processes() == {77, 9}
    assert {claims.take(1, random.Random(1).randbytes) for _ in range(2)} == {0, 1}
