"""Keys as text: what BIP 173 and age say they look like, and that no slip goes unnoticed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.age import bech32
from keys.errors import Malformed

prefixes = st.sampled_from(["age", "age1pq", "AGE-SECRET-KEY-", "AGE-SECRET-KEY-PQ-", "a1b"])


@given(prefixes, st.binary(max_size=1300))
def test_bytes_come_back_from_their_text(prefix: str, data: bytes) -> None:
    text = bech32.encode(prefix, data)
    assert text.startswith(prefix + "1")
    assert text in (text.lower(), text.upper())
    assert bech32.decode(text, prefix) == data


@given(st.binary(min_size=1, max_size=64), st.data())
def test_any_one_changed_character_is_noticed(data: bytes, choice: st.DataObject) -> None:
    text = bech32.encode("age", data)
    place = choice.draw(st.integers(0, len(text) - 1))
    other = choice.draw(st.characters().filter(lambda character: character != text[place]))
    with pytest.raises(Malformed):
        bech32.decode(text[:place] + other + text[place + 1 :], "age")


@given(st.text(max_size=200), prefixes)
def test_any_text_is_read_or_malformed(text: str, prefix: str) -> None:
    for candidate in (text, prefix + "1" + text):
        with contextlib.suppress(Malformed):
            assert bech32.encode(prefix, bech32.decode(candidate, prefix)) == candidate


def test_the_valid_strings_of_bip_173() -> None:
    assert bech32.decode("A12UEL5L", "A") == b""
    assert bech32.decode("a12uel5l", "a") == b""
    everything = "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"
    assert bech32.decode(everything, "abcdef").hex() == "00443214c74254b635cf84653a56d7c675be77df"


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        pytest.param("", "a", id="nothing"),
        pytest.param("1pzry9x0s0muk", "a", id="no prefix"),
        pytest.param("pzry9x0s0muk", "a", id="no separator"),
        pytest.param("x1b4n0q5v", "x", id="a character outside the alphabet"),
        pytest.param("li1dgmt3", "li", id="a checksum that is too short"),
        pytest.param("de1lg7wt\xff", "de", id="a foreign character"),
        pytest.param("A1G7SGD8", "A", id="a checksum over the upper-case prefix"),
        pytest.param("A12uEL5L", "A", id="both cases"),
        pytest.param("a12uel5l ", "a", id="something behind it"),
        pytest.param("a12uel5\u212a", "a", id="a sign whose lower case is a plain letter"),
        pytest.param("a12uel5l", "b", id="another prefix"),
        pytest.param("A12UEL5L", "a", id="the other case"),
        pytest.param(bech32.encode("age", bytes(3000)), "age", id="far too long"),
    ],
)
def test_what_is_no_key_is_refused(text: str, prefix: str) -> None:
    with pytest.raises(Malformed):
        bech32.decode(text, prefix)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([0, 1], id="padding that is not zero"),
        pytest.param([0, 0, 0], id="a whole group too many"),
        pytest.param([1], id="five bits, no byte"),
    ],
)
def test_a_second_spelling_of_the_same_bytes_is_refused(values: list[int]) -> None:
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    body = "".join(alphabet[value] for value in values)
    checksum = _checksum("a", values)
    with pytest.raises(Malformed, match="stray bits"):
        bech32.decode("a1" + body + "".join(alphabet[value] for value in checksum), "a")


def test_a_prefix_of_both_cases_is_a_programmers_mistake() -> None:
    with pytest.raises(ValueError, match="one case"):
        bech32.encode("Age", b"")


def _checksum(prefix: str, values: list[int]) -> list[int]:
    """BIP 173's checksum, written a second time from the BIP: division of polynomials over GF(32)."""
    codes = [ord(character) for character in prefix]
    message = [code >> 5 for code in codes] + [0] + [code & 31 for code in codes] + values + [0] * 6
    generator = [29, 22, 20, 21, 29, 18]
    remainder = [0, 0, 0, 0, 0, 1]
    for value in message:
        top = remainder.pop(0)
        remainder.append(value)
        remainder = [old ^ _times(top, factor) for old, factor in zip(remainder, generator, strict=True)]
    remainder[5] ^= 1
    return remainder


def _times(one: int, other: int) -> int:
    """Multiply in GF(32), modulo x^5 + x^3 + 1."""
    product = 0
    while other:
        product ^= one if other & 1 else 0
        one = (one << 1) ^ (0b101001 if one & 16 else 0)
        other >>= 1
    return product
