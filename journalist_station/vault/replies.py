"""Replies: taken down when they are written, sealed to their places when they go out. SPEC sections 6 and 9."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from journalist_station.vault import journal, threads
from journalist_station.vault.confirming import FLOOR_WEEK
from journalist_station.vault.database import cells as rows
from journalist_station.vault.database import facts, post
from journalist_station.vault.database import tips as tip_rows
from journalist_station.vault.database.cells import Fate
from journalist_station.vault.database.post import ReplyRow
from journalist_station.vault.database.tips import ItemState, RunRow, ThreadRow
from journalist_station.vault.items import SealedFile
from journalist_station.vault.vault import Vault
from keys import cell as cells
from keys import mailbox, reply
from keys.age import HybridRecipient
from keys.bundle import EntryType
from keys.cell import Flags, Head, Kind, Sealer
from keys.encoding import week_of
from keys.errors import NoRoom, NotForUs, Refused
from keys.reply import Place

OPENED = "opened"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes out with a reply: the name and type that the source will see, and the content."""

    name: str
    type: str
    content: bytes = field(repr=False)


def queue(
    vault: Vault,
    thread: ThreadRow,
    now: int,
    *,
    language: str,
    text: str,
    state: str,
    attachments: Sequence[Attachment] = (),
    asks: Sequence[int] = (),
) -> int:
    """Take down a reply, to go out with the next outbox; return its number.

    Args:
        asks: the desks to whom the source is asked to let the tip be passed on.

    Raises:
        Refused: the source wants no answer, or there is nothing in the reply.
        NotForUs: a desk that it asks about isn't another one of the manifest's.
        Malformed: text, state or attachments can't stand in a reply.
        NoRoom: it is larger than the manifest allows, the thread's places of this week are used up, or the disk is.
        Misconfigured: it has attachments, and another program is importing.
    """
    if thread.root is None:
        raise Refused("This source left no mailbox: it can't be answered.", "Publish a bulletin, if you must say it.")
    if not text.strip() and not state and not attachments and not asks:
        raise Refused("There is nothing in this reply.", "Give --text-file, --attach or --state.")
    limits = vault.manifest_in_date(now).limits
    size = len(text.encode()) + sum(len(each.content) for each in attachments)
    if size > limits.reply_bytes:
        raise NoRoom(
            f"A reply has at most {limits.reply_bytes} bytes here, and this one {size}.", "Leave something out."
        )
    if vault.desk in asks:
        raise NotForUs("A desk doesn't ask to pass a tip on to itself.", "Name another desk.")
    asked = sorted({vault.manifest.desk(each).number for each in asks})
    _compose(vault, Place(vault.desk, 0, 0, thread.source), language, text, state, attachments, asked)
    waiting = sum(each.thread == thread.number for each in post.queued_replies(vault.database))
    if not _free_places(vault, thread, now)[1][waiting:]:
        raise NoRoom(
            f"All {limits.reply_slots} places for replies to this source are used up this week.",
            "Wait until Monday, or put it all into one reply.",
        )
    # An import sweeps files away that no row names yet.
    with vault.exclusive() if attachments else contextlib.nullcontext():
        sealed = [_seal_attachment(vault, each) for each in attachments]
        with vault.database.transaction():
            number = post.add_reply(vault.database, thread.number, now, False, language, text, state, asked)
            for each, (secret, file) in zip(attachments, sealed, strict=True):
                item = tip_rows.add_item(
                    vault.database,
                    secret,
                    ItemState.WHOLE,
                    reply=number,
                    name=each.name.encode(),
                    type=each.type.encode(),
                )
                tip_rows.add_run(vault.database, RunRow(file.name, item, b"", file.size, file.sha256))
            journal.record(vault.database, now, "reply", thread=thread.number, reply=number, state=state)
    return number


def _seal_attachment(vault: Vault, attachment: Attachment) -> tuple[bytes, SealedFile]:
    secret = vault.files.new_secret()
    with vault.files.write(secret) as writer:
        writer.write(attachment.content)
        return secret, writer.commit()


def queue_opened(vault: Vault, now: int) -> int:
    """Tell each source whose message was opened since the last time, unless an answer goes out anyway; count them."""
    told = 0
    answered = {each.thread for each in post.queued_replies(vault.database)}
    with vault.database.transaction():
        for message in tip_rows.untold(vault.database):
            thread = tip_rows.thread(vault.database, message.thread)
            if thread is not None and thread.root is not None and thread.number not in answered:
                post.add_reply(vault.database, thread.number, now, True, message.language, "", OPENED)
                answered.add(thread.number)
                told += 1
            tip_rows.set_told(vault.database, message.thread)
    return told


