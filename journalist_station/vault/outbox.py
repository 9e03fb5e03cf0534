"""The outbox: everything that goes to the servers, numbered for each, kept until an inventory confirms it. SPEC 15.

Each time an outbox is written, a batch is closed: replies, acknowledgements and documents that wait, with as many
fillers as make the cells a multiple of B, mixed. The batch is numbered and committed; then a bundle with everything
that no inventory has confirmed yet goes to each stick. So a lost stick loses nothing, and neither the stick nor the
server can tell how many replies went.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from journalist_station.vault import journal, replies
from journalist_station.vault.confirming import AWAITS_INVENTORY
from journalist_station.vault.database import cells as rows
from journalist_station.vault.database import facts, post
from journalist_station.vault.database.post import EntryRow, LetterRow
from journalist_station.vault.importing import write_known
from journalist_station.vault.stick import Stick
from journalist_station.vault.vault import Vault
from keys import bundle
from keys.bundle import MAX_ACKNOWLEDGED, EntryType, OutboundHead
from keys.cell import shuffled
from keys.encoding import SECONDS_A_WEEK
from keys.errors import Misconfigured, Refused, Stale
from keys.inventory import ID_BYTES

VALID_WEEKS = 4
_DOCUMENTS = (EntryType.MANIFEST, EntryType.CLOSE, EntryType.EPOCHS, EntryType.BULLETIN)


@dataclass(frozen=True, slots=True)
class Written:
    """A bundle that was written for a server. `cells` counts replies and fillers together."""

    server: str
    first: int
    entries: int
    cells: int
    acknowledged: int
    documents: int
    size: int


@dataclass(slots=True)
class Outbox:
    """What an outbox took along. `waiting` replies found no place this week, and go with a later one."""

    bundles: list[Written] = field(default_factory=list)
    replies: int = 0
    opened: int = 0
    waiting: int = 0
    late: int = 0


def write(vault: Vault, sticks: Sequence[Stick], now: int, *, again: bool = False) -> Outbox:
    """Close a batch and write every server's bundle to each stick.

    Args:
        again: close no batch; write what an earlier outbox wrote and nothing has confirmed, to one more stick.

    Raises:
        Stale: the manifest isn't in date; or the vault was restored, and no inventory has told yet how far the lost
            one's bundles came.
        Misconfigured: the manifest has no server, or another program is working with the vault.
        Refused: there is nothing to be written again.
        NoRoom, OSError: a stick is full or gone. The batch stays, and goes with the next outbox.
    """
    with vault.exclusive():
        manifest = vault.manifest_in_date(now)
        if not manifest.servers:
            raise Misconfigured("The manifest lists no server.", "Ask the roots for a manifest that does.")
        if facts.number(vault.database, AWAITS_INVENTORY):
            raise Stale(
                "This vault was restored from a backup, and doesn't know yet how far its bundles came.",
                "Import a fresh inventory first: journalist-station import STICK.",
            )
        outbox = Outbox()
        if not again:
            with vault.database.transaction():
                _close_batch(vault, now, outbox)
        late = [each for each in post.undelivered_replies(vault.database) if each.created < now - 2 * SECONDS_A_WEEK]
        outbox.late = len(late)
        for server in manifest.servers:
            outbox.bundles.append(_write_bundle(vault, sticks, server.name, now))
        for stick in sticks:
            write_known(vault, stick)
        return outbox


def _close_batch(vault: Vault, now: int, outbox: Outbox) -> None:
    """Number everything that waits, with fillers. One transaction: all of it, or nothing."""
    names = [server.name for server in vault.manifest.servers]
    outbox.opened = replies.queue_opened(vault, now)
    for reply in post.queued_replies(vault.database):
        if replies.seal(vault, reply, now) is None:
            outbox.waiting += 1
        else:
            outbox.replies += not reply.automatic
    for name in names:
        _acknowledge(vault, name, now)
        letters = post.unnumbered(vault.database, name)
        mixed = [letter.number for letter in letters if letter.type == EntryType.CELL]
        unconfirmed = sum(each.letter.type == EntryType.CELL for each in _unconfirmed(vault, name))
        size = vault.manifest.limits.bundle_cells
        # Always another batch, replies or not: that there were none mustn't show either.
        fillers = -(unconfirmed + len(mixed)) % size or (0 if mixed else size)
        mixed = shuffled([*mixed, *replies.fill(vault, name, fillers)], vault.randomness)
        documents = _newest(vault, [letter for letter in letters if letter.type in _DOCUMENTS])
        acknowledgements = [letter.number for letter in letters if letter.type == EntryType.ACKNOWLEDGEMENT]
        first = 1 + max(post.highest_entry(vault.database, name), _mark(vault, name))
        post.add_entries(vault.database, name, first, [*documents, *acknowledgements, *mixed], now)
    journal.record(
        vault.database,
        now,
        "outbox",
        servers=names,
        replies=outbox.replies,
        opened=outbox.opened,
        waiting=outbox.waiting,
    )


def _acknowledge(vault: Vault, server: str, now: int) -> None:
    """Acknowledge every settled cell that was first listed A weeks ago or earlier, and not before. SPEC 15.4."""
    age = vault.manifest.limits.acknowledge_weeks * SECONDS_A_WEEK
    due = rows.due(vault.database, server, now - age)
    for at in range(0, len(due), MAX_ACKNOWLEDGED):
        some = due[at : at + MAX_ACKNOWLEDGED]
        post.add_letter(vault.database, EntryType.ACKNOWLEDGEMENT, b"".join(some), server=server)
        rows.set_acknowledged(vault.database, server, some)


def _newest(vault: Vault, letters: Sequence[LetterRow]) -> list[int]:
    """Return the documents in the order in which a server can take them; of each subject only the newest there is."""
    newest = [each for each in letters if each.number == post.newest_labelled(vault.database, each.label)]
    return [each.number for type_ in _DOCUMENTS for each in newest if each.type == type_]


def _mark(vault: Vault, server: str) -> int:
    row = rows.servers(vault.database).get(server)
    return row.mark if row else 0


def _unconfirmed(vault: Vault, server: str) -> list[EntryRow]:
    return post.entries_after(vault.database, server, _mark(vault, server))


def unconfirmed(vault: Vault) -> dict[str, int]:
    """Return how many entries no inventory has confirmed, by server."""
    return {server.name: len(_unconfirmed(vault, server.name)) for server in vault.manifest.servers}


def _write_bundle(vault: Vault, sticks: Sequence[Stick], server: str, now: int) -> Written:
    entries = _unconfirmed(vault, server)
    if not entries:
        raise Refused("There is nothing that could be written again.", "Write a new outbox, without --again.")
    cells = sum(each.letter.type == EntryType.CELL for each in entries)
    head = OutboundHead(
        network=vault.network,
        desk=vault.desk,
        server=server,
        first=entries[0].number,
        entries=len(entries),
        cells=cells,
        issued=now,
        expires=now + VALID_WEEKS * SECONDS_A_WEEK,
    )
    size = 0
    for stick in sticks:
        pieces = bundle.write_outbound(head, _contents(vault, entries), vault.signing_seed)
        size = stick.write_bundle(vault.desk, server, pieces)
    return Written(
        server,
        head.first,
        head.entries,
        cells,
        sum(
            len(post.letter_content(vault.database, each.letter.number)) // ID_BYTES
            for each in entries
            if each.letter.type == EntryType.ACKNOWLEDGEMENT
        ),
        sum(each.letter.type in _DOCUMENTS for each in entries),
        size,
    )


def _contents(vault: Vault, entries: Sequence[EntryRow]) -> Iterator[tuple[EntryType, bytes]]:
    for each in entries:
        yield EntryType(each.letter.type), post.letter_content(vault.database, each.letter.number)
