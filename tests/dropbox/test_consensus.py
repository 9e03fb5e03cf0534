"""What the head of tor's consensus says of a clock, and what becomes of a file that isn't one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox.consensus import EARLY_SECONDS, LATE_SECONDS, Comparison, Consensus, ConsensusFile, parse_head
from keys.errors import DropBoxError, Malformed
from tests.simulators.tor import consensus_head

MADE = 1_795_400_685
HEAD = consensus_head(MADE)


def test_the_times_are_read_from_the_first_lines() -> None:
    assert parse_head(HEAD) == Consensus(MADE, MADE + 3_600, MADE + 3 * 3_600)
    assert parse_head(HEAD + b"voting-delay 2 2\nr anything \xff\x00") == parse_head(HEAD)
    assert parse_head(HEAD.replace(b" microdesc", b"")) == parse_head(HEAD)


@pytest.mark.parametrize(
    ("made", "expires", "now", "said"),
    [
        (100_000, 200_000, 100_000 - EARLY_SECONDS - 1, Comparison.DISAGREES),
        (100_000, 200_000, 100_000 - EARLY_SECONDS, Comparison.AGREES),
        (100_000, 200_000, 150_000, Comparison.AGREES),
        (100_000, 200_000, 200_000 + LATE_SECONDS, Comparison.AGREES),
        (100_000, 200_000, 200_000 + LATE_SECONDS + 1, Comparison.DISAGREES),
    ],
)
def test_a_clock_may_be_an_hour_early_and_a_day_late(made: int, expires: int, now: int, said: Comparison) -> None:
    assert Consensus(made, made + 1, expires).compare(now) is said


LINES = HEAD.splitlines(keepends=True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n" + HEAD,
        b"".join(LINES[:6])[:-1],
        HEAD.replace(b"\n", b"\r\n"),
        HEAD.replace(b"version 3", b"version 4"),
        HEAD.replace(b"vote-status consensus", b"vote-status vote"),
        HEAD.replace(b"valid-after 2026", b"valid-after  2026"),
        HEAD.replace(b"valid-after 2026-", b"valid-after 2026-13-"),
        HEAD.replace(b"fresh-until 2026-", b"fresh-until 0000-"),
        HEAD.replace(LINES[3], LINES[3].replace(b"-11-", b"-13-")),
        HEAD.replace(LINES[3], LINES[3].replace(b"valid-after 2026", b"valid-after 2028")),
        b"".join([*LINES[:3], LINES[4], LINES[3], LINES[5]]),
        b"".join([*LINES[:4], *LINES[3:]]),
        b"".join(LINES[:4]),
        b"@type network-status-microdesc-consensus-3 1.0\n" + HEAD,
    ],
)
def test_what_is_not_the_head_of_a_consensus_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_head(data)


@given(st.data())
def test_a_changed_byte_never_raises_anything_else(data: st.DataObject) -> None:
    changed = bytearray(HEAD)
    changed[data.draw(st.integers(0, len(HEAD) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse_head(bytes(changed))
    except DropBoxError as error:
        assert isinstance(error, Malformed)


@pytest.mark.parametrize("day", [0, 1, 59, 364, 20_000, 40_000])
def test_any_day_is_read_as_it_was_written(day: int) -> None:
    assert parse_head(consensus_head(day * 86_400)).valid_after == day * 86_400


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cached-microdesc-consensus"


def replace_with(path: Path, data: bytes) -> None:
    """Put another file in its place, as tor does."""
    fresh = path.with_name("fresh")
    fresh.write_bytes(data)
    fresh.rename(path)


def test_what_is_not_there_or_no_consensus_compares_nothing(file: Path) -> None:
    asked = ConsensusFile(file)
    assert asked.compare(MADE) is Comparison.NOT_COMPARED
    replace_with(file, b"something else")
    assert asked.compare(MADE) is Comparison.NOT_COMPARED
    file.unlink()
    file.mkdir()
    assert asked.compare(MADE) is Comparison.NOT_COMPARED
    assert ConsensusFile(file / "below" / "nothing").compare(MADE) is Comparison.NOT_COMPARED


def test_a_pipe_in_its_place_keeps_nobody_waiting(file: Path) -> None:
    os.mkfifo(file)
    assert ConsensusFile(file).compare(MADE) is Comparison.NOT_COMPARED


def test_an_old_consensus_disagrees_only_until_tor_has_a_new_one(file: Path) -> None:
    """A practice newsroom that is started after days: tor still has its old consensus, and fetches another."""
    now = MADE + 5 * 86_400
    asked = ConsensusFile(file)
    replace_with(file, HEAD)
    assert asked.compare(now) is Comparison.DISAGREES
    replace_with(file, consensus_head(now - 20))
    assert asked.compare(now) is Comparison.AGREES
    file.unlink()
    assert asked.compare(now) is Comparison.NOT_COMPARED


def test_a_file_that_stays_is_not_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_with(file, HEAD)
    asked = ConsensusFile(file)
    assert asked.compare(MADE) is Comparison.AGREES
    monkeypatch.setattr(os, "open", None)
    assert asked.compare(MADE) is Comparison.AGREES
    assert asked.compare(0) is Comparison.DISAGREES
