"""Making, opening and looking into data folders; everything that a wrong one is told."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dropbox.store import Change, Status, Store, files, status
from dropbox.store.slab import Slab
from keys.bundle import CELL_BYTES
from keys.errors import DropBoxError, Misconfigured, NoRoom, Refused
from tests.dropbox.store.cells import make_cell

NAMES = {"cells.slab", "cells.index", "documents", "redo"}
A, B = make_cell(0), make_cell(1)


def put(store: Store) -> None:
    with store.item(2) as deposit:
        for cell in (A, B):
            deposit.append(cell.content, cell.cell_id, cell.digest)
        deposit.commit()


def test_a_new_folder_is_private_and_full_of_noise(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == NAMES
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        data = path.read_bytes()
        assert data.count(0) < 2 * len(data) / 256 + 30, f"{path.name} has runs of zeros"
        assert path.stat().st_blocks * 512 >= len(data)
    assert status(folder) == Status(12, 0, b"", 4_096 - 36)


def test_progress_rises_to_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    Store.create(tmp_path / "data", 9, documents_bytes=4_096, progress=lambda done, of: told.append((done, of)))
    total = sum(path.stat().st_size for path in (tmp_path / "data").iterdir())
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (total, total)


def test_an_empty_folder_is_taken_and_another_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o700)
    Store.create(tmp_path / "empty", 1, documents_bytes=100)
    with pytest.raises(Refused, match="not empty"):
        Store.create(tmp_path / "empty", 1)


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(tmp_path: Path) -> None:
    room = os.statvfs(tmp_path)
    slots = room.f_bavail * room.f_frsize // CELL_BYTES * 4
    with pytest.raises(NoRoom):
        Store.create(tmp_path / "data", slots)
    assert not list((tmp_path / "data").iterdir())


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def lengthen(name: str, by: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size + by)


def zero(name: str) -> Callable[[Path], int]:
    return lambda folder: (folder / name).write_bytes(bytes((folder / name).stat().st_size))


def link(folder: Path) -> None:
    (folder / "redo").rename(folder.parent / "elsewhere")
    (folder / "redo").symlink_to(folder.parent / "elsewhere")


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no redo record: its making was cut short": (remove("redo"), "no redo"),
    "no slab": (remove("cells.slab"), "no cells.slab"),
    "a longer slab": (lengthen("cells.slab", CELL_BYTES), "sizes"),
    "a slab that is cut": (lengthen("cells.slab", -1), "sizes"),
    "an empty slab": (lengthen("cells.slab", -12 * CELL_BYTES), "sizes"),
    "a shorter index": (lengthen("cells.index", -96), "sizes"),
    "longer documents": (lengthen("documents", 1), "sizes"),
    "a shorter redo record": (lengthen("redo", -1), "sizes"),
    "zeros for an index": (zero("cells.index"), "zeros"),
    "zeros for documents": (zero("documents"), "documents are damaged"),
    "a folder that others may read": (lambda folder: folder.chmod(0o750), "Others may look"),
    "a file that others may read": (lambda folder: (folder / "cells.index").chmod(0o640), "private"),
    "a link": (link, "refused"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_folder_is_refused_by_name(folder: Path, case: str) -> None:
    spoil, message = WRONG[case]
    spoil(folder)
    slab = (folder / "cells.slab").read_bytes() if (folder / "cells.slab").exists() else b""
    for look in (Store.open, status):
        with pytest.raises(Misconfigured, match=message) as caught:
            look(folder)
        assert caught.value.remedy
        assert str(folder) not in caught.value.message + caught.value.remedy
    assert not slab or (folder / "cells.slab").read_bytes() == slab, "nothing may be overwritten in such a folder"


def test_no_folder_at_all(tmp_path: Path) -> None:
    for look in (Store.open, status):
        with pytest.raises(Misconfigured, match="can't be opened"):
            look(tmp_path / "nothing")
    with pytest.raises(Misconfigured):
        Store.create(tmp_path / "not" / "there", 1)


def test_a_refused_opening_leaves_the_folder_free(folder: Path) -> None:
    documents = (folder / "documents").read_bytes()
    zero("documents")(folder)
    with pytest.raises(Misconfigured):
        Store.open(folder)
    (folder / "documents").write_bytes(documents)
    Store.open(folder).close()


def test_two_servers_cant_have_one_folder_but_anybody_may_look(folder: Path) -> None:
    with Store.open(folder) as first:
        with pytest.raises(Misconfigured, match="Another server"):
            Store.open(folder)
        put(first)
        first.apply(Change(documents=b"public"))
        assert status(folder) == Status(12, 2, b"public", 4_096 - 36)
        assert len(first.entries()) == 2
    with Store.open(folder) as second:
        assert second.read(A.cell_id) == A.content


def test_looking_leaves_no_time_behind(folder: Path) -> None:
    with Store.open(folder) as store:
        put(store)
        before = [(path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]
        assert len(set(before)) == 1
        status(folder)
        store.read(A.cell_id)
        store.entries()
        store.holds([B.cell_id])
        assert [(path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in sorted(folder.iterdir())] == before


def test_all_times_are_set_after_each_change(folder: Path) -> None:
    now = 1_000_000_000_000_000_000
    with Store.open(folder, clock=lambda: now) as store:
        steps: list[Callable[[], object]] = [
            lambda: put(store),
            lambda: store.delete([A.cell_id]),
            store.stir,
            lambda: store.apply(Change(documents=b"x")),
        ]
        for step in steps:
            now += 1_000_000_000
            step()
            times = {(path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in folder.iterdir()}
            assert times == {(now, now)}


def test_start_up_overwrites_a_cell_that_nobody_committed(folder: Path) -> None:
    """Whole, or any one page of its header: after a power cut that is all there may be."""
    with Store.open(folder) as store:
        put(store)
        unused = [slot for slot in range(12) if not Slab.holds_text(store._slab, slot)]
    for slot, at in zip(unused, (0, 4_096, 8_192), strict=False):
        with (folder / "cells.slab").open("r+b") as slab:
            slab.seek(slot * CELL_BYTES + at)
            slab.write(A.content[at : at + (CELL_BYTES if at == 0 else 512)])
    with Store.open(folder) as store:
        assert not any(Slab.holds_text(store._slab, slot) for slot in unused)
        assert store._slab.read(unused[0])[-4_096:] != A.content[-4_096:]
        assert store.read(A.cell_id) == A.content
        assert store.read(B.cell_id) == B.content


@pytest.mark.parametrize(
    "number,kind",
    [(errno.ENOSPC, NoRoom), (errno.EDQUOT, NoRoom), (errno.EIO, Misconfigured), (errno.EROFS, Misconfigured)],
)
def test_what_the_system_says_becomes_what_the_operator_reads(number: int, kind: type[DropBoxError]) -> None:
    error = files.explain(OSError(number, os.strerror(number), "/secret/path"))
    assert isinstance(error, kind)
    assert "secret" not in error.message + error.remedy


def test_a_write_past_what_the_system_allows_is_an_error_of_ours(folder: Path) -> None:
    """A real refusal of a real system: the file is open for reading only."""
    file = files.DataFolder(folder).open("redo", read_only=True)
    with pytest.raises(Misconfigured, match="refused"):
        file.write(0, b"x")
    with pytest.raises(Misconfigured, match="shorter"):
        file.read(file.size - 1, 2)
