"""Version 3 onion addresses: written, and checked for typing errors. tor's rend-spec-v3, section 6."""

from __future__ import annotations

import base64
import binascii
import re
from typing import NewType

from keys import primitives
from keys.errors import Malformed

OnionAddress = NewType("OnionAddress", str)
"""56 characters of base32 and `.onion`, in lower case, with a checksum that holds."""

_ADDRESS = re.compile(r"[a-z2-7]{56}\.onion\Z")
_VERSION = b"\x03"


def _checksum(public: bytes) -> bytes:
    return primitives.sha3_256(b".onion checksum" + public + _VERSION)[:2]


def onion_address(public: bytes) -> OnionAddress:
    """Return the address of an onion service whose Ed25519 public key this is."""
    if len(public) != primitives.KEY_BYTES:
        raise ValueError("an onion service's public key has 32 bytes")
    return OnionAddress(base64.b32encode(public + _checksum(public) + _VERSION).decode().lower() + ".onion")


def parse_onion(text: str) -> OnionAddress:
    """Read an onion address, checksum and version included, so that a mistyped one never gets signed.

    Raises:
        Malformed: it isn't a version 3 address.
    """
    if not _ADDRESS.match(text):
        raise Malformed("This is not an onion address of version 3.")
    try:
        raw = base64.b32decode(text.removesuffix(".onion").upper())
    except binascii.Error as error:
        raise Malformed("This is not an onion address of version 3.") from error
    if raw[34:] != _VERSION or raw[32:34] != _checksum(raw[:32]):
        raise Malformed("This onion address is mistyped: its checksum doesn't match.")
    return OnionAddress(text)
