"""Cells that nobody will ever open: told from a worn stick's, and let go by a person's word alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from journalist_station.vault import carried, damaged
from journalist_station.vault.database import facts
from journalist_station.vault.importing import Report
from journalist_station.vault.opening import Batch, Wanted
from keys.inventory import CellId
from tests.simulators import seen
from tests.simulators.dropbox import DropBox, File, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import Station

Change = Callable[[CellId, bytes], bytes]


def spoilt(victim: CellId, at: int = 200_000) -> Change:
    def change(cell: CellId, sealed: bytes) -> bytes:
        return sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] if cell == victim else sealed

    return change


def trip(station: Station, box: DropBox, change: Change = lambda _, sealed: sealed, name: str = "stick") -> Report:
    for part in box.folder(station.stick(name)).glob("cells-*"):
        part.unlink()  # The courier takes away what was read.
    box.fill(station.stick(name), change=change)
    return station.take(station.stick(name))


@pytest.fixture(params=["message", "file"])
def victim(request: pytest.FixtureRequest, box: DropBox, source: Source) -> CellId:
    """A cell that is damaged on the server, behind its header."""
    sent = box.send(source, "a tip", [File("file", b"x" * 400_000)])
    found = sent.cells[0 if request.param == "message" else 1][0]
    box.cells[found] = spoilt(found)(found, box.cells[found])
    return found


def test_on_two_trips_it_is_the_source_s(station: Station, box: DropBox, victim: CellId) -> None:
    assert trip(station, box).damaged_at_source == 0
    assert station.take(station.stick()).damaged_at_source == 0, "the same stick once more is no other trip"
    assert victim not in box.known(station.stick())
    report = trip(station, box)
    assert (report.damaged, report.damaged_at_source, report.unread) == (1, 1, 1)
    [row] = damaged.at_source(station.vault)
    assert (row.cell, row.first, row.again, row.same) == (victim, 1, 2, True)


def test_released_it_is_asked_for_no_more_and_leaves_at_the_age_of_every_cell(
    newsroom: Newsroom, station: Station, box: DropBox, victim: CellId
) -> None:
    for _ in range(2):
        trip(station, box)
    damaged.release(station.vault, damaged.at_source(station.vault), newsroom.now)
    assert damaged.at_source(station.vault) == []
    report = trip(station, box)
    assert (report.damaged, report.damaged_at_source, report.unread) == (0, 0, 0)
    assert victim in box.known(station.stick())
    newsroom.pass_time(weeks=6, seconds=-1)
    station.publish()
    _, [applied] = station.send(box)
    assert victim not in applied.acknowledged, "none leaves early: that would tell it from the others"
    newsroom.pass_time(seconds=1)
    _, [applied] = station.send(box)
    assert victim in applied.acknowledged
    [act] = [act for act in facts.acts(station.vault.database) if act.what == "release"]
    assert f"alpha {victim.hex()}" in act.facts


def test_without_a_word_it_stays(newsroom: Newsroom, station: Station, box: DropBox, victim: CellId) -> None:
    for _ in range(2):
        trip(station, box)
    newsroom.pass_time(weeks=7)
    station.publish()
    _, [applied] = station.send(box)
    assert victim not in applied.acknowledged


def test_a_worn_stick_is_told_by_its_other_damage(station: Station, box: DropBox, source: Source) -> None:
    [cell] = box.send(source, "a tip").all
    trip(station, box, spoilt(cell, 100_000))
    trip(station, box, spoilt(cell, 200_000))
    [row] = damaged.at_source(station.vault)
    assert not row.same
    assert trip(station, box).damaged_at_source == 0, "what came whole at last is not damaged"
    assert seen.only(station.vault).text == "a tip"


def test_another_cell_under_the_same_id_begins_anew(
    newsroom: Newsroom, station: Station, box: DropBox, victim: CellId
) -> None:
    trip(station, box)
    [other] = DropBox(newsroom).send(Source(newsroom, 1), "another").all
    assert other != victim
    box.send(Source(newsroom, 1), "another")
    [fresh] = [cell for cell, sealed in box.cells.items() if cell not in box.known(station.stick()) and cell != victim]
    box.cells[victim] = spoilt(victim)(victim, box.cells.pop(fresh))
    assert trip(station, box).damaged_at_source == 0
    assert trip(station, box).damaged_at_source == 1


def test_what_the_server_no_longer_lists_is_forgotten(station: Station, box: DropBox, victim: CellId) -> None:
    for _ in range(2):
        trip(station, box)
    del box.cells[victim]
    assert trip(station, box).damaged_at_source == 0
    assert station.vault.database.value("SELECT count(*) FROM damages") == 0


def test_what_was_exchanged_on_the_way_is_not_the_source_s(station: Station, box: DropBox, source: Source) -> None:
    [cell] = box.send(source, "a tip").all
    for _ in range(3):
        assert trip(station, box, spoilt(cell, 30)).damaged_at_source == 0


def test_a_cell_is_opened_once_however_often_a_stick_holds_it(
    station: Station, box: DropBox, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.send(source, "a tip")
    box.fill(station.stick())
    part = box.folder(station.stick()) / "cells-1-1"
    header, records = (raw := part.read_bytes())[: -(32 + 262_144)], raw[-(32 + 262_144) :]
    part.write_bytes(header + 50 * records)
    opened: list[Wanted] = []

    def batch(path: Path, cells: tuple[Wanted, ...]) -> Batch:
        opened.extend(cells)
        return Batch(path, cells)

    monkeypatch.setattr(carried, "Batch", batch)
    assert station.take(station.stick()).messages == 1
    assert len(opened) == 1


def test_of_damaged_copies_a_few_are_looked_at(station: Station, box: DropBox, source: Source) -> None:
    [cell] = box.send(source, "a tip").all
    box.fill(station.stick(), change=spoilt(cell))
    part = box.folder(station.stick()) / "cells-1-1"
    header, records = (raw := part.read_bytes())[: -(32 + 262_144)], raw[-(32 + 262_144) :]
    part.write_bytes(header + 50 * records)
    assert station.take(station.stick()).damaged == carried.MAX_COPIES


def test_a_file_whose_damaged_cell_comes_whole_with_another_stick(
    station: Station, box: DropBox, source: Source
) -> None:
    content = bytes(range(256)) * 3_000
    sent = box.send(source, "a tip", [File("file", content)])
    for name, number in (("a", 1), ("b", 2)):
        box.fill(station.stick(name), change=spoilt(sent.cells[1][number]))
    report = station.take(station.stick("a"), station.stick("b"))
    assert (report.unread, report.damaged_at_source) == (0, 0)
    [file] = seen.only(station.vault).files
    assert file.content == content


def test_a_stick_with_more_cells_than_a_courier_brings(
    station: Station, box: DropBox, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carried, "MAX_MORE_CELLS", 0)
    box.send(source, "a tip")
    box.fill(station.stick())
    part = box.folder(station.stick()) / "cells-1-1"
    _endless(part, 5)
    [(server, error)] = station.take(station.stick()).problems
    assert (server, error.message) == ("alpha", "There are more cells on this stick than a courier brings.")


def _endless(part: Path, cells: int) -> None:
    with part.open("r+b") as file:
        file.truncate(part.stat().st_size + (cells - 1) * (32 + 262_144))
