"""What every signature covers: its type, the network, its context, then exact bytes. SPEC section 3."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NewType

from keys import primitives
from keys.encoding import from_hex
from keys.errors import Malformed, NotForUs

NetworkId = NewType("NetworkId", bytes)
"""32 bytes; SPEC section 10.2."""

PREFIX = "mustshare/v1/"
MAX_HEADER_BYTES = 4096
NETWORK_ID_BYTES = 32

_TYPE = re.compile(r"[a-z][a-z0-9-]*\Z")
_NAME = _TYPE
_VALUE = re.compile(r"[!-~]+\Z")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, taken apart. `raw` are the exact bytes that a signature covers."""

    type: str
    network: NetworkId
    context: tuple[tuple[str, str], ...]
    body: bytes
    raw: bytes

    def value(self, name: str) -> str:
        """Return the value of a context line that `parse` has already required."""
        return dict(self.context)[name]

    def number(self, name: str, high: int = 2**53 - 1) -> int:
        """Return a context value as a whole number written canonically, 0 … `high`. Raises: Malformed."""
        return parse_number(self.value(name), high)


def read_network_id(typed: str) -> NetworkId:
    """Read a network's id as a person types or pastes it, in groups too. Raises: Malformed: it isn't 64 hex digits."""
    try:
        return NetworkId(from_hex("".join(typed.split()).lower(), NETWORK_ID_BYTES))
    except Malformed:
        raise Malformed("A network's id is 64 hex digits.", "Copy all of it from the ceremony's paper.") from None


def parse_number(text: str, high: int = 2**53 - 1) -> int:
    """Parse a canonical decimal number, 0 … `high`. Raises: Malformed."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,16}", text, re.ASCII) or int(text) > high:
        raise Malformed("A number in a statement is malformed or too large.")
    return int(text)


def header(type_: str, network: NetworkId, context: Sequence[tuple[str, str | int]]) -> bytes:
    """Write a statement's header, up to and with the empty line. Raises: ValueError: for a caller's bad words."""
    if not _TYPE.match(type_) or len(network) != NETWORK_ID_BYTES:
        raise ValueError("a statement needs a plain type and a network id of 32 bytes")
    lines = [PREFIX + type_, f"network {network.hex()}"]
    for name, value in context:
        if not _NAME.match(name) or not _VALUE.match(str(value)):
            raise ValueError(f"the context {name!r} can't be written in a statement")
        lines.append(f"{name} {value}")
    return ("\n".join(lines) + "\n\n").encode("ascii")


def make(type_: str, network: NetworkId, context: Sequence[tuple[str, str | int]], body: bytes) -> bytes:
    """Return the exact bytes of a statement, to be signed."""
    return header(type_, network, context) + body


def parse(raw: bytes, type_: str, names: Sequence[str], network: NetworkId | None = None) -> Statement:
    """Take a statement apart, requiring its type and exactly these context names in this order.

    Nothing is verified here but the form and, when given, the network. Signatures are the caller's next step.

    Raises:
        Malformed: another type, other context lines, a header that is too long or has no end.
        NotForUs: it names another network.
    """
    end = raw.find(b"\n\n", 0, MAX_HEADER_BYTES)
    if end < 0:
        raise Malformed(f"This is not a {type_} statement.")
    try:
        lines = raw[:end].decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise Malformed("A statement's header is not plain ASCII.") from error
    if lines[0] != PREFIX + type_:
        raise Malformed(f"This is not a {type_} statement.")
    pairs = [tuple(line.split(" ")) for line in lines[1:]]
    if [pair[0] for pair in pairs] != ["network", *names] or any(
        len(pair) != 2 or not _VALUE.match(pair[1]) for pair in pairs
    ):
        raise Malformed(f"The header of this {type_} statement doesn't have the lines that it must have.")
    named = NetworkId(from_hex(pairs[0][1], NETWORK_ID_BYTES))
    if network is not None and named != network:
        raise NotForUs("This belongs to another network.")
    context = tuple((pair[0], pair[1]) for pair in pairs[1:])
    return Statement(type_, named, context, raw[end + 2 :], raw)


def type_of(raw: bytes) -> str:
    """Return the type that a statement's first line names, before anything else of it is read. Raises: Malformed."""
    first, found, _ = raw[:MAX_HEADER_BYTES].partition(b"\n")
    name = first.decode("ascii", "replace").removeprefix(PREFIX)
    if not found or not first.startswith(PREFIX.encode()) or not _TYPE.match(name):
        raise Malformed("This is not a signed statement of this project.")
    return name


def sign(seed: bytes, statement: bytes) -> bytes:
    """Sign a statement with an Ed25519 seed: 64 bytes over its BLAKE2b-512 digest. SPEC section 3.2."""
    return primitives.ed25519_sign(seed, primitives.blake2b(statement, 64))


def sign_with(key: primitives.Ed25519Key, statement: bytes) -> bytes:
    """Sign as `sign` does, with a key that is kept ready."""
    return key.sign(primitives.blake2b(statement, 64))


def verify(public: bytes, statement: bytes, signature: bytes) -> None:
    """Raises: NotAuthentic: when the signature isn't this key's over exactly these bytes."""
    primitives.ed25519_verify(public, primitives.blake2b(statement, 64), signature)
