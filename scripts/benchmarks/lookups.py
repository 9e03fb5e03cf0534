"""What cells and mailboxes cost: sealing and opening one cell, finding ids, and whether an empty mailbox is faster."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from dropbox.store.directory import Directory
from keys import codename
from keys.age.recipients import HybridIdentity
from keys.cell import (
    FILLER,
    CellWriter,
    Flags,
    Geometry,
    Seal,
    Sealer,
    open_block,
    open_cell,
    seal_block,
    unwrap,
)
from keys.codename import Language
from keys.errors import NotForUs
from keys.inventory import CellId
from keys.primitives import KEY_BYTES, system_randomness
from scripts.benchmarks.dropbox_server import DESKS
from scripts.benchmarks.report import Section, median
from tests.dropbox.source.site import Site
from tests.simulators.newsroom import Newsroom

STANZAS = 6
CELLS = 400_000
MAILBOX_IDS = 320
REPLIES = 8


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Section]:
    """Return the sections of cells and of mailboxes."""
    say("cells")
    cells = _cells()
    say("mailboxes")
    return [cells, _mailboxes(folder, 8 * rounds)]


def _cells() -> Section:
    geometry = Geometry(STANZAS)
    desks = [HybridIdentity.from_seed(system_randomness(KEY_BYTES)) for _ in range(DESKS + 1)]
    sealer = Sealer([desk.recipient() for desk in desks[:DESKS]], geometry, system_randomness)
    payload = system_randomness(geometry.payload_bytes)
    seal = sealer.seal()
    cell = seal_block(seal, FILLER, geometry, b"", Flags.LAST)
    head = cell[: geometry.sealed_head_bytes]
    key = unwrap(head, desks[:1], geometry)

    def not_for_us() -> None:
        try:
            unwrap(head, desks[-1:], geometry)
        except NotForUs:
            return
        raise RuntimeError("a stranger opened a cell")

    section = Section("cells", "One cell", ["262,144 bytes, six post-quantum stanzas", "µs, median", "µs, best"])
    for title, work, repeats in (
        ("make a seal to four desks and two throw-away keys", sealer.seal, 200),
        ("fill and seal its block with a seal at hand", lambda: _fill(seal, geometry, payload), 200),
        ("open it, key included", lambda: open_cell(cell, desks[:1], geometry), 200),
        ("open its block with the key at hand", lambda: open_block(key, cell, geometry), 200),
        ("find that it is for somebody else", not_for_us, 200),
    ):
        taken = _times(work, repeats)
        section.rows.append([title, f"{median(taken) * 1e6:,.0f}", f"{min(taken) * 1e6:,.0f}"])
    for title, taken in _directory():
        section.rows.append([title, f"{median(taken) * 1e6:,.0f}", f"{min(taken) * 1e6:,.0f}"])
    return section


def _fill(seal: Seal, geometry: Geometry, payload: bytes) -> None:
    """Seal a cell as an upload does, into nothing."""
    writer = CellWriter(seal, FILLER, geometry, lambda piece: None)
    writer.write(payload)
    writer.finish(Flags.LAST)


def _directory() -> list[tuple[str, list[float]]]:
    """Look up a mailbox page's ids among as many cells as 100 GB hold."""
    directory = Directory(CELLS)
    ids = [CellId(system_randomness(32)) for _ in range(CELLS)]
    directory.rebuild(enumerate(ids))
    absent = [system_randomness(32) for _ in range(MAILBOX_IDS)]
    present = ids[:: CELLS // MAILBOX_IDS][:MAILBOX_IDS]

    def look(wanted: Sequence[bytes]) -> Callable[[], object]:
        return lambda: [directory.find(each) for each in wanted]

    return [
        (f"find {MAILBOX_IDS} ids among {CELLS:,}: all there", _times(look(present), 100)),
        (f"find {MAILBOX_IDS} ids among {CELLS:,}: none there", _times(look(absent), 100)),
    ]


def _times(work: Callable[[], object], repeats: int) -> list[float]:
    work()
    return [_timed(work) for _ in range(repeats)]


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _mailboxes(folder: Path, rounds: int) -> Section:
    """Look through an empty mailbox, one with a reply and one with eight, in turn; promise 12 says: the same work."""
    place = folder / "mailboxes"
    place.mkdir()
    site = Site(place, Newsroom(desks=DESKS))
    try:
        replies = {"empty": 0, "one reply": 1, f"{REPLIES} replies": REPLIES}
        looks: dict[str, Callable[[], object]] = {}
        for title, count in replies.items():
            name = codename.make(Language.THAI, system_randomness)
            for index in range(count):
                site.answer(name, desk=1 + index % DESKS, index=index)
            session = site.context.sign_in(name, sending=False, circuit=None)
            looks[title] = partial(site.context.look, session)
            if len(site.context.look(session)) != count:
                raise RuntimeError("a mailbox doesn't hold what was put there")
        taken: dict[str, list[float]] = {title: [] for title in looks}
        for number in range(rounds):
            order = list(looks)
            for title in order[number % len(order) :] + order[: number % len(order)]:
                taken[title].append(_timed(looks[title]))
    finally:
        site.close()
    return _mailbox_section(taken, rounds)


def _mailbox_section(taken: dict[str, list[float]], rounds: int) -> Section:
    section = Section(
        "mailboxes",
        "Looking through a mailbox",
        ["a codename whose mailbox is", "ms, median", "10th percentile", "90th percentile", "beside the empty one"],
    )
    for title, values in taken.items():
        tenths = statistics.quantiles(values, n=10)
        ratio = median([own / empty for own, empty in zip(values, taken["empty"], strict=True)])
        section.rows.append(
            [title, *(f"{each * 1e3:.1f}" for each in (median(values), tenths[0], tenths[-1])), f"{ratio:.3f} ×"]
        )
    section.notes.append(
        f"{rounds} rounds, each mailbox once a round, in turning order; {MAILBOX_IDS} addresses looked up, as many "
        "cells read and opened, whatever is there. Tests count that; this is what can be seen of it in time."
    )
    return section
