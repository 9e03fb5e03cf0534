"""Statements about servers, what their inventories list, and what became of each cell.

A cell is known by its id and its seal digest together. Each server says which id stands for which digest on it, and one
that was seized may list an id of another's over bytes of its own: what becomes of those says nothing of the other's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from journalist_station.vault.database import Database
from keys.inventory import CellId


class Fate(IntEnum):
    """What became of a cell, once there is nothing left to learn from it. SPEC 15.4 acknowledges each of these."""

    HELD = 1
    """What it carried is in the vault."""
    FOREIGN = 2
    """No identity of this desk opens it."""
    OWN = 3
    """A reply of this desk, or a filler."""
    REFUSED = 4
    """It opened, and holds something that no honest server or source makes."""
    REFERRAL = 5
    """A referral: counted by this version, and kept as a cell. SPEC 8.8."""
    RELEASED = 6
    """It came damaged from its source, time and again, and a journalist let it go."""


_SETTLED = "EXISTS (SELECT 1 FROM cells WHERE cells.cell = sightings.cell AND cells.digest = sightings.digest)"
_LISTED = "EXISTS (SELECT 1 FROM sightings WHERE sightings.cell = cells.cell AND sightings.digest = cells.digest)"


@dataclass(frozen=True, slots=True)
class ServerRow:
    """The newest inventory of a server. `mark` is the highest entry of this desk that it has confirmed."""

    name: str
    sequence: int
    time: int
    mark: int
    health: str


def servers(database: Database) -> dict[str, ServerRow]:
    found = database.rows("SELECT name, sequence, time, mark, health FROM servers ORDER BY name")
    return {row[0]: ServerRow(*row) for row in found}


def put_server(database: Database, server: ServerRow) -> None:
    database.run(
        "INSERT OR REPLACE INTO servers (name, sequence, time, mark, health) VALUES (?, ?, ?, ?, ?)",
        server.name,
        server.sequence,
        server.time,
        server.mark,
        server.health,
    )


def put_listing(database: Database, server: str, digests: Mapping[CellId, bytes], time: int) -> None:
    """Remember what an inventory lists, and forget what it no longer does.

    A cell that was listed before keeps the time at which it was first. One whose digest changed is another cell under
    the same id, and is taken as new. The fate of what no server lists any more is forgotten, unless this desk made it.
    """
    with database.transaction():
        database.run("CREATE TEMP TABLE IF NOT EXISTS listed (cell BLOB PRIMARY KEY, digest BLOB) WITHOUT ROWID")
        database.run("DELETE FROM listed")
        database.run_many("INSERT INTO listed (cell, digest) VALUES (?, ?)", digests.items())
        database.run(
            """DELETE FROM sightings WHERE server = ?1 AND NOT EXISTS (
                SELECT 1 FROM listed WHERE listed.cell = sightings.cell AND listed.digest = sightings.digest)""",
            server,
        )
        database.run(
            """INSERT OR IGNORE INTO sightings (server, cell, digest, since)
                SELECT ?, cell, digest, ? FROM listed""",
            server,
            time,
        )
        database.run("DELETE FROM listed")
        database.run(
            f"DELETE FROM cells WHERE fate <> ? AND NOT {_LISTED}",
            Fate.OWN,
        )


def drop_servers(database: Database, kept: Iterable[str]) -> None:
    """Forget the servers that the manifest no longer lists, with what they listed and what was addressed to them."""
    names = ",".join(f"'{name}'" for name in kept)  # Names match [a-z0-9-]: the manifest's reader saw to that.
    with database.transaction():
        for table in ("sightings", "entries"):
            database.run(f"DELETE FROM {table} WHERE server NOT IN ({names})")
        database.run(f"DELETE FROM servers WHERE name NOT IN ({names})")
        database.run(f"DELETE FROM letters WHERE server <> '' AND server NOT IN ({names})")


def wanted(database: Database, server: str) -> dict[bytes, bytes]:
    """Return id and seal digest of every cell that a server lists and whose fate is open."""
    found = database.rows(
        f"SELECT cell, digest FROM sightings WHERE server = ? AND NOT {_SETTLED}",
        server,
    )
    return dict(found)


def listed(database: Database, server: str) -> frozenset[bytes]:
    """Return the ids that a server's newest inventory lists."""
    return frozenset(cell for (cell,) in database.rows("SELECT cell FROM sightings WHERE server = ?", server))


def is_listed(database: Database, cell: bytes) -> bool:
    """Say whether any server's newest inventory lists a cell."""
    return database.row("SELECT 1 FROM sightings WHERE cell = ? LIMIT 1", cell) is not None


def is_listed_by(database: Database, server: str, cell: bytes) -> bool:
    """Say whether a server's newest inventory lists a cell."""
    return database.row("SELECT 1 FROM sightings WHERE server = ? AND cell = ?", server, cell) is not None


def open_count(database: Database, server: str, since_before: int | None = None) -> int:
    """Return how many cells that a server first listed before a time, or at any time, have not been read here."""
    found: int = database.value(
        f"SELECT count(*) FROM sightings WHERE server = ?1 AND (?2 IS NULL OR since < ?2) AND NOT {_SETTLED}",
        server,
        since_before,
    )
    return found


def put_fates(database: Database, fates: Iterable[tuple[bytes, bytes, Fate]]) -> None:
    """Say what became of cells, each given by its id and seal digest. One that this desk made stays that."""
    database.run_many(
        "INSERT INTO cells (cell, digest, fate) VALUES (?, ?, ?)"
        f" ON CONFLICT (cell, digest) DO UPDATE SET fate = excluded.fate WHERE fate <> {Fate.OWN:d}",
        ((cell, digest, int(fate)) for cell, digest, fate in fates),
    )


def settled(database: Database) -> list[bytes]:
    """Return the ids that a courier needn't fetch: the fate is known of every cell that any server lists under them."""
    found = database.rows(
        f"""SELECT DISTINCT cell FROM sightings
            WHERE cell NOT IN (SELECT cell FROM sightings WHERE NOT {_SETTLED})"""
    )
    return [cell for (cell,) in found]


def due(database: Database, server: str, since_at_most: int) -> list[bytes]:
    """Return the settled cells that a server lists since a time or longer, and that weren't acknowledged, sorted."""
    found = database.rows(
        """SELECT cell FROM sightings JOIN cells USING (cell, digest)
            WHERE server = ? AND since <= ? AND NOT acknowledged ORDER BY cell""",
        server,
        since_at_most,
    )
    return [cell for (cell,) in found]


def set_acknowledged(database: Database, server: str, ids: Iterable[bytes], acknowledged: bool = True) -> None:
    """Note that an acknowledgement of these cells is on its way, or that it was refused and must be sent again."""
    database.run_many(
        "UPDATE sightings SET acknowledged = ? WHERE server = ? AND cell = ?",
        ((int(acknowledged), server, cell) for cell in ids),
    )


def acknowledge_anew(database: Database, server: str) -> None:
    """Forget that anything was acknowledged to a server."""
    database.run("UPDATE sightings SET acknowledged = 0 WHERE server = ?", server)
