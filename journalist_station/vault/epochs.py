"""The desk's weeks: beginning an epoch list, the identities that open cells, and erasing weeks for good. SPEC 11.

Each list starts from a fresh chain, so one week may have several identities, one a list. What erases a week is moving
every chain past it and then rewriting the database; what was sealed to it opens nowhere any more, backups aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from journalist_station.vault import journal
from journalist_station.vault.database import cells, facts, post, tips
from journalist_station.vault.database.facts import ChainRow
from journalist_station.vault.vault import Vault
from keys import epochs as lists
from keys import minisign
from keys.age import HybridIdentity
from keys.bundle import EntryType
from keys.chain import Chain
from keys.encoding import SECONDS_A_WEEK, week_of, week_start
from keys.epochs import DEFAULT_WEEKS, EpochList
from keys.errors import NotForUs, Refused
from keys.keyfile import ChainKeyFile
from keys.minisign import SignedDocument

LABEL = "epochs"
_SEQUENCE = "list_sequence"


@dataclass(frozen=True, slots=True)
class WeekIdentity:
    """What opens the cells that were sealed to one week of one epoch list."""

    week: int
    sequence: int
    seed: bytes = field(repr=False)


def begin(vault: Vault, now: int, weeks: int = DEFAULT_WEEKS) -> tuple[EpochList, SignedDocument]:
    """Begin an epoch list with the present week, sign it, and put it in the outbox.

    Raises:
        Stale: the manifest isn't in date.
        Malformed: not 1 to 13 weeks.
    """
    vault.manifest_in_date(now)
    first = week_of(now)
    sequence = facts.number(vault.database, _SEQUENCE) + 1
    chain = Chain.begin(vault.network, vault.desk, sequence, first, vault.randomness)
    recipients = chain.recipients(range(first, first + weeks))
    raw = lists.compose(vault.network, vault.desk, sequence, now, first, recipients)
    document = SignedDocument(raw, (minisign.sign(vault.signing_seed, raw, lists.TYPE),))
    return _keep(vault, chain, document, now), document


def adopt(vault: Vault, chain_file: ChainKeyFile, document: SignedDocument, now: int) -> EpochList:
    """Take over an epoch list that was made elsewhere, with its chain.

    Raises:
        NotForUs: chain and list don't belong together, or not to this desk.
        DropBoxError: as `keys.epochs.admit` does.
    """
    manifest = vault.manifest_in_date(now)
    admitted = lists.admit(document, manifest, None, facts.number(vault.database, _SEQUENCE) + 1, now)
    chain = chain_file.chain
    belongs = (chain.network, chain.desk, chain.sequence) == (vault.network, vault.desk, admitted.sequence)
    if (
        not belongs
        or admitted.desk != vault.desk
        or chain.week != admitted.first_week
        or chain.recipients(admitted.weeks) != admitted.recipients
    ):
        raise NotForUs("This chain doesn't belong to this epoch list, or not to this desk.")
    return _keep(vault, chain, document, now)


def _keep(vault: Vault, chain: Chain, document: SignedDocument, now: int) -> EpochList:
    made = lists.parse(document.statement, vault.network)
    database = vault.database
    with database.transaction():
        facts.put_chain(database, ChainRow(chain.sequence, chain.week, made.weeks[-1], chain.key))
        facts.set_setting(database, _SEQUENCE, chain.sequence)
        post.add_letter(database, EntryType.EPOCHS, document.encode(), label=LABEL)
        journal.record(database, now, "epochs", sequence=chain.sequence, first=made.first_week, last=made.weeks[-1])
    return made


def note_published(vault: Vault, sequence: int) -> bool:
    """Take note of a list of this desk that a server shows; return whether this vault didn't know so high a number.

    After a restore it may not; the next list must be higher.
    """
    if sequence <= facts.number(vault.database, _SEQUENCE):
        return False
    facts.set_setting(vault.database, _SEQUENCE, sequence)
    return True


def _chain(vault: Vault, row: ChainRow) -> Chain:
    return Chain(vault.network, vault.desk, row.sequence, row.week, row.secret)


def identities(vault: Vault, last_week: int) -> list[WeekIdentity]:
    """Return every identity that isn't erased, up to a week: what worked last first, then the newest weeks.

    No later week is asked, because a server seals to the week of its clock, and its inventories tell its clock.
    """
    found = []
    for row in facts.chains(vault.database):
        chain = _chain(vault, row)
        for week in range(row.week, min(row.last_week, last_week) + 1):
            chain = chain.advance_to(week)
            found.append(WeekIdentity(week, row.sequence, chain.identity_seed(week)))
    worked = facts.number(vault.database, "worked_week"), facts.number(vault.database, "worked_list")
    return sorted(found, key=lambda each: ((each.week, each.sequence) != worked, -each.week, -each.sequence))


def note_worked(vault: Vault, identity: WeekIdentity) -> None:
    """Remember which identity opened a cell last, to be tried first next time."""
    facts.set_setting(vault.database, "worked_week", identity.week)
    facts.set_setting(vault.database, "worked_list", identity.sequence)


def opening(found: Sequence[WeekIdentity]) -> list[HybridIdentity]:
    """Expand identities, in their order."""
    return [HybridIdentity.from_seed(each.seed) for each in found]


@dataclass(frozen=True, slots=True)
class WeekRow:
    """A week that has keys here. `published` is the newest list that names it."""

    week: int
    published: int
    erasable_at: int


def weeks(vault: Vault) -> list[WeekRow]:
    """Return the weeks that have keys here, oldest first."""
    newest: dict[int, int] = {}
    for row in facts.chains(vault.database):
        for week in range(row.week, row.last_week + 1):
            newest[week] = max(row.sequence, newest.get(week, 0))
    grace = vault.manifest.limits.grace_weeks
    return [WeekRow(week, newest[week], week_start(week + 1 + grace)) for week in sorted(newest)]


def erasable(vault: Vault, now: int) -> int | None:
    """Return the last week whose grace is over and that still has keys here, or None."""
    past = [each.week for each in weeks(vault) if each.erasable_at <= now]
    return past[-1] if past else None


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What may still come that only weeks about to be erased can open.

    `unread` counts listed cells that weren't carried here; `silent` names servers whose newest inventory is so old that
    later ones may list more; `waiting` counts files of which cells are still missing.
    """

    unread: dict[str, int]
    silent: list[str]
    waiting: int

    def __bool__(self) -> bool:
        return bool(self.unread or self.silent or self.waiting)


