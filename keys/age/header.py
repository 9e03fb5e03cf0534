"""The header of an age file: the stanzas that wrap its file key, and the MAC over them. SPEC section 4.2.

The grammar is kept to the letter (one spelling for every header), so that nobody can change a file without changing
what it means. Sizes are bounded before anything is kept, because whoever wrote the file may wish us ill.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from keys import primitives
from keys.encoding import from_base64, to_base64
from keys.errors import Malformed, NotAuthentic

VERSION_LINE = b"age-encryption.org/v1\n"
FILE_KEY_BYTES = 16
MAC_BYTES = 32
COLUMNS = 64

MAX_LINE_BYTES = 8192
MAX_HEADER_BYTES = 131_072
MAX_STANZAS = 256

SCRYPT = "scrypt"

_ARGUMENT_LINE = re.compile(r"->(?: [!-~]+)+\Z")
_MAC_MARK = "---"


class HeaderMalformed(Malformed):
    """The header doesn't follow age's grammar, or a stanza in it breaks the rules of its type."""


class HeaderNotAuthentic(NotAuthentic):
    """The file key was unwrapped, but the header's MAC says that somebody changed the header."""


class Reader(Protocol):
    """What is read from: a buffered binary file, `io.BytesIO`, or anything that reads as they do."""

    def read(self, size: int, /) -> bytes | None: ...

    def readline(self, limit: int, /) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Stanza:
    """One wrapping of the file key: a type, its arguments, and a body."""

    type: str
    arguments: tuple[str, ...]
    body: bytes

    def encode(self) -> bytes:
        """Write it as it stands in a header. Raises: ValueError: when type or arguments can't be written."""
        first = " ".join(("->", self.type, *self.arguments))
        if not _ARGUMENT_LINE.match(first) or first.count(" ") != 1 + len(self.arguments):
            raise ValueError("a stanza's type and arguments are printable ASCII without spaces")
        text = to_base64(self.body)
        # The last line is always shorter than the others, so it is empty when the text fills its lines.
        lines = [text[start : start + COLUMNS] for start in range(0, len(text) + 1, COLUMNS)]
        return "\n".join((first, *lines, "")).encode("ascii")


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header. Nothing in it is to be believed before `verify` has passed.

    `covered` are the exact bytes that the MAC covers: everything up to and with the three dashes.
    """

    stanzas: tuple[Stanza, ...]
    mac: bytes
    covered: bytes

    def verify(self, file_key: bytes) -> None:
        """Check the MAC with an unwrapped file key. Raises: HeaderNotAuthentic."""
        if not primitives.same_bytes(_mac(file_key, self.covered), self.mac):
            raise HeaderNotAuthentic("The header of this file was changed after it was sealed.")

    def encode(self) -> bytes:
        """Return the header's bytes, exactly as they were read."""
        return self.covered + f" {to_base64(self.mac)}\n".encode("ascii")


def header_bytes(file_key: bytes, stanzas: Iterable[Stanza]) -> bytes:
    """Write the whole header for these stanzas, in their order, with its MAC.

    Raises:
        ValueError: no stanza, or more than a reader here would accept.
    """
    encoded = [stanza.encode() for stanza in stanzas]
    covered = VERSION_LINE + b"".join(encoded) + _MAC_MARK.encode("ascii")
    if not 1 <= len(encoded) <= MAX_STANZAS or len(covered) + MAC_BYTES * 2 > MAX_HEADER_BYTES:
        raise ValueError("a header has at least one stanza, and not more than a reader accepts")
    return Header((), _mac(file_key, covered), covered).encode()


def parse(reader: Reader) -> Header:
    """Read a header, strictly, and not one byte more: the reader then stands at the payload's nonce.

    The rules of the stanza types are their identities' to check, except that a scrypt stanza stands alone.

    Raises:
        HeaderMalformed: anything that isn't exactly one header of age v1 within the limits.
    """
    lines = _Lines(reader)
    if lines.next() + "\n" != VERSION_LINE.decode("ascii"):
        raise HeaderMalformed("This is not a file of age v1.")
    stanzas: list[Stanza] = []
    while (line := lines.next()).startswith("->"):
        if len(stanzas) == MAX_STANZAS:
            raise HeaderMalformed(f"A header has more than {MAX_STANZAS} stanzas.")
        stanzas.append(_stanza(line, lines))
    mark, _, mac_text = line.partition(" ")
    if not stanzas or mark != _MAC_MARK:
        raise HeaderMalformed("A header has no stanza, or a line that is neither a stanza's nor the MAC's.")
    mac = decode(mac_text)
    if len(mac) != MAC_BYTES:
        raise HeaderMalformed("The MAC of a header has the wrong length.")
    refuse_scrypt_in_company(stanzas)
    return Header(tuple(stanzas), mac, bytes(lines.taken[: -len(line) - 1]) + _MAC_MARK.encode("ascii"))


def decode(text: str) -> bytes:
    """Decode the canonical base64 of a header. Raises: HeaderMalformed."""
    try:
        return from_base64(text)
    except Malformed as error:
        raise HeaderMalformed("A header has base64 that is not canonical.") from error


def refuse_scrypt_in_company(stanzas: Sequence[Stanza]) -> None:
    """A passphrase promises that its holders alone wrote the file; another recipient would break that.

    Raises:
        HeaderMalformed: a scrypt stanza stands beside another stanza.
    """
    if len(stanzas) > 1 and any(stanza.type == SCRYPT for stanza in stanzas):
        raise HeaderMalformed("A file locked with a passphrase names another recipient too.")


class _Lines:
    """Takes the lines of a header, one by one, within the limits; `taken` is everything so far."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.taken = bytearray()

    def next(self) -> str:
        line = self._reader.readline(MAX_LINE_BYTES) or b""
        self.taken += line
        if not line.endswith(b"\n"):
            raise HeaderMalformed("A header ends too early, or has a line that is too long.")
        if len(self.taken) > MAX_HEADER_BYTES:
            raise HeaderMalformed("A header is too long.")
        if not line.isascii():
            raise HeaderMalformed("A header has a character that isn't plain ASCII.")
        return line[:-1].decode("ascii")


def _stanza(first: str, lines: _Lines) -> Stanza:
    if not _ARGUMENT_LINE.match(first):
        raise HeaderMalformed("A stanza begins with a line that isn't one.")
    _, type_, *arguments = first.split(" ")
    body = bytearray()
    while True:
        line = lines.next()
        if len(line) > COLUMNS:
            raise HeaderMalformed(f"A stanza has a line of more than {COLUMNS} columns.")
        body += decode(line)
        if len(line) < COLUMNS:
            return Stanza(type_, tuple(arguments), bytes(body))


def _mac(file_key: bytes, covered: bytes) -> bytes:
    if len(file_key) != FILE_KEY_BYTES:
        raise ValueError(f"a file key has {FILE_KEY_BYTES} bytes")
    return primitives.hmac_sha256(primitives.hkdf(file_key, b"", b"header"), covered)
