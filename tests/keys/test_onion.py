"""Onion addresses: a mistyped one is told before anybody signs it."""

from __future__ import annotations

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


@given(at=st.integers(0, 55), letter=st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_one_wrong_letter_is_told(at: int, letter: str) -> None:
    if KNOWN[at] == letter:
        return
    with pytest.raises(Malformed):
        parse_onion(KNOWN[:at] + letter + KNOWN[at + 1 :])


@pytest.mark.parametrize(
    "text", ["", KNOWN.upper(), KNOWN + "\n", KNOWN + ":80", "http://" + KNOWN, KNOWN[1:], "expyuzz4wqqyqhjn.onion"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_onion(text)
