"""Promise 3: no raw byte of the data folder tells order, kind or desk of what came within one collection interval.

A random history of tips, replies, acknowledgements and deletions runs over a real folder; then its files are read as
whoever seizes the disk would read them. Each question ("did what came later come to lie later?") is a rank statistic
whose distribution under pure chance is known: standard normal, whatever the sample's size. With the seed fixed, the
answer is the same each run. That the questions can be answered is shown on stores that do place by order.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dropbox.store import Change, Store, region
from dropbox.store.claims import Claims
from dropbox.store.index import RECORD_BYTES, decode
from dropbox.store.journal import Journal
from keys.bundle import CELL_BYTES
from keys.inventory import CellId
from keys.primitives import Randomness
from tests.dropbox.store.cells import Made, make_cell

SLOTS = 200
DESKS = (1, 2, 3)
TIP = 0
# Two-sided, one chance in 16,000 for each question. Ten questions are asked.
SIGNIFICANT = 4.0


@dataclass(frozen=True)
class Arrival:
    """A cell that came in the present interval: in order of arrival, with the desk that sent it, or `TIP`."""

    cell_id: CellId
    desk: int


class History:
    """Does what a season does to a store, and remembers what no disk should."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.chance = random.Random(seed)
        self.numbers = iter(range(100_000))
        self.arrivals: list[Arrival] = []
        self.gone: list[CellId] = []

    def run(self) -> None:
        self.interval(20, most=25)
        self.acknowledge(1, [cell_id for cell_id, _ in self.store.entries()])
        self.arrivals.clear()
        self.interval(110, most=SLOTS - 10)

    def interval(self, steps: int, most: int) -> None:
        for _ in range(steps):
            step = self.chance.choices([self.tip, self.bundle, self.delete, self.store.stir], [4, 5, 1, 1])[0]
            if SLOTS - self.store.room().free < most or step == self.delete:
                step()

    def new(self, count: int) -> list[Made]:
        return [make_cell(next(self.numbers)) for _ in range(count)]

    def tip(self) -> None:
        cells = self.new(self.chance.choice([1, 1, 2, 5]))
        with self.store.item(len(cells)) as deposit:
            for cell in cells:
                deposit.append(cell.content, cell.cell_id, cell.digest)
            deposit.commit()
        self.arrivals += [Arrival(cell.cell_id, TIP) for cell in cells]

    def bundle(self) -> None:
        desk = self.chance.choice(DESKS)
        cells = self.new(self.chance.randint(1, 4))
        with self.store.item(len(cells), reserved=True) as deposit:
            for cell in cells:
                deposit.append(cell.content, cell.cell_id, cell.digest)
            documents = b"marks of desk %d" % desk + self.chance.randbytes(200)
            self.store.apply(Change((deposit,), current_desks=frozenset(DESKS), documents=documents))
        self.arrivals += [Arrival(cell.cell_id, desk) for cell in cells]

    def acknowledge(self, desk: int, ids: list[CellId]) -> None:
        self.store.apply(Change((), {desk: ids}, current_desks=frozenset(DESKS)))

    def delete(self) -> None:
        if self.arrivals:
            arrival = self.arrivals.pop(self.chance.randrange(len(self.arrivals)))
            self.store.delete([arrival.cell_id])
            self.gone.append(arrival.cell_id)


@dataclass(frozen=True)
class Season:
    """A history that was lived, where, and the files' times before anybody read them."""

    history: History
    folder: Path
    now: int
    times: frozenset[tuple[int, int]]


def ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda at: values[at])
    result = [0.0] * len(values)
    for rank, at in enumerate(order):
        result[at] = float(rank)
    return result


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's rank correlation as a standard normal: rho times the root of n - 1."""
    first, second, mean = ranks(one), ranks(other), (len(one) - 1) / 2
    covariance = sum((a - mean) * (b - mean) for a, b in zip(first, second, strict=True))
    variance = sum((a - mean) ** 2 for a in first)
    return float(covariance / variance * (len(one) - 1) ** 0.5)


def rank_sum(marked: Sequence[bool], values: Sequence[float]) -> float:
    """The rank-sum test as a standard normal: do the marked values lie lower or higher than the others?"""
    ones, count = sum(marked), len(marked)
    total = sum(rank + 1 for rank, is_marked in zip(ranks(values), marked, strict=True) if is_marked)
    spread = (ones * (count - ones) * (count + 1) / 12) ** 0.5
    return float((total - ones * (count + 1) / 2) / spread)


def questions(season: Season) -> dict[str, float]:
    """Ask everything that the order of the files' bytes could answer."""
    raw = (season.folder / "cells.index").read_bytes()
    records = {slot: decode(slot, raw[slot * RECORD_BYTES : (slot + 1) * RECORD_BYTES]) for slot in range(SLOTS)}
    place = {record.cell_id: slot for slot, record in records.items() if record is not None}
    here = season.history.arrivals
    slots = [place[arrival.cell_id] for arrival in here]
    orders = {
        "slot": [float(slot) for slot in slots],
        "id": [float(int.from_bytes(arrival.cell_id, "big")) for arrival in here],
    }
    told = {}
    for name, values in orders.items():
        told[f"{name} tells arrival"] = correlation(range(len(here)), values)
        told[f"{name} tells who came together"] = correlation(values[:-1], values[1:])
        told[f"{name} tells kind"] = rank_sum([arrival.desk == TIP for arrival in here], values)
    replies = [(slot, arrival.desk) for slot, arrival in zip(slots, here, strict=True) if arrival.desk != TIP]
    for desk in DESKS:
        told[f"slot tells desk {desk}"] = rank_sum([by == desk for _, by in replies], [float(s) for s, _ in replies])
    return told


