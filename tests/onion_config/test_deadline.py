"""Waiting, with a clock that the test moves."""

from __future__ import annotations

from onion_config.deadline import Deadline


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def deadline(seconds: float) -> tuple[Deadline, Clock]:
    clock = Clock()
    return Deadline(seconds, clock, clock.sleep), clock


def test_what_is_true_already_isnt_waited_for() -> None:
    until, clock = deadline(5)

    assert until.until(lambda: "yes") == "yes"
    assert not clock.slept


def test_a_condition_is_asked_until_it_holds() -> None:
    until, clock = deadline(5)

    assert until.until(lambda: clock.now >= 1002)
    assert 2 <= clock.now - 1000 < 2.5


def test_a_condition_that_never_holds_ends_with_the_deadline() -> None:
    until, clock = deadline(0.25)

    assert until.until(lambda: None) is None
    assert clock.now == 1000.25
    assert until.left == 0


def test_a_deadline_of_zero_asks_once() -> None:
    until, _ = deadline(0)
    asked: list[int] = []

    assert until.until(lambda: asked.append(1)) is None
    assert asked == [1]
