"""A source's keys and the addresses of replies, against vectors that other libraries made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import codename, mailbox, primitives
from keys.mailbox import SourceKeys
from keys.statement import NetworkId
from keys.terms import KdfParameters

VECTORS = [
    json.loads(path.read_text("utf-8"))
    for path in sorted((Path(__file__).parents[1] / "vectors" / "mailbox").glob("*.json"))
]
NETWORK = NetworkId(bytes(32))

places = st.tuples(st.integers(1, 127), st.integers(0, 2**32 - 1), st.integers(0, 31), st.integers(0, 2**32 - 1))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["about"])
def test_vectors(vector: dict[str, Any]) -> None:
    parameters = KdfParameters(bytes.fromhex(vector["salt"]), vector["memory_kib"], vector["passes"])
    network = NetworkId(bytes.fromhex(vector["network"]))

    stretched = mailbox.stretch(codename.read(vector["text"]), parameters)
    keys = SourceKeys.derive(stretched, network)

    assert stretched.hex() == vector["stretched"]
    assert keys.root.hex() == vector["root"]
    assert keys.reply_seed.hex() == vector["reply_seed"]
    assert keys.signing_seed.hex() == vector["signing_seed"]
    assert keys.public.hex() == vector["public"]
    for cell in vector["cells"]:
        tag = mailbox.tag(keys.root, cell["desk"], cell["week"], cell["index"], cell["cell"])
        assert tag.hex() == cell["tag"]
        assert mailbox.address(network, cell["desk"], tag).hex() == cell["address"]


def test_the_three_keys_are_different_and_the_network_s_own() -> None:
    one = SourceKeys.derive(bytes(32), NETWORK)
    other = SourceKeys.derive(bytes(32), NetworkId(b"\1" * 32))

    seeds = [one.root, one.reply_seed, one.signing_seed, other.root, other.reply_seed, other.signing_seed]
    assert len(set(seeds)) == 6
    primitives.ed25519_verify(one.public, b"tip", primitives.ed25519_sign(one.signing_seed, b"tip"))


@given(one=places, other=places)
def test_each_cell_has_a_tag_of_its_own(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> None:
    root = bytes(32)

    assert (mailbox.tag(root, *one) == mailbox.tag(root, *other)) == (one == other)


@given(tag=st.binary(min_size=32, max_size=32), desk=st.integers(1, 126))
def test_a_desk_cannot_take_another_desk_s_address(tag: bytes, desk: int) -> None:
    assert mailbox.address(NETWORK, desk, tag) != mailbox.address(NETWORK, desk + 1, tag)


def test_keys_do_not_show_themselves() -> None:
    keys = SourceKeys.derive(bytes(32), NETWORK)

    assert repr(keys) == str(keys) == "SourceKeys(…)"


@pytest.mark.parametrize(("stretched", "network"), [(bytes(31), NETWORK), (bytes(32), NetworkId(bytes(31)))])
def test_other_lengths_are_a_programmer_s_mistake(stretched: bytes, network: NetworkId) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SourceKeys.derive(stretched, network)
