"""Threads: whom a message is from, whether it is admitted, where answers go, what state a tip is in. SPEC 8.6, 8.7."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum

from journalist_station.vault.database import tips as rows
from journalist_station.vault.database.tips import ItemRow, ItemState, MessageRow, ThreadRow
from journalist_station.vault.names import ThreadName, same_name, thread_name
from journalist_station.vault.vault import Vault
from keys import primitives
from keys import tip as tips
from keys.age import HybridRecipient
from keys.cell import Flags
from keys.errors import Malformed, NotAuthentic, NotForUs, Refused
from keys.primitives import SIGNATURE_BYTES
from keys.tip import Closing, Mailbox, Message

MIN_PREFIX = 8
"""How many hexadecimal digits of a source's key name its thread at least."""


class TipState(StrEnum):
    """What a journalist must know before relying on a tip."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    NOT_CLOSED = "not-closed"
    MISSING = "missing"
    """Cells are missing, or a whole item that the closing lists. They may still come."""
    DIFFERS = "differs"
    """A file isn't the one that the source's closing lists: somebody put it there."""


class Admission(Enum):
    """What became of a message or closing item."""

    NEW = "new"
    REPEATED = "repeated"
    REFUSED = "refused"


def admit(vault: Vault, tip: bytes, item: int, payload: bytes, flags: Flags, now: int) -> Admission:
    """Take a message or a closing item into its thread, if its signature and its desks allow it.

    To be called in a transaction.
    """
    try:
        if not flags & Flags.LAST:
            raise Malformed("A message fits one cell.")
        if item == tips.MESSAGE_ITEM:
            return _admit_message(vault, tip, payload, bool(flags & Flags.CLOSED), now)
        tips.open_closing(payload, vault.network, tip, payload[: tips.SOURCE_BYTES])
        new = rows.add_closing(vault.database, tip, payload[: tips.SOURCE_BYTES], payload)
        return Admission.NEW if new else Admission.REPEATED
    except (Malformed, NotAuthentic, NotForUs):
        return Admission.REFUSED


def _admit_message(vault: Vault, tip: bytes, payload: bytes, closed: bool, now: int) -> Admission:
    source, message = tips.open_message(payload, vault.network, tip, vault.desk)
    digest = primitives.sha256(payload)
    if rows.has_message(vault.database, tip, digest):
        return Admission.REPEATED
    thread = rows.thread_of(vault.database, source)
    number = rows.add_thread(vault.database, source, now) if thread is None else thread.number
    # "The first message that a station admits to a thread and that has a mailbox fixes it."
    other = False
    if message.mailbox is not None and _is_usable(message.mailbox):
        if thread is None or thread.root is None:
            rows.set_mailbox(vault.database, number, message.mailbox.root, message.mailbox.recipient)
        else:
            other = (thread.root, thread.recipient) != (message.mailbox.root, message.mailbox.recipient)
    added = rows.add_message(
        vault.database,
        thread=number,
        tip=tip,
        digest=digest,
        raw=payload,
        kind=message.kind,
        language=message.language,
        call=message.call,
        week=message.week,
        imported=now,
        closed=closed,
        other_mailbox=other,
        state=TipState.NOT_CLOSED.value,
    )
    words = [message.text, *(part for answer in message.answers for part in answer)]
    rows.index(vault.database, rows.Found.MESSAGE, added, "\n".join(words))
    return Admission.NEW


def _is_usable(mailbox: Mailbox) -> bool:
    try:
        HybridRecipient.from_text(mailbox.recipient)
    except Malformed:
        return False
    return True


def settle(vault: Vault, tip: bytes) -> None:
    """Work out the state of a tip's messages anew, after anything of it came. To be called in a transaction."""
    for row in rows.messages_of(vault.database, tip):
        rows.set_state(vault.database, row.number, _standing(vault, row).state.value)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file of a tip as a journalist sees it. `listed` is what the closing says, and None when it says nothing.

    `size` and `sha256` are of what is here; of an item with missing cells there is no `sha256`.
    """

    row: ItemRow = field(repr=False)
    size: int
    sha256: bytes | None
    listed: tips.ClosingEntry | None

    @property
    def name(self) -> bytes | None:
        return self.row.name

    @property
    def differs(self) -> bool:
        return self.listed is not None and self.sha256 is not None and self.listed.sha256 != self.sha256


@dataclass(frozen=True, slots=True)
class Standing:
    """What came of a tip besides its message, compared with what its closing item lists."""

    closed: bool
    closing: Closing | None
    files: tuple[FileFacts, ...]
    absent: tuple[tips.ClosingEntry, ...]
    """What the closing lists, and nothing has come of."""

    contested: bool = False
    """Another source claims this tip, and what they signed doesn't tell which of them sent the files."""

    @property
    def state(self) -> TipState:
        own = [file for file in self.files if file.row.parent is None]
        # Whoever else the tip was sealed to knows its id, and could have planted a file that the source never listed.
        planted = (self.closed or self.closing is not None) and any(file.listed is None for file in own)
        if self.contested or planted or any(file.differs for file in own):
            return TipState.DIFFERS
        if self.absent or any(file.row.state == ItemState.MISSING for file in own):
            return TipState.MISSING
        if self.closing is None:
            return TipState.COMPLETE if self.closed and not own else TipState.NOT_CLOSED
        interrupted = any(file.row.state == ItemState.INTERRUPTED for file in own)
        return TipState.INTERRUPTED if interrupted or not self.closing.complete else TipState.COMPLETE


