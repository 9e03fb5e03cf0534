"""Statements about threads, messages, closings, items and what is found by searching."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from journalist_station.vault.database import Database, Row


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """A source, as far as this desk knows: its public key, and where its answers go once a message has said so."""

    number: int
    source: bytes
    since: int
    root: bytes | None = field(repr=False)
    recipient: str | None = field(repr=False)


_THREAD = "SELECT number, source, since, root, recipient FROM threads"


def thread(database: Database, number: int) -> ThreadRow | None:
    row = database.row(f"{_THREAD} WHERE number = ?", number)
    return ThreadRow(*row) if row else None


def thread_of(database: Database, source: bytes) -> ThreadRow | None:
    row = database.row(f"{_THREAD} WHERE source = ?", source)
    return ThreadRow(*row) if row else None


def threads(database: Database) -> list[ThreadRow]:
    return [ThreadRow(*row) for row in database.rows(f"{_THREAD} ORDER BY number")]


def add_thread(database: Database, source: bytes, since: int) -> int:
    return database.insert("INSERT INTO threads (source, since) VALUES (?, ?)", source, since)


def set_mailbox(database: Database, number: int, root: bytes, recipient: str) -> None:
    database.run("UPDATE threads SET root = ?, recipient = ? WHERE number = ?", root, recipient, number)


@dataclass(frozen=True, slots=True)
class Summary:
    """A thread in a list. `states`, `kinds` and `calls` are of all its messages, distinct; times are Unix seconds."""

    number: int
    source: bytes
    answerable: bool
    tips: int
    first: int
    newest: int
    states: frozenset[str]
    kinds: frozenset[str]
    calls: frozenset[str]
    files: int
    replies: int
    unsent: int
    reply_state: str


def summaries(database: Database) -> list[Summary]:
    """Return every thread, the one with the newest message first."""
    found = database.rows(
        """SELECT threads.number, source, root IS NOT NULL, count(*), min(imported), max(imported),
                group_concat(DISTINCT state), group_concat(DISTINCT kind), group_concat(DISTINCT call),
                coalesce(sum((SELECT count(*) FROM items
                    WHERE items.tip = messages.tip AND items.source = threads.source)), 0)
            FROM threads JOIN messages ON messages.thread = threads.number
            GROUP BY threads.number ORDER BY max(imported) DESC, max(messages.number) DESC"""
    )
    answers = {
        thread: (count, unsent, state)
        for thread, count, unsent, state, _ in database.rows(
            """SELECT thread, count(*), sum(delivered IS NULL), state, max(number)
                FROM replies WHERE NOT automatic GROUP BY thread"""
        )
    }
    return [
        Summary(
            number,
            source,
            bool(answerable),
            tips,
            first,
            newest,
            frozenset(states.split(",")),
            frozenset(kinds.split(",")),
            frozenset(calls.split(",")) - {""},
            files,
            *answers.get(number, (0, 0, "")),
        )
        for number, source, answerable, tips, first, newest, states, kinds, calls, files in found
    ]


@dataclass(frozen=True, slots=True)
class MessageRow:
    """An admitted message: `raw` is item 0 as it was signed, `week` the one in which it says it was sealed."""

    number: int
    thread: int
    tip: bytes
    raw: bytes = field(repr=False)
    kind: str
    language: str
    call: str
    week: int
    imported: int
    closed: bool
    other_mailbox: bool
    state: str
    told: bool


_MESSAGE = """SELECT number, thread, tip, raw, kind, language, call, week, imported, closed, other_mailbox, state, told
    FROM messages"""


def _message(row: Row) -> MessageRow:
    number, thread, tip, raw, kind, language, call, week, imported, closed, other_mailbox, state, told = row
    return MessageRow(
        number,
        thread,
        tip,
        raw,
        kind,
        language,
        call,
        week,
        imported,
        bool(closed),
        bool(other_mailbox),
        state,
        bool(told),
    )


def messages(database: Database, thread: int) -> list[MessageRow]:
    """Return a thread's messages in the order of their weeks, then of import."""
    return [_message(row) for row in database.rows(f"{_MESSAGE} WHERE thread = ? ORDER BY week, number", thread)]


def messages_of(database: Database, tip: bytes) -> list[MessageRow]:
    """Return the messages that carry a tip's id: one, unless somebody took another source's."""
    return [_message(row) for row in database.rows(f"{_MESSAGE} WHERE tip = ? ORDER BY number", tip)]


def untold(database: Database) -> list[MessageRow]:
    """Return the messages whose sources haven't been told that they were opened."""
    return [_message(row) for row in database.rows(f"{_MESSAGE} WHERE NOT told ORDER BY number")]


def has_message(database: Database, tip: bytes, digest: bytes) -> bool:
    return database.row("SELECT 1 FROM messages WHERE tip = ? AND digest = ?", tip, digest) is not None


