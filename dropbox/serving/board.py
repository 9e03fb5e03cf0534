"""The board on which worker processes and their arbiter tell each other how they stand.

An anonymous map made before the fork: it has no name, lies on no disk, and is gone with the last process. Each row
has one writer at a time (the arbiter before a worker serves and after it has ended, the worker in between, but for
the two states named below), so no lock is needed that a killed process could keep.
"""

from __future__ import annotations

import enum
import mmap
import struct
from dataclasses import dataclass

ROWS = 128
_ROW = struct.Struct("<IIBBBx")
_LOAD = struct.Struct("<I")
_LOAD_AT, _STATE_AT, _TIRED_AT = 4, 8, 10


class State(enum.IntEnum):
    """A worker's life. The arbiter sets SUCCEEDED and LEAVING, the worker itself SERVING."""

    FREE = 0
    BOOTING = 1
    SERVING = 2
    SUCCEEDED = 3  # It serves on until its successor does.
    LEAVING = 4  # It takes nothing new, and ends when what it holds has ended.


@dataclass(frozen=True, slots=True)
class Row:
    number: int
    pid: int
    load: int
    state: State
    crew: int
    tired: bool


class Board:
    """One row for each worker process."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, ROWS * _ROW.size)

    def rows(self) -> list[Row]:
        """Return the rows that are in use."""
        return [
            Row(number, pid, load, State(state), crew, bool(tired))
            for number, (pid, load, state, crew, tired) in enumerate(_ROW.iter_unpack(self._map[:]))
            if state
        ]

    def row(self, number: int) -> Row | None:
        return next((row for row in self.rows() if row.number == number), None)

    def book(self, crew: int) -> int | None:
        """Give a row to a worker that is about to start; None when all are in use."""
        used = {row.number for row in self.rows()}
        number = next((number for number in range(ROWS) if number not in used), None)
        if number is not None:
            _ROW.pack_into(self._map, number * _ROW.size, 0, 0, State.BOOTING, crew, 0)
        return number

    def clear(self, number: int) -> None:
        _ROW.pack_into(self._map, number * _ROW.size, 0, 0, State.FREE, 0, 0)

    def arrive(self, number: int, pid: int) -> None:
        """Say that this worker serves now."""
        _LOAD.pack_into(self._map, number * _ROW.size, pid)
        self.set_state(number, State.SERVING)

    def set_state(self, number: int, state: State) -> None:
        self._map[number * _ROW.size + _STATE_AT] = state

    def set_tired(self, number: int) -> None:
        """Ask for a successor."""
        self._map[number * _ROW.size + _TIRED_AT] = 1

    def set_load(self, number: int, load: int) -> None:
        """Say how many connections this worker holds."""
        _LOAD.pack_into(self._map, number * _ROW.size + _LOAD_AT, load)

    def least_load(self, crew: int, besides: int) -> int | None:
        """Return the smallest load of the other workers of a crew that take connections; None without others."""
        loads = [
            row.load
            for row in self.rows()
            if row.crew == crew and row.number != besides and row.state in (State.SERVING, State.SUCCEEDED)
        ]
        return min(loads, default=None)
