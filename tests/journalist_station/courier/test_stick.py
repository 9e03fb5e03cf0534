"""Sticks: written whole or not at all, salvaged after a kill, and read as if somebody had prepared them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journalist_station.courier.parts import RECORD_BYTES
from journalist_station.courier.stick import Stick, StickFailed, StickFull, explained
from keys import bundle
from keys.bundle import MAX_PART_BYTES, EntryType, OutboundHead
from keys.cell import Geometry, seal_digest
from keys.errors import DropBoxError, Malformed, NotForUs, Refused
from keys.inventory import CellId, Health, Inventory
from keys.statement import NetworkId
from tests.journalist_station.courier.trip import inbound, outbound
from tests.simulators.newsroom import seeded

NETWORK = NetworkId(bytes(range(32)))
HEADER = bundle.cells_header(NETWORK, "alpha", 7)
RECORDS = seeded("records")(3 * RECORD_BYTES)
GEOMETRY = Geometry(6)
IDS = [CellId(RECORDS[at : at + 32]) for at in range(0, len(RECORDS), RECORD_BYTES)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stick").mkdir()
    return tmp_path / "stick"


@pytest.fixture
def stick(folder: Path) -> Iterator[Stick]:
    with Stick(folder, NETWORK, "alpha", (1, 2)) as stick:
        yield stick


def listing(sequence: int = 9, **changed: bytes) -> Inventory:
    """Return an inventory that lists all cells, some with another digest."""
    digests = {name: seal_digest(cell(at)[1], GEOMETRY) for at, name in enumerate(IDS)}
    digests |= {IDS[int(at.removeprefix("cell_"))]: digest for at, digest in changed.items()}
    return Inventory(NETWORK, "alpha", sequence, 0, 1, {}, {}, Health(), digests, b"")


def stock(stick: Stick, found: Inventory | None = None) -> frozenset[CellId]:
    return stick.take_stock(found or listing(), GEOMETRY)


def entered(folder: Path) -> Stick:
    return Stick(folder, NETWORK, "alpha", (1, 2))


def cell(number: int) -> tuple[CellId, bytes]:
    at = number * RECORD_BYTES
    return IDS[number], RECORDS[at + 32 : at + RECORD_BYTES]


def read(path: Path) -> bytes:
    """Return the records of a part, requiring its header."""
    raw = path.read_bytes()
    assert raw.startswith(HEADER)
    return raw[len(HEADER) :]


def test_a_stick_gets_its_folders(stick: Stick, folder: Path) -> None:
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        "mustshare",
        "mustshare/inbound",
        "mustshare/inbound/alpha",
        "mustshare/outbound",
    ]


def test_a_folder_that_isn_t_there_is_no_stick(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(NotForUs):
            entered(path)


def test_one_courier_at_a_time_works_with_a_stick(stick: Stick, folder: Path) -> None:
    with pytest.raises(Refused, match="Another"), entered(folder):
        pass


def test_the_next_may_when_the_first_has_ended(folder: Path) -> None:
    for _ in range(2):
        with entered(folder):
            pass


def test_parts_are_cut_at_their_largest(stick: Stick, folder: Path) -> None:
    with stick.collect(7, max_bytes=len(HEADER) + 2 * RECORD_BYTES + 5) as writer:
        for number in range(3):
            writer.add(*cell(number))

    one, other = inbound(folder) / "cells-7-1", inbound(folder) / "cells-7-2"
    assert read(one) == RECORDS[: 2 * RECORD_BYTES]
    assert read(other) == RECORDS[2 * RECORD_BYTES :]
    assert stock(stick) == set(IDS)


def test_a_part_fits_fat32() -> None:
    assert bundle.MAX_PART_BYTES < 2 * 1024**3


def test_a_part_that_is_full_to_the_byte_takes_no_more(stick: Stick, folder: Path) -> None:
    with stick.collect(7, max_bytes=len(HEADER) + RECORD_BYTES) as writer:
        for number in range(2):
            writer.add(*cell(number))

    assert [path.stat().st_size for path in sorted(inbound(folder).iterdir())] == [len(HEADER) + RECORD_BYTES] * 2


def test_without_a_cell_there_is_no_part(stick: Stick, folder: Path) -> None:
    with stick.collect(7):
        pass

    assert list(inbound(folder).iterdir()) == []


def test_a_part_has_its_name_only_when_it_is_whole(stick: Stick, folder: Path) -> None:
    with stick.collect(7) as writer:
        writer.add(*cell(0))
        assert [path.name for path in inbound(folder).iterdir()] == [".cells-7-1"]
    assert [path.name for path in inbound(folder).iterdir()] == ["cells-7-1"]


def test_leaving_in_a_hurry_keeps_what_is_whole(stick: Stick, folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), stick.collect(7) as writer:
        writer.add(*cell(0))
        raise KeyboardInterrupt

    assert read(inbound(folder) / "cells-7-1") == RECORDS[:RECORD_BYTES]


def test_no_part_is_ever_overwritten(folder: Path) -> None:
    for number in range(3):
        with entered(folder) as stick, stick.collect(7) as writer:
            writer.add(*cell(number))

    assert [read(inbound(folder) / f"cells-7-{number}") for number in (1, 2, 3)] == [
        RECORDS[at : at + RECORD_BYTES] for at in range(0, len(RECORDS), RECORD_BYTES)
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(length=st.integers(0, len(HEADER) + len(RECORDS)))
def test_a_kill_at_any_byte_leaves_every_whole_cell(tmp_path: Path, length: int) -> None:
    folder = tmp_path / str(length)
    inbound(folder).mkdir(parents=True, exist_ok=True)
    (inbound(folder) / ".cells-7-1").write_bytes((HEADER + RECORDS)[:length])
    whole = max(0, length - len(HEADER)) // RECORD_BYTES

    with entered(folder) as stick:
        assert stock(stick) == set(IDS[:whole])
    assert not (inbound(folder) / ".cells-7-1").exists()
    if whole:
        part = inbound(folder) / "cells-7-1"
        assert read(part) == RECORDS[: whole * RECORD_BYTES]
        part.unlink()


def test_what_is_salvaged_takes_no_other_parts_place(folder: Path) -> None:
    inbound(folder).mkdir(parents=True)
    (inbound(folder) / "cells-7-1").write_bytes(HEADER + RECORDS[:RECORD_BYTES])
    (inbound(folder) / ".cells-7-1").write_bytes(HEADER + RECORDS[RECORD_BYTES:])

    with entered(folder) as stick:
        assert stock(stick) == set(IDS)
    assert read(inbound(folder) / "cells-7-1") == RECORDS[:RECORD_BYTES]
    assert read(inbound(folder) / "cells-7-2") == RECORDS[RECORD_BYTES:]


def test_others_files_are_left_alone_and_count_for_nothing(folder: Path) -> None:
    others = {
        "cells-7-1": bundle.cells_header(NetworkId(bytes(32)), "alpha", 7) + RECORDS,
        "cells-7-2": bundle.cells_header(NETWORK, "beta", 7) + RECORDS,
        "cells-7-3": b"holiday",
        "cells": RECORDS,
        "photo.jpg": b"\xff\xd8",
        ".Trash-1000": b"",
    }
    inbound(folder).mkdir(parents=True)
    for name, content in others.items():
        (inbound(folder) / name).write_bytes(content)

    with entered(folder) as stick:
        assert stock(stick) == set()
    assert {path.name: path.read_bytes() for path in inbound(folder).iterdir()} == others


def test_what_the_stations_have_read_goes_and_what_they_know_isn_t_fetched(folder: Path) -> None:
    inbound(folder).mkdir(parents=True)
    for number in range(3):
        header = bundle.cells_header(NETWORK, "alpha", 7 + number)
        (inbound(folder) / f"cells-{7 + number}-1").write_bytes(header + IDS[number] + cell(number)[1])
    top = folder / "mustshare"
    (top / "known-1").write_bytes(bundle.known(NETWORK, 1, {"alpha": 8, "beta": 99}, IDS[:2]))
    (top / "known-2").write_bytes(bundle.known(NETWORK, 2, {"alpha": 7}, [IDS[0], IDS[2]]))
    (top / "known-3").write_bytes(b"damaged")
    (top / "known-4").write_bytes(bundle.known(NetworkId(bytes(32)), 4, {}, []))

    with entered(folder) as stick:
        assert stick.known().ids == {IDS[0]}
        assert stick.known().inventories == {"alpha": 7}
        assert stock(stick) == set(IDS)
    assert sorted(path.name for path in inbound(folder).iterdir()) == ["cells-8-1", "cells-9-1"]


def test_a_part_of_an_inventory_to_come_keeps_no_cell_away(folder: Path) -> None:
    inbound(folder).mkdir(parents=True)
    for number in (9, 10, 2**53 - 1):
        header = bundle.cells_header(NETWORK, "alpha", number)
        (inbound(folder) / f"cells-{number}-1").write_bytes(header + RECORDS)

    with entered(folder) as stick:
        assert stock(stick) == set(IDS)
    assert [path.name for path in inbound(folder).iterdir()] == ["cells-9-1"]
    with entered(folder) as stick:
        assert stock(stick, listing(8)) == set()


def test_a_cell_that_isn_t_the_listed_one_is_fetched(folder: Path) -> None:
    inbound(folder).mkdir(parents=True)
    (inbound(folder) / "cells-7-1").write_bytes(HEADER + RECORDS)

    with entered(folder) as stick:
        assert stock(stick, listing(cell_1=bytes(32))) == {IDS[0], IDS[2]}


def test_a_list_that_is_ahead_of_the_server_removes_nothing(folder: Path) -> None:
    inbound(folder).mkdir(parents=True)
    (inbound(folder) / "cells-7-1").write_bytes(HEADER + RECORDS)
    (folder / "mustshare" / "known-1").write_bytes(bundle.known(NETWORK, 1, {"alpha": 2**53 - 1}, []))

    with entered(folder) as stick:
        assert stock(stick) == set(IDS)
    assert (inbound(folder) / "cells-7-1").exists()


@pytest.mark.parametrize(("name", "desk"), [("known-3", 3), ("known-1", 3), ("known-01", 1), ("known-x", 1)])
def test_only_the_manifest_s_desks_are_heard(folder: Path, name: str, desk: int) -> None:
    with entered(folder) as stick:
        (folder / "mustshare" / name).write_bytes(bundle.known(NETWORK, desk, {"alpha": 9}, IDS))
        assert stock(stick) == set()


def test_a_part_without_end_counts_for_nothing(folder: Path) -> None:
    inbound(folder).mkdir(parents=True)
    (inbound(folder) / "cells-7-1").write_bytes(HEADER + RECORDS)
    os.truncate(inbound(folder) / "cells-7-1", MAX_PART_BYTES + 1)

    with entered(folder) as stick:
        assert stock(stick) == set()


@pytest.mark.parametrize("name", ["inbound/alpha/.cells-7-1", "outbound/.wiping-a", "outbound/a", "known-1"])
def test_somebody_s_folders_are_left_alone(folder: Path, name: str) -> None:
    (folder / "mustshare" / name).mkdir(parents=True)
    (folder / "mustshare" / name / "photo.jpg").write_bytes(b"mine")

    with entered(folder) as stick:
        assert stock(stick) == set()
        assert stick.waiting() == []
    assert (folder / "mustshare" / name / "photo.jpg").read_bytes() == b"mine"


def test_papers_are_replaced_whole_and_left_alone_when_they_are_the_same(stick: Stick, folder: Path) -> None:
    stick.write("inventory", b"one")
    first = (inbound(folder) / "inventory").stat()
    stick.write("inventory", b"one")
    assert (inbound(folder) / "inventory").stat().st_ino == first.st_ino
    stick.write("inventory", b"one and more")
    assert (inbound(folder) / "inventory").read_bytes() == b"one and more"
    stick.write("inventory", b"one")
    assert (inbound(folder) / "inventory").read_bytes() == b"one"
    assert [path.name for path in inbound(folder).iterdir()] == ["inventory"]


def bundle_of(desk: int, first: int, server: str = "alpha") -> bytes:
    head = OutboundHead(NETWORK, desk, server, first, 1, 1, 0, 10)
    return b"".join(bundle.write_outbound(head, [(EntryType.CELL, bytes(32 + bundle.CELL_BYTES))], bytes(32)))


def test_bundles_wait_in_the_order_in_which_they_must_go(stick: Stick, folder: Path) -> None:
    for name, raw in {
        "a": bundle_of(2, 1),
        "b": bundle_of(1, 9),
        "c": bundle_of(1, 2),
        "d": bundle_of(1, 1, "beta"),
    }.items():
        (outbound(folder) / name).write_bytes(raw)

    assert [(each.path.name, each.head.desk, each.head.first) for each in stick.waiting()] == [
        ("c", 1, 2),
        ("b", 1, 9),
        ("a", 2, 1),
    ]


def test_a_wiping_that_was_cut_off_is_finished(folder: Path) -> None:
    outbound(folder)
    leftover = outbound(folder) / ".wiping-a"
    leftover.write_bytes(bytes(100) + bundle_of(1, 1)[100:])
    os.link(leftover, folder / "the same blocks")

    with entered(folder) as stick:
        assert stick.waiting() == []
    assert not leftover.exists()
    assert bytes(32) not in (folder / "the same blocks").read_bytes()


LINKS: dict[str, Callable[[Path, Path], None]] = {
    "mustshare": lambda folder, elsewhere: (folder / "mustshare").symlink_to(elsewhere),
    "inbound": lambda folder, elsewhere: _below(folder, "inbound", elsewhere),
    "the server's folder": lambda folder, elsewhere: _below(folder, "inbound/alpha", elsewhere),
    "outbound": lambda folder, elsewhere: _below(folder, "outbound", elsewhere),
}


def _below(folder: Path, name: str, elsewhere: Path) -> None:
    place = folder / "mustshare" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere)


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_no_link_leads_off_the_stick(folder: Path, tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    elsewhere = tmp_path / "home"
    elsewhere.mkdir()
    link(folder, elsewhere)

    with pytest.raises(Malformed), entered(folder):
        pass
    assert list(elsewhere.rglob("*")) == []


def test_no_linked_file_is_read_sent_wiped_or_written(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    raw = bundle_of(1, 1)
    secret.write_bytes(raw)
    inbound(folder).mkdir(parents=True)
    (outbound(folder) / "a").symlink_to(secret)
    (folder / "mustshare" / "known-1").symlink_to(secret)
    (inbound(folder) / "cells-7-1").symlink_to(secret)
    (inbound(folder) / "inventory").symlink_to(secret)
    os.mkfifo(outbound(folder) / "pipe")
    os.mkfifo(folder / "mustshare" / "known-2")

    with entered(folder) as stick:
        assert stick.waiting() == []
        assert stock(stick) == set()
        stick.write("inventory", b"new")
        with stick.collect(7) as writer:
            writer.add(*cell(0))
    assert secret.read_bytes() == raw
    assert (inbound(folder) / "inventory").read_bytes() == b"new"
    assert not (inbound(folder) / "inventory").is_symlink()
    assert read(inbound(folder) / "cells-7-2") == RECORDS[:RECORD_BYTES]


@pytest.mark.parametrize("name", [".cells-7-1", ".wiping-a"])
def test_a_leftover_that_is_a_link_leads_nowhere(folder: Path, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"keep me")
    inbound(folder).mkdir(parents=True)
    place = (outbound(folder) if "wiping" in name else inbound(folder)) / name
    place.symlink_to(secret)

    try:
        with entered(folder):
            pass
    except Malformed:
        pass
    assert secret.read_bytes() == b"keep me"


def test_a_stick_that_is_pulled_out_is_told(folder: Path, tmp_path: Path) -> None:
    with entered(folder) as stick:
        folder.rename(tmp_path / "pulled out")
        for use in (lambda: stick.write("inventory", b""), lambda: stock(stick), stick.waiting):
            with pytest.raises(StickFailed) as raised:
                use()
            assert "stick" in raised.value.message
            assert str(tmp_path) not in raised.value.message
        with pytest.raises(StickFailed), stick.collect(7) as writer:
            writer.add(*cell(0))


def test_a_file_where_a_folder_belongs_is_told(folder: Path) -> None:
    (folder / "mustshare").write_bytes(b"")

    with pytest.raises(StickFailed, match="something stands"), entered(folder):
        pass


def test_a_folder_where_a_file_belongs_is_told(stick: Stick, folder: Path) -> None:
    (inbound(folder) / "inventory" / "photos").mkdir(parents=True)

    with pytest.raises(StickFailed, match="something stands") as raised:
        stick.write("inventory", b"new")
    assert "mustshare" in raised.value.remedy
    assert [path.name for path in inbound(folder).iterdir()] == ["inventory"]


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (errno.EROFS, StickFailed, "is write-protected"),
        (errno.EACCES, StickFailed, "is write-protected"),
        (errno.ENOSPC, StickFull, "is full"),
        (errno.EIO, StickFailed, "can't be read or written"),
        (errno.ENODEV, StickFailed, "can't be read or written"),
    ],
)
def test_what_the_system_says_is_told_in_words(number: int, error: type[DropBoxError], words: str) -> None:
    with pytest.raises(error, match=f"The stick red {words}"), explained(Path("/media/somebody/red")):
        raise OSError(number, os.strerror(number))


def test_a_wiping_of_a_file_of_holes_comes_to_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journalist_station.courier.stick.MAX_PART_BYTES", 3 * bundle.CELL_BYTES)
    leftover = outbound(folder) / ".wiping-a"
    leftover.touch()
    os.truncate(leftover, 1 << 40)

    with entered(folder):
        pass
    assert not leftover.exists()