def add_message(
    database: Database,
    *,
    thread: int,
    tip: bytes,
    digest: bytes,
    raw: bytes,
    kind: str,
    language: str,
    call: str,
    week: int,
    imported: int,
    closed: bool,
    other_mailbox: bool,
    state: str,
) -> int:
    return database.insert(
        """INSERT INTO messages
            (thread, tip, digest, raw, kind, language, call, week, imported, closed, other_mailbox, state)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        thread,
        tip,
        digest,
        raw,
        kind,
        language,
        call,
        week,
        imported,
        int(closed),
        int(other_mailbox),
        state,
    )


def set_state(database: Database, message: int, state: str) -> None:
    database.run("UPDATE messages SET state = ? WHERE number = ?", state, message)


def set_closed(database: Database, tip: bytes, digest: bytes) -> None:
    database.run("UPDATE messages SET closed = 1 WHERE tip = ? AND digest = ?", tip, digest)


def set_told(database: Database, thread: int) -> None:
    database.run("UPDATE messages SET told = 1 WHERE thread = ? AND NOT told", thread)


def add_closing(database: Database, tip: bytes, source: bytes, raw: bytes) -> bool:
    """Keep a closing item; the first one of a source for a tip stays. Returns whether it was new."""
    sql = "INSERT OR IGNORE INTO closings (tip, source, raw) VALUES (?, ?, ?)"
    return database.run(sql, tip, source, raw) > 0


def closing(database: Database, tip: bytes, source: bytes) -> bytes | None:
    raw: bytes | None = database.value("SELECT raw FROM closings WHERE tip = ? AND source = ?", tip, source)
    return raw


class ItemState:
    """How much of an item's bytes is here."""

    WHOLE = "whole"
    INTERRUPTED = "interrupted"
    """All that was ever sealed is here, but the upload broke off."""
    MISSING = "missing"
    """Cells are missing that may still come."""
    REFERRAL = "referral"
    """Not an item: the block of a referral's cell, kept for a later version. Its name is the block's head."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """A file in the vault. `name` and `type` are None until the item's first cell is here.

    `tip`, `source` and `item` say where it came from, and whose key signed each piece of it; or `parent`, when it was
    inside another item; or `reply`, when it goes out.
    """

    number: int
    tip: bytes | None
    source: bytes | None
    item: int | None
    parent: int | None
    reply: int | None
    secret: bytes = field(repr=False)
    name: bytes | None = field(repr=False)
    type: bytes | None = field(repr=False)
    last_cell: int | None
    interrupted: bool
    state: str


_ITEM = "SELECT number, tip, source, item, parent, reply, secret, name, type, last_cell, interrupted, state FROM items"


def _item(row: Row) -> ItemRow:
    number, tip, source, item, parent, reply, secret, name, type, last_cell, interrupted, state = row
    return ItemRow(number, tip, source, item, parent, reply, secret, name, type, last_cell, bool(interrupted), state)


def item(database: Database, tip: bytes, source: bytes, number: int) -> ItemRow | None:
    """Return a file that a source signed for a tip, by its number in the tip."""
    row = database.row(f"{_ITEM} WHERE tip = ? AND source = ? AND item = ?", tip, source, number)
    return _item(row) if row else None


def items(database: Database, tip: bytes, source: bytes) -> list[ItemRow]:
    """Return the files that a source signed for a tip in order, each followed by what was inside it."""
    found = database.rows(
        f"""{_ITEM} WHERE tip = ?1 AND source = ?2
            OR parent IN (SELECT number FROM items WHERE tip = ?1 AND source = ?2)
            ORDER BY coalesce(item, (SELECT up.item FROM items AS up WHERE up.number = items.parent)), number""",
        tip,
        source,
    )
    return [_item(row) for row in found]


def attachments(database: Database, reply: int) -> list[ItemRow]:
    return [_item(row) for row in database.rows(f"{_ITEM} WHERE reply = ? ORDER BY number", reply)]


@dataclass(frozen=True, slots=True)
class StrayRow:
    """Files of a tip without a message by the key that signed them. `claimed`: another's message has that tip."""

    tip: bytes
    source: bytes
    claimed: bool


def strays(database: Database) -> list[StrayRow]:
    """Return of which tips and sources files are here and no message, sorted."""
    found = database.rows(
        """SELECT DISTINCT tip, source, EXISTS (SELECT 1 FROM messages WHERE messages.tip = items.tip)
            FROM items WHERE tip IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM messages JOIN threads ON threads.number = messages.thread
                WHERE messages.tip = items.tip AND threads.source = items.source)
            ORDER BY tip, source"""
    )
    return [StrayRow(tip, source, bool(claimed)) for tip, source, claimed in found]


def count_items_of_others(database: Database, tip: bytes, source: bytes) -> int:
    """Return how many files came under a tip's id that another key than this source's signed."""
    found: int = database.value("SELECT count(*) FROM items WHERE tip = ? AND source <> ?", tip, source)
    return found


def note_forgeries(database: Database, tip: bytes, source: bytes, item: int, cells: int) -> None:
    """Remember that so many more cells claimed a place in a source's file, and weren't signed by that source."""
    database.run(
        """INSERT INTO forgeries (tip, source, item, cells) VALUES (?, ?, ?, ?)
            ON CONFLICT (tip, source, item) DO UPDATE SET cells = cells + excluded.cells""",
        tip,
        source,
        item,
        cells,
    )


def count_forgeries(database: Database, tip: bytes, source: bytes) -> int:
    """Return how many cells claimed a place in the files that a source sent with a tip, and weren't signed by it."""
    sql = "SELECT coalesce(sum(cells), 0) FROM forgeries WHERE tip = ? AND source = ?"
    return int(database.value(sql, tip, source))


def count_missing(database: Database) -> int:
    """Return of how many files cells are still missing."""
    count: int = database.value("SELECT count(*) FROM items WHERE state = ?", ItemState.MISSING)
    return count


def add_item(
    database: Database,
    secret: bytes,
    state: str,
    *,
    tip: bytes | None = None,
    source: bytes | None = None,
    item: int | None = None,
    parent: int | None = None,
    reply: int | None = None,
    name: bytes | None = None,
    type: bytes | None = None,
) -> int:
    return database.insert(
        """INSERT INTO items (secret, state, tip, source, item, parent, reply, name, type)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        secret,
        state,
        tip,
        source,
        item,
        parent,
        reply,
        name,
        type,
    )


def set_item(
    database: Database,
    number: int,
    *,
    name: bytes | None,
    type: bytes | None,
    last_cell: int | None,
    interrupted: bool,
    state: str,
) -> None:
    database.run(
        "UPDATE items SET name = ?, type = ?, last_cell = ?, interrupted = ?, state = ? WHERE number = ?",
        name,
        type,
        last_cell,
        int(interrupted),
        state,
        number,
    )


@dataclass(frozen=True, slots=True)
class RunRow:
    """Cells of an item in one sealed file, in order. `cells` are pairs of u32: first and last of each stretch."""

    file: str
    item: int
    cells: bytes
    size: int
    sha256: bytes


def runs(database: Database, item: int) -> list[RunRow]:
    found = database.rows("SELECT file, item, cells, size, sha256 FROM runs WHERE item = ? ORDER BY cells", item)
    return [RunRow(*row) for row in found]


def add_run(database: Database, run: RunRow) -> None:
    database.run(
        "INSERT INTO runs (file, item, cells, size, sha256) VALUES (?, ?, ?, ?, ?)",
        run.file,
        run.item,
        run.cells,
        run.size,
        run.sha256,
    )


def delete_runs(database: Database, files: Iterable[str]) -> None:
    database.run_many("DELETE FROM runs WHERE file = ?", ((file,) for file in files))


def all_files(database: Database) -> frozenset[str]:
    """Return the names of the sealed files that the vault knows. Any other is left over from a broken import."""
    return frozenset(file for (file,) in database.rows("SELECT file FROM runs"))


class Found(IntEnum):
    """What a row of the search index is about; the row's number is the subject's number times 4 plus this."""

    MESSAGE = 0
    FILE_NAME = 1


def index(database: Database, what: Found, number: int, text: str) -> None:
    """Make a text findable, in the one Unicode form in which it is also sought."""
    folded = unicodedata.normalize("NFKC", text)
    database.run("DELETE FROM search WHERE rowid = ?", 4 * number + what)
    database.run("INSERT INTO search (rowid, text) VALUES (?, ?)", 4 * number + what, folded)


def search(database: Database, query: str) -> list[int]:
    """Return the numbers of the threads in whose messages or file names a text occurs, Thai or not.

    Trigrams find any run of three characters or more, which Thai needs, having no spaces; shorter ones are sought
    through all the text.
    """
    folded = unicodedata.normalize("NFKC", query)
    if len(folded) >= 3:
        condition, value = "search MATCH ?", '"' + folded.replace('"', '""') + '"'
    else:
        escaped = folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        condition, value = "text LIKE ? ESCAPE '\\'", f"%{escaped}%"
    found = database.rows(
        f"""WITH hits AS (SELECT rowid / 4 AS subject, rowid % 4 AS what FROM search WHERE {condition})
            SELECT thread FROM messages JOIN hits ON messages.number = subject WHERE what = {Found.MESSAGE:d}
            UNION
            SELECT thread FROM messages JOIN threads ON threads.number = thread
                JOIN items ON items.tip = messages.tip AND items.source = threads.source
                JOIN hits ON items.number = subject
            WHERE what = {Found.FILE_NAME:d}
            ORDER BY thread""",
        value,
    )
    return [number for (number,) in found]