def chi_square(data: bytes) -> float:
    """How far the bytes' histogram is from even, as a standard normal (255 degrees of freedom)."""
    expected = len(data) / 256
    total = sum((data.count(value) - expected) ** 2 / expected for value in range(256))
    return float((total - 255) / 510**0.5)


def unused_bytes(folder: Path) -> dict[str, bytes]:
    """Return everything in the folder that isn't a stored cell, a record or the documents' own bytes."""
    raw = (folder / "cells.index").read_bytes()
    free = [slot for slot in range(SLOTS) if decode(slot, raw[slot * RECORD_BYTES : (slot + 1) * RECORD_BYTES]) is None]
    slab = memoryview((folder / "cells.slab").read_bytes())
    documents = (folder / "documents").read_bytes()
    end = region.HEAD_BYTES + int.from_bytes(documents[:4], "big")
    return {
        "free records": b"".join(raw[slot * RECORD_BYTES : (slot + 1) * RECORD_BYTES] for slot in free),
        "free slots' beginnings": b"".join(slab[slot * CELL_BYTES :][:32_768] for slot in free),
        "redo": (folder / "redo").read_bytes(),
        "behind the documents": documents[end:],
    }


def leaks(season: Season) -> list[str]:
    """Return what in unused bytes isn't noise."""
    found = []
    history = season.history
    names = [*history.gone, *(cell_id for cell_id, _ in history.store.entries())]
    for name, data in unused_bytes(season.folder).items():
        if chi_square(data) > 6:
            found.append(f"{name}: the bytes are not even")
        if len(zlib.compress(data, 9)) < len(data):
            found.append(f"{name}: can be compressed")
        if any(cell_id[at : at + 8] in data for cell_id in names for at in (0, 8, 16, 24)):
            found.append(f"{name}: holds part of an id")
    return found


def lived(folder: Path, prepare: Callable[[Store], None] = lambda store: None) -> Season:
    now = 1_700_000_000_000_000_000
    chance = random.Random(2026)
    Store.create(folder, SLOTS, documents_bytes=20_000, randomness=chance.randbytes)

    def tick() -> int:
        nonlocal now
        now += 1_000_000_000
        return now

    store = Store.open(folder, randomness=chance.randbytes, clock=tick)
    prepare(store)
    history = History(store, seed=11)
    history.run()
    times = frozenset((path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in folder.iterdir())
    return Season(history, folder, now, times)


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    return lived(tmp_path_factory.mktemp("season") / "data")


def test_the_history_is_worth_asking_about(season: Season) -> None:
    history = season.history
    by_desk = [sum(arrival.desk == desk for arrival in history.arrivals) for desk in (TIP, *DESKS)]
    assert min(by_desk) >= 8
    assert len(history.arrivals) >= 80
    assert len(history.gone) >= 5


def test_no_order_of_bytes_tells_arrival_kind_or_desk(season: Season) -> None:
    told = questions(season)
    assert {name: z for name, z in told.items() if abs(z) > SIGNIFICANT} == {}


def test_records_of_one_interval_differ_in_nothing_but_random_looking_bytes(season: Season) -> None:
    raw = (season.folder / "cells.index").read_bytes()
    records = [decode(slot, raw[slot * RECORD_BYTES : (slot + 1) * RECORD_BYTES]) for slot in range(SLOTS)]
    present = {arrival.cell_id for arrival in season.history.arrivals}
    assert {r.acknowledged for r in records if r is not None and r.cell_id in present} == {0}
    assert {r.acknowledged for r in records if r is not None and r.cell_id not in present} == {1 << 1}


def test_what_is_unused_is_noise_whatever_it_was_before(season: Season) -> None:
    assert leaks(season) == []


def test_file_times_tell_the_last_change_of_anything_and_nothing_else(season: Season) -> None:
    assert season.times == {(season.now, season.now)}
    assert len(list(season.folder.iterdir())) == 4


class Biased(Claims):
    """Claims that place by a rule instead of by chance."""

    def __init__(self, slots: int, choose: Callable[[list[int], int], int]) -> None:
        super().__init__(slots)
        self.choose = choose
        self.last = 0

    def take(self, process: int, randomness: Randomness) -> int:
        free = self._free[: self.free].tolist()
        self.last = self.choose(free, self.last)
        place = free.index(self.last)
        return super().take(process, lambda length: place.to_bytes(length, "big"))


def lowest(free: list[int], last: int) -> int:
    return min(free)


def nearest(free: list[int], last: int) -> int:
    return min(free, key=lambda slot: abs(slot - last - 1))


def near(free: list[int], last: int) -> int:
    """Chance, but within a few dozen places of the last one: what a file system's allocator likes to do."""
    return random.Random(last).choice(sorted(free, key=lambda slot: abs(slot - last))[:24])


@pytest.mark.parametrize("choose", [lowest, nearest, near])
def test_a_store_that_places_by_order_is_found_out(tmp_path: Path, choose: Callable[[list[int], int], int]) -> None:
    def bias(store: Store) -> None:
        store._custody.claims = Biased(SLOTS, choose)
        store._custody.counters.unsettled = 1  # So that the next call makes them anew from the index.
        store.entries()

    assert max(abs(z) for z in questions(lived(tmp_path / "data", bias)).values()) > SIGNIFICANT


def test_a_redo_record_that_is_left_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "finish", lambda journal, length: None)
    assert any(leak.startswith("redo") for leak in leaks(lived(tmp_path / "data")))