def seal(vault: Vault, row: ReplyRow, now: int) -> list[int] | None:
    """Give a reply a place that was never used, and seal it to it; return its letters.

    Place and letters are in the vault before anything can reach a stick. To be called in a transaction.

    Returns:
        None when the thread has no place left this week: the reply waits.
    """
    thread = tip_rows.thread(vault.database, row.thread)
    if thread is None or thread.root is None or thread.recipient is None:
        raise RuntimeError("a reply was taken down for a thread without a mailbox")
    week, free = _free_places(vault, thread, now)
    if not free:
        return None
    place = Place(vault.desk, week, free[0], thread.source)
    post.set_place(vault.database, row.number, week, place.index)
    payloads = _compose(vault, place, row.language, row.text, row.state, _attachments(vault, row.number), row.asks)
    sealer = Sealer([HybridRecipient.from_text(thread.recipient)], vault.geometry, vault.randomness)
    series = vault.randomness(cells.SERIES_BYTES)
    letters = []
    for number, payload in enumerate(payloads):
        tag = mailbox.tag(thread.root, vault.desk, week, place.index, number)
        flags = Flags.LAST if number == len(payloads) - 1 else Flags.NONE
        seal = sealer.seal(tag[0] % vault.geometry.recipients)
        cell = cells.seal_block(seal, Head(Kind.REPLY, series, 0, number), vault.geometry, payload, flags)
        letters.append(add_cell(vault, tag, cell, reply=row.number))
    return letters


def fill(vault: Vault, server: str, count: int) -> list[int]:
    """Make fillers for a server, which nobody can tell from replies; return their letters. SPEC 15.2."""
    sealer = Sealer([], vault.geometry, vault.randomness)
    letters = []
    for _ in range(count):
        cell = cells.seal_block(sealer.seal(), cells.FILLER, vault.geometry, b"", Flags.LAST)
        letters.append(add_cell(vault, vault.randomness(32), cell, server=server))
    return letters


def add_cell(vault: Vault, tag: bytes, cell: bytes, *, server: str = post.TO_ALL, reply: int | None = None) -> int:
    """Put a cell in the outbox, and remember its address: it will come back with the inventories."""
    address = mailbox.address(vault.network, vault.desk, tag)
    rows.put_fates(vault.database, [(address, cells.seal_digest(cell, vault.geometry), Fate.OWN)])
    return post.add_letter(vault.database, EntryType.CELL, tag + cell, server=server, label=address.hex(), reply=reply)


def _compose(
    vault: Vault,
    place: Place,
    language: str,
    text: str,
    state: str,
    attachments: Sequence[Attachment],
    asks: Sequence[int],
) -> list[bytes]:
    return reply.compose(
        place,
        vault.network,
        vault.signing_seed,
        vault.geometry.payload_bytes,
        language=language,
        text=text,
        state=state,
        attachments=[(each.name, each.type, each.content) for each in attachments],
        asks=asks,
    )


def _attachments(vault: Vault, number: int) -> list[Attachment]:
    found = []
    for file in threads.attachments_of(vault, number):
        [run] = tip_rows.runs(vault.database, file.row.number)
        with vault.files.read(run.file, file.row.secret) as pieces:
            content = b"".join(pieces)
        found.append(Attachment((file.name or b"").decode(), (file.row.type or b"").decode(), content))
    return found


def _free_places(vault: Vault, thread: ThreadRow, now: int) -> tuple[int, list[int]]:
    """Return the week of new replies and the places in it that nothing stands at and nothing ever did.

    A source's page looks one week ahead, so after a restore the week that may be spent is left to what was lost.
    """
    if thread.root is None:
        return 0, []
    week = max(week_of(now), facts.number(vault.database, FLOOR_WEEK) + 1)
    if week > week_of(now) + 1:
        return week, []
    taken = post.places_taken(vault.database, thread.number, week)
    free = [place for place in range(vault.manifest.limits.reply_slots) if place not in taken]
    return week, [
        place for place in free if not rows.is_listed(vault.database, _address(vault, thread.root, week, place))
    ]


def _address(vault: Vault, root: bytes, week: int, place: int) -> bytes:
    return mailbox.address(vault.network, vault.desk, mailbox.tag(root, vault.desk, week, place))
