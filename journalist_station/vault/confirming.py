"""What an inventory says to a desk: which cells there are, and how far its bundles came. SPEC sections 13 and 15."""

from __future__ import annotations

import json
from typing import Protocol

from journalist_station.vault import journal
from journalist_station.vault.database import cells as rows
from journalist_station.vault.database import facts, post
from journalist_station.vault.database.cells import ServerRow
from journalist_station.vault.database.post import LetterRow
from journalist_station.vault.stick import Stick
from journalist_station.vault.vault import Vault
from keys import inventory as inventories
from keys.bundle import EntryType
from keys.encoding import SECONDS_A_WEEK, week_of
from keys.errors import Malformed
from keys.inventory import ID_BYTES, CellId, Inventory

CLOCK_TOLERANCE_SECONDS = 86_400
RESTORED_WEEKS = 5
"""How long a bundle of the lost vault may still be on its way: one more than bundles are valid."""
RESTORED_UNTIL = "restored_until"
"""Setting: until when entries that were confirmed may have been those of a vault that is no more."""
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
        NotAuthentic, NotForUs, Stale: as `keys.inventory.admit` does; nothing was changed.
    """
    found = stick.inventory(server)
    if found is None:
        raise Malformed("The stick has no inventory of this server.", "Let the courier fetch again.")
    known = rows.servers(vault.database)
    keys = {party.name: party.key for party in vault.manifest.servers}
    last = {name: row.sequence for name, row in known.items()}
    inventory = inventories.admit(*found, vault.network, keys, last)
    if inventory.server != server:
        raise Malformed("An inventory lies in another server's folder.")
    before = known.get(server)
    if before is not None and before.sequence == inventory.sequence and before.time != inventory.time:
        report.warnings.append(f"The server {server} has signed two inventories with one number.")
    if inventory.time > now + CLOCK_TOLERANCE_SECONDS:
        report.warnings.append("This machine's clock is behind the server's: set it, epochs and dates depend on it.")
    with vault.database.transaction():
        _confirm(vault, inventory, before.mark if before else 0, now, report)
        rows.put_listing(vault.database, server, inventory.digests, inventory.time)
        mark = max(inventory.marks.get(vault.desk, 0), before.mark if before else 0)
        rows.put_server(vault.database, ServerRow(server, inventory.sequence, inventory.time, mark, _health(inventory)))
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
    highest = post.highest_entry(vault.database, inventory.server)
    if mark > highest and before < mark:
        _notice_rollback(vault, inventory.server, mark, now, report)
    refused = frozenset(inventory.refused.get(vault.desk, ()))
    again: set[int] = set()
    delivered: set[int] = set()
    for number, letter in post.letters_between(vault.database, inventory.server, before, mark):
        lost = number in refused or _was_replaced(vault, inventory, letter, now)
        if letter.reply is not None:
            (again if lost else delivered).add(letter.reply)
        elif lost and letter.type == EntryType.ACKNOWLEDGEMENT:
            content = post.letter_content(vault.database, letter.number)
            ids = [content[at : at + ID_BYTES] for at in range(0, len(content), ID_BYTES)]
            rows.set_acknowledged(vault.database, inventory.server, ids, acknowledged=False)
        elif lost and letter.label:
            report.warnings.append(f"The server {inventory.server} didn't take: {letter.label}.")
    for reply in delivered - again:
        post.set_delivered(vault.database, reply, inventory.time)
    for reply in again:
        post.queue_again(vault.database, reply)
    if again:
        journal.record(vault.database, now, "queued-again", server=inventory.server, replies=sorted(again))
    report.delivered += len(delivered - again)
    report.sent_again += len(again)


def _was_replaced(vault: Vault, inventory: Inventory, letter: LetterRow, now: int) -> bool:
    """Say whether another entry went under this letter's number: one of the vault that this one was restored from."""
    if facts.number(vault.database, RESTORED_UNTIL) <= now:
        return False
    if letter.type == EntryType.ACKNOWLEDGEMENT:
        return True  # To acknowledge twice does no harm.
    if letter.type != EntryType.CELL or not letter.label:
        return False
    return CellId(bytes.fromhex(letter.label)) not in inventory.digests


def _notice_rollback(vault: Vault, server: str, mark: int, now: int, report: Told) -> None:
    """The server has entries that this vault never wrote: it is a copy of an older state, restored or rolled back."""
    step_over(vault, now)
    if facts.number(vault.database, AWAITS_INVENTORY):
        return  # It was restored, and knows.
    report.warnings.append(
        f"The server {server} has taken entries up to {mark} that this vault doesn't know: it is an older copy of "
        "itself. Replies take new places from now on."
    )
    journal.record(vault.database, now, "rolled-back", server=server, mark=mark)


def step_over(vault: Vault, now: int) -> None:
    """Take nothing from now on that a vault which is no more may have taken since the copy was made. SPEC 6.2."""
    facts.set_setting(vault.database, FLOOR_WEEK, max(week_of(now), facts.number(vault.database, FLOOR_WEEK)))
    facts.set_setting(vault.database, RESTORED_UNTIL, now + RESTORED_WEEKS * SECONDS_A_WEEK)
