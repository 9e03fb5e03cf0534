"""What an inventory says to a desk: which cells there are, and how far its bundles came. SPEC sections 13 and 15."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from journalist_station.vault import journal, rollback
from journalist_station.vault.database import cells as rows
from journalist_station.vault.database import damage, facts, post
from journalist_station.vault.database.cells import ServerRow
from journalist_station.vault.database.post import EntryRow
from journalist_station.vault.stick import Stick
from journalist_station.vault.vault import Vault
from keys import cell as cells
from keys import inventory as inventories
from keys.bundle import TAG_BYTES, EntryType
from keys.encoding import SECONDS_A_WEEK, week_of
from keys.errors import Malformed
from keys.inventory import ID_BYTES, CellId, Inventory

CLOCK_TOLERANCE_SECONDS = 86_400
AWAITS_INVENTORY = "awaits_inventory"
"""Setting: 1 after a restore, until an inventory has told how far the lost vault's bundles came."""
FLOOR_WEEK = "floor_week"
"""Setting: places of replies in this week and all before may have been used by a vault that is no more."""


class Told(Protocol):
    """Where the outcome is counted."""

    inventories: dict[str, int]
    delivered: int
    sent_again: int
    warnings: list[str]


def take_inventory(vault: Vault, stick: Stick, server: str, now: int, report: Told) -> None:
    """Admit a server's inventory from a stick: remember what it lists, and let go of what it confirms.

    Raises:
        Malformed: there is none, or it isn't one.
        NotAuthentic, NotForUs: as `keys.inventory.admit` does; nothing was changed.
        Stale, Refused: it is an older one, or tells what can't be; nothing was changed.
    """
    found = stick.inventory(server)
    if found is None:
        raise Malformed("The stick has no inventory of this server.", "Let the courier fetch again.")
    known = rows.servers(vault.database)
    keys = {party.name: party.key for party in vault.manifest.servers}
    inventory = inventories.admit(*found, vault.network, keys, {})
    if inventory.server != server:
        raise Malformed("An inventory lies in another server's folder.")
    before = known.get(server)
    rollback.refuse_older(vault, inventory, before)
    rollback.refuse_absurd(vault, inventory, before)
    mark = inventory.marks.get(vault.desk, 0)
    if inventory.time > now + CLOCK_TOLERANCE_SECONDS:
        report.warnings.append("This machine's clock is behind the server's: set it, epochs and dates depend on it.")
    with vault.database.transaction():
        if before is not None and rollback.is_put_back(vault, inventory, before):
            rollback.go_back(vault, inventory, before, now, report)
        _confirm(vault, inventory, before.mark if before else 0, now, report)
        rows.put_listing(vault.database, server, inventory.digests, inventory.time)
        rows.put_server(vault.database, ServerRow(server, inventory.sequence, inventory.time, mark, _health(inventory)))
        damage.forget_unlisted(vault.database)
        rows.drop_servers(vault.database, [party.name for party in vault.manifest.servers])
        post.delete_confirmed(
            vault.database,
            [EntryType.ACKNOWLEDGEMENT, EntryType.CELL],
            [party.name for party in vault.manifest.servers],
        )
        facts.set_setting(vault.database, AWAITS_INVENTORY, 0)
    report.inventories[server] = inventory.sequence


def _health(inventory: Inventory) -> str:
    health = inventory.health
    return json.dumps(
        {
            "version": health.version,
            "days_left_manifest": health.days_left_manifest,
            "days_left_epochs": {str(desk): days for desk, days in health.days_left_epochs.items()},
            "slots": health.slots,
            "free_slots": health.free_slots,
        },
        sort_keys=True,
    )


