"""Servers that were put back to an older state, and servers that say what can't be."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from journalist_station.vault import outbox, replies
from journalist_station.vault.database import facts
from journalist_station.vault.database import tips as rows
from journalist_station.vault.rollback import MAX_UNKNOWN_ENTRIES
from journalist_station.vault.stick import Stick
from keys.errors import Refused, Stale
from tests.simulators import seen
from tests.simulators.dropbox import DropBox, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import Station

COUNTED = ("cells", "marks", "refused", "acknowledged", "sequence")


def answer(station: Station, text: str) -> None:
    row = rows.thread(station.vault.database, 1)
    assert row is not None
    replies.queue(station.vault, row, station.newsroom.now, language="th", text=text, state="")


def said(source: Source, box: DropBox) -> list[str]:
    return sorted(received.reply.text for received in source.replies(box) if received.reply.text)


class Backup:
    """A copy of a server's data folder, as somebody makes who means well."""

    def __init__(self, box: DropBox) -> None:
        self._kept = {name: copy.deepcopy(getattr(box, name)) for name in COUNTED}

    def put_back(self, box: DropBox, *, also_its_number: bool = True) -> None:
        for name, value in self._kept.items():
            if also_its_number or name != "sequence":
                setattr(box, name, copy.deepcopy(value))
        box.newsroom.pass_time(days=1)


@pytest.fixture
def answered(station: Station, box: DropBox, source: Source) -> Backup:
    """A copy of a server from between two replies, both delivered and confirmed."""
    box.send(source, "a tip")
    station.fetch(box)
    answer(station, "one")
    station.send(box)
    station.fetch(box)
    backup = Backup(box)
    answer(station, "two")
    station.send(box)
    assert station.fetch(box).delivered == 1
    station.newsroom.pass_time(days=1)
    return backup


@pytest.mark.parametrize("also_its_number", [True, False])
def test_what_a_server_forgot_is_sent_again(
    station: Station, box: DropBox, source: Source, answered: Backup, also_its_number: bool
) -> None:
    answered.put_back(box, also_its_number=also_its_number)
    assert said(source, box) == ["one"]
    report = station.fetch(box)
    assert report.problems == []
    assert report.sent_again == 1
    [warning] = report.warnings
    assert "alpha was put back to an older state" in warning
    _, [applied] = station.send(box)
    assert applied.refused == []
    assert said(source, box) == ["one", "two"]
    report = station.fetch(box)
    assert (report.delivered, report.warnings) == (1, [])
    assert outbox.unconfirmed(station.vault) == {"alpha": 0}
    assert "server-put-back" in [act.what for act in facts.acts(station.vault.database)]


def test_what_waits_on_a_lost_stick_is_numbered_anew(
    station: Station, box: DropBox, source: Source, answered: Backup
) -> None:
    answer(station, "three")
    station.send(name="lost")
    answered.put_back(box)
    station.fetch(box)
    station.send(box)
    assert said(source, box) == ["one", "three", "two"]


def test_a_stick_from_before_costs_no_reply(station: Station, box: DropBox, source: Source, answered: Backup) -> None:
    """Its bundle has the numbers that are given anew: the fillers tell that it came in the others' place."""
    answered.put_back(box)
    station.fetch(box, name="new")
    answer(station, "three")
    outbox.write(station.vault, [Stick(station.stick("new"))], station.newsroom.now)
    box.deliver(station.stick())
    box.deliver(station.stick("new"))
    assert "three" not in said(source, box)
    station.fetch(box, name="new")
    station.send(box, name="new")
    assert set(said(source, box)) == {"one", "two", "three"}


def test_a_reply_that_its_source_deleted_before_stays_deleted(
    station: Station, box: DropBox, source: Source, answered: Backup
) -> None:
    for received in source.replies(box):
        if received.reply.text == "two":
            source.delete(box, received)
    station.fetch(box)
    answered.put_back(box)
    assert station.fetch(box).sent_again == 0
    station.send(box)
    assert said(source, box) == ["one"]


def test_cells_that_never_came_here_are_counted_as_gone(
    station: Station, box: DropBox, source: Source, answered: Backup
) -> None:
    box.send(source, "a tip that no courier fetched")
    box.fill(station.stick("empty"), only=[])
    station.take(station.stick("empty"))
    answered.put_back(box)
    [warning] = station.fetch(box).warnings
    assert "1 cells that it listed and that never came here are gone" in warning


def test_acknowledgements_are_made_anew(newsroom: Newsroom, station: Station, box: DropBox, source: Source) -> None:
    [tip] = box.send(source, "a tip").all
    box.acknowledged[tip] = set()
    station.fetch(box)
    backup = Backup(box)
    newsroom.pass_time(weeks=6)
    station.publish()
    _, [applied] = station.send(box)
    assert tip in applied.acknowledged
    station.fetch(box)
    backup.put_back(box)
    station.fetch(box)
    _, [applied] = station.send(box)
    assert tip in applied.acknowledged


def test_an_inventory_from_before_is_not_taken_for_a_new_one(
    station: Station, box: DropBox, source: Source, answered: Backup
) -> None:
    kept = station.stick("kept")
    box.fill(kept)
    station.take(kept)
    answered.put_back(box)
    station.fetch(box)
    [(_, error)] = station.take(kept).problems
    assert isinstance(error, Stale)
    assert station.fetch(box).warnings == []


def test_an_absurd_mark_stops_one_server_alone(tmp_path: Path) -> None:
    newsroom = Newsroom(servers=("alpha", "beta"))
    station, source = Station(newsroom, tmp_path), Source(newsroom)
    alpha, beta = DropBox(newsroom, "alpha"), DropBox(newsroom, "beta")
    try:
        beta.send(source, "over beta")
        alpha.marks[1] = 2**53 - 1
        report = station.fetch(alpha, beta)
        [(server, error)] = report.problems
        assert (server, type(error)) == ("alpha", Refused)
        assert seen.only(station.vault).text == "over beta"
        answer(station, "hello")
        written, [applied] = station.send(beta)
        assert [each.server for each in written.bundles] == ["alpha", "beta"]
        assert said(source, beta) == ["hello"]
        assert applied.refused == []
    finally:
        station.vault.close()


@pytest.mark.parametrize(("more", "problems"), [(0, 0), (1, 1)])
def test_the_highest_mark_that_is_believed(station: Station, box: DropBox, more: int, problems: int) -> None:
    """A vault that is an older copy of itself learns of its numbers from the servers."""
    station.send(box)
    box.marks[1] += MAX_UNKNOWN_ENTRIES + more
    assert len(station.fetch(box).problems) == problems


def test_a_server_that_goes_back_and_forth_never_outruns_the_numbers(
    station: Station, box: DropBox, source: Source, answered: Backup
) -> None:
    highest = box.marks[1]
    answered.put_back(box)
    station.fetch(box)
    box.marks[1] = highest + MAX_UNKNOWN_ENTRIES
    assert station.fetch(box).problems == [], "the numbers from before count"
    station.send(box)
