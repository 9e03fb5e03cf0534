"""Statements about what goes out: replies, letters, and the numbered entries of bundles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from journalist_station.vault.database import Database, Row

TO_ALL = ""
"""The server of a letter that goes to every server."""


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """A reply to a thread. It has a week and a place from when it was first sealed.

    `delivered` is the time of the inventory that confirmed it.
    """

    number: int
    thread: int
    created: int
    automatic: bool
    language: str
    text: str = field(repr=False)
    state: str
    asks: tuple[int, ...]
    """The desks to whom the source is asked to let the tip be passed on."""
    week: int | None
    place: int | None
    delivered: int | None


_REPLY = "SELECT number, thread, created, automatic, language, text, state, asks, week, place, delivered FROM replies"


def _reply(row: Row) -> ReplyRow:
    number, thread, created, automatic, language, text, state, asks, week, place, delivered = row
    asked = tuple(map(int, asks.split()))
    return ReplyRow(number, thread, created, bool(automatic), language, text, state, asked, week, place, delivered)


def replies(database: Database, thread: int) -> list[ReplyRow]:
    return [_reply(row) for row in database.rows(f"{_REPLY} WHERE thread = ? ORDER BY number", thread)]


def queued_replies(database: Database) -> list[ReplyRow]:
    """Return the replies that have no place yet, oldest first."""
    return [_reply(row) for row in database.rows(f"{_REPLY} WHERE week IS NULL ORDER BY number")]


def undelivered_replies(database: Database) -> list[ReplyRow]:
    """Return the replies that were written to a stick and that no inventory has confirmed."""
    found = database.rows(f"{_REPLY} WHERE week IS NOT NULL AND delivered IS NULL ORDER BY number")
    return [_reply(row) for row in found]


def delivered_replies(database: Database) -> list[ReplyRow]:
    """Return the replies that an inventory has confirmed."""
    return [_reply(row) for row in database.rows(f"{_REPLY} WHERE delivered IS NOT NULL ORDER BY number")]


def add_reply(
    database: Database,
    thread: int,
    created: int,
    automatic: bool,
    language: str,
    text: str,
    state: str,
    asks: Sequence[int] = (),
) -> int:
    return database.insert(
        "INSERT INTO replies (thread, created, automatic, language, text, state, asks) VALUES (?, ?, ?, ?, ?, ?, ?)",
        thread,
        created,
        int(automatic),
        language,
        text,
        state,
        " ".join(map(str, asks)),
    )


def places_taken(database: Database, thread: int, week: int) -> frozenset[int]:
    found = database.rows("SELECT place FROM replies WHERE thread = ? AND week = ?", thread, week)
    spent = database.rows("SELECT place FROM spent_places WHERE thread = ? AND week = ?", thread, week)
    return frozenset(place for (place,) in [*found, *spent])


def set_place(database: Database, reply: int, week: int, place: int) -> None:
    database.run("UPDATE replies SET week = ?, place = ? WHERE number = ?", week, place, reply)


def queue_again(database: Database, reply: int) -> None:
    """Take a reply's place away, which stays spent, so that the next outbox gives it another."""
    with database.transaction():
        database.run(
            "INSERT OR IGNORE INTO spent_places (thread, week, place)"
            " SELECT thread, week, place FROM replies WHERE number = ? AND week IS NOT NULL",
            reply,
        )
        database.run("UPDATE replies SET week = NULL, place = NULL, delivered = NULL WHERE number = ?", reply)
        database.run("UPDATE letters SET reply = NULL WHERE reply = ?", reply)


def set_delivered(database: Database, reply: int, time: int) -> None:
    database.run("UPDATE replies SET delivered = ? WHERE number = ? AND delivered IS NULL", time, reply)


@dataclass(frozen=True, slots=True)
class LetterRow:
    """Something to be delivered, without its content. `label` says what it is about; a newer one replaces an older."""

    number: int
    type: int
    server: str
    label: str
    reply: int | None


_LETTER = "SELECT letters.number, letters.type, letters.server, letters.label, letters.reply FROM letters"


def add_letter(
    database: Database, type: int, content: bytes, *, server: str = TO_ALL, label: str = "", reply: int | None = None
) -> int:
    return database.insert(
        "INSERT INTO letters (type, server, label, reply, content) VALUES (?, ?, ?, ?, ?)",
        type,
        server,
        label,
        reply,
        content,
    )


