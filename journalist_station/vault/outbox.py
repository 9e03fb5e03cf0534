"""The outbox: everything that goes to the servers, numbered for each, kept until an inventory confirms it. SPEC 15.

Each time an outbox is written, a batch is closed: replies, acknowledgements and documents that wait, with as many
fillers as make the cells a multiple of B, mixed. The batch is numbered and committed; then a bundle with everything
that no inventory has confirmed yet goes to each stick. So a lost stick loses nothing, and neither the stick nor the
server can tell how many replies went. What is more than a server surely has room for becomes several batches, and
several bundles, each of which is taken or refused by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest

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
USUAL_CELLS = 64
"""How many cells a bundle has at most, unless B or a single reply has more: a full server keeps room for so many."""
MAX_ACKNOWLEDGEMENTS = 16
"""How many entries that acknowledge cells, a million of them, a bundle has at most."""
MAX_DOCUMENTS = 64
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
    """What an outbox took along, to a server in one bundle or several.

    `waiting` replies found no place this week, and go with a later one.
    """

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
            outbox.bundles += _write_bundles(vault, sticks, server.name, now)
        if not outbox.bundles:
            raise Refused("There is nothing that could be written again.", "Write a new outbox, without --again.")
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
        _number(vault, name, now)
    journal.record(
        vault.database,
        now,
        "outbox",
        servers=names,
        replies=outbox.replies,
        opened=outbox.opened,
        waiting=outbox.waiting,
    )


def _number(vault: Vault, server: str, now: int) -> None:
    """Number everything that waits for a server, as one batch or several, each with its fillers."""
    letters = post.unnumbered(vault.database, server)
    documents = _newest(vault, [letter for letter in letters if letter.type in _DOCUMENTS])
    acknowledgements = [letter.number for letter in letters if letter.type == EntryType.ACKNOWLEDGEMENT]
    # Always another batch, replies or not: that there were none mustn't show either.
    runs = _runs([letter for letter in letters if letter.type == EntryType.CELL], usual_cells(vault)) or [[]]
    uneven = sum(each.letter.type == EntryType.CELL for each in _unconfirmed(vault, server))
    first = 1 + max(post.highest_entry(vault.database, server), _mark(vault, server))
    batches: Iterable[tuple[Sequence[int], ...]] = zip_longest(
        _chunks(documents, MAX_DOCUMENTS), _chunks(acknowledgements, MAX_ACKNOWLEDGEMENTS), runs, fillvalue=()
    )
    for some, others, run in batches:
        size = vault.manifest.limits.bundle_cells
        fillers = -(uneven + len(run)) % size or (0 if run else size)
        mixed = shuffled([*run, *replies.fill(vault, server, fillers)], vault.randomness)
        numbered = [*some, *others, *mixed]
        post.add_entries(vault.database, server, first, numbered, now)
        first += len(numbered)
        uneven = 0


def usual_cells(vault: Vault) -> int:
    """Return how many cells a bundle has at most, unless one reply has more. SPEC 15.1."""
    size = vault.manifest.limits.bundle_cells
    return max(size, USUAL_CELLS // size * size)


def _runs(letters: Sequence[LetterRow], most: int) -> list[list[int]]:
    """Divide cells into runs of at most so many; a reply that has more is one by itself, and none is divided."""
    subjects: dict[tuple[str, int], list[int]] = {}
    for each in letters:
        subject = ("letter", each.number) if each.reply is None else ("reply", each.reply)
        subjects.setdefault(subject, []).append(each.number)
    runs: list[list[int]] = []
    for numbers in subjects.values():
        if not runs or len(runs[-1]) + len(numbers) > most:
            runs.append([])
        runs[-1] += numbers
    return runs


def _chunks(numbers: Sequence[int], most: int) -> list[Sequence[int]]:
    return [numbers[at : at + most] for at in range(0, len(numbers), most)]


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


def _write_bundles(vault: Vault, sticks: Sequence[Stick], server: str, now: int) -> list[Written]:
    """Write everything that a server hasn't confirmed to each stick, as one bundle or several."""
    bundles = _packed(_unconfirmed(vault, server), usual_cells(vault))
    written = [_write_bundle(vault, sticks, server, each, now, number) for number, each in enumerate(bundles, 1)]
    for stick in sticks:
        stick.drop_bundles(vault.desk, server, max(1, len(written)))
    return written


def _packed(entries: Sequence[EntryRow], most_cells: int) -> list[list[EntryRow]]:
    """Put batches that follow one another together, as long as a server surely has room; divide none."""
    bundles: list[list[EntryRow]] = []
    for _, batch in groupby(entries, lambda each: each.batch):
        some = list(batch)
        if bundles and _fits([*bundles[-1], *some], most_cells):
            bundles[-1] += some
        else:
            bundles.append(some)
    return bundles


def _fits(entries: Sequence[EntryRow], most_cells: int) -> bool:
    count = Counter(each.letter.type for each in entries)
    return (
        count[EntryType.CELL] <= most_cells
        and count[EntryType.ACKNOWLEDGEMENT] <= MAX_ACKNOWLEDGEMENTS
        and sum(count[type_] for type_ in _DOCUMENTS) <= MAX_DOCUMENTS
    )


def _write_bundle(
    vault: Vault, sticks: Sequence[Stick], server: str, entries: Sequence[EntryRow], now: int, number: int
) -> Written:
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
        size = stick.write_bundle(vault.desk, server, pieces, number)
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
