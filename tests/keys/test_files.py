"""Files are written whole or not at all, for their owner, and never over another."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from keys import files
from keys.errors import Malformed, NoRoom, Refused


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o644)])
def test_a_file_is_written_for_its_readers(tmp_path: Path, private: bool, mode: int) -> None:
    old = os.umask(0o022)
    try:
        files.write_file(tmp_path / "key", b"data", private=private)
    finally:
        os.umask(old)

    assert (tmp_path / "key").read_bytes() == b"data"
    assert mode_of(tmp_path / "key") == mode
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "key"
    if kind == "file":
        target.write_bytes(b"old")
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Refused):
        files.write_file(target, b"new")

    assert kind != "file" or target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_name_taken_in_the_last_moment_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "key"
    link = os.link

    def taken_meanwhile(source: Path, name: Path) -> None:
        target.write_bytes(b"somebody else's")
        link(source, name)

    monkeypatch.setattr(os, "link", taken_meanwhile)
    with pytest.raises(Refused):
        files.write_file(target, b"new")

    assert target.read_bytes() == b"somebody else's"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_stick_without_links_serves_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(source: Path, name: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", unsupported)
    files.write_file(tmp_path / "key", b"data")

    assert (tmp_path / "key").read_bytes() == b"data"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_replacing_is_whole(tmp_path: Path) -> None:
    files.write_file(tmp_path / "state", b"old")
    files.write_file(tmp_path / "state", b"new", replace=True)

    assert (tmp_path / "state").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "state").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoRoom):
        files.write_file(tmp_path / "state", b"new", replace=True)

    assert (tmp_path / "state").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_reading_has_a_bound(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")

    assert files.read_file(tmp_path / "file", 5) == b"12345"
    with pytest.raises(Malformed):
        files.read_file(tmp_path / "file", 4)
    with pytest.raises(OSError, match="No such file"):
        files.read_file(tmp_path / "missing", 4)


def test_a_folder_is_made_for_its_owner_and_one_that_is_there_left_as_it_is(tmp_path: Path) -> None:
    files.make_folder(tmp_path / "new")
    assert mode_of(tmp_path / "new") == 0o700
    (tmp_path / "new").chmod(0o750)
    files.make_folder(tmp_path / "new")
    assert mode_of(tmp_path / "new") == 0o750
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file/below", tmp_path / "nowhere/below"):
        with pytest.raises(OSError):
            files.make_folder(path)
    assert not (tmp_path / "nowhere").exists()
