"""Whoever prepared a stick may wish us ill: whatever lies on it, nothing but our own errors, and no vault harmed."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journalist_station.vault.stick import Stick, split_signatures
from keys import minisign
from keys.bundle import MAX_PART_BYTES
from keys.errors import DropBoxError, Malformed, Misconfigured
from tests.simulators import seen
from tests.simulators.dropbox import DropBox, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import Station

FILES = ("inventory", "inventory.minisig", "manifest-1", "manifest-1.minisig", "cells-1-1")
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def good(station: Station, box: DropBox, source: Source) -> Path:
    """A stick as a courier brings it."""
    box.send(source, "a tip")
    box.fill(station.stick())
    return box.folder(station.stick())


@quick
@given(st.sampled_from(FILES), st.binary(max_size=300))
def test_any_bytes_as_any_file(station: Station, good: Path, name: str, data: bytes) -> None:
    whole = (good / name).read_bytes()
    try:
        (good / name).write_bytes(data)
        station.take(station.stick())
    finally:
        (good / name).write_bytes(whole)


@quick
@given(st.sampled_from(FILES), st.integers(0, 2**20), st.integers(1, 255))
def test_any_byte_changed_in_any_file(station: Station, good: Path, name: str, at: int, change: int) -> None:
    whole = (good / name).read_bytes()
    changed = bytearray(whole)
    changed[at % len(whole)] ^= change
    try:
        (good / name).write_bytes(changed)
        station.take(station.stick())
        assert len(seen.everything(station.vault)) <= 1
    finally:
        (good / name).write_bytes(whole)


@quick
@given(st.text("abc0123456789-.minisgvetory", max_size=40), st.binary(max_size=50))
def test_any_file_name(station: Station, good: Path, name: str, data: bytes) -> None:
    path = good / name
    if name in ("", ".", "..") or path.exists():
        return
    path.write_bytes(data)
    try:
        station.take(station.stick())
    finally:
        path.unlink()


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("name", [*FILES, "epochs-1-1"])
@pytest.mark.parametrize("make", [_link, _pipe, _folder])
def test_links_pipes_and_folders_in_place_of_files(
    station: Station, box: DropBox, good: Path, name: str, make: Callable[[Path], None]
) -> None:
    (good / name).unlink(missing_ok=True)
    make(good / name)
    report = station.take(station.stick())
    assert report.messages <= 1
    if name in ("inventory", "inventory.minisig"):
        assert report.problems and report.cells == 0


def test_folders_that_are_links_are_not_followed(station: Station, good: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (station.stick() / "mustshare/inbound").rename(elsewhere)
    (station.stick() / "mustshare/inbound").symlink_to(elsewhere)
    assert station.take(station.stick()).cells == 0


@pytest.mark.parametrize("linked", ["mustshare", "mustshare/outbound"])
def test_nothing_is_written_through_a_link(station: Station, tmp_path: Path, linked: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stick = station.stick("hostile")
    (stick / linked).parent.mkdir(exist_ok=True)
    (stick / linked).symlink_to(elsewhere)
    with pytest.raises(Malformed):
        Stick(stick).write_bundle(1, "alpha", [b"secret"])
    assert list(elsewhere.iterdir()) == []


def test_a_link_in_place_of_a_bundle_is_replaced(station: Station, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    stick = station.stick("hostile")
    (stick / "mustshare/outbound").mkdir(parents=True)
    (stick / "mustshare/outbound/desk-1-alpha").symlink_to(victim)
    Stick(stick).write_bundle(1, "alpha", [b"bundle"])
    assert victim.read_bytes() == b"precious"
    assert (stick / "mustshare/outbound/desk-1-alpha").read_bytes() == b"bundle"


def test_a_write_that_fails_leaves_the_one_before(station: Station) -> None:
    stick = Stick(station.stick())
    stick.write_bundle(1, "alpha", [b"first"])

    def pieces() -> list[bytes]:
        raise OSError("pulled out")

    with pytest.raises(OSError, match="pulled out"):
        stick.write_bundle(1, "alpha", (piece for _ in [0] for piece in pieces()))
    outbound = station.stick() / "mustshare/outbound"
    assert [path.name for path in outbound.iterdir()] == ["desk-1-alpha"]
    assert (outbound / "desk-1-alpha").read_bytes() == b"first"


def test_no_stick_at_all(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no stick"):
        Stick(tmp_path / "nowhere")


def test_an_empty_stick_brings_nothing(station: Station) -> None:
    report = station.take(station.stick())
    assert (report.cells, report.problems, report.inventories) == (0, [], {})
    assert any("nothing from a courier" in warning for warning in report.warnings)


def test_several_signatures_in_one_file() -> None:
    newsroom = Newsroom()
    signatures = newsroom.documents[0].signatures
    assert split_signatures(b"".join(signatures)) == list(signatures)
    assert len(split_signatures(b"\n" * 10_000)) <= minisign.MAX_SIGNATURES


def test_a_part_without_end_is_left_out_and_the_others_are_read(station: Station, good: Path) -> None:
    """A file of holes costs whoever prepares the stick nothing, and would hold up an import for ever."""
    endless = good / "cells-1-0"
    endless.write_bytes((good / "cells-1-1").read_bytes())
    os.truncate(endless, MAX_PART_BYTES + 1)
    report = station.take(station.stick())
    [(server, error)] = report.problems
    assert server == "alpha"
    assert "longer than any courier writes" in error.message
    assert report.messages == 1


def test_a_part_of_the_greatest_length_is_read(station: Station, good: Path) -> None:
    os.truncate(good / "cells-1-1", MAX_PART_BYTES)
    report = station.take(station.stick())
    assert (report.problems, report.messages) == ([], 1)


def test_parts_are_read_whatever_their_numbers_look_like(station: Station, good: Path) -> None:
    (good / "cells-1-1").rename(good / "cells-00000001-0001-2")
    assert station.take(station.stick()).messages == 1


@pytest.mark.long
def test_long_random_damage(station: Station, box: DropBox, source: Source, good: Path) -> None:
    dice = random.Random(20261118)
    wholes = {name: (good / name).read_bytes() for name in FILES}
    for _ in range(1_000):
        name = dice.choice(FILES)
        data = bytearray(wholes[name])
        for _ in range(dice.randrange(1, 20)):
            at = dice.randrange(len(data) or 1)
            match dice.randrange(3):
                case 0:
                    data[at : at + 1] = bytes([dice.randrange(256)])
                case 1:
                    del data[at : at + dice.randrange(1, 5_000)]
                case _:
                    data[at:at] = dice.randbytes(dice.randrange(1, 300))
        (good / name).write_bytes(data)
        with contextlib.suppress(DropBoxError):
            station.take(station.stick())
        (good / name).write_bytes(wholes[name])
    station.take(station.stick())
    assert seen.only(station.vault).text == "a tip"