@dataclass(frozen=True, slots=True)
class Tip:
    """One message of a source with what came along."""

    row: MessageRow = field(repr=False)
    message: Message
    standing: Standing

    @property
    def state(self) -> TipState:
        return self.standing.state

    @property
    def files(self) -> tuple[FileFacts, ...]:
        return self.standing.files

    @property
    def absent(self) -> tuple[tips.ClosingEntry, ...]:
        return self.standing.absent


def read_tip(vault: Vault, row: MessageRow) -> Tip:
    """Read a message with its closing item and the facts of its files."""
    return Tip(row, tips.parse_message(row.raw[tips.SOURCE_BYTES + SIGNATURE_BYTES :]), _standing(vault, row))


def _standing(vault: Vault, row: MessageRow) -> Standing:
    source = row.raw[: tips.SOURCE_BYTES]
    raw = rows.closing(vault.database, row.tip, source)
    closing = None if raw is None else tips.open_closing(raw, vault.network, row.tip, source)
    listed = {} if closing is None else {entry.item: entry for entry in closing.items}
    files = files_of(vault, row.tip, listed)
    claims = {other.raw[: tips.SOURCE_BYTES] for other in rows.messages_of(vault.database, row.tip)} - {source}
    rivals = [each for each in claims if rows.closing(vault.database, row.tip, each) is not None]
    contested = bool(claims) and (closing is None or bool(rivals))
    if claims:
        # Files hang on the tip's id, which is all that a stranger knows: only what this source listed by digest is its.
        files = tuple(file for file in files if file.listed is not None and file.sha256 == file.listed.sha256)
    here = {file.row.item for file in files}
    absent = tuple(entry for number, entry in listed.items() if number not in here)
    return Standing(row.closed, closing, files, absent, contested)


def files_of(vault: Vault, tip: bytes, listed: dict[int, tips.ClosingEntry] | None = None) -> tuple[FileFacts, ...]:
    """Return the facts of a tip's files, those that were inside another one behind it."""
    return tuple(_facts(vault, row, (listed or {}).get(row.item or 0)) for row in rows.items(vault.database, tip))


def attachments_of(vault: Vault, reply: int) -> tuple[FileFacts, ...]:
    return tuple(_facts(vault, row, None) for row in rows.attachments(vault.database, reply))


def _facts(vault: Vault, row: ItemRow, listed: tips.ClosingEntry | None) -> FileFacts:
    runs = rows.runs(vault.database, row.number)
    whole = row.state != ItemState.MISSING and len(runs) == 1
    return FileFacts(row, sum(run.size for run in runs), runs[0].sha256 if whole else None, listed)


def name_of(vault: Vault, thread: ThreadRow) -> ThreadName:
    return thread_name(vault.network, thread.source)


def find(vault: Vault, words: str) -> ThreadRow:
    """Return the thread that somebody means by its number, its name in either language, or digits of its key.

    Raises:
        NotForUs: there is none. Refused: there are several.
    """
    if words.isascii() and words.isdigit() and len(words) < MIN_PREFIX:
        row = rows.thread(vault.database, int(words))
        found = [row] if row else []
    else:
        digits = words.casefold()
        found = [
            each
            for each in rows.threads(vault.database)
            if same_name(words, name_of(vault, each))
            or (len(digits) >= MIN_PREFIX and each.source.hex().startswith(digits))
        ]
    if not found:
        raise NotForUs("There is no such thread.", "journalist-station list shows them all.")
    if len(found) > 1:
        raise Refused("More than one thread is called that.", "Name it by its number.")
    return found[0]
