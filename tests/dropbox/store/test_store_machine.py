"""The store against a dictionary, on a disk that fails at every possible moment.

Invariant: whatever was done, and wherever a kill, a power cut or a failing disk cut into it, each change is there whole
or not at all; what is stored is stored byte for byte; and no slot without a record holds anything of a cell.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from dropbox.store import Change, Deposit, Store, founding
from dropbox.store.index import RECORD_BYTES, decode
from dropbox.store.slab import Slab
from keys.bundle import CELL_BYTES
from keys.errors import DropBoxError, NoRoom
from keys.inventory import CellId
from tests.dropbox.store.cells import Made, make_cell
from tests.simulators.disk import Crash, Fault, SimulatedDisk

SLOTS = 6
DOCUMENTS_BYTES = 400
DESKS = (1, 2, 127)
# Where a cell's bytes are looked for in slots that must not hold them: sectors of its header, middle and end.
PROBES = (0, 512, 4_096, 65_536, 131_072, CELL_BYTES - 512)


@dataclass(frozen=True)
class Model:
    """What should be stored."""

    cells: dict[CellId, Made] = field(default_factory=dict)
    acknowledged: dict[CellId, int] = field(default_factory=dict)
    documents: bytes = b""

    def put(self, cells: list[Made]) -> Model:
        new = {cell.cell_id: cell for cell in cells if cell.cell_id not in self.cells}
        return replace(self, cells={**self.cells, **new}, acknowledged={**self.acknowledged, **dict.fromkeys(new, 0)})

    def acknowledge(self, desk: int, ids: list[CellId]) -> Model:
        bits = dict(self.acknowledged)
        for cell_id in ids:
            if cell_id in bits:
                bits[cell_id] |= 1 << desk
        return replace(self, acknowledged=bits)

    def without(self, ids: set[CellId]) -> Model:
        return replace(
            self,
            cells={cell_id: cell for cell_id, cell in self.cells.items() if cell_id not in ids},
            acknowledged={cell_id: bits for cell_id, bits in self.acknowledged.items() if cell_id not in ids},
        )

    def covered(self, desks: frozenset[int]) -> set[CellId]:
        mask = sum(1 << desk for desk in desks)
        return {cell_id for cell_id, bits in self.acknowledged.items() if bits & mask == mask}


faults = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(Fault), st.integers(0, 24), st.sampled_from(["restart", "power cut", "others go on"])),
)


class StoreMachine(RuleBasedStateMachine):
    """Each rule does one change to the store, perhaps with a fault in it, and to the model."""

    @initialize(seed=st.integers(0, 2**32 - 1))
    def found(self, seed: int) -> None:
        self.disk = SimulatedDisk(seed)
        self.randomness = random.Random(seed + 1).randbytes
        founding.found(self.disk, SLOTS, DOCUMENTS_BYTES, self.randomness)
        self.model = Model()
        self.made: list[Made] = []
        self.written: list[Made] = []
        self.doubt = False
        self.cut_short = False
        self.open_store()

    def open_store(self) -> None:
        self.store = Store(self.disk, reserve_slots=2, randomness=self.randomness, clock=lambda: 1)
        self.doubt = False

    def new_cells(self, count: int) -> list[Made]:
        cells = [make_cell(len(self.made) + at) for at in range(count)]
        self.made += cells
        self.written += cells
        return cells

    def attempt(self, fault: Any, change: Callable[[], object], after: Model) -> None:
        """Make a change that leads to `after`, or, when the fault hits it, to that or to where it started."""
        if fault is not None:
            self.disk.fail(fault[0], fault[1])
        try:
            change()
            self.model = after
        except NoRoom:
            self.recover_from_error(after)
        except DropBoxError:
            assert fault is not None
            self.recover_from_error(after)
        except Crash:
            self.recover_from_crash(fault[2], after)
        self.disk.mend()
        self.store.entries()  # What a failing disk left undone, the next to take the lock finishes.

    def recover_from_error(self, after: Model) -> None:
        """A worker saw an error and lives on. Only a disk that refuses its every word may leave it in doubt."""
        self.disk.mend()
        self.decide(after)
        self.doubt = self.store.room().free != SLOTS - len(self.model.cells)

    def recover_from_crash(self, how: str, after: Model) -> None:
        if how == "others go on":
            self.disk.go_on()
            self.store.release_worker(os.getpid())
            self.doubt = False
        else:
            self.disk.restart(power_cut=how == "power cut")
            self.cut_short = True
            self.open_store()
        self.decide(after)

    def decide(self, after: Model) -> None:
        """Learn whether the change stands; the invariants then hold the store to that, in every detail."""
        now = (self.store.entries(), self.store.documents(), self.bits())
        stands = now == expected(after)
        assert stands or now == expected(self.model), "a change was left half done"
        if stands:
            self.model = after

    def bits(self) -> dict[CellId, int]:
        """Return the acknowledgement bits as they lie in the index."""
        raw = bytes(self.disk.files["cells.index"].seen)
        records = (decode(slot, raw[slot * RECORD_BYTES : (slot + 1) * RECORD_BYTES]) for slot in range(SLOTS))
        return {record.cell_id: record.acknowledged for record in records if record is not None}

    def write(self, deposit: Deposit, cells: list[Made], piece: int) -> None:
        for cell in cells:
            writer = deposit.begin_cell()
            for at in range(0, CELL_BYTES, piece):
                writer.write(memoryview(cell.content)[at : at + piece])
            writer.finish(cell.cell_id, cell.digest)

    @rule(count=st.integers(1, 3), piece=st.sampled_from([65_552, 9_428, CELL_BYTES]), fault=faults)
    def item(self, count: int, piece: int, fault: Any) -> None:
        cells = self.new_cells(count)

        def change() -> None:
            with self.store.item(count) as deposit:
                self.write(deposit, cells, piece)
                deposit.commit()

        self.attempt(fault, change, self.model.put(cells))

    @rule(count=st.integers(1, 2), begun=st.booleans(), commits=st.booleans(), fault=faults)
    def broken_item(self, count: int, begun: bool, commits: bool, fault: Any) -> None:
        """An item that is left, or whose last cell was never finished."""
        cells = self.new_cells(count)
        unfinished = self.new_cells(1)[0]

        def change() -> None:
            with self.store.item(count) as deposit:
                self.write(deposit, cells, 65_552)
                if begun:
                    deposit.begin_cell().write(unfinished.content[:100_000])
                if commits:
                    deposit.commit()

        self.attempt(fault, change, self.model.put(cells) if commits else self.model)

    @rule(data=st.data(), count=st.integers(0, 2), documents=st.none() | st.binary(max_size=300), fault=faults)
    def outbound(self, data: st.DataObject, count: int, documents: bytes | None, fault: Any) -> None:
        """Replies, one perhaps at an address that is taken; acknowledgements; documents; all at once."""
        known = sorted(self.model.cells)
        new = self.new_cells(count)
        taken = data.draw(st.lists(st.sampled_from(known), max_size=1)) if known else []
        impostors = [replace(make_cell(-1 - len(self.written)), cell_id=cell_id) for cell_id in taken]
        self.written += impostors
        desk = data.draw(st.sampled_from(DESKS))
        candidates = [*known, *(cell.cell_id for cell in new), CellId(b"\1" * 32)]
        ids = data.draw(st.lists(st.sampled_from(candidates), unique=True))
        current = data.draw(st.none() | st.sets(st.sampled_from(DESKS), min_size=1).map(frozenset))
        after = self.model.put(new).acknowledge(desk, ids)
        after = after.without(after.covered(current)) if current else after
        after = after if documents is None else replace(after, documents=documents)

        def change() -> None:
            with self.store.item(max(1, count), reserved=True) as deposit:
                self.write(deposit, [*new, *impostors], CELL_BYTES)
                outcome = self.store.apply(Change((deposit,), {desk: ids}, current_desks=current, documents=documents))
                assert set(outcome.refused) == set(taken)

        self.attempt(fault, change, after)

    @rule(data=st.data(), fault=faults)
    def delete(self, data: st.DataObject, fault: Any) -> None:
        known = sorted(self.model.cells)
        ids = set(data.draw(st.lists(st.sampled_from([*known, CellId(b"\2" * 32)]), unique=True)))
        self.attempt(fault, lambda: self.store.delete(ids), self.model.without(ids))

    @rule(fault=faults)
    def stir(self, fault: Any) -> None:
        self.attempt(fault, self.store.stir, self.model)

    @rule(power_cut=st.booleans())
    def restart(self, power_cut: bool) -> None:
        """All that was reported as done is there afterwards, synced or not by anything that came later."""
        self.disk.restart(power_cut=power_cut)
        doubt, before = self.doubt, self.model
        self.cut_short |= doubt
        self.open_store()
        if not doubt:
            assert (self.store.entries(), self.store.documents(), self.bits()) == expected(before)

    @invariant()
    def stores_what_the_model_says(self) -> None:
        assert (self.store.entries(), self.store.documents(), self.bits()) == expected(self.model)
        assert self.store.holds([*self.model.cells, b"\3" * 32]) == [True] * len(self.model.cells) + [False]
        for cell_id, cell in self.model.cells.items():
            assert self.store.read(cell_id) == cell.content

    @invariant()
    def every_slot_is_stored_or_free(self) -> None:
        room = self.store.room()
        assert room.free + len(self.model.cells) == SLOTS or self.doubt

    @invariant()
    def nothing_else_is_on_the_disk(self) -> None:
        """Neither in free slots nor in the redo record nor anywhere behind the documents."""
        if self.doubt:
            return
        index, slab = bytes(self.disk.files["cells.index"].seen), self.disk.files["cells.slab"]
        stored = {slot for slot in range(SLOTS) if decode(slot, index[slot * 96 : (slot + 1) * 96])}
        for slot in set(range(SLOTS)) - stored:
            assert not Slab(slab, self.randomness).holds_text(slot)
            if not self.cut_short:  # An overwriting cut short after the header leaves bytes that no key opens.
                content = bytes(slab.seen[slot * CELL_BYTES : (slot + 1) * CELL_BYTES])
                assert not any(
                    content[at : at + 512] == cell.content[at : at + 512] for cell in self.written for at in PROBES
                )
        redo, documents = bytes(self.disk.files["redo"].seen), bytes(self.disk.files["documents"].seen)
        for cell in self.made:
            assert bytes(cell.cell_id) not in redo
            assert bytes(cell.cell_id) not in documents
            assert cell.cell_id in self.model.cells or bytes(cell.cell_id) not in index

    @invariant()
    def all_files_have_one_time(self) -> None:
        assert all(set(file.times) == {1} for file in self.disk.files.values())


def expected(model: Model) -> tuple[list[tuple[CellId, bytes]], bytes, dict[CellId, int]]:
    entries = sorted((cell_id, cell.digest) for cell_id, cell in model.cells.items())
    return entries, model.documents, model.acknowledged


_CHECKS = (HealthCheck.too_slow, HealthCheck.data_too_large)


def _run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=_CHECKS
        ),
    )


def test_the_store_does_what_a_dictionary_does_on_a_disk_that_fails() -> None:
    _run(40, 12)


@pytest.mark.long
def test_the_store_does_what_a_dictionary_does_at_length() -> None:
    _run(1_500, 30)
