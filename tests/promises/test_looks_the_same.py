"""Promise 3: within one collection interval nothing on the disk tells order, kind or desk, or what came together.

A random history goes through the real server: tips with and without files, bundles of three desks, acknowledgements,
replies deleted by their sources. Then the raw files are read as whoever seizes the disk would read them. Each question
is a rank statistic, standard normal under pure chance whatever the sample's size. That the questions can be answered is
shown on a server that places cells in order. `tests/dropbox/store` asks the same of the store alone.
"""

from __future__ import annotations

import math
import random
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from dropbox.store.index import RECORD_BYTES
from dropbox.store.region import HEAD_BYTES
from keys.bundle import CELL_BYTES
from keys.codename import Codename
from keys.inventory import CellId
from tests.dropbox.source.site import Upload
from tests.dropbox.store.test_looks_the_same import chi_square, correlation, rank_sum
from tests.promises.desk import DeskPost
from tests.promises.server import Oddities, Premises, newsroom

SLOTS = 260
TIP = 0
DESKS = (1, 2, 3)
SIGNIFICANT = 5.0
"""Two-sided, one chance in 1.7 million for each question: the server's own randomness has no seed."""


@dataclass(frozen=True)
class Arrival:
    """A cell: what brought it (a desk's number, or `TIP`), and which of all events that was."""

    cell_id: CellId
    kind: int
    event: int


@dataclass
class History:
    """Lives through events at a server, and remembers what no disk should."""

    premises: Premises
    chance: random.Random
    arrivals: list[Arrival] = field(default_factory=list)
    gone: set[CellId] = field(default_factory=set)
    events: int = 0
    _known: set[CellId] = field(default_factory=set)
    _codenames: list[Codename] = field(default_factory=list)
    _answered: list[Codename] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._posts = {desk: DeskPost(self.premises.newsroom, desk) for desk in DESKS}
        self._courier = self.premises.courier()

    def live(self, events: int, *kinds: Callable[[], None]) -> None:
        for _ in range(events):
            kind = self.chance.choice(kinds)
            if kind != self.deletion and len(self.premises.records()) > SLOTS - 80:
                continue
            kind()

    def tip(self) -> None:
        sizes = self.chance.choice([[], [], [1_000], [300_000, 10]])
        files = [Upload(f"{size}.bin", self.chance.randbytes(size)) for size in sizes]
        sent = self.premises.browser().send("x" * self.chance.randrange(1, 2_000), files, desks=(1, 2, 3))
        assert sent.answer.status == 200
        self._codenames.append(sent.codename)
        self._note(TIP)

    def bundle(self) -> None:
        """A desk's bundle: sometimes a reply, always fillers or replies to a multiple of B."""
        desk = self.chance.choice(DESKS)
        post, entries = self._posts[desk], []
        if self._codenames and self.chance.random() < 0.6:
            name = self._codenames.pop(self.chance.randrange(len(self._codenames)))
            entries = post.reply(name, "ตอบ")
            self._answered.append(name)
        mixed = [*entries, *(post.filler() for _ in range(-len(entries) % 4 or (0 if entries else 4)))]
        self.chance.shuffle(mixed)
        assert self._courier.deliver(post.bundle(*mixed)).status == 200
        self._note(desk)

    def deletion(self) -> None:
        """A source reads its reply and deletes it."""
        if not self._answered:
            return
        browser = self.premises.browser()
        browser.sign_in(self._answered.pop(self.chance.randrange(len(self._answered))).text)
        assert browser.delete_newest().status == 303
        self._note(TIP)

    def acknowledge(self, desk: int, ids: set[CellId]) -> None:
        post = self._posts[desk]
        assert self._courier.deliver(post.bundle(post.acknowledgement(sorted(ids)))).status == 200
        self._note(desk)

    def forget_who_was_answered(self) -> None:
        """Their replies are gone."""
        self._answered.clear()

    def _note(self, kind: int) -> None:
        """Compare the disk with what was there before, as somebody would who watched it all the time."""
        now = {record.cell_id for record in self.premises.records().values()}
        self.gone |= self._known - now
        self.arrivals = [arrival for arrival in self.arrivals if arrival.cell_id in now]
        self.arrivals += [Arrival(cell_id, kind, self.events) for cell_id in now - self._known]
        self._known = now
        self.events += 1

    @property
    def every_id(self) -> set[CellId]:
        return self.gone | self._known


