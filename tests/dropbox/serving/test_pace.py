"""A slow honest upload goes on for hours; one that stalls or trickles ends."""

from __future__ import annotations

import pytest

from dropbox.serving.pace import Pace, Rate, TooSlow

RATE = Rate(bytes_per_second=1_000, window_seconds=60.0, grace_seconds=30.0)


def test_a_slow_honest_circuit_goes_on_for_hours() -> None:
    pace = Pace(RATE)
    for _ in range(6 * 3600):
        pace.note(1.0, 1_100)


def test_a_circuit_that_stalls_now_and_then_goes_on() -> None:
    pace = Pace(RATE)
    for _ in range(100):
        pace.note(40.0, 0)
        pace.note(20.0, 70_000)


def test_a_stalled_one_ends_within_two_windows() -> None:
    pace = Pace(RATE)
    pace.note(1.0, 10_000_000)
    with pytest.raises(TooSlow):
        for _ in range(21):
            pace.note(pace.step_seconds, 0)


def test_a_trickle_ends_after_the_first_window_without_grace() -> None:
    pace = Pace(RATE)
    waited = 0
    with pytest.raises(TooSlow):
        while True:
            waited += 1
            pace.note(1.0, 900)
    assert waited == 150


def test_time_that_is_not_spent_waiting_is_free() -> None:
    pace = Pace(RATE)
    for _ in range(10_000):
        pace.note(0.0, 1)
