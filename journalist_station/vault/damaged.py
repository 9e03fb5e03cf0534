"""Cells that are damaged at their source: nobody will ever open them, and they fill the server until they are let go.

They came behind the header that the server lists, with a stanza for this desk, and their content didn't open. Once may
be the stick's fault. After two trips it is the server's, or somebody's who put them there: a person decides. SPEC 15.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from journalist_station.vault import journal
from journalist_station.vault.database import cells, damage
from journalist_station.vault.database.cells import Fate
from journalist_station.vault.database.damage import DamagedRow
from journalist_station.vault.vault import Vault


def at_source(vault: Vault) -> list[DamagedRow]:
    """Return the cells for this desk that came damaged on two trips, each time with the header that is listed."""
    return damage.at_source(vault.database)


def release(vault: Vault, released: Sequence[DamagedRow], now: int) -> None:
    """Let cells go: they aren't asked for any more, and are acknowledged at the age at which every cell is. SPEC 15.4.

    Raises:
        Misconfigured: another program is working with the vault.
    """
    with vault.exclusive(), vault.database.transaction():
        cells.put_fates(vault.database, [(each.cell, each.digest, Fate.RELEASED) for each in released])
        names = [f"{each.server} {each.cell.hex()}" for each in released]
        journal.record(vault.database, now, "release", cells=names)