@dataclass(frozen=True)
class Season:
    """A history that was lived, and its disk as it was then."""

    history: History
    interval: int
    """The first event of the present collection interval."""
    files: dict[str, bytes]
    times: dict[str, tuple[int, int, int]]

    @property
    def arrivals(self) -> list[Arrival]:
        return [arrival for arrival in self.history.arrivals if arrival.event >= self.interval]


def lived(premises: Premises, seed: int, *, short: bool = False) -> Season:
    history = History(premises, random.Random(seed))
    every = (history.tip, history.tip, history.bundle, history.bundle, history.deletion)
    if not short:
        history.live(12, *every)
        before = {arrival.cell_id for arrival in history.arrivals}
        for desk in DESKS:
            history.acknowledge(desk, before)
        history.forget_who_was_answered()
        assert history.gone >= before
    interval = history.events
    history.live(24 if short else 40, *((history.tip, history.bundle) if short else every))
    data = premises.home.data
    times = {path.name: path.stat() for path in data.iterdir()}
    return Season(
        history,
        interval,
        {path.name: path.read_bytes() for path in data.iterdir()},
        {name: (facts.st_mtime_ns, facts.st_atime_ns, facts.st_ctime_ns) for name, facts in times.items()},
    )


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Season]:
    of = newsroom(desks=3)
    with Premises(tmp_path_factory.mktemp("box"), of, slots=SLOTS).running() as premises:
        yield lived(premises, seed)


def places(season: Season) -> dict[CellId, dict[str, float]]:
    """Return where each present cell stands in everything that has an order on this disk."""
    found = {}
    for slot, record in season.history.premises.records().items():
        cell = season.files["cells.slab"][slot * CELL_BYTES : (slot + 1) * CELL_BYTES]
        found[record.cell_id] = {
            "place": float(slot),
            "id": float(int.from_bytes(record.cell_id, "big")),
            "digest": float(int.from_bytes(record.digest, "big")),
            "sealed bytes": float(int.from_bytes(cell[-32:], "big")),
        }
    return found


def questions(season: Season) -> dict[str, float]:
    """Ask everything that an order of bytes could answer; each answer is standard normal where chance alone decides."""
    where = places(season)
    chance = random.Random(7)
    here = sorted(season.arrivals, key=lambda arrival: (arrival.event, chance.random()))
    told = {}
    for name in ("place", "id", "digest", "sealed bytes"):
        values = [where[arrival.cell_id][name] for arrival in here]
        told[f"{name} tells which came first"] = correlation([float(arrival.event) for arrival in here], values)
        told[f"{name} tells kind"] = rank_sum([arrival.kind == TIP for arrival in here], values)
    slots = [where[arrival.cell_id]["place"] for arrival in here]
    told["place tells what came together"] = together([arrival.event for arrival in here], slots)
    replies = [(arrival.kind, slot) for arrival, slot in zip(here, slots, strict=True) if arrival.kind != TIP]
    for desk in DESKS:
        if any(kind == desk for kind, _ in replies):
            told[f"place tells desk {desk}"] = rank_sum([kind == desk for kind, _ in replies], [s for _, s in replies])
    return told


def together(events: list[int], slots: list[float]) -> float:
    """Say how much nearer than by chance the cells of one event lie to each other, as a standard normal.

    The mean distance of cells that came together, against the same of as many shuffled disks.
    """

    def distance(order: list[float]) -> float:
        apart = [abs(a - b) for (a, one), (b, other) in pairwise(zip(order, events, strict=True)) if one == other]
        return sum(apart) / len(apart)

    chance = random.Random(1)
    shuffled = [distance(chance.sample(slots, len(slots))) for _ in range(400)]
    mean = sum(shuffled) / len(shuffled)
    spread = math.sqrt(sum((each - mean) ** 2 for each in shuffled) / len(shuffled))
    return (distance(slots) - mean) / spread


