"""One change that does everything at once, cut at every single write and sync there is in it."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from itertools import count

import pytest

from dropbox.store import Change, Store, founding
from dropbox.store.files import Folder
from keys.errors import DropBoxError
from keys.inventory import CellId
from tests.dropbox.store.cells import Made, make_cell
from tests.simulators.disk import Crash, Fault, SimulatedDisk

OLD, NEW = [make_cell(number) for number in range(3)], [make_cell(number) for number in range(3, 6)]
State = tuple[list[tuple[CellId, bytes]], bytes]


def started(seed: int) -> tuple[SimulatedDisk, Store]:
    disk = SimulatedDisk(seed)
    founding.found(disk, 7, 300, random.Random(seed).randbytes)
    store = opened(disk)
    put(store, OLD, b"old")
    return disk, store


def opened(disk: Folder) -> Store:
    return Store(disk, randomness=random.Random(1).randbytes, clock=lambda: 1)


def put(store: Store, cells: list[Made], documents: bytes, deleted: tuple[CellId, ...] = ()) -> None:
    with store.item(len(cells)) as deposit:
        for cell in cells:
            deposit.append(cell.content, cell.cell_id, cell.digest)
        store.apply(Change((deposit,), deleted=deleted, documents=documents))


def state(store: Store) -> State:
    return store.entries(), store.documents()


def listed(*cells: Made) -> list[tuple[CellId, bytes]]:
    return sorted((cell.cell_id, cell.digest) for cell in cells)


BEFORE: State = (listed(*OLD), b"old")
AFTER: State = (listed(OLD[0], *NEW), b"new")


@pytest.mark.parametrize("ending", ["power cut", "restart", "others go on", "error", "full", "dead"])
def test_a_change_cut_at_any_operation_is_whole_or_not_there(ending: str) -> None:
    fault = {"error": Fault.ERROR, "full": Fault.FULL, "dead": Fault.DEAD}.get(ending, Fault.KILL)
    outcomes = set()
    for seed in range(4 if ending == "power cut" else 1):
        for moment in count():
            disk, store = started(seed)
            disk.fail(fault, moment)
            before = disk.operations
            with suppress(Crash, DropBoxError):
                put(store, NEW, b"new", (OLD[1].cell_id, OLD[2].cell_id))
            if disk.operations - before <= moment:
                break  # The change has fewer operations than that: every one had its turn.
            store = recovered(disk, store, ending)
            assert state(store) in (BEFORE, AFTER), f"moment {moment}, seed {seed}"
            outcomes.add(state(store) == AFTER)
            for cell in (*OLD, *NEW):
                if store.holds([cell.cell_id]) == [True]:
                    assert store.read(cell.cell_id) == cell.content
    assert outcomes == {True, False}, "the moments should lie on both sides of the one that decides"


def recovered(disk: SimulatedDisk, store: Store, ending: str) -> Store:
    disk.mend()
    if ending in ("power cut", "restart"):
        disk.restart(power_cut=ending == "power cut")
        return opened(disk)
    if ending == "others go on":
        disk.go_on()
        store.release_worker(os.getpid())
    return store


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.FULL])
def test_a_reported_failure_before_the_record_stands_leaves_nothing_behind(fault: Fault) -> None:
    disk, store = started(0)
    free = store.room().free
    for moment in range(2 * len(NEW) + 2):  # Cells written, cells synced, the redo record written, and synced.
        disk.fail(fault, moment)
        with pytest.raises(DropBoxError) as caught:
            put(store, NEW, b"new")
        assert caught.value.remedy
        disk.mend()
        assert state(store) == BEFORE
        assert store.room().free == free


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.FULL, Fault.KILL])
def test_a_store_that_could_not_be_made_leaves_no_file(fault: Fault) -> None:
    for moment in range(4):
        disk = SimulatedDisk(0)
        disk.fail(fault, moment)
        with pytest.raises((DropBoxError, Crash)):
            founding.found(disk, 4, 300, random.Random(0).randbytes)
        assert not disk.files


@pytest.mark.parametrize("power_cut", [False, True])
def test_whatever_interrupts_start_up_the_next_start_succeeds(power_cut: bool) -> None:
    for moment in count():
        disk, store = started(moment)
        disk.fail(Fault.KILL, 12)
        with pytest.raises(Crash):
            put(store, NEW, b"new", (OLD[1].cell_id,))
        disk.restart(power_cut=power_cut)
        disk.fail(Fault.KILL, moment)
        try:
            opened(disk)
            break
        except Crash:
            disk.restart(power_cut=power_cut)
            assert state(opened(disk)) in (BEFORE, (listed(OLD[0], OLD[2], *NEW), b"new"))
    assert moment > 1
