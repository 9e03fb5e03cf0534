"""Statements about cells that came damaged, although they are the ones that a server lists."""

from __future__ import annotations

from dataclasses import dataclass

from journalist_station.vault.database import Database


@dataclass(frozen=True, slots=True)
class DamagedRow:
    """A listed cell whose fate is open, and which came damaged on two trips.

    `first` and `again` are the numbers of the inventories under which it was fetched, `since` is the time from which
    the server lists it, and `same` says that each time the very same bytes came.
    """

    server: str
    cell: bytes
    digest: bytes
    first: int
    again: int
    same: bool
    since: int


def note(database: Database, server: str, cell: bytes, digest: bytes, trip: int, content: bytes) -> None:
    """Remember that a cell came damaged. The third time and all after are like the second.

    Args:
        digest: the seal digest, which is the listed one's.
        trip: the number of the inventory under which it was fetched.
        content: the SHA-256 of what came.
    """
    database.run(
        """INSERT INTO damages (server, cell, digest, first, content) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (server, cell) DO UPDATE SET
                again = CASE WHEN digest <> ?3 THEN NULL WHEN first <> ?4 AND again IS NULL THEN ?4 ELSE again END,
                same = CASE WHEN digest <> ?3 THEN 1 ELSE same AND content = ?5 END,
                first = CASE WHEN digest <> ?3 THEN ?4 ELSE first END,
                content = ?5,
                digest = ?3""",
        server,
        cell,
        digest,
        trip,
        content,
    )


def at_source(database: Database) -> list[DamagedRow]:
    """Return the cells that came damaged on two trips, while their servers list them and their fate is open.

    One that another server lists, too, isn't among them: that one's may be whole.
    """
    found = database.rows(
        """SELECT server, cell, digest, first, again, same, since
            FROM damages JOIN sightings USING (server, cell, digest)
            WHERE again IS NOT NULL AND NOT EXISTS (
                    SELECT 1 FROM cells WHERE cells.cell = damages.cell AND cells.digest = damages.digest)
                AND NOT EXISTS (
                    SELECT 1 FROM sightings AS others WHERE others.server <> damages.server
                        AND others.cell = damages.cell AND others.digest = damages.digest)
            ORDER BY server, cell"""
    )
    return [
        DamagedRow(server, cell, digest, first, again, bool(same), since)
        for server, cell, digest, first, again, same, since in found
    ]


def forget_unlisted(database: Database) -> None:
    """Forget the cells that no server lists any more."""
    database.run(
        """DELETE FROM damages WHERE NOT EXISTS (
            SELECT 1 FROM sightings WHERE sightings.server = damages.server
                AND sightings.cell = damages.cell AND sightings.digest = damages.digest)"""
    )