def unused(season: Season) -> dict[str, bytes]:
    """Return all bytes of the folder that are neither a stored cell, nor its record, nor the documents' own."""
    taken = season.history.premises.records()
    free = [slot for slot in range(SLOTS) if slot not in taken]
    index, slab, documents = (memoryview(season.files[name]) for name in ("cells.index", "cells.slab", "documents"))
    return {
        "free records": b"".join(index[slot * RECORD_BYTES : (slot + 1) * RECORD_BYTES] for slot in free),
        "free slots' beginnings": b"".join(slab[slot * CELL_BYTES :][:4_096] for slot in free),
        "free slots' ends": b"".join(slab[(slot + 1) * CELL_BYTES - 4_096 :][:4_096] for slot in free),
        "redo": season.files["redo"],
        "behind the documents": bytes(documents[HEAD_BYTES + int.from_bytes(documents[:4]) :]),
    }


def leaks(season: Season) -> list[str]:
    """Return what in unused bytes isn't noise."""
    found = []
    for name, data in unused(season).items():
        if chi_square(data) > 6:
            found.append(f"{name}: the bytes are not even")
        if len(zlib.compress(data, 1)) < len(data):
            found.append(f"{name}: can be compressed")
        if len(data) < 1 << 20 and any(cell_id[:8] in data for cell_id in season.history.every_id):
            found.append(f"{name}: holds part of an id")
    return found


def test_the_history_is_worth_asking_about(season: Season) -> None:
    kinds = [arrival.kind for arrival in season.arrivals]
    assert len(kinds) >= 60 and kinds.count(TIP) >= 10
    assert sum(kinds.count(desk) > 0 for desk in DESKS) >= 2
    assert len(season.history.gone) >= 20


def test_no_order_of_bytes_tells_arrival_kind_or_desk(season: Season) -> None:
    told = questions(season)
    assert {name: z for name, z in told.items() if abs(z) > SIGNIFICANT} == {}


def test_what_is_unused_is_noise(season: Season) -> None:
    assert leaks(season) == []


def test_records_and_cells_have_one_shape(season: Season) -> None:
    """Acknowledgements are those of an interval; headers differ in nothing but base64."""
    records = season.history.premises.records()
    assert {record.acknowledged for record in records.values()} == {0}
    assert {shape(cell) for cell in season.history.premises.cells().values()} == {
        shape(next(iter(season.history.premises.cells().values())))
    }


def shape(cell: bytes) -> bytes:
    header = cell[: cell.index(b"\n--- ") + 48]
    return re.sub(rb"[A-Za-z0-9+/]+(?=\n|\Z)", lambda match: b"%d" % len(match[0]), header)


def test_sizes_and_names_of_files_never_change(season: Season) -> None:
    sizes = {name: len(data) for name, data in season.files.items()}
    fresh = {"cells.slab": SLOTS * CELL_BYTES, "cells.index": SLOTS * RECORD_BYTES, "documents": 1 << 18}
    assert fresh.items() <= sizes.items() and set(sizes) - set(fresh) == {"redo"}


def test_times_of_files_tell_the_last_change_of_anything(season: Season) -> None:
    """Not which files it was about: after each kind of event all four have one time, set in one order."""
    history, data = season.history, season.history.premises.home.data
    orders = set()
    for event in (history.tip, history.bundle, history.tip, history.bundle):
        event()
        facts = {path.name: path.stat() for path in data.iterdir()}
        assert len({each.st_mtime_ns for each in facts.values()}) == 1
        orders.add(tuple(sorted(facts, key=lambda name: (facts[name].st_ctime_ns, name))))
    assert len(orders) == 1


def test_a_server_that_places_cells_in_order_is_found_out(tmp_path: Path, seed: int) -> None:
    of = newsroom(desks=3)
    with Premises(tmp_path, of, slots=SLOTS).running(Oddities(in_order=True)) as premises:
        told = questions(lived(premises, seed, short=True))
    assert max(abs(z) for z in told.values()) > SIGNIFICANT
    assert abs(told["place tells what came together"]) > SIGNIFICANT
