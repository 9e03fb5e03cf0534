"""What the roots of a network agree on: the body of a manifest, as values. SPEC section 10.1.

Reading is strict and knows nothing of signatures: `keys.manifest` decides whether to believe it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from keys import primitives
from keys.encoding import INTEGER_MAX, Fields, u8
from keys.errors import Malformed
from keys.languages import MAX_DESCRIPTION_BYTES, MAX_NAME_BYTES, Text
from keys.minisign import MAX_SIGNATURES, SigningKey
from keys.onion import OnionAddress, parse_onion
from keys.statement import NetworkId

VERSION = 1
MIN_STANZAS, DEFAULT_STANZAS, MAX_STANZAS = 2, 6, 16
MAX_DESK_NUMBER = 127
MAX_VALID_SECONDS = 366 * 86_400
MAX_CODENAME_PARAMETERS = 4
MAX_LISTED = 64
NONCE_BYTES = 32
HASH_BYTES = 32

_NAME = re.compile(r"[a-z0-9-]{1,32}\Z")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class KdfParameters:
    """How a codename is stretched: Argon2id with one lane. SPEC section 5."""

    salt: bytes
    memory_kib: int
    passes: int


@dataclass(frozen=True, slots=True)
class Founding:
    """What the network id commits to, for as long as the network lives."""

    nonce: bytes
    roots: tuple[SigningKey, ...]
    threshold: int

    @property
    def network(self) -> NetworkId:
        return network_id(self.nonce, self.threshold, self.roots)


@dataclass(frozen=True, slots=True)
class Limits:
    """The sizes and times that server and stations keep to. Bytes and weeks."""

    acknowledge_weeks: int = 6
    grace_weeks: int = 8
    reply_slots: int = 8
    reply_bytes: int = 8 << 20
    file_bytes: int = 2 << 30
    files: int = 20
    message_bytes: int = 60_000
    bundle_cells: int = 16


@dataclass(frozen=True, slots=True)
class Desk:
    """A newsroom that reads tips. Its number is never given to another."""

    number: int
    name: Text
    description: Text
    key: SigningKey


@dataclass(frozen=True, slots=True)
class Party:
    """A server or a courier: a plain name (`[a-z0-9-]{1,32}`) and a signing key."""

    name: str
    key: SigningKey


@dataclass(frozen=True, slots=True)
class Onions:
    """The onion addresses of the source's site and of the collect interface."""

    source: tuple[OnionAddress, ...] = ()
    collect: tuple[OnionAddress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Everything in a manifest but its place in the sequence."""

    name: Text
    practice: bool
    valid_from: int
    valid_until: int
    roots: tuple[SigningKey, ...]
    threshold: int
    founding: Founding
    recipients: int = DEFAULT_STANZAS
    onions: Onions = field(default_factory=Onions)
    codename: tuple[KdfParameters, ...]
    limits: Limits = field(default_factory=Limits)
    servers: tuple[Party, ...]
    desks: tuple[Desk, ...]
    retired_desks: tuple[int, ...] = ()
    couriers: tuple[Party, ...] = ()
    partners: tuple[Text, ...] = ()
    supporters: tuple[Text, ...] = ()
    bulletin_signatures: int = 1


def network_id(nonce: bytes, threshold: int, roots: Iterable[SigningKey]) -> NetworkId:
    """Return the id of a network: it commits to the founding roots and how many of them must sign. SPEC 10.2."""
    publics = sorted({root.public for root in roots})
    if len(nonce) != NONCE_BYTES or not 1 <= threshold <= len(publics) <= MAX_SIGNATURES:
        raise ValueError("a network has a nonce of 32 bytes, at most 16 roots and a threshold that they can reach")
    return NetworkId(
        primitives.sha256(b"mustshare/v1/network\n" + nonce + u8(threshold) + u8(len(publics)) + b"".join(publics))
    )


def to_fields(terms: Terms) -> dict[str, Any]:
    """Return the terms as the JSON fields of SPEC 10.1. Nothing is checked here: reading them back does that."""
    return {
        "version": VERSION,
        "name": terms.name.to_fields(),
        "practice": terms.practice,
        "valid_from": terms.valid_from,
        "valid_until": terms.valid_until,
        "roots": [root.text for root in terms.roots],
        "threshold": terms.threshold,
        "founding": {
            "nonce": terms.founding.nonce.hex(),
            "roots": [root.text for root in terms.founding.roots],
            "threshold": terms.founding.threshold,
        },
        "recipients": terms.recipients,
        "onions": {"source": list(terms.onions.source), "collect": list(terms.onions.collect)},
        "codename": [
            {"salt": each.salt.hex(), "memory_kib": each.memory_kib, "passes": each.passes} for each in terms.codename
        ],
        "limits": {name: getattr(terms.limits, name) for name in _LIMITS},
        "servers": [{"name": server.name, "key": server.key.text} for server in terms.servers],
        "desks": [
            {
                "number": desk.number,
                "name": desk.name.to_fields(),
                "description": desk.description.to_fields(),
                "key": desk.key.text,
            }
            for desk in terms.desks
        ],
        "retired_desks": list(terms.retired_desks),
        "couriers": [{"name": courier.name, "key": courier.key.text} for courier in terms.couriers],
        "partners": [text.to_fields() for text in terms.partners],
        "supporters": [text.to_fields() for text in terms.supporters],
        "bulletin_signatures": terms.bulletin_signatures,
    }


def from_fields(fields: Fields) -> Terms:
    """Take the fields of SPEC 10.1 out of a manifest's body, all but `previous`.

    Raises:
        Malformed: a field is missing, of another type, or out of its bounds.
    """
    if fields.integer("version", 0, INTEGER_MAX) != VERSION:
        raise Malformed("This manifest is of a version that this program doesn't know.")
    recipients = fields.integer("recipients", MIN_STANZAS, MAX_STANZAS)
    roots, threshold = _quorum(fields, "manifest")
    terms = Terms(
        name=Text.parse(fields.object("name"), "network's name", MAX_NAME_BYTES),
        practice=fields.boolean("practice"),
        valid_from=fields.integer("valid_from", 0, INTEGER_MAX),
        valid_until=fields.integer("valid_until", 0, INTEGER_MAX),
        roots=roots,
        threshold=threshold,
        founding=_founding(fields.object("founding")),
        recipients=recipients,
        onions=_onions(fields.object("onions")),
        codename=_list(fields, "codename", MAX_CODENAME_PARAMETERS, _kdf, lambda each: each.salt, least=1),
        limits=_limits(fields.object("limits")),
        servers=_parties(fields, "servers"),
        # A tip may be sealed to every desk, so there can't be more desks than stanzas. And there must be one:
        # "acknowledged by every desk" would hold for every cell if there were none.
        desks=_list(fields, "desks", recipients, _desk, lambda each: each.key.public, least=1),
        retired_desks=_list(fields, "retired_desks", MAX_DESK_NUMBER, parse_desk_number, lambda each: each),
        couriers=_parties(fields, "couriers"),
        partners=_texts(fields, "partners"),
        supporters=_texts(fields, "supporters"),
        bulletin_signatures=fields.integer("bulletin_signatures", 1, 2),
    )
    _refuse_disorder(terms)
    return terms


def _refuse_disorder(terms: Terms) -> None:
    if not 0 < terms.valid_until - terms.valid_from <= MAX_VALID_SECONDS:
        raise Malformed("A manifest is valid for 1 second to 366 days.")
    for what, numbers in (("desks", [desk.number for desk in terms.desks]), ("retired desks", terms.retired_desks)):
        if list(numbers) != sorted(set(numbers)):
            raise Malformed(f"The {what} are not sorted by distinct numbers.")
    if len({server.name for server in terms.servers}) != len(terms.servers):
        raise Malformed("Two servers have one name.")


def _list(
    fields: Fields, name: str, most: int, read: Callable[[Any], _T], same: Callable[[_T], Hashable], least: int = 0
) -> tuple[_T, ...]:
    found = tuple(read(value) for value in fields.array(name, most))
    if len(found) < least:
        raise Malformed(f"The field {name!r} of the manifest has fewer than {least} entries.")
    if len({same(each) for each in found}) != len(found):
        raise Malformed(f"The field {name!r} of the manifest has an entry twice.")
    return found


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Malformed("A list in the manifest holds something else than a text.")
    return value


def _key(value: Any) -> SigningKey:
    return SigningKey.parse(_text(value))


def parse_desk_number(value: Any) -> int:
    """Read the number of a desk from parsed JSON. Raises: Malformed: not a number from 1 to 127."""
    if type(value) is not int or not 1 <= value <= MAX_DESK_NUMBER:
        raise Malformed(f"A desk's number is a number from 1 to {MAX_DESK_NUMBER}.")
    return value


def _quorum(fields: Fields, what: str) -> tuple[tuple[SigningKey, ...], int]:
    roots = _list(fields, "roots", MAX_SIGNATURES, _key, lambda each: each.public, least=1)
    threshold = fields.integer("threshold", 1, MAX_SIGNATURES)
    if threshold > len(roots):
        raise Malformed(f"The {what} asks for more signatures than it has roots.")
    return roots, threshold


def _founding(value: Any) -> Founding:
    fields = Fields(value, "founding")
    nonce = fields.hex("nonce", NONCE_BYTES)
    roots, threshold = _quorum(fields, "founding")
    fields.done()
    return Founding(nonce, roots, threshold)


def _onions(value: Any) -> Onions:
    fields = Fields(value, "onion addresses")

    def addresses(name: str) -> tuple[OnionAddress, ...]:
        return _list(fields, name, MAX_LISTED, lambda each: parse_onion(_text(each)), lambda each: each)

    onions = Onions(addresses("source"), addresses("collect"))
    fields.done()
    return onions


def _kdf(value: Any) -> KdfParameters:
    fields = Fields(value, "codename's parameters")
    parameters = KdfParameters(
        fields.hex("salt", primitives.ARGON2_SALT_BYTES),
        fields.integer("memory_kib", 8 << 10, 1 << 20),  # 8 MiB to 1 GiB: neither a joke nor a way to exhaust a server.
        fields.integer("passes", 1, 16),
    )
    fields.done()
    return parameters


_LIMITS: dict[str, tuple[int, int]] = {
    "acknowledge_weeks": (1, 26),
    "grace_weeks": (2, 52),
    "reply_slots": (1, 32),
    "reply_bytes": (16 << 10, 256 << 20),
    "file_bytes": (1 << 10, 1 << 40),
    "files": (1, 1_000),
    "message_bytes": (1 << 10, 64 << 10),
    "bundle_cells": (1, 1 << 10),
}


def _limits(value: Any) -> Limits:
    fields = Fields(value, "limits")
    limits = Limits(**{name: fields.integer(name, low, high) for name, (low, high) in _LIMITS.items()})
    fields.done()
    if limits.grace_weeks <= limits.acknowledge_weeks:
        raise Malformed("The grace weeks must be more than the acknowledge weeks.")
    return limits


def parse_party_name(text: str) -> str:
    """Read the name of a server or a courier. Raises: Malformed: not 1 to 32 of `a-z`, `0-9`, `-`."""
    if not _NAME.match(text):
        raise Malformed("The name of a server or a courier is 1 to 32 of a-z, 0-9 and -.")
    return text


def _party(value: Any) -> Party:
    fields = Fields(value, "server or courier")
    party = Party(parse_party_name(fields.text("name")), _key(fields.text("key")))
    fields.done()
    return party


def _parties(fields: Fields, name: str) -> tuple[Party, ...]:
    return _list(fields, name, MAX_LISTED, _party, lambda each: each.key.public)


def _desk(value: Any) -> Desk:
    fields = Fields(value, "desk")
    desk = Desk(
        fields.integer("number", 1, MAX_DESK_NUMBER),
        Text.parse(fields.object("name"), "desk's name", MAX_NAME_BYTES),
        Text.parse(fields.object("description"), "desk's description", MAX_DESCRIPTION_BYTES, lines=True, empty=True),
        _key(fields.text("key")),
    )
    fields.done()
    return desk


def _texts(fields: Fields, name: str) -> tuple[Text, ...]:
    def read(value: Any) -> Text:
        return Text.parse(value, "partner's or supporter's name", MAX_NAME_BYTES)

    def same(text: Text) -> Sequence[str]:
        return (text.th, text.en)

    return _list(fields, name, MAX_LISTED, read, same)
