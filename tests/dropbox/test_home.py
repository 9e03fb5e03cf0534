"""The server's folder: made for its owner alone, and never out of a folder that others use."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dropbox.consensus import ConsensusFile
from dropbox.home import Home, found
from dropbox.service import Server
from dropbox.store import Store
from keys.errors import Misconfigured, Refused
from keys.primitives import system_randomness

NOBODY = 65_534


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def settled(folder: Path) -> Home:
    home = Home(folder)
    home.settle("alpha", 8, system_randomness)
    return home


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("there", [None, 0o755, 0o777, 0o700])
def test_a_servers_folder_is_its_owners_alone(tmp_path: Path, there: int | None) -> None:
    folder = tmp_path / "home"
    if there is not None:
        folder.mkdir()
        folder.chmod(there)
    with umask(0o000):
        settled(folder)
    assert mode(folder) == 0o700


def test_a_start_closes_what_was_opened_since(tmp_path: Path) -> None:
    home = settled(tmp_path / "home")
    Store.create(home.data, 8, documents_bytes=1 << 18)
    with home.open_store(system_randomness) as store:
        found(store)
    home.folder.chmod(0o755)
    Server(home, tmp_path / "run", lambda: 0, ConsensusFile(tmp_path / "none"))
    assert mode(home.folder) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_account_stays_as_it_is(tmp_path: Path) -> None:
    home = settled(tmp_path / "home")
    home.folder.chmod(0o755)
    os.chown(home.folder, NOBODY, NOBODY)
    home.tighten()
    assert mode(home.folder) == 0o755


def test_a_folder_that_others_use_is_neither_taken_nor_closed(tmp_path: Path) -> None:
    (tmp_path / "others").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(Refused, match="something else"):
        settled(tmp_path)
    assert mode(tmp_path) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["others"]


def test_a_disk_of_its_own_is_as_good_as_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert settled(tmp_path).settings().name == "alpha"


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    settled(tmp_path / "home")
    with pytest.raises(Refused, match="already"):
        settled(tmp_path / "home")


def test_where_no_server_is_nothing_is_tightened(tmp_path: Path) -> None:
    home = Home(tmp_path / "none")
    home.tighten()
    assert not home.folder.exists()
    with pytest.raises(Misconfigured):
        home.settings()
