"""Real processes on a real disk: forked workers side by side, and workers killed at any moment."""

from __future__ import annotations

import os
import random
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dropbox.store import Change, Store
from dropbox.store.slab import Slab
from keys.errors import Misconfigured, NoRoom
from keys.inventory import CellId
from tests.dropbox.store.cells import Made, make_cell

DEADLINE_SECONDS = 60
SLOTS = 28


class Worker:
    """A forked process that tells lines to its parent. It ends when it is done, or when somebody kills it."""

    def __init__(self, work: Callable[[Callable[[str], None]], None]) -> None:
        ours, theirs = os.pipe()
        self.process = os.fork()
        if not self.process:
            os.close(ours)
            code = 1
            try:
                work(lambda line: _tell(theirs, line))
                code = 0
            finally:
                if code:
                    traceback.print_exc()
                os._exit(code)
        os.close(theirs)
        self._pipe = ours
        self._rest = b""

    def lines(self, at_least: int | None = None) -> list[str]:
        """Return what it tells: so many lines or more, or all of them when it has ended."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while at_least is None or self._rest.count(b"\n") < at_least:
            ready, _, _ = select.select([self._pipe], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the worker says nothing any more"
            data = os.read(self._pipe, 65_536)
            if not data:
                break
            self._rest += data
        told, _, self._rest = self._rest.rpartition(b"\n")
        return told.decode().splitlines()

    def end(self, kill: bool = False) -> tuple[list[str], int]:
        """Return the lines that are left, and how it ended."""
        if kill:
            os.kill(self.process, signal.SIGKILL)
        rest = self.lines()
        os.close(self._pipe)
        return rest, os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def _wait() -> None:
    """Wait to be killed; not for longer than there is somebody who could."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.05)


def _tell(pipe: int, line: str) -> None:
    os.write(pipe, line.encode() + b"\n")


def put(store: Store, *cells: Made) -> None:
    with store.item(len(cells)) as deposit:
        for cell in cells:
            deposit.append(cell.content, cell.cell_id, cell.digest)
        deposit.commit()


def test_two_workers_never_claim_the_same_slot(tmp_path: Path) -> None:
    Store.create(tmp_path / "data", 64, documents_bytes=100)
    with Store.open(tmp_path / "data") as store:
        start, go = os.pipe()

        def claim_all(tell: Callable[[str], None]) -> None:
            deposit = store.item(1)
            tell("ready")
            os.read(start, 1)
            try:
                while True:
                    deposit.begin_cell()
            except NoRoom:
                tell(" ".join(map(str, deposit.slots)))
                _wait()  # Keeps them, until both have had enough.

        workers = [Worker(claim_all) for _ in range(2)]
        assert [worker.lines(1) for worker in workers] == [["ready"], ["ready"]]
        os.write(go, b"12")
        slots = [int(slot) for worker in workers for line in worker.lines(1) for slot in line.split()]
        assert sorted(slots) == list(range(64))
        assert store.room().free == 0
        for worker in workers:
            assert worker.end(kill=True) == ([], -signal.SIGKILL)
            store.release_worker(worker.process)
        assert store.room().free == 64
        os.close(start)
        os.close(go)


def test_workers_see_each_others_changes_at_once(store: Store) -> None:
    cells = [make_cell(number) for number in range(8)]

    def work(part: list[Made]) -> Callable[[Callable[[str], None]], None]:
        def run(tell: Callable[[str], None]) -> None:
            for cell in part:
                put(store, cell)
                tell(cell.cell_id.hex())

        return run

    generation = store.generation
    workers = [Worker(work(cells[:4])), Worker(work(cells[4:]))]
    for worker in workers:
        for line in worker.lines(1):
            assert store.holds([bytes.fromhex(line)]) == [True]
    for worker in workers:
        assert worker.end()[1] == 0
    assert store.generation > generation
    assert {cell_id for cell_id, _ in store.entries()} == {cell.cell_id for cell in cells}
    assert all(store.read(cell.cell_id) == cell.content for cell in cells)


def test_documents_changed_by_one_worker_are_noticed_by_another(store: Store) -> None:
    version = store.documents_version
    worker = Worker(lambda tell: (store.apply(Change(documents=b"new")), None)[1])
    assert worker.end() == ([], 0)
    assert store.documents_version != version
    assert store.documents() == b"new"


def test_a_killed_workers_slots_are_overwritten_and_free_again(store: Store) -> None:
    cell = make_cell(0)

    def write(tell: Callable[[str], None]) -> None:
        deposit = store.item(3)
        for _ in range(3):
            writer = deposit.begin_cell()
            writer.write(cell.content)
            tell(str(writer.slot))
        _wait()

    worker = Worker(write)
    slots = [int(line) for line in worker.lines(3)]
    assert all(store._slab.read(slot) == cell.content for slot in slots)
    worker.end(kill=True)
    store.release_worker(worker.process)
    assert store.room().free == 12
    assert not any(Slab.holds_text(store._slab, slot) for slot in range(12))


@pytest.mark.parametrize("notice", ["room is short", "the timer stirs"])
def test_dead_workers_that_nobody_reported_are_noticed(store: Store, notice: str) -> None:
    def claim(tell: Callable[[str], None]) -> None:
        deposit = store.item(9)
        for _ in range(9):
            deposit.begin_cell().write(make_cell(0).content[:70_000])
        tell("claimed")
        _wait()

    worker = Worker(claim)
    worker.lines(1)
    with pytest.raises(NoRoom):
        store.item(9)
    worker.end(kill=True)
    if notice == "the timer stirs":
        store.stir()
        assert store.room().free == 12
    with store.item(9) as deposit:
        for _ in range(9):
            deposit.begin_cell()
    assert store.room().free == 12


