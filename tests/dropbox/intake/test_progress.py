"""The progress board: any process sees any upload, by a label that it doesn't keep."""

from __future__ import annotations

import os

from dropbox.intake.progress import Board, Progress, Stage


def label(number: int) -> bytes:
    return number.to_bytes(16)


def test_an_unknown_upload_is_waited_for() -> None:
    assert Board(4).read(label(1)) == Progress(Stage.WAITING)


def test_a_report_is_read_as_it_was_written() -> None:
    board = Board(4)
    reporter = board.begin(label(1), expected=1_000, now_ms=5)
    reporter.update(7, received=300)
    reporter.update(9, stored=2)
    assert board.read(label(1)) == Progress(Stage.RECEIVING, 0, 2, 300, 1_000, 5, 9)
    reporter.end(11, Stage.REFUSED, 3)
    assert board.read(label(1)) == Progress(Stage.REFUSED, 3, 2, 300, 1_000, 5, 11)


def test_uploads_stay_apart() -> None:
    board = Board(4)
    first, second = board.begin(label(1), 10, 0), board.begin(label(2), 20, 0)
    first.update(1, received=5)
    second.update(2, received=6)
    assert (board.read(label(1)).received, board.read(label(2)).received) == (5, 6)


def test_a_label_used_again_begins_anew() -> None:
    board = Board(1)
    board.begin(label(1), 10, 0).end(1, Stage.REFUSED, 1)
    board.begin(label(1), 30, 2)
    assert board.read(label(1)) == Progress(Stage.RECEIVING, 0, 0, 0, 30, 2, 2)


def test_the_place_that_changed_longest_ago_is_given_away() -> None:
    board = Board(2)
    old, busy = board.begin(label(1), 10, 0), board.begin(label(2), 20, 1)
    busy.update(5, received=1)
    board.begin(label(3), 30, 6)
    assert board.read(label(1)).stage is Stage.WAITING
    assert board.read(label(2)).received == 1
    old.update(7, received=9)  # Its place belongs to another upload now, and is left alone.
    assert board.read(label(3)) == Progress(Stage.RECEIVING, expected=30, started_ms=6, changed_ms=6)


def test_what_has_ended_is_given_away_before_what_is_under_way() -> None:
    board = Board(2)
    board.begin(label(1), 10, 0)
    board.begin(label(2), 20, 1).end(5, Stage.STORED)
    board.begin(label(3), 30, 6)
    assert [board.read(label(number)).stage for number in (1, 2, 3)] == [1, 0, 1]


def test_another_process_sees_it() -> None:
    board = Board(4)
    child = os.fork()
    if child == 0:
        board.begin(label(1), 10, 0).update(1, received=4)
        os._exit(0)
    os.waitpid(child, 0)
    assert board.read(label(1)).received == 4


def test_the_label_itself_is_not_kept() -> None:
    board = Board(4)
    board.begin(b"a label, 16 byte", 10, 0)
    assert b"a label" not in board._map[:]