def outstanding(vault: Vault, through: int) -> Outstanding:
    """Say what could be lost by erasing the weeks up to `through`."""
    known = cells.servers(vault.database)
    end = week_start(through + 1)
    # A slow upload that began in the last minute of the week was listed in the next inventories, not in this one.
    unread = {name: cells.open_count(vault.database, name, end + SECONDS_A_WEEK) for name in known}
    names = [server.name for server in vault.manifest.servers]
    silent = [name for name in names if name not in known or known[name].time < end]
    return Outstanding(
        {name: count for name, count in unread.items() if count}, silent, tips.count_missing(vault.database)
    )


def erase(vault: Vault, through: int, now: int) -> list[int]:
    """Erase every week up to and with `through`, for good; return the weeks that had keys until now.

    The newest backup still has them until it is replaced.

    Raises:
        Refused: the week isn't over.
        Misconfigured: somebody else uses the vault. The weeks are erased all the same, but not yet overwritten: again.
    """
    if through >= week_of(now):
        raise Refused("A week that isn't over can't be erased: tips are still sealed to it.", "Choose a past week.")
    with vault.exclusive():
        gone = [each.week for each in weeks(vault) if each.week <= through]
        with vault.database.transaction():
            for row in facts.chains(vault.database):
                if row.last_week <= through:
                    facts.delete_chain(vault.database, row.sequence)
                elif row.week <= through:
                    moved = _chain(vault, row).advance_to(through + 1)
                    facts.put_chain(vault.database, ChainRow(row.sequence, moved.week, row.last_week, moved.key))
            journal.record(vault.database, now, "erase", through=through, weeks=gone)
        vault.database.compact()
    return gone
