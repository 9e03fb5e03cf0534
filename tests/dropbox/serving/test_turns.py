"""Circuits take turns: who asks much waits behind itself, and nobody is lost or served twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dropbox.serving.turns import FairQueue


def test_a_circuit_that_asks_much_waits_behind_itself() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(100):
        queue.join(1, f"flood {number}", 1.0)
    queue.join(2, "somebody", 1.0)
    queue.join(3, "somebody else", 1.0)
    taken = [place.item for place in (queue.take() for _ in range(4)) if place]
    assert taken == ["flood 0", "somebody", "somebody else", "flood 1"]


def test_those_who_are_not_eligible_keep_their_place() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.join(1, "a", 1.0)
    queue.join(2, "b", 1.0)
    place = queue.take(lambda key: key != 1)
    assert place is not None and place.item == "b"
    assert queue.take(lambda key: key == 3) is None
    place = queue.take()
    assert place is not None and place.item == "a"


def test_who_waited_too_long_leaves() -> None:
    queue: FairQueue[str] = FairQueue()
    for key, moment in ((1, 1.0), (2, 2.0), (1, 3.0)):
        queue.join(key, f"{key} at {moment}", moment)
    assert [place.item for place in queue.expire(2.0)] == ["1 at 1.0", "2 at 2.0"]
    assert len(queue) == 1
    assert queue.length_of(1) == 1
    assert queue.length_of(2) == 0


@given(st.lists(st.tuples(st.sampled_from(["join", "take", "withdraw", "expire"]), st.integers(0, 4)), max_size=80))
def test_nobody_is_lost_or_served_twice(steps: list[tuple[str, int]]) -> None:
    queue: FairQueue[int] = FairQueue()
    inside, clock = {}, 0.0
    for number, (step, key) in enumerate(steps):
        clock += 1.0
        if step == "join":
            inside[number] = queue.join(key, number, clock + 10.0)
        elif step == "take":
            place = queue.take()
            assert (place is None) == (not inside)
            if place is not None:
                assert inside.pop(place.item) is place
        elif step == "withdraw" and inside:
            queue.withdraw(inside.pop(min(inside)))
        elif step == "expire":
            for place in queue.expire(clock):
                assert place.deadline <= clock
                del inside[place.item]
        assert len(queue) == len(inside)
        assert sum(queue.length_of(key) for key in range(5)) == len(inside)
