"""SIGKILL at random moments: the vault stays whole, and the next try completes what was begun."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from journalist_station.vault import importing, outbox
from journalist_station.vault.database import facts
from journalist_station.vault.database import tips as tip_rows
from journalist_station.vault.journal import verify
from journalist_station.vault.stick import Stick
from journalist_station.vault.vault import Vault
from keys.primitives import system_randomness
from tests.simulators import seen
from tests.simulators.dropbox import DropBox, File, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import PASSPHRASE, Station

SEED = 20261118


def opened(folder: Path) -> Vault:
    return Vault.open(folder, PASSPHRASE, system_randomness)


def killed_while(act: Callable[[], object], after_seconds: float) -> bool:
    """Do something in a child process and kill it after a while; return whether it was still at it."""
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    deadline = time.monotonic() + after_seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return False
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) != 0


def duration_of(act: Callable[[], object]) -> float:
    started = time.monotonic()
    assert not killed_while(act, 120)
    return time.monotonic() - started


@pytest.fixture
def loaded(newsroom: Newsroom, station: Station, box: DropBox) -> Station:
    """A station half of whose cells came earlier, and a stick with all of them."""
    for number in range(12):
        files = [File(f"{number}-{each}", os.urandom(150_000 * (each + 1))) for each in range(number % 4)]
        box.send(Source(newsroom, number), f"tip {number}", files, desks={1 + number % 3 // 2, 2})
    for _ in range(5):
        box.foreign()
    box.fill(station.stick("half"), only=sorted(box.cells)[::2])
    station.take(station.stick("half"))
    box.fill(station.stick("all"))
    station.vault.close()
    return station


def import_all(folder: Path, stick: Path, now: int) -> None:
    with opened(folder) as vault:
        importing.import_sticks(vault, [Stick(stick)], now, workers=1)


def rounds(loaded: Station, box: DropBox, tmp_path: Path, count: int) -> None:
    dice = random.Random(SEED)
    template, stick, now = loaded.folder / "vault", loaded.stick("all"), loaded.newsroom.now
    shutil.copytree(template, tmp_path / "whole")
    length = duration_of(lambda: import_all(tmp_path / "whole", stick, now))
    with opened(tmp_path / "whole") as vault:
        expected = seen.everything(vault)
        fates = seen.fates(vault)
        assert sum(fates.values()) == len(box.cells)
    killed = 0
    for number in range(count):
        folder = tmp_path / f"round {number}"
        shutil.copytree(template, folder)
        killed += killed_while(lambda: import_all(folder, stick, now), dice.uniform(0, 1.1 * length))  # noqa: B023
        with opened(folder) as vault:
            assert vault.database.check() == []
            for tips in seen.everything(vault).values():
                for tip in tips:
                    assert all(file.content is None or file.state != "missing" for file in tip.files)
        import_all(folder, stick, now)
        with opened(folder) as vault:
            assert vault.database.check() == []
            assert seen.everything(vault) == expected
            assert seen.fates(vault) == fates
            verify(facts.acts(vault.database))
            on_disk = {path.name for path in (folder / "items").rglob("*") if path.is_file()}
            assert on_disk >= tip_rows.all_files(vault.database)
            vault.files.sweep(tip_rows.all_files(vault.database))
            assert {path.name for path in (folder / "items").rglob("*") if path.is_file()} == tip_rows.all_files(
                vault.database
            )
        shutil.rmtree(folder)
    assert killed >= count // 3


def test_a_killed_import_leaves_the_vault_whole(loaded: Station, box: DropBox, tmp_path: Path) -> None:
    rounds(loaded, box, tmp_path, 10)


@pytest.mark.long
def test_200_killed_imports(loaded: Station, box: DropBox, tmp_path: Path) -> None:
    rounds(loaded, box, tmp_path, 200)


def test_a_killed_outbox_uses_no_place_twice(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source, tmp_path: Path
) -> None:
    box.send(source, "tip")
    station.fetch(box)
    station.vault.close()
    dice = random.Random(SEED)
    vault, stick, now = station.folder / "vault", station.stick(), newsroom.now

    def write(folder: Path, to: Path) -> None:
        with opened(folder) as own:
            outbox.write(own, [Stick(to)], now)

    shutil.copytree(vault, tmp_path / "copy")
    length = duration_of(lambda: write(tmp_path / "copy", station.stick("another")))
    for _ in range(6):
        killed_while(lambda: write(vault, stick), dice.uniform(0, length))
        box.deliver(stick)  # Whatever bundle lies there is whole.
    write(vault, stick)
    box.deliver(stick)
    assert not list((stick / "mustshare").rglob(".*"))
    assert [each.reply.state for each in source.replies(box)] == ["opened"]
    station.vault = opened(vault)
    assert station.fetch(box).sent_again == 0
