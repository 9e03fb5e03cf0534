"""Seals from the workshop are as good as those made in place, and nothing is lost or waited for when it is gone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from dropbox.intake.workshop import BATCH, INLINE_CELLS, MOST_AHEAD, SealStream, Workshop
from keys.age.recipients import HybridIdentity
from keys.cell import FILLER, Flags, Geometry, Seal, Sealer, open_cell, seal_block
from keys.errors import NotForUs
from keys.primitives import system_randomness

GEOMETRY = Geometry(6)
DESKS = [HybridIdentity.from_seed(bytes([number]) * 32) for number in range(4)]
DEADLINE_SECONDS = 60.0


def sealer(desks: int = 4) -> Sealer:
    return Sealer([desk.recipient() for desk in DESKS[:desks]], GEOMETRY, system_randomness)


class Counted(Sealer):
    """Counts the seals that are made in this process."""

    made = 0

    def seal(self, place: int | None = None) -> Seal:
        self.made += 1
        return super().seal(place)


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    made = Workshop(system_randomness, lambda: None)
    yield made
    made.close()
    assert ended(made.process)


def ended(process: int) -> bool:
    """Wait for a helper to end by itself."""
    return until(lambda: os.waitpid(process, os.WNOHANG)[0] == process)


def until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return held


def ready(stream: SealStream) -> bool:
    """Say whether a seal of the helper's has come."""
    assert stream._line is not None
    stream._take_in(stream._line)
    return bool(stream._ready)


def opens(seal: Seal, desks: int = 4) -> None:
    """Every desk opens a cell under this seal, and nobody else does."""
    cell = seal_block(seal, FILLER, GEOMETRY, b"", Flags.LAST)
    for number, desk in enumerate(DESKS):
        if number < desks:
            assert open_cell(cell, [desk], GEOMETRY).head == FILLER
        else:
            with pytest.raises(NotForUs):
                open_cell(cell, [desk], GEOMETRY)


@pytest.mark.parametrize("desks", [1, 4])
def test_the_chosen_desks_open_what_the_helper_sealed_and_no_other_does(workshop: Workshop, desks: int) -> None:
    own = Counted(sealer(desks).recipients, GEOMETRY, system_randomness)
    with workshop.seals(own) as stream:
        seals = [stream() for _ in range(INLINE_CELLS + 1)]
        assert own.made == len(seals)
        for _ in range(6):
            assert until(lambda: ready(stream))
            seals.append(stream())
    assert own.made == INLINE_CELLS + 1
    for seal in seals:
        opens(seal, desks)
    assert len({seal.payload_key for seal in seals}) == len({seal.prefix for seal in seals}) == len(seals)


def test_a_small_upload_never_asks(workshop: Workshop) -> None:
    with workshop.seals(sealer()) as stream:
        for _ in range(INLINE_CELLS):
            stream()
        assert stream._line is None


def test_nobody_waits_for_the_helper(workshop: Workshop) -> None:
    os.kill(workshop.process, signal.SIGSTOP)
    try:
        own = Counted(sealer().recipients, GEOMETRY, system_randomness)
        with workshop.seals(own) as stream:
            for _ in range(3 * MOST_AHEAD):
                stream()
        assert own.made == 3 * MOST_AHEAD
    finally:
        os.kill(workshop.process, signal.SIGCONT)


def test_a_fast_upload_orders_more_ahead_and_a_slow_one_few(workshop: Workshop) -> None:
    with workshop.seals(sealer()) as slow, workshop.seals(sealer()) as fast:
        for _ in range(INLINE_CELLS + 1):
            slow()
            fast()
        for _ in range(20):
            assert until(lambda: ready(slow))
            slow()
            assert slow._ordered + len(slow._ready) <= 2 * BATCH
        os.kill(workshop.process, signal.SIGSTOP)
        try:
            for _ in range(20):
                fast()
                assert fast._ordered + len(fast._ready) <= MOST_AHEAD
            assert fast._ordered == MOST_AHEAD
        finally:
            os.kill(workshop.process, signal.SIGCONT)


def test_uploads_go_on_when_the_helper_is_killed() -> None:
    workshop = Workshop(system_randomness, lambda: None)
    with workshop.seals(sealer()) as stream:
        seals = [stream() for _ in range(INLINE_CELLS + 2)]
        os.kill(workshop.process, signal.SIGKILL)
        assert ended(workshop.process)
        seals += [stream() for _ in range(MOST_AHEAD + 2)]
    for seal in seals:
        opens(seal)
    with workshop.seals(sealer()) as later:
        for _ in range(INLINE_CELLS + 2):
            opens(later())
    workshop.close()


def test_an_upload_goes_on_when_the_workshop_is_closed() -> None:
    workshop = Workshop(system_randomness, lambda: None)
    with workshop.seals(sealer()) as stream:
        stream()
        workshop.close()
        assert ended(workshop.process)
        for _ in range(INLINE_CELLS + 2):
            opens(stream())


def test_without_a_workshop_seals_are_made_in_place() -> None:
    with SealStream(sealer()) as stream:
        for _ in range(INLINE_CELLS + 2):
            opens(stream())


def test_uploads_side_by_side_get_seals_to_their_own_desks(workshop: Workshop) -> None:
    def upload(desks: int) -> None:
        with workshop.seals(sealer(desks)) as stream:
            for _ in range(12):
                opens(stream(), desks)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(upload, [1, 2, 3, 4] * 2))


def test_the_helper_forgets_an_upload_that_ended(workshop: Workshop) -> None:
    def lines() -> int:
        return len(open_files(workshop.process)) - 2  # Its door, and what it waits with.

    for _ in range(3):
        with workshop.seals(sealer()) as stream:
            for _ in range(INLINE_CELLS + 1):
                stream()
            assert until(lambda: lines() == 1)
        assert until(lambda: lines() == 0)


def test_the_helper_shields_itself_first_and_keeps_nothing_of_the_server(tmp_path: Path) -> None:
    secret = tmp_path / "cells.slab"
    secret.touch()
    with secret.open("rb"):
        workshop = Workshop(system_randomness, lambda: os.nice(3))
        # Behind the standard streams: its door, and what it waits with.
        assert until(lambda: os.getpriority(os.PRIO_PROCESS, workshop.process) >= 3)
        assert until(lambda: len(open_files(workshop.process)) == 2)
        assert not any("cells.slab" in each for each in open_files(workshop.process))
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(workshop.process, sign)  # As whoever stops a server does to all of its processes.
    with workshop.seals(sealer()) as stream:
        for _ in range(INLINE_CELLS + 1):
            stream()
        assert until(lambda: ready(stream))
    workshop.close()
    assert ended(workshop.process)


def open_files(process: int) -> list[str]:
    folder, files = Path(f"/proc/{process}/fd"), []
    for each in folder.iterdir():
        with suppress(FileNotFoundError):  # Closed by the helper since it was listed.
            if int(each.name) > 2:
                files.append(os.readlink(each))
    return files
