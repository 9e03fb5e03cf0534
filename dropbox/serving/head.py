"""Read the head of a request, strictly: one spelling for each thing, everything else is refused.

Why not gunicorn's parser: it reads from a socket within a thread, its errors quote the request, and it has thirty
compatibility switches for proxies that aren't here. Before this server stands only tor, before tor only browsers and
our own courier; so folded lines, bare line feeds, repeated lengths, names with underscores and transfer codings,
the ingredients of request smuggling, have no honest use and end in an error. Pure: bytes in, a `Head` or a
`HeadRefused` out, whose messages hold nothing of the request. RFC 9112; PROXY protocol version 1.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import dataclass

from keys.errors import Malformed

HEAD_MAX_BYTES = 16_384
REQUEST_LINE_MAX_BYTES = 4_096
FIELDS_MAX = 64
PROXY_LINE_MAX_BYTES = 107
CIRCUIT_NETWORK = 0xFC00DEADBEEF4DAD
"""The upper 64 bits of the addresses in which tor's `HiddenServiceExportCircuitID haproxy` hides a circuit's number."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb"{1,32}) (/[\x21\x22\x24-\x7e]*) HTTP/([0-9])\.([0-9])")
_REQUEST_LINE_START = re.compile(_TOKEN + rb"{1,32}(?:\Z|[ ](?:\Z|/|\*|[A-Za-z]))")
_FIELD = re.compile(rb"([!#$%&'*+.^`|~0-9A-Za-z-]{1,64}):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_NEVER_IN_A_HEAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?=[^\n])")
_HOST = re.compile(r"[0-9A-Za-z.-]{1,255}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
_LENGTH = re.compile(r"[0-9]{1,15}")
_PROXY_LINE = re.compile(rb"PROXY TCP6 ([0-9a-f:]{2,39}) [0-9a-f:]{2,39} [0-9]{1,5} [0-9]{1,5}")
_ONCE = frozenset({"host", "content-length", "content-type", "transfer-encoding", "expect", "origin", "referer"})
_WITH_A_BODY = frozenset({"POST", "PUT", "PATCH"})


class Circuits(enum.Enum):
    """Whether connections begin with tor's PROXY line."""

    REQUIRED = "required"
    OPTIONAL = "optional"  # For a practice server that is also reached without tor: anybody may claim any circuit.
    ABSENT = "absent"


class HeadRefused(Malformed):
    """The head of a request isn't one that this server reads."""

    default_remedy = "Open the page again with Tor Browser."


class HeadTooLate(HeadRefused):
    http_status = 408


class LengthRequired(HeadRefused):
    http_status = 411


class TargetTooLong(HeadRefused):
    http_status = 414


class ExpectationRefused(HeadRefused):
    http_status = 417


class HeadTooLarge(HeadRefused):
    http_status = 431


class VersionRefused(HeadRefused):
    http_status = 505


@dataclass(frozen=True, slots=True, repr=False)
class Head:
    """A request's head, parsed once. Names are in lower case; `path` and `query` are as sent, percent signs and all."""

    method: str
    path: str
    query: str
    version: str
    fields: tuple[tuple[str, str], ...]
    length: int
    expects_continue: bool
    circuit: int | None

    def __repr__(self) -> str:
        return "<Head>"


class HeadReader:
    """Takes bytes as they come until a head is complete; keeps them, so that a connection can be handed over whole."""

    __slots__ = ("_body_start", "_circuits", "_head_start", "_searched", "circuit", "received")

    def __init__(self, circuits: Circuits) -> None:
        self._circuits = circuits
        self._head_start: int | None = 0 if circuits is Circuits.ABSENT else None
        self._searched = 0
        self._body_start = 0
        self.received = bytearray()
        self.circuit: int | None = None

    def feed(self, data: bytes) -> Head | None:
        """Take more bytes; return the head once it is complete.

        Raises:
            HeadRefused: as early as the bytes can't become an acceptable head any more.
        """
        self.received += data
        if self._head_start is None:
            self._head_start = self._after_proxy_line()
            if self._head_start is None:
                return None
        start = self._head_start
        end = self.received.find(b"\r\n\r\n", max(start, self._searched - 3))
        if end < 0:
            self._check_unfinished(start)
            self._searched = len(self.received)
            return None
        self._body_start = end + 4
        return parse_head(bytes(self.received[start:end]), self.circuit)

    def body(self) -> bytearray:
        """Return what came after the head."""
        return self.received[self._body_start :]

    def wipe(self) -> None:
        """Overwrite what was received: it may hold a session's cookie."""
        self.received[:] = bytes(len(self.received))

    def _after_proxy_line(self) -> int | None:
        known = self.received[:6]
        if known != b"PROXY "[: len(known)]:
            if self._circuits is Circuits.REQUIRED:
                raise HeadRefused("This connection didn't come through the onion service.")
            return 0
        end = self.received.find(b"\r\n", 0, PROXY_LINE_MAX_BYTES)
        if end >= 0:
            self.circuit = parse_proxy_line(bytes(self.received[:end]))
            return end + 2
        if len(self.received) >= PROXY_LINE_MAX_BYTES:
            raise HeadRefused("The line that names the circuit is too long.")
        return None

    def _check_unfinished(self, start: int) -> None:
        size = len(self.received) - start
        if size and not _REQUEST_LINE_START.match(bytes(self.received[start : start + 64])):
            raise HeadRefused("The request line can't be read.")
        if size > REQUEST_LINE_MAX_BYTES and self.received.find(b"\r\n", start, start + REQUEST_LINE_MAX_BYTES + 2) < 0:
            raise TargetTooLong("The address is too long.")
        if size > HEAD_MAX_BYTES:
            raise HeadTooLarge("The request's head is too large.")
        if _NEVER_IN_A_HEAD.search(self.received, max(start, self._searched - 1)):
            raise HeadRefused("The request's head holds a character that none may hold.")


def parse_proxy_line(line: bytes) -> int:
    """Return the circuit that tor names in its PROXY line (given without its line end).

    Raises:
        HeadRefused: another protocol, or an address outside the network that tor uses for circuits.
    """
    match = _PROXY_LINE.fullmatch(line)
    try:
        address = int(ipaddress.IPv6Address(match[1].decode())) if match else 0
    except ipaddress.AddressValueError:
        address = 0
    if address >> 64 != CIRCUIT_NETWORK:
        raise HeadRefused("The line that names the circuit can't be read.")
    return address & 0xFFFF_FFFF_FFFF_FFFF


def parse_head(head: bytes, circuit: int | None) -> Head:
    """Parse a complete head, given without its empty line.

    Raises:
        HeadRefused: or the branch of it that carries a status of its own.
    """
    request_line, *lines = head.split(b"\r\n")
    if len(request_line) > REQUEST_LINE_MAX_BYTES:
        raise TargetTooLong("The address is too long.")
    if len(head) > HEAD_MAX_BYTES or len(lines) > FIELDS_MAX:
        raise HeadTooLarge("The request's head is too large.")
    match = _REQUEST_LINE.fullmatch(request_line)
    if match is None:
        raise HeadRefused("The request line can't be read.")
    method, target, version = match[1].decode(), match[2].decode(), f"HTTP/{match[3].decode()}.{match[4].decode()}"
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise VersionRefused("This server speaks HTTP/1.1.")
    fields = tuple(_parse_field(line) for line in lines)
    once = _fields_that_stand_once(fields)
    if version == "HTTP/1.1" and "host" not in once:
        raise HeadRefused("The request names no host.")
    path, _, query = target.partition("?")
    return Head(
        method=method,
        path=path,
        query=query,
        version=version,
        fields=fields,
        length=_length_of_body(method, once),
        expects_continue=_expects_continue(version, once),
        circuit=circuit,
    )


def _parse_field(line: bytes) -> tuple[str, str]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise HeadRefused("A header field can't be read.")
    return match[1].decode().lower(), match[2].decode("latin-1").rstrip(" \t")


def _fields_that_stand_once(fields: tuple[tuple[str, str], ...]) -> dict[str, str]:
    once: dict[str, str] = {}
    for name, value in fields:
        if name in _ONCE:
            if name in once:
                raise HeadRefused("A header field that may stand once stands twice.")
            once[name] = value
    if "host" in once and not _HOST.fullmatch(once["host"]):
        raise HeadRefused("The host's name can't be read.")
    return once


def _length_of_body(method: str, once: dict[str, str]) -> int:
    if "transfer-encoding" in once:
        if "content-length" in once:
            raise HeadRefused("The body's length is given in two ways.")
        # No browser sends a form so; without a length no progress could be shown and no room reserved.
        raise LengthRequired("Say how long the body is.")
    if "content-length" not in once:
        if method in _WITH_A_BODY:
            raise LengthRequired("Say how long the body is.")
        return 0
    if not _LENGTH.fullmatch(once["content-length"]):
        raise HeadRefused("The body's length can't be read.")
    return int(once["content-length"])


def _expects_continue(version: str, once: dict[str, str]) -> bool:
    expectation = once.get("expect")
    if expectation is None or version == "HTTP/1.0":
        return False
    if expectation.lower() != "100-continue":
        raise ExpectationRefused("That expectation can't be met.")
    return True
