"""Onion addresses: a mistyped one is told before anybody signs it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import Malformed
from keys.onion import onion_address, parse_onion

# The Tor Project's own site.
KNOWN = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"


def test_a_known_address_is_good() -> None:
    assert parse_onion(KNOWN) == KNOWN


@given(public=st.binary(min_size=32, max_size=32))
def test_an_address_is_read_back(public: bytes) -> None:
    assert parse_onion(onion_address(public)).endswith(".onion")


def test_wrong_letters_are_told() -> None:
    # The checksum has 16 bits: of these 1,736 addresses with one wrong letter, one happens to be good.
    accepted = []
    for at, right in enumerate(KNOWN.removesuffix(".onion")):
        for letter in set("abcdefghijklmnopqrstuvwxyz234567") - {right}:
            with contextlib.suppress(Malformed):
                accepted.append(parse_onion(KNOWN[:at] + letter + KNOWN[at + 1 :]))

    assert accepted == ["23" + KNOWN[2:]]


@pytest.mark.parametrize(
    "text", ["", KNOWN.upper(), KNOWN + "\n", KNOWN + ":80", "http://" + KNOWN, KNOWN[1:], "expyuzz4wqqyqhjn.onion"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_onion(text)