def test_a_folder_stays_taken_while_a_worker_of_a_dead_server_lives(folder: Path) -> None:
    """Else the next server's sweep would overwrite what that worker is writing."""

    def wait(tell: Callable[[str], None]) -> None:
        tell("here")
        _wait()

    store = Store.open(folder)
    worker = Worker(wait)
    worker.lines(1)
    store.close()
    with pytest.raises(Misconfigured, match="Another server"):
        Store.open(folder)
    worker.end(kill=True)
    Store.open(folder).close()


def item_of(number: int) -> list[Made]:
    """Return the cells of an item: one to three, known by its number alone."""
    return [make_cell(10 * number + at) for at in range(1 + number % 3)]


def _busy(store: Store, first: int) -> Callable[[Callable[[str], None]], None]:
    """A worker that puts one item after another, in pieces, and deletes the one before the last; telling each."""

    def run(tell: Callable[[str], None]) -> None:
        number = first
        while True:
            with store.item(3) as deposit:
                for cell in item_of(number):
                    writer = deposit.begin_cell()
                    for at in range(0, len(cell.content), 65_552):
                        writer.write(cell.content[at : at + 65_552])
                    writer.finish(cell.cell_id, cell.digest)
                store.apply(Change((deposit,), documents=str(number).encode()))
            tell(f"stored {number}")
            if number - 2 >= first:
                tell(f"deleting {number - 2}")
                store.delete(cell.cell_id for cell in item_of(number - 2))
            number += 1

    return run


@dataclass(frozen=True)
class Run:
    """What a busy worker had said when it was killed."""

    first: int
    lines: list[str]

    @property
    def items(self) -> range:
        """Every item it can have begun."""
        return range(self.first, self.first + len(self.lines) + 3)

    def told(self, what: str) -> set[int]:
        return {int(line.split()[1]) for line in self.lines if line.startswith(what)}


def _kills(folder: Path, workers: int, rounds: int, seed: int) -> None:
    """Kill workers at random moments, one after another: who is left must go on, whatever the dead one held."""
    chance = random.Random(seed)
    store = Store.open(folder)
    for turn in range(rounds):
        firsts = [1_000 * (workers * turn + number) for number in range(workers)]
        busy = [Worker(_busy(store, first)) for first in firsts]
        runs = []
        for first, worker in zip(firsts, busy, strict=True):
            lines = worker.lines(chance.randrange(1, 8))
            time.sleep(chance.uniform(0, 0.012))  # Not waited for anything: this is the random moment.
            rest, code = worker.end(kill=True)
            assert code == -signal.SIGKILL
            runs.append(Run(first, [*lines, *rest]))
        if chance.random() < 0.3:
            store.close()
            store = Store.open(folder)
        else:
            for worker in busy:
                store.release_worker(worker.process)
        _check(store, runs, f"round {turn} of seed {seed}")
        store.delete([cell_id for cell_id, _ in store.entries()])
        assert store.room().free == SLOTS
    store.close()


def _check(store: Store, runs: list[Run], when: str) -> None:
    """What was reported is there; items are whole or absent; the documents name a newest one; the rest is noise."""
    known = {cell.cell_id: cell for run in runs for number in run.items for cell in item_of(number)}
    found = {cell_id for cell_id, _ in store.entries()}
    assert found <= known.keys(), when
    assert all(store.read(cell_id) == known[cell_id].content for cell_id in found), when
    newest = []
    for run in runs:
        present = set[int]()
        for number in run.items:
            here = [cell.cell_id in found for cell in item_of(number)]
            assert all(here) or not any(here), f"half of item {number} shows, {when}"
            present |= {number} if all(here) else set()
        assert run.told("stored") - run.told("deleting") <= present, f"a stored item is lost, {when}"
        newest.append(str(max(present)).encode())
    assert store.documents() in newest, when
    _check_free(store, found, when)


def _check_free(store: Store, found: set[CellId], when: str) -> None:
    taken = {slot for slot in range(SLOTS) if store._index.read(slot) is not None}
    assert len(taken) == len(found), when
    assert store.room().free == SLOTS - len(found), when
    assert not any(Slab.holds_text(store._slab, slot) for slot in range(SLOTS) if slot not in taken), when
    redo = store._files.redo.read(0, store._files.redo.size)
    assert not any(bytes(cell_id) in redo for cell_id in found), when


@pytest.fixture
def roomy(tmp_path: Path) -> Path:
    Store.create(tmp_path / "roomy", SLOTS, documents_bytes=4_096)
    return tmp_path / "roomy"


def test_killed_at_random_moments_nothing_reported_is_lost_and_nothing_half_is_seen(roomy: Path) -> None:
    _kills(roomy, workers=1, rounds=10, seed=1)


def test_a_worker_killed_beside_another_holds_nobody_up(roomy: Path) -> None:
    _kills(roomy, workers=2, rounds=10, seed=2)


@pytest.mark.long
def test_killed_two_hundred_times(roomy: Path) -> None:
    _kills(roomy, workers=1, rounds=100, seed=3)
    _kills(roomy, workers=2, rounds=50, seed=4)
