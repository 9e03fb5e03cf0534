"""A step along the chain can't be taken back: erased weeks stay erased."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import age, primitives
from keys.chain import Chain
from keys.errors import NotForUs, Stale
from keys.statement import NetworkId
from tests.simulators.newsroom import seeded

NETWORK = NetworkId(bytes(32))
VECTOR = Path(__file__).parents[1] / "vectors" / "epochs" / "chain.json"


def chain(week: int = 100) -> Chain:
    return Chain.begin(NETWORK, 1, 1, week, seeded("chain"))


@settings(max_examples=30)
@given(steps=st.lists(st.integers(0, 5), max_size=5), ahead=st.integers(0, 5))
def test_the_way_does_not_matter(steps: list[int], ahead: int) -> None:
    walked = chain()
    for step in steps:
        walked = walked.advance_to(walked.week + step)

    week = walked.week + ahead
    assert walked.identity_seed(week) == chain().identity_seed(week)
    assert walked == chain().advance_to(walked.week)


def test_an_erased_week_has_no_identity() -> None:
    kept = chain().advance_to(103)

    for week in (100, 102):
        with pytest.raises(Stale):
            kept.identity_seed(week)
        with pytest.raises(Stale):
            kept.advance_to(week)
        with pytest.raises(Stale):
            kept.recipients([week, 103])


def test_what_is_sealed_to_a_week_opens_with_that_week_alone() -> None:
    sealed = age.seal_bytes(b"tip", chain().recipients([102]), seeded("seal"))

    assert age.open_bytes(sealed, [chain().advance_to(102).identity(102)]) == b"tip"
    with pytest.raises(NotForUs):
        age.open_bytes(sealed, [chain().identity(week) for week in (100, 101, 103, 104)])


def test_no_week_shares_a_key_with_another_or_with_another_network() -> None:
    seeds = {chain().identity_seed(week) for week in range(100, 113)}
    other = Chain(NetworkId(b"\1" * 32), 1, 1, 100, chain().key)

    assert len(seeds) == 13
    assert other.identity_seed(100) not in seeds
    assert chain().key not in seeds


def test_two_lists_begin_two_chains() -> None:
    randomness = seeded("two")

    assert Chain.begin(NETWORK, 1, 1, 100, randomness).key != Chain.begin(NETWORK, 1, 2, 100, randomness).key


def test_a_chain_does_not_show_its_key() -> None:
    shown = repr(chain()) + str(chain())

    assert chain().key.hex() not in shown
    assert repr(chain().key) not in shown


def test_vector() -> None:
    vector = json.loads(VECTOR.read_bytes())
    begun = Chain(NetworkId(bytes.fromhex(vector["network"])), 1, 1, vector["week"], bytes.fromhex(vector["chain_key"]))
    for week in vector["weeks"]:
        found = begun.advance_to(week["week"])
        assert found.key.hex() == week["chain_key"]
        assert found.identity_seed(week["week"]).hex() == week["seed"]
        recipient = str(found.identity(week["week"]).recipient())
        assert primitives.sha256(recipient.encode()).hex() == week["sha256_of_recipient"]
