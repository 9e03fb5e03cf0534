"""The floors once more, beside the data folder: an old data folder put back in its place closes the box. SPEC 11.4.

Only what signed documents raise is kept here: their sequences. The week and the time also rise when somebody sends or
fetches something, and this file's own time must tell nobody of that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dropbox.state import State
from keys import files
from keys.epochs import Floors
from keys.errors import Malformed, Misconfigured

MAX_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class FloorsFile:
    """One server's file. It never falls; without it (a server that hasn't admitted anything) there is no floor."""

    path: Path

    def over(self, state: State) -> State:
        """Return a state with floors at least as high as those kept. Raises: Misconfigured: the file is damaged."""
        return replace(state, floors=higher(state.floors, self._read()))

    def keep(self, state: State) -> None:
        """Raise what is kept here to a state's floors. Raises: NoRoom, Misconfigured: the disk refused."""
        kept = self._read()
        raised = higher(replace(state.floors, week=0, latest=0), kept)
        if raised == kept:
            return
        try:
            files.write_file(self.path, raised.encode() + b"\n", replace=True)
        except OSError as error:
            raise Misconfigured(
                "The server's floors can't be written.", "Check the disk, and who owns the server's folder."
            ) from error

    def _read(self) -> Floors:
        try:
            return Floors.parse(files.read_file(self.path, MAX_BYTES))
        except FileNotFoundError:
            return Floors()
        except (Malformed, OSError) as error:
            raise Misconfigured(
                "The server's floors can't be read.",
                "Look at the disk. Then delete the file and admit the newest manifest and epoch lists.",
            ) from error


def higher(one: Floors, other: Floors) -> Floors:
    """Return floors that are below neither."""
    lists = {desk: max(one.sequence_of(desk), other.sequence_of(desk)) for desk in {*one.lists, *other.lists}}
    return Floors(max(one.manifest, other.manifest), lists, max(one.week, other.week), max(one.latest, other.latest))
