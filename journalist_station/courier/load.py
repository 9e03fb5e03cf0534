"""What each stick of a trip lacks and gets, and what became of it all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from journalist_station.courier.stick import CellWriter, Stick, StickFailed, StickFull
from keys.errors import DropBoxError
from keys.inventory import CellId


@dataclass(slots=True)
class Errand:
    """What one sync did so far, for the table at its end. `fetched` counts cells by stick.

    `troubles` are bundles that stay on their stick, and sticks that failed; the rest was carried all the same.
    """

    delivered: int = 0
    wiped: int = 0
    fetched: dict[str, int] = field(default_factory=dict)
    gone: int = 0
    listed: int = 0
    inventory: int = 0
    troubles: list[tuple[str, DropBoxError]] = field(default_factory=list)


class Load:
    """What each stick of a trip lacks. A stick that fails is left behind; the others go on."""

    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        self._lacking: dict[CellId, list[Stick]] = {}
        self._writers: dict[Stick, CellWriter] = {}
        self._failed: dict[Stick, DropBoxError] = {}

    @contextmanager
    def guarded(self, stick: Stick) -> Iterator[None]:
        """Do something with a stick. When it fails, that is noted, and the trip goes on."""
        try:
            yield
        except (StickFull, StickFailed) as error:
            if stick not in self._failed:
                self._failed[stick] = error
                self._errand.troubles.append((stick.folder.name, error))

    def add(self, stick: Stick, ids: Iterable[CellId]) -> None:
        """Note that a stick lacks these cells."""
        for cell_id in ids:
            self._lacking.setdefault(cell_id, []).append(stick)

    def wanted(self) -> list[CellId]:
        """Return what any stick lacks that hasn't failed, sorted."""
        return sorted(cell_id for cell_id, sticks in self._lacking.items() if not self._failed.keys() >= set(sticks))

    @contextmanager
    def writing(self, inventory: int, part_bytes: int) -> Iterator[None]:
        """Keep cells in here. Leaving, however it happens, completes what every stick got."""
        with ExitStack() as stack:
            for stick in dict.fromkeys(stick for sticks in self._lacking.values() for stick in sticks):
                stack.enter_context(self.guarded(stick))
                self._writers[stick] = stack.enter_context(stick.collect(inventory, part_bytes))
            yield

    def keep(self, cell_id: CellId, cell: bytes) -> bool:
        """Write a cell to every stick that lacks it; say whether no stick failed over it."""
        failed = len(self._failed)
        for stick in self._lacking.pop(cell_id):
            if stick not in self._failed:
                with self.guarded(stick):
                    self._writers[stick].add(cell_id, cell)
                    self._errand.fetched[str(stick.folder)] += 1
        return len(self._failed) == failed

    def give_up(self, cell_id: CellId) -> None:
        """Ask no more for a cell."""
        del self._lacking[cell_id]

    def raise_first(self) -> None:
        """Raises: StickFull, StickFailed: what befell the first stick that failed."""
        for error in self._failed.values():
            raise error
