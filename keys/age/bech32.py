"""Bech32 (BIP 173), as age uses it for keys: without its limit on length, in one case throughout. SPEC section 4.4."""

from __future__ import annotations

from functools import reduce
from operator import xor

from keys.errors import Malformed

MAX_TEXT_CHARACTERS = 4096
CHECKSUM_VALUES = 6

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_STEPS = tuple(
    reduce(xor, (generator for place, generator in enumerate(_GENERATORS) if top >> place & 1), 0) for top in range(32)
)
"""What the five bits that leave the remainder add to it: a station reads thousands of long keys in one import."""


def encode(prefix: str, data: bytes) -> str:
    """Write bytes behind a prefix, in the prefix's own case. Raises: ValueError: for a prefix of mixed case."""
    lower = prefix.lower()
    if prefix not in (lower, prefix.upper()):
        raise ValueError("a Bech32 prefix has one case")
    values = _regroup(data, 8, 5)
    remainder = _checksum([*_expand(lower), *values, *[0] * CHECKSUM_VALUES]) ^ 1
    values += [remainder >> 5 * place & 31 for place in reversed(range(CHECKSUM_VALUES))]
    text = lower + "1" + "".join(_ALPHABET[value] for value in values)
    return text if prefix == lower else text.upper()


def decode(text: str, prefix: str) -> bytes:
    """Read the bytes behind exactly this prefix, in the prefix's own case.

    The checksum finds slips of the pen; it is no authentication.

    Raises:
        Malformed: another prefix, both cases, a character that isn't Bech32's, a wrong checksum or stray bits.
    """
    if len(text) > MAX_TEXT_CHARACTERS or not text.isascii():
        raise Malformed("This is not a key: it is too long, or has foreign characters.")
    if text not in (text.lower(), text.upper()):
        raise Malformed("This key mixes upper and lower case.")
    found, separator, body = text.rpartition("1")
    if not separator or found != prefix:
        raise Malformed(f"This key doesn't begin with {prefix}1.")
    try:
        values = [_VALUES[character] for character in body.lower()]
    except KeyError as error:
        raise Malformed("This key has a character that no key has.") from error
    if len(values) < CHECKSUM_VALUES or _checksum([*_expand(prefix.lower()), *values]) != 1:
        raise Malformed("The checksum of this key doesn't match: it was mistyped or cut.")
    return _bytes_of(values[:-CHECKSUM_VALUES])


def _expand(prefix: str) -> list[int]:
    """Spread the prefix over 5-bit values, so that the checksum covers it."""
    codes = prefix.encode("ascii")
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _checksum(values: list[int]) -> int:
    """The remainder of BIP 173's BCH code; 1 for a text with its right checksum."""
    remainder = 1
    for value in values:
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value ^ _STEPS[remainder >> 25]
    return remainder


def _regroup(groups: bytes | list[int], from_bits: int, to_bits: int) -> list[int]:
    """Cut the same bits into groups of another size, the last one filled up with zeros."""
    pending = bits = 0
    result = []
    for group in groups:
        pending = pending << from_bits | group
        bits += from_bits
        while bits >= to_bits:
            bits -= to_bits
            result.append(pending >> bits)
            pending &= (1 << bits) - 1
    if bits:
        result.append(pending << (to_bits - bits))
    return result


def _bytes_of(values: list[int]) -> bytes:
    """Join 5-bit values to bytes, refusing a second spelling of the same bytes."""
    whole = len(values) * 5 // 8
    groups = _regroup(values, 5, 8)
    if len(values) * 5 - whole * 8 >= 5 or any(groups[whole:]):
        raise Malformed("This key has stray bits at its end.")
    return bytes(groups[:whole])
