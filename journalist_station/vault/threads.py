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
    """Files that the source's key signed aren't those that its closing lists: somebody else used that key, or a server
    changed what it signed while the source sent."""


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
        if closed:
            # The signature doesn't cover a cell's flags: somebody may have sealed the message once more, unclosed.
            rows.set_closed(vault.database, tip, digest)
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


class Listed(StrEnum):
    """What the source's signed closing says of a file that is here. Its key signed the file, too, whichever it is."""

    SAME = "same"
    """It lists the file with this very SHA-256."""
    DIFFERS = "differs"
    """It lists another SHA-256."""
    NOT = "not-listed"
    """It doesn't list the file at all."""
    UNKNOWN = "unknown"
    """No closing is here, or not all of the file; or it was inside another file, whose word it stands on."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file of a tip as a journalist sees it. `entry` is what the closing lists, and None when it lists nothing.

    `size` and `sha256` are of what is here; of an item with missing cells there is no `sha256`.
    """

    row: ItemRow = field(repr=False)
    size: int
    sha256: bytes | None
    entry: tips.ClosingEntry | None = None
    listed: Listed = Listed.UNKNOWN

    @property
    def name(self) -> bytes | None:
        return self.row.name


@dataclass(frozen=True, slots=True)
class Standing:
    """What came of a tip besides its message, compared with what its closing item lists."""

    closed: bool
    closing: Closing | None
    files: tuple[FileFacts, ...]
    absent: tuple[tips.ClosingEntry, ...]
    """What the closing lists, and nothing has come of."""

    forged: int = 0
    """How many cells claimed to be pieces of this source's files, and weren't signed by it. They were refused."""
    strangers: int = 0
    """How many files came under this tip's id that another key signed. They are not this source's."""

    @property
    def state(self) -> TipState:
        own = [file for file in self.files if file.row.parent is None]
        if any(file.listed in (Listed.DIFFERS, Listed.NOT) for file in own):
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
    files = files_of(vault, row.tip, source, closing)
    here = {file.row.item for file in files}
    return Standing(
        row.closed,
        closing,
        files,
        tuple(entry for entry in closing.items if entry.item not in here) if closing else (),
        rows.count_forgeries(vault.database, row.tip, source),
        rows.count_items_of_others(vault.database, row.tip, source),
    )


def files_of(vault: Vault, tip: bytes, source: bytes, closing: Closing | None = None) -> tuple[FileFacts, ...]:
    """Return the facts of the files that a source signed for a tip, those that were inside another one behind it."""
    return tuple(_facts(vault, row, closing) for row in rows.items(vault.database, tip, source))


def attachments_of(vault: Vault, reply: int) -> tuple[FileFacts, ...]:
    return tuple(_facts(vault, row, None) for row in rows.attachments(vault.database, reply))


def _facts(vault: Vault, row: ItemRow, closing: Closing | None) -> FileFacts:
    runs = rows.runs(vault.database, row.number)
    whole = row.state != ItemState.MISSING and len(runs) == 1
    sha256 = runs[0].sha256 if whole else None
    size = sum(run.size for run in runs)
    if closing is None or row.parent is not None:
        return FileFacts(row, size, sha256)
    entry = next((each for each in closing.items if each.item == row.item), None)
    if entry is None:
        listed = Listed.NOT
    elif sha256 is None:
        listed = Listed.UNKNOWN
    else:
        listed = Listed.SAME if sha256 == entry.sha256 else Listed.DIFFERS
    return FileFacts(row, size, sha256, entry, listed)


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
