"""Importing: from sticks to threads and files. Idempotent, and atomic for each cell and each item.

First each server's documents and inventory are verified, and what it lists is remembered. Then every cell on the sticks
whose fate is open is compared with what the server signed, and opened: messages are committed in small batches, files
when all cells of this import are known. A kill at any moment loses at most what wasn't committed yet; the next import
does it again. What is damaged, exchanged or not for this desk is counted, never fatal.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from journalist_station.vault import assembling, confirming, damaged, epochs, inner, journal, threads
from journalist_station.vault.assembling import FileCell, Place
from journalist_station.vault.carried import Carried
from journalist_station.vault.database import cells as rows
from journalist_station.vault.database import tips as tip_rows
from journalist_station.vault.database.cells import Fate
from journalist_station.vault.database.tips import ItemState, RunRow
from journalist_station.vault.opening import Batch, Outcome, Sorted, sort_cells
from journalist_station.vault.stick import Stick
from journalist_station.vault.threads import Admission
from journalist_station.vault.vault import Vault
from keys import bundle
from keys import epochs as lists
from keys.age import HybridIdentity
from keys.bundle import CELL_BYTES
from keys.encoding import week_of
from keys.errors import DropBoxError
from keys.inventory import CellId
from keys.minisign import SignedDocument


@dataclass(slots=True)
class Report:
    """What an import did. Counts are of this import alone, but for two that say how things stand after it.

    `unread` cells are listed, and no stick has brought them whole; `damaged_at_source` are those that can be released.

    `problems` are what was wrong with a server's part of a stick, each with the server's name; the rest was imported.
    """

    inventories: dict[str, int] = field(default_factory=dict)
    manifest: int | None = None
    cells: int = 0
    held: int = 0
    foreign: int = 0
    damaged: int = 0
    damaged_at_source: int = 0
    unread: int = 0
    unlisted: int = 0
    refused: int = 0
    forged: int = 0
    referrals: int = 0
    cut_short: int = 0
    messages: int = 0
    new_threads: int = 0
    files: int = 0
    opened_inside: int = 0
    waiting: int = 0
    delivered: int = 0
    sent_again: int = 0
    problems: list[tuple[str, DropBoxError]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Step:
    """How far an import is: bytes of cells done, of how many."""

    done: int
    total: int


def import_sticks(
    vault: Vault,
    sticks: Sequence[Stick],
    now: int,
    *,
    workers: int | None = None,
    progress: Callable[[Step], object] = lambda step: None,
) -> Report:
    """Import everything that sticks bring, and write on each which cells needn't come again.

    Args:
        workers: how many processes open cells; as many as there are cores when left out and when it pays.

    Raises:
        Misconfigured: another program is working with the vault.
        NoRoom: the vault's disk is full; what was committed before stays.
        OSError: a stick was pulled out or is broken; what was committed before stays.
    """
    with vault.exclusive():
        return _Import(vault, sticks, now, workers, progress).run()


class _Import:
    def __init__(
        self,
        vault: Vault,
        sticks: Sequence[Stick],
        now: int,
        workers: int | None,
        progress: Callable[[Step], object],
    ) -> None:
        self._vault = vault
        self._database = vault.database
        self._sticks = sticks
        self._now = now
        self._workers = workers
        self._progress = progress
        self._report = Report()
        self._done = self._total = 0
        self._fates: list[tuple[bytes, bytes, Fate]] = []
        self._noted: set[tuple[bytes, bytes]] = set()

    def run(self) -> Report:
        self._vault.files.sweep(tip_rows.all_files(self._database))
        threads_before = len(tip_rows.threads(self._database))
        servers = {stick: self._servers(stick) for stick in self._sticks}
        for stick, names in servers.items():
            for server in names:
                self._take_word(stick, server)
            if not names:
                self._report.warnings.append(
                    f"There is nothing from a courier on {stick.folder.name!r}. "
                    "Is it the mounted stick, or the folder, that dropbox-courier sync --out wrote to?"
                )
        self._carried = Carried(self._vault, servers, self._report)
        while batches := self._carried.next_round():
            self._total += sum(len(batch.cells) for batch in batches) * CELL_BYTES
            self._open(batches)
        self._report.new_threads = len(tip_rows.threads(self._database)) - threads_before
        self._report.waiting = tip_rows.count_missing(self._database)
        report = self._report
        report.unread = sum(rows.open_count(self._database, server) for server in report.inventories)
        report.damaged_at_source = len(damaged.at_source(self._vault))
        journal.record(
            self._database,
            self._now,
            "import",
            inventories=report.inventories,
            cells=report.cells,
            messages=report.messages,
            files=report.files,
            damaged=report.damaged,
            unlisted=report.unlisted,
            refused=report.refused,
            forged=report.forged,
        )
        for stick, read in self._carried.read.items():
            if not write_known(self._vault, stick, read):
                report.warnings.append(f"The stick {stick.folder.name!r} can't be written to, so more comes twice.")
        return report

    def _servers(self, stick: Stick) -> list[str]:
        try:
            return stick.servers()
        except DropBoxError as error:
            self._report.problems.append((stick.folder.name, error))
            return []

    def _take_word(self, stick: Stick, server: str) -> None:
        """Admit a server's documents and inventory from a stick, or say why not."""
        try:
            self._take_documents(stick, server)
            self._vault.manifest_in_date(self._now)
            self._vault.manifest.server(server)
            confirming.take_inventory(self._vault, stick, server, self._now, self._report)
        except DropBoxError as error:
            self._report.problems.append((server, error))

    def _take_documents(self, stick: Stick, server: str) -> None:
        names = stick.documents(server)
        try:
            following = self._following(stick, server, names)
            if following and self._vault.admit_manifests(following, self._now):
                self._report.manifest = self._vault.manifest.sequence
        except DropBoxError as error:
            self._report.problems.append((server, error))
        for name in names:
            if name.startswith(f"epochs-{self._vault.desk}-"):
                self._compare_own_list(stick, server, name)

    def _following(self, stick: Stick, server: str, names: Sequence[str]) -> list[SignedDocument]:
        """Return the manifests on a stick that follow the one in force: an unbroken run, or the one after a gap."""
        numbers = {int(name.removeprefix("manifest-")) for name in names if name.startswith("manifest-")}
        newer = sorted(number for number in numbers if number > self._vault.manifest.sequence)
        run = [number for at, number in enumerate(newer) if number == newer[0] + at]
        return [stick.document(server, f"manifest-{number}") for number in run]

    def _compare_own_list(self, stick: Stick, server: str, name: str) -> None:
        """Take note of an epoch list that this desk signed and this vault doesn't know."""
        try:
            document = stick.document(server, name)
            published = lists.admit(document, self._vault.manifest, None, 0, self._now)
        except DropBoxError:
            return  # Of no use to anybody: the servers don't take it either.
        if published.desk == self._vault.desk and epochs.note_published(self._vault, published.sequence):
            self._report.warnings.append(
                f"The server {server} shows epoch list {published.sequence} of this desk, which this vault didn't "
                "make: it opens nothing of what is sealed to it."
            )

    def _open(self, batches: Sequence[Batch]) -> None:
        latest = max(server.time for server in rows.servers(self._database).values())
        # One week of tolerance: an upload that runs over midnight on Sunday, a server's clock a little ahead.
        identities = epochs.identities(self._vault, week_of(max(latest, self._now)) + 1)
        files: dict[Place, list[FileCell]] = defaultdict(list)
        worked: Counter[int] = Counter()
        touched: set[bytes] = set()
        seeds = [identity.seed for identity in identities]
        for some in sort_cells(batches, seeds, self._vault.geometry, self._workers):
            with self._database.transaction():
                for each in some:
                    self._take(each, files, touched)
                    if each.identity is not None:
                        worked[each.identity] += 1
                self._settle(touched)
                touched.clear()
            self._advance(sum(each.outcome is not Outcome.FILE for each in some) * CELL_BYTES)
        if worked:
            epochs.note_worked(self._vault, identities[worked.most_common(1)[0][0]])
        inside = epochs.opening(identities)
        for place, cells in sorted(files.items()):
            self._assemble(place, cells, inside)

    def _take(self, each: Sorted, files: dict[Place, list[FileCell]], touched: set[bytes]) -> None:
        report = self._report
        match each.outcome, each.head:
            case Outcome.FILE, head if head is not None:
                place = Place(head.series, each.source, head.item)
                files[place].append(FileCell(each.cell, each.digest, head.number, each.path, each.offset, each.key))
            case Outcome.SMALL, head if head is not None and head.number == 0:
                admission = threads.admit(self._vault, head.series, head.item, each.payload, each.flags, self._now)
                self._note(each, Fate.REFUSED if admission is Admission.REFUSED else Fate.HELD)
                if admission is not Admission.REFUSED:
                    report.messages += admission is Admission.NEW and head.item == 0
                    touched.add(head.series)
            case Outcome.REFERRAL, head if head is not None:
                self._keep_referral(each)
                self._note(each, Fate.REFERRAL)
            case Outcome.FOREIGN, _:
                self._note(each, Fate.FOREIGN)
            case ((Outcome.EXCHANGED | Outcome.DAMAGED), _):
                report.damaged += 1
                as_listed = each.outcome is Outcome.DAMAGED
                self._carried.came_damaged(each.cell, each.path, each.offset, as_listed=as_listed)
            case _:
                self._note(each, Fate.REFUSED)

    def _note(self, cell: Sorted | FileCell, fate: Fate) -> None:
        if (cell.cell, cell.digest) in self._noted:
            return  # It came with two sticks.
        self._noted.add((cell.cell, cell.digest))
        self._report.cells += 1
        match fate:
            case Fate.FOREIGN:
                self._report.foreign += 1
            case Fate.REFUSED:
                self._report.refused += 1
            case Fate.REFERRAL:
                self._report.referrals += 1
            case _:
                self._report.held += 1
        self._fates.append((cell.cell, cell.digest, fate))

    def _settle(self, tips: set[bytes]) -> None:
        """Write down the fates so far, and the states of the tips that changed."""
        rows.put_fates(self._database, self._fates)
        self._fates.clear()
        for tip in tips:
            threads.settle(self._vault, tip)
            self._report.threads |= {message.thread for message in tip_rows.messages_of(self._database, tip)}

    def _keep_referral(self, each: Sorted) -> None:
        """Keep the opened block of a referral as it is: this version can't do more with it. SPEC 8.8."""
        if each.head is None:
            raise RuntimeError("a referral without a head")
        secret = self._vault.files.new_secret()
        with self._vault.files.write(secret) as writer:
            writer.write(each.head.encode() + each.payload + bytes([each.flags]))
            sealed = writer.commit()
        number = tip_rows.add_item(self._database, secret, ItemState.REFERRAL, name=each.head.encode())
        tip_rows.add_run(self._database, RunRow(sealed.name, number, b"", sealed.size, sealed.sha256))

    def _assemble(self, place: Place, cells: Sequence[FileCell], identities: Sequence[HybridIdentity]) -> None:
        result = assembling.assemble(self._vault, place, cells, self._advance)
        inside = None
        if result.sealed is not None and result.state != ItemState.MISSING:
            inside = inner.unseal(self._vault, result.sealed, result.secret, identities)
        with self._database.transaction():
            if result.sealed is not None:
                number = assembling.commit(self._vault, place, result)
                if inside is not None:
                    inside.commit(self._vault, number, result.name)
                    self._report.opened_inside += 1
                self._report.files += result.state != ItemState.MISSING
            for cell in result.held:
                self._note(cell, Fate.HELD)
            for cell in result.refused:
                self._note(cell, Fate.REFUSED)
            if result.forged:
                tip_rows.note_forgeries(self._database, *place, len(result.forged))
            for cell in result.forged:
                self._note(cell, Fate.REFUSED)
            self._settle({place.tip})
            for each in result.damaged:
                self._carried.came_damaged(each.cell, each.path, each.offset, as_listed=True)
        self._report.forged += len(result.forged)
        self._report.damaged += len(result.damaged)
        for file in result.replaced:
            self._vault.files.remove(file)

    def _advance(self, amount: int) -> None:
        self._done += amount
        self._progress(Step(min(self._done, self._total), self._total))


def write_known(vault: Vault, stick: Stick, read: Mapping[str, int] | None = None) -> bool:
    """Write on a stick which cells needn't be fetched again (SPEC 14.4); return False when it can't be written to.

    Args:
        read: the newest inventory of each server whose cells on this stick were read just now; what stands on the stick
            already when nothing was.
    """
    if read is None:
        before = stick.known(vault.desk, vault.network)
        read = before.inventories if before else {}
    ids = [CellId(cell) for cell in rows.settled(vault.database)]
    try:
        stick.write_known(vault.desk, bundle.known(vault.network, vault.desk, read, ids))
    except (DropBoxError, OSError):
        return False
    return True
