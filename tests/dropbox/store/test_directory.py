"""The table of ids against a dictionary, and how long a lookup takes in a large one."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox.store.directory import Directory
from keys.inventory import CellId

IDS = [CellId(random.Random(number).randbytes(32)) for number in range(24)]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(IDS)), max_size=80))
def test_it_finds_what_is_there_and_nothing_else(moves: list[tuple[bool, CellId]]) -> None:
    """A table this small collides all the time, so that gaps are closed in every way there is."""
    directory, model, unused = Directory(12), dict[CellId, int](), list(range(12))
    for adds, cell_id in moves:
        if adds and cell_id not in model and unused:
            model[cell_id] = unused.pop()
            directory.add(cell_id, model[cell_id])
        elif not adds and cell_id in model:
            directory.remove(cell_id)
            unused.append(model.pop(cell_id))
        assert {known: directory.find(known) for known in IDS} == {known: model.get(known) for known in IDS}


def test_it_starts_over() -> None:
    directory = Directory(4)
    directory.add(IDS[0], 2)
    directory.rebuild([(1, IDS[1]), (3, IDS[2])])
    assert [directory.find(cell_id) for cell_id in IDS[:3]] == [None, 1, 3]
    with pytest.raises(KeyError):
        directory.remove(IDS[0])


@pytest.mark.long
def test_400_000_records(capsys: pytest.CaptureFixture[str]) -> None:
    """Reported, not asserted: a figure of this machine on this day."""
    chance = random.Random(0)
    ids = [CellId(chance.randbytes(32)) for _ in range(400_000)]
    directory = Directory(len(ids))
    started = time.perf_counter()
    directory.rebuild(enumerate(ids))
    rebuilt = time.perf_counter()
    asked = [*chance.sample(ids, 5_000), *(chance.randbytes(32) for _ in range(5_000))]
    found = sum(directory.find(cell_id) is not None for cell_id in asked)
    done = time.perf_counter()
    assert found == 5_000
    with capsys.disabled():
        print(
            f"\n  400,000 records: table made in {rebuilt - started:.2f} s,"
            f" {(done - rebuilt) / len(asked) * 1e6:.2f} µs a lookup"
        )
