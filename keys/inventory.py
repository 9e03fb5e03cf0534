"""What a server says it holds, signed, and how far each desk's bundles came. SPEC section 13."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NewType

from keys import minisign, statement
from keys.encoding import Fields, Reader, parse_json, to_json, u32
from keys.errors import Malformed, NotAuthentic, Stale
from keys.minisign import SigningKey
from keys.statement import NetworkId, Statement

CellId = NewType("CellId", bytes)
"""32 bytes."""

CONTEXT = ("server", "sequence", "time")
ID_BYTES = 32
DIGEST_BYTES = 32
MAX_REFUSED = 1_000
_SERVER_NAME = re.compile(r"[a-z0-9-]{1,32}\Z")


def check_server_name(name: str) -> str:
    """Return the name, which is safe as a folder's name. Raises: Malformed."""
    if not _SERVER_NAME.match(name):
        raise Malformed("A server's name has 1 to 32 of a-z, 0-9 and -.", "Use these only: alpha, or box-2.")
    return name


@dataclass(frozen=True, slots=True)
class Health:
    """How the server is, without a word on whether tips came."""

    version: str = ""
    days_left_manifest: int = 0
    days_left_epochs: Mapping[int, int] = field(default_factory=dict)
    slots: int = 0
    free_slots: int = 0


@dataclass(frozen=True, slots=True)
class Inventory:
    """A verified inventory. `digests` maps each cell's id to its seal digest."""

    network: NetworkId
    server: str
    sequence: int
    time: int
    manifest: int
    marks: Mapping[int, int]
    refused: Mapping[int, tuple[int, ...]]
    health: Health
    digests: Mapping[CellId, bytes]
    raw: bytes


def compose(
    network: NetworkId,
    server: str,
    sequence: int,
    time: int,
    *,
    manifest: int,
    marks: Mapping[int, int],
    refused: Mapping[int, Sequence[int]],
    health: Health,
    entries: Sequence[tuple[bytes, bytes]],
) -> bytes:
    """Return the statement to be signed. `entries` are (id, seal digest), sorted by id.

    Raises:
        ValueError: the entries aren't sorted and distinct, or aren't 32 bytes each.
    """
    if any(entries[at][0] >= entries[at + 1][0] for at in range(len(entries) - 1)):
        raise ValueError("an inventory's entries are sorted by id and distinct")
    if any(len(cell) != ID_BYTES or len(digest) != DIGEST_BYTES for cell, digest in entries):
        raise ValueError("an inventory's entries have 32 bytes each")
    head = to_json(
        {
            "version": 1,
            "manifest": manifest,
            "marks": {str(desk): mark for desk, mark in marks.items()},
            "refused": {str(desk): list(numbers)[:MAX_REFUSED] for desk, numbers in refused.items()},
            "health": {
                "version": health.version,
                "days_left_manifest": health.days_left_manifest,
                "days_left_epochs": {str(desk): days for desk, days in health.days_left_epochs.items()},
                "slots": health.slots,
                "free_slots": health.free_slots,
            },
        }
    )
    body = b"".join([u32(len(head)), head, *(part for entry in entries for part in entry)])
    context: list[tuple[str, str | int]] = [
        ("server", check_server_name(server)),
        ("sequence", sequence),
        ("time", time),
    ]
    return statement.make("inventory", network, context, body)


def admit(
    raw: bytes, signature: bytes, network: NetworkId, keys: Mapping[str, SigningKey], last: Mapping[str, int]
) -> Inventory:
    """Verify an inventory and return what it says.

    Args:
        keys: the servers' keys by name, from the manifest in force.
        last: the highest sequence seen of each server, by name.

    Raises:
        Malformed: not an inventory.
        NotForUs: another network's.
        NotAuthentic: not a server of the manifest, or not signed by it.
        Stale: an older one than was already seen.
    """
    parsed = statement.parse(raw, "inventory", CONTEXT, network)
    server = parsed.value("server")
    if server not in keys:
        raise NotAuthentic("The manifest lists no server of that name.")
    minisign.verify(keys[server], raw, signature, "inventory")
    inventory = _read(parsed)
    if inventory.sequence < last.get(server, 0):
        raise Stale("This inventory is older than one that was already seen.", "Fetch a fresh one with the courier.")
    return inventory


def _by_desk(value: Mapping[str, object], what: str) -> dict[int, object]:
    return {_desk_number(name, what): entry for name, entry in value.items()}


def _desk_number(name: str, what: str) -> int:
    number = statement.parse_number(name, 127)
    if number == 0:
        raise Malformed(f"The {what} of an inventory name a desk 0.")
    return number


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= 2**53 - 1:
        raise Malformed("An inventory has a number that is none.")
    return value


def _refused(numbers: object) -> tuple[int, ...]:
    if not isinstance(numbers, list) or len(numbers) > MAX_REFUSED:
        raise Malformed("The refused entries of an inventory are no list, or too long a one.")
    return tuple(_count(number) for number in numbers)


def _read(parsed: Statement) -> Inventory:
    reader = Reader(parsed.body)
    fields = Fields(parse_json(reader.take(reader.u32())), "inventory")
    fields.integer("version", 1, 1)
    marks = {desk: _count(mark) for desk, mark in _by_desk(fields.object("marks"), "marks").items()}
    refused = {desk: _refused(each) for desk, each in _by_desk(fields.object("refused"), "refused entries").items()}
    health = _read_health(fields.object("health"))
    manifest = fields.integer("manifest", 0, 2**53 - 1)
    fields.done()
    entries = reader.take(reader.left)
    return Inventory(
        parsed.network,
        check_server_name(parsed.value("server")),
        parsed.number("sequence"),
        parsed.number("time"),
        manifest,
        marks,
        refused,
        health,
        _read_digests(entries),
        parsed.raw,
    )


def _read_digests(entries: bytes) -> dict[CellId, bytes]:
    if len(entries) % (ID_BYTES + DIGEST_BYTES):
        raise Malformed("The list of cells in an inventory is cut short.")
    digests: dict[CellId, bytes] = {}
    before = b""
    for at in range(0, len(entries), ID_BYTES + DIGEST_BYTES):
        cell = entries[at : at + ID_BYTES]
        if cell <= before:
            raise Malformed("The cells of an inventory are not sorted and distinct.")
        digests[CellId(cell)] = entries[at + ID_BYTES : at + ID_BYTES + DIGEST_BYTES]
        before = cell
    return digests


def _read_health(value: dict[str, object]) -> Health:
    fields = Fields(value, "health")
    days = {desk: _count(left) for desk, left in _by_desk(fields.object("days_left_epochs"), "days left").items()}
    health = Health(
        version=fields.text("version", 64),
        days_left_manifest=fields.integer("days_left_manifest", 0, 2**31),
        days_left_epochs=days,
        slots=fields.integer("slots", 0, 2**32),
        free_slots=fields.integer("free_slots", 0, 2**32),
    )
    fields.done()
    return health
