"""Public cards: what a root, a desk, a server or a courier hands to whoever drafts the manifest. Nothing secret.

A card is JSON that a person can read: `version` 1, `type`, the type's fields, `key` and its `fingerprint`, which is to
be compared by voice with whoever made the card. Cards aren't signed: the roots' signatures are what makes a key count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from keys.encoding import INTEGER_MAX, Fields, parse_json, to_json
from keys.errors import Malformed, NotAuthentic
from keys.languages import MAX_DESCRIPTION_BYTES, MAX_NAME_BYTES, Text, refuse_deceiving
from keys.minisign import SigningKey
from keys.terms import MAX_DESK_NUMBER, Desk, Party, parse_party_name

VERSION = 1
MAX_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class RootCard:
    """A root's name, for people at the ceremony only, and key."""

    name: str
    key: SigningKey


@dataclass(frozen=True, slots=True)
class ServerCard:
    """A server as the manifest will list it."""

    party: Party

    @property
    def key(self) -> SigningKey:
        return self.party.key


@dataclass(frozen=True, slots=True)
class CourierCard:
    """A courier as the manifest will list it."""

    party: Party

    @property
    def key(self) -> SigningKey:
        return self.party.key


@dataclass(frozen=True, slots=True)
class DeskCard:
    """A desk as the manifest will list it."""

    desk: Desk

    @property
    def key(self) -> SigningKey:
        return self.desk.key


Card: TypeAlias = RootCard | ServerCard | CourierCard | DeskCard


def compose(card: Card) -> bytes:
    """Write a card. Raises: Malformed: no reader would take it."""
    match card:
        case RootCard():
            fields: dict[str, Any] = {"type": "root", "name": card.name}
        case ServerCard():
            fields = {"type": "server", "name": card.party.name}
        case CourierCard():
            fields = {"type": "courier", "name": card.party.name}
        case DeskCard():
            desk = card.desk
            fields = {
                "type": "desk",
                "number": desk.number,
                "name": desk.name.to_fields(),
                "description": desk.description.to_fields(),
            }
    data = to_json({"version": VERSION, **fields, "key": card.key.text, "fingerprint": card.key.fingerprint})
    parse(data)
    return data


def parse(data: bytes) -> Card:
    """Read a card.

    Raises:
        Malformed: it isn't a card.
        NotAuthentic: its fingerprint isn't its key's: somebody changed one of them.
    """
    if len(data) > MAX_BYTES:
        raise Malformed("This is too long to be a card.")
    fields = Fields(parse_json(data), "card")
    if fields.integer("version", 0, INTEGER_MAX) != VERSION:
        raise Malformed("This card is of a version that this program doesn't know.")
    type_ = fields.choice("type", ("root", "server", "courier", "desk"))
    key = SigningKey.parse(fields.text("key"))
    fingerprint = fields.text("fingerprint")
    card = _read(type_, fields, key)
    fields.done()
    if fingerprint != key.fingerprint:
        raise NotAuthentic("The fingerprint on this card isn't its key's.", "Get the card again from whoever made it.")
    return card


def _read(type_: str, fields: Fields, key: SigningKey) -> Card:
    if type_ == "desk":
        return DeskCard(
            Desk(
                fields.integer("number", 1, MAX_DESK_NUMBER),
                Text.parse(fields.object("name"), "desk's name", MAX_NAME_BYTES),
                Text.parse(
                    fields.object("description"), "desk's description", MAX_DESCRIPTION_BYTES, lines=True, empty=True
                ),
                key,
            )
        )
    name = fields.text("name", MAX_NAME_BYTES)
    if type_ == "root":
        refuse_deceiving(name, "name on a card")
        return RootCard(name, key)
    party = Party(parse_party_name(name), key)
    return ServerCard(party) if type_ == "server" else CourierCard(party)
