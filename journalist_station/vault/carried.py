"""What sticks bring of the cells whose fate is open: each cell once, and a further copy only if that came damaged.

Whoever prepares a stick may put one cell on it ten thousand times. A stick that is worn, on the other hand, may hold a
cell damaged that another one brings whole.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from journalist_station.vault.database import cells as rows
from journalist_station.vault.database import damage
from journalist_station.vault.opening import BATCH_CELLS, Batch, Wanted
from journalist_station.vault.stick import Part, Stick, open_part
from journalist_station.vault.vault import Vault
from keys.bundle import CELL_BYTES
from keys.errors import DropBoxError, Malformed
from keys.inventory import ID_BYTES
from keys.primitives import sha256

MAX_COPIES = 16
"""How many copies of a cell are looked at: an honest trip brings one on each stick, and one more for each time that it
came damaged before."""

MAX_TIMES_LISTED = 4
MAX_MORE_CELLS = 100_000
"""How many of a server's cells on a stick are looked at: four times what it lists, and 26 GB of what it listed once."""


class Told(Protocol):
    """Where is counted what was found on the sticks."""

    unlisted: int
    cut_short: int
    problems: list[tuple[str, DropBoxError]]


@dataclass(slots=True)
class _Copies:
    """Where a cell of a server lies: one copy to be opened, and the ones that wait in case it is damaged."""

    seen: int
    spare: deque[tuple[Part, Wanted]]


class Carried:
    """The wanted cells on some sticks, to be opened in rounds. `read` says which inventories each stick was read under.

    Args:
        sticks: with the names of the servers that something came from.
        told: problems are those of one server's part of a stick; the others are read all the same.

    Raises:
        OSError: from every method, when a stick can't be read.
    """

    def __init__(self, vault: Vault, sticks: Mapping[Stick, Sequence[str]], told: Told) -> None:
        self._vault = vault
        self._told = told
        self._parts: dict[Path, Part] = {}
        self._copies: dict[tuple[str, bytes], _Copies] = {}
        self._following: dict[Path, list[Wanted]] = defaultdict(list)
        self._wanted: dict[str, dict[bytes, bytes]] = {}
        self._listed: dict[str, frozenset[bytes]] = {}
        self.read: dict[Stick, dict[str, int]] = {stick: {} for stick in sticks}
        known = rows.servers(vault.database)
        for stick, servers in sticks.items():
            for server in servers:
                if server not in known:
                    continue  # No inventory of it was ever admitted, so nothing says what its cells should be.
                self.read[stick][server] = known[server].sequence
                try:
                    self._look_at(stick, server)
                except DropBoxError as error:
                    told.problems.append((server, error))

    def _look_at(self, stick: Stick, server: str) -> None:
        database = self._vault.database
        if server not in self._wanted:
            self._wanted[server] = rows.wanted(database, server)
            self._listed[server] = rows.listed(database, server)
        parts, problems = stick.parts(server, self._vault.network)
        self._told.problems += [(server, problem) for problem in problems]
        left = MAX_TIMES_LISTED * len(self._listed[server]) + MAX_MORE_CELLS
        for part in parts:
            left -= part.records
            if left < 0:
                raise Malformed("There are more cells on this stick than a courier brings.", "Take another stick.")
            self._told.cut_short += part.cut_short
            self._parts[part.path] = part
            with open_part(part.path) as file:
                for record in range(part.records):
                    self._meet(part, os.pread(file.fileno(), ID_BYTES, part.at(record) - ID_BYTES), part.at(record))

    def _meet(self, part: Part, cell: bytes, offset: int) -> None:
        digest = self._wanted[part.server].get(cell)
        if digest is None:
            self._told.unlisted += cell not in self._listed[part.server]
            return
        copies = self._copies.get((part.server, cell))
        if copies is None:
            self._copies[part.server, cell] = _Copies(1, deque())
            self._following[part.path].append(Wanted(cell, digest, offset))
        elif copies.seen < MAX_COPIES:
            copies.seen += 1
            copies.spare.append((part, Wanted(cell, digest, offset)))

    def next_round(self) -> list[Batch]:
        """Return what is to be opened now: at first one copy of each cell, then another of each that came damaged."""
        batches = []
        for path, wanted in self._following.items():
            cells = iter(wanted)
            while some := tuple(islice(cells, BATCH_CELLS)):
                batches.append(Batch(path, some))
        self._following.clear()
        return batches

    def came_damaged(self, cell: bytes, path: Path, offset: int, *, as_listed: bool) -> None:
        """Take note that a copy is damaged: the next one is looked at in the next round.

        Args:
            as_listed: its header is the one that the server lists, and for this desk, so it may be damaged there.
        """
        part = self._parts[path]
        if as_listed:
            with open_part(path) as file:
                content = sha256(os.pread(file.fileno(), CELL_BYTES, offset))
            digest = self._wanted[part.server][cell]
            damage.note(self._vault.database, part.server, cell, digest, part.inventory, content)
        spare = self._copies[part.server, cell].spare
        if spare:
            other, wanted = spare.popleft()
            self._following[other.path].append(wanted)
