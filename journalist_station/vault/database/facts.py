"""Statements about what there is one of: settings, manifests, epoch chains, the log of acts."""

from __future__ import annotations

from dataclasses import dataclass, field

from journalist_station.vault.database import Database, Value


def setting(database: Database, name: str) -> Value:
    """Return a setting, or None when it was never set."""
    value: Value = database.value("SELECT value FROM settings WHERE name = ?", name)
    return value


def number(database: Database, name: str) -> int:
    """Return a setting that is a number, 0 when it was never set."""
    return int(database.value("SELECT CAST(value AS INTEGER) FROM settings WHERE name = ?", name) or 0)


def set_setting(database: Database, name: str, value: bytes | int) -> None:
    stored = str(value).encode() if isinstance(value, int) else value
    database.run("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", name, stored)


def manifests(database: Database) -> list[bytes]:
    """Return the admitted manifests, first to last, as encoded signed documents."""
    return [document for (document,) in database.rows("SELECT document FROM manifests ORDER BY sequence")]


def newest_manifest(database: Database) -> bytes:
    document: bytes = database.value("SELECT document FROM manifests ORDER BY sequence DESC LIMIT 1")
    return document


def add_manifest(database: Database, sequence: int, document: bytes) -> None:
    database.run("INSERT OR IGNORE INTO manifests (sequence, document) VALUES (?, ?)", sequence, document)


@dataclass(frozen=True, slots=True)
class ChainRow:
    """The chain behind an epoch list: its key at `week`, the first week that isn't erased."""

    sequence: int
    week: int
    last_week: int
    secret: bytes = field(repr=False)


def chains(database: Database) -> list[ChainRow]:
    """Return what is left of every chain, newest list first."""
    found = database.rows("SELECT sequence, week, last_week, secret FROM chains ORDER BY sequence DESC")
    return [ChainRow(*row) for row in found]


def put_chain(database: Database, chain: ChainRow) -> None:
    """Keep a chain at its week; the key of an earlier week, if there was one, is overwritten."""
    database.run(
        "INSERT OR REPLACE INTO chains (sequence, week, last_week, secret) VALUES (?, ?, ?, ?)",
        chain.sequence,
        chain.week,
        chain.last_week,
        chain.secret,
    )


def delete_chain(database: Database, sequence: int) -> None:
    database.run("DELETE FROM chains WHERE sequence = ?", sequence)


@dataclass(frozen=True, slots=True)
class ActRow:
    """One act in the log: `facts` is JSON, `hash` covers everything in the row and the hash before."""

    number: int
    time: int
    what: str
    facts: str
    hash: bytes


def acts(database: Database, after: int = 0, limit: int = -1) -> list[ActRow]:
    found = database.rows(
        "SELECT number, time, what, facts, hash FROM acts WHERE number > ? ORDER BY number LIMIT ?", after, limit
    )
    return [ActRow(*row) for row in found]


def newest_act(database: Database) -> ActRow | None:
    row = database.row("SELECT number, time, what, facts, hash FROM acts ORDER BY number DESC LIMIT 1")
    return ActRow(*row) if row else None


def add_act(database: Database, act: ActRow) -> None:
    database.run(
        "INSERT INTO acts (number, time, what, facts, hash) VALUES (?, ?, ?, ?, ?)",
        act.number,
        act.time,
        act.what,
        act.facts,
        act.hash,
    )
