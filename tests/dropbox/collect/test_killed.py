"""A server that is killed while a bundle comes in has all of it or nothing, and takes it again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dropbox.collect.deliver_once import LABEL
from tests.simulators.newsroom import Newsroom
from tests.simulators.office import Office, acknowledging, reply_cell

ROOT = Path(__file__).parents[3]
ENTRIES = 5


def kill_while_delivering(folder: Path, raw: bytes, chance: random.Random) -> None:
    """Start the process, give it the bundle or a part of it, and kill it at some moment."""
    length = len(raw) if chance.random() < 0.7 else chance.randrange(len(raw))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.dropbox.collect.deliver_once", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdin.write(raw[:length])
        process.stdin.flush()
        if length == len(raw):
            process.stdin.close()
            assert process.stdout.readline() == b"taken\n"
        # The moment is the point: any of those between the last byte and the end of the transaction.
        time.sleep(chance.uniform(0, 0.03))
        process.kill()


def one_round(folder: Path, number: int, chance: random.Random) -> bool:
    """Return whether the killed process had applied the bundle, which is the desk's `number`th."""
    office = Office(folder, Newsroom(LABEL), founded=not number)
    stored = office.fill(3, f"stored {number}")
    office.visit().deliver(
        office.bundle(2, [reply_cell(f"other {number}"), acknowledging(stored)], first=2 * number + 1)
    )
    labels = [f"{number} {each}" for each in range(ENTRIES - 1)]
    entries = [acknowledging(stored[:2]), *(reply_cell(label) for label in labels)]
    raw = office.bundle(1, entries, first=ENTRIES * number + 1)
    before, free, mark = office.store.entries(), office.store.room().free, office.mark(1)
    addresses = [office.address(1, label) for label in labels]
    office.close()

    kill_while_delivering(folder, raw, chance)

    office = Office(folder, office.newsroom, founded=False)
    try:
        applied = office.mark(1) != mark
        if not applied:
            assert office.store.entries() == before
            assert office.store.room().free == free, "what was claimed is free again"
        else:
            assert office.holds(*addresses, *stored) == [True] * 4 + [False, False, True]
        assert office.visit().deliver(raw) == {"desk": 1, "mark": mark + ENTRIES, "refused": [], "reasons": {}}
        assert office.holds(*addresses, *stored) == [True] * 4 + [False, False, True]
        office.store.delete([cell_id for cell_id, _ in office.store.entries()])
        return applied
    finally:
        office.close()


def test_a_kill_leaves_all_or_nothing(tmp_path: Path) -> None:
    for number in range(5):
        one_round(tmp_path, number, random.Random(number))


@pytest.mark.long
def test_many_kills_leave_all_or_nothing(tmp_path: Path) -> None:
    outcomes = [one_round(tmp_path, number, random.Random(f"long {number}")) for number in range(50)]

    assert set(outcomes) == {True, False}, "some kills came before the end, and some after"
