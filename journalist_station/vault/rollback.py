"""A server that was put back to an older state: noticed, said aloud, and told again what it has forgotten. SPEC 13.2.

Whoever restores a server from an older copy does it in good faith, most likely; a seized one may do it too. Neither may
cost a reply, or stop this desk from being heard: the station goes back to the mark that the server knows of.
"""

from __future__ import annotations

from typing import Protocol

from journalist_station.vault import journal
from journalist_station.vault.database import cells as rows
from journalist_station.vault.database import facts, post
from journalist_station.vault.database import tips as tip_rows
from journalist_station.vault.database.cells import ServerRow
from journalist_station.vault.database.post import ReplyRow
from journalist_station.vault.vault import Vault
from keys import mailbox
from keys.bundle import EntryType
from keys.errors import Refused, Stale
from keys.inventory import CellId, Inventory

MAX_UNKNOWN_ENTRIES = 1_000_000
"""How many entries a server may have taken beyond those that this vault knows: a lost vault may have written them."""


class Told(Protocol):
    """Where the outcome is counted."""

    sent_again: int
    warnings: list[str]


def refuse_older(vault: Vault, inventory: Inventory, before: ServerRow | None) -> None:
    """Refuse an inventory that somebody kept and shows again.

    One whose number isn't higher, but whose time is later, is new all the same: the server counts from an older state.

    Raises:
        Stale: it is older than the newest that was seen, or than the server's being put back.
    """
    last = facts.number(vault.database, _last_before(inventory.server))
    is_older = (
        before is not None
        and inventory.sequence <= before.sequence
        and inventory.time <= before.time
        and (inventory.sequence, inventory.time) != (before.sequence, before.time)
    )
    if is_older or inventory.time <= last:
        raise Stale("This inventory is older than one that was already seen.", "Fetch a fresh one with the courier.")


def refuse_absurd(vault: Vault, inventory: Inventory, before: ServerRow | None) -> None:
    """Refuse an inventory whose mark no vault of this desk can have reached: numbers would run out after it.

    Raises:
        Refused: the mark is more than `MAX_UNKNOWN_ENTRIES` above the highest entry that this vault ever numbered.
    """
    mark = inventory.marks.get(vault.desk, 0)
    if mark > _highest(vault, inventory.server, before) + MAX_UNKNOWN_ENTRIES:
        raise Refused(
            "This server says that it has taken entries which this desk can't have written.",
            "Nothing of this inventory was taken. Tell whoever runs the server: it is broken, or in other hands.",
        )


def is_put_back(vault: Vault, inventory: Inventory, before: ServerRow) -> bool:
    """Say whether a server has forgotten what its newest inventory knew."""
    return _counts_again(inventory, before) or inventory.marks.get(vault.desk, 0) < before.mark


def _counts_again(inventory: Inventory, before: ServerRow) -> bool:
    return inventory.sequence <= before.sequence and inventory.time > before.time


def go_back(vault: Vault, inventory: Inventory, before: ServerRow, now: int, report: Told) -> None:
    """Queue again what a server has forgotten, to be numbered anew above its mark. To be called in a transaction.

    Replies that it listed and doesn't any more get new places, unless their cells still wait for another server.
    Every acknowledgement is made anew: to say it twice does no harm.
    """
    database, server = vault.database, inventory.server
    mark = inventory.marks.get(vault.desk, 0)
    unread = [cell for cell in rows.wanted(database, server) if CellId(cell) not in inventory.digests]
    replies = [reply.number for reply in post.delivered_replies(database) if _is_forgotten(vault, inventory, reply)]
    facts.set_setting(database, _highest_before(server), _highest(vault, server, before))
    if _counts_again(inventory, before):
        facts.set_setting(database, _last_before(server), before.time)
    if mark < before.mark:
        post.take_numbers_back(database, server, mark, EntryType.ACKNOWLEDGEMENT)
        rows.acknowledge_anew(database, server)
    for reply in replies:
        post.queue_again(database, reply)
    report.sent_again += len(replies)
    gone = f" {len(unread)} cells that it listed and that never came here are gone." if unread else ""
    report.warnings.append(
        f"The server {server} was put back to an older state. What had reached it since, and wasn't fetched, may be "
        f"lost.{gone} What this desk sent since goes again with the next outbox. Ask who put it back, and why."
    )
    journal.record(
        database,
        now,
        "server-put-back",
        server=server,
        mark=mark,
        before=before.mark,
        replies=replies,
        gone=len(unread),
    )


def _is_forgotten(vault: Vault, inventory: Inventory, reply: ReplyRow) -> bool:
    """Say whether a server listed a reply until now, and nothing is left here of the cells that were sent."""
    thread = tip_rows.thread(vault.database, reply.thread)
    if thread is None or thread.root is None or reply.week is None or reply.place is None:
        return False
    address = mailbox.address(vault.network, vault.desk, mailbox.tag(thread.root, vault.desk, reply.week, reply.place))
    if CellId(address) in inventory.digests or post.has_letters(vault.database, reply.number):
        return False
    # What its source had deleted before isn't sent again.
    return rows.is_listed_by(vault.database, inventory.server, address)


def _highest(vault: Vault, server: str, before: ServerRow | None) -> int:
    """Return the highest entry that this vault ever numbered for a server, or that this server ever confirmed."""
    return max(
        facts.number(vault.database, _highest_before(server)),
        post.highest_entry(vault.database, server),
        before.mark if before else 0,
    )


def _highest_before(server: str) -> str:
    """Setting: the highest entry from before a server was put back."""
    return f"highest_before_put_back {server}"


def _last_before(server: str) -> str:
    """Setting: the time of the newest inventory from before a server was put back."""
    return f"last_before_put_back {server}"