def send_again(database: Database, number: int) -> None:
    """Put a letter in the outbox once more, as a new one."""
    database.run(
        "INSERT INTO letters (type, server, label, reply, content)"
        " SELECT type, server, label, reply, content FROM letters WHERE number = ?",
        number,
    )


def letter_content(database: Database, number: int) -> bytes:
    content: bytes = database.value("SELECT content FROM letters WHERE number = ?", number)
    return content


def has_letters(database: Database, reply: int) -> bool:
    """Say whether any cell of a reply is still kept."""
    return database.row("SELECT 1 FROM letters WHERE reply = ? LIMIT 1", reply) is not None


def unnumbered(database: Database, server: str) -> list[LetterRow]:
    """Return the letters for a server that have no number there yet, oldest first."""
    found = database.rows(
        f"""{_LETTER} WHERE server IN ('', ?1)
            AND NOT EXISTS (SELECT 1 FROM entries WHERE letter = letters.number AND entries.server = ?1)
            ORDER BY letters.number""",
        server,
    )
    return [LetterRow(*row) for row in found]


def labels(database: Database, prefix: str) -> list[tuple[str, int]]:
    """Return the labels that begin with some words, each with the number of its newest letter."""
    sql = "SELECT label, max(number) FROM letters WHERE substr(label, 1, ?) = ? GROUP BY label ORDER BY label"
    return [(label, number) for label, number in database.rows(sql, len(prefix), prefix)]


def newest_labelled(database: Database, label: str) -> int | None:
    """Return the number of the newest letter with a label."""
    number: int | None = database.value("SELECT max(number) FROM letters WHERE label = ?", label)
    return number


def highest_entry(database: Database, server: str) -> int:
    return int(database.value("SELECT max(number) FROM entries WHERE server = ?", server) or 0)


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A numbered letter: `batch` is the first number of those that were numbered together, `written` when."""

    number: int
    batch: int
    written: int
    letter: LetterRow


def add_entries(database: Database, server: str, first: int, letters: Sequence[int], now: int) -> None:
    """Number letters for a server, in this order, as one batch."""
    database.run_many(
        "INSERT INTO entries (server, number, letter, batch, written) VALUES (?, ?, ?, ?, ?)",
        ((server, number, letter, first, now) for number, letter in enumerate(letters, first)),
    )


def take_numbers_back(database: Database, server: str, mark: int, dropped: int) -> None:
    """Take the numbers above a mark from the letters that have them, and drop those letters that are of one type."""
    with database.transaction():
        database.run("DELETE FROM entries WHERE server = ? AND number > ?", server, mark)
        database.run(
            """DELETE FROM letters WHERE server = ? AND type = ?
                AND NOT EXISTS (SELECT 1 FROM entries WHERE letter = letters.number)""",
            server,
            dropped,
        )


def entries_after(database: Database, server: str, mark: int) -> list[EntryRow]:
    """Return the numbered letters above a mark, in order."""
    found = database.rows(
        """SELECT entries.number, batch, written,
                letters.number, letters.type, letters.server, letters.label, letters.reply
            FROM entries JOIN letters ON letters.number = entries.letter
            WHERE entries.server = ? AND entries.number > ? ORDER BY entries.number""",
        server,
        mark,
    )
    return [EntryRow(row[0], row[1], row[2], LetterRow(*row[3:])) for row in found]


def delete_confirmed(database: Database, types: Sequence[int], servers: Iterable[str]) -> None:
    """Delete the letters of these types that every server they are for has confirmed."""
    names = list(servers)
    marks = ",".join("?" * len(types))
    with database.transaction():
        found = database.rows(
            f"""SELECT number, server FROM letters WHERE type IN ({marks})
                AND EXISTS (SELECT 1 FROM entries WHERE letter = letters.number)
                AND NOT EXISTS (
                    SELECT 1 FROM entries LEFT JOIN servers ON servers.name = entries.server
                    WHERE letter = letters.number AND entries.number > coalesce(servers.mark, 0))""",
            *types,
        )
        for number, server in found:
            wanted = {server} if server else set(names)
            numbered = {name for (name,) in database.rows("SELECT server FROM entries WHERE letter = ?", number)}
            if wanted <= numbered:
                _delete_letter(database, number)


def _delete_letter(database: Database, number: int) -> None:
    database.run("DELETE FROM entries WHERE letter = ?", number)
    database.run("DELETE FROM letters WHERE number = ?", number)