def _confirm(vault: Vault, inventory: Inventory, before: int, now: int, report: Told) -> None:
    """Note what became of the entries up to the server's mark."""
    mark = inventory.marks.get(vault.desk, 0)
    if mark <= before:
        return
    entries = [each for each in post.entries_after(vault.database, inventory.server, before) if each.number <= mark]
    gone = _lost_batches(vault, inventory, entries)
    if gone or mark > max(before, post.highest_entry(vault.database, inventory.server)):
        _notice_older_copy(vault, inventory.server, mark, now, report)
    refused = frozenset(inventory.refused.get(vault.desk, ()))
    again: set[int] = set()
    delivered: set[int] = set()
    for each in entries:
        lost = each.number in refused or _is_lost(vault, inventory, each, gone)
        if each.letter.reply is not None:
            (again if lost else delivered).add(each.letter.reply)
        elif lost:
            _lose(vault, inventory, each, gone, report)
    for reply in delivered - again:
        post.set_delivered(vault.database, reply, inventory.time)
    for reply in again:
        post.queue_again(vault.database, reply)
    if again:
        journal.record(vault.database, now, "queued-again", server=inventory.server, replies=sorted(again))
    report.delivered += len(delivered - again)
    report.sent_again += len(again)


def _lost_batches(vault: Vault, inventory: Inventory, entries: Sequence[EntryRow]) -> frozenset[int]:
    """Return the batches in whose place the server has taken another: one of a vault of which this is an older copy.

    Their fillers tell: nobody deletes a filler before its time, so one that was confirmed and isn't listed never came.
    """
    lifetime = vault.manifest.limits.acknowledge_weeks * SECONDS_A_WEEK
    return frozenset(
        each.batch
        for each in entries
        if each.letter.type == EntryType.CELL
        and each.letter.reply is None
        and inventory.time < each.written + lifetime // 2
        and not _stands(vault, inventory, each)
    )


def _stands(vault: Vault, inventory: Inventory, entry: EntryRow) -> bool:
    """Say whether an inventory lists the very cell of an entry."""
    listed = inventory.digests.get(CellId(bytes.fromhex(entry.letter.label)))
    content = post.letter_content(vault.database, entry.letter.number)
    return listed == cells.seal_digest(content[TAG_BYTES:], vault.geometry)


def _is_lost(vault: Vault, inventory: Inventory, entry: EntryRow, gone: frozenset[int]) -> bool:
    """Say whether an entry below the mark was never applied."""
    if entry.letter.type == EntryType.CELL and CellId(bytes.fromhex(entry.letter.label)) in inventory.digests:
        return not _stands(vault, inventory, entry)
    # A reply that isn't listed any more was deleted by its source, unless nothing of its batch came.
    return entry.batch in gone


def _lose(vault: Vault, inventory: Inventory, entry: EntryRow, gone: frozenset[int], report: Told) -> None:
    """See to it that what an entry said is said again, where it can be."""
    match entry.letter.type:
        case EntryType.CELL:
            return  # A filler.
        case EntryType.ACKNOWLEDGEMENT:
            content = post.letter_content(vault.database, entry.letter.number)
            ids = [content[at : at + ID_BYTES] for at in range(0, len(content), ID_BYTES)]
            rows.set_acknowledged(vault.database, inventory.server, ids, acknowledged=False)
        case _ if entry.batch in gone:
            post.send_again(vault.database, entry.letter.number)
        case _:
            report.warnings.append(f"The server {inventory.server} didn't take: {entry.letter.label}.")


def _notice_older_copy(vault: Vault, server: str, mark: int, now: int, report: Told) -> None:
    """The server has entries that this vault never wrote: it is an older copy of itself, restored or rolled back."""
    step_over(vault, now)
    if facts.number(vault.database, AWAITS_INVENTORY):
        return  # It was restored, and knows.
    report.warnings.append(
        f"The server {server} has taken entries that this vault doesn't know: the vault is an older copy of itself. "
        "Replies take new places from now on."
    )
    journal.record(vault.database, now, "older-copy", server=server, mark=mark)


def step_over(vault: Vault, now: int) -> None:
    """Take no place of a reply any more that a vault which is no more may have taken. SPEC 6.2."""
    facts.set_setting(vault.database, FLOOR_WEEK, max(week_of(now), facts.number(vault.database, FLOOR_WEEK)))
