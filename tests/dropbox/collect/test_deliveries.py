"""One bundle of a courier at a time, two in all, and none without end; whoever is refused reads when to come again."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dropbox.collect.app import create_app
from dropbox.collect.deliveries import Busy, BusyAlready, Deliveries, Hurried, TooSlow, allowed_seconds
from keys.encoding import parse_json
from tests.simulators.newsroom import Newsroom
from tests.simulators.office import SERVER, Office, Visit, reply_cell

ONE, OTHER, THIRD = (bytes([number]) * 32 for number in range(3))


def test_a_courier_has_one_place_and_all_have_two() -> None:
    deliveries = Deliveries()
    with deliveries.place(ONE):
        with pytest.raises(BusyAlready), deliveries.place(ONE):
            pass
        with deliveries.place(OTHER), pytest.raises(Busy), deliveries.place(THIRD):
            pass
        with deliveries.place(THIRD):
            pass
    with deliveries.place(ONE), deliveries.place(OTHER):
        pass


def test_a_place_is_given_back_whatever_happens() -> None:
    deliveries = Deliveries()
    for _ in range(3):
        with pytest.raises(ConnectionResetError), deliveries.place(ONE):
            raise ConnectionResetError
    with deliveries.place(ONE):
        pass


def test_processes_share_the_places_and_a_killed_one_frees_its_own() -> None:
    deliveries = Deliveries()
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        with deliveries.place(ONE), deliveries.place(OTHER):
            os.write(tell, b"!")
            signal.pause()
        os._exit(0)
    try:
        assert os.read(told, 1) == b"!"
        with pytest.raises(BusyAlready), deliveries.place(ONE):
            pass
        with pytest.raises(Busy), deliveries.place(THIRD):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(told)
        os.close(tell)
    with deliveries.place(ONE), deliveries.place(THIRD):
        pass


def test_a_large_bundle_may_take_longer_but_none_longer_than_a_login_serves() -> None:
    assert allowed_seconds(0) == 600
    assert allowed_seconds(16 << 18) == 600 + 1_024
    assert allowed_seconds(4 << 30) == 12 * 3600


def test_a_body_that_drips_for_ever_is_ended() -> None:
    now = 0.0
    body = Hurried(io.BytesIO(bytes(100)), 100, lambda: now)
    now = allowed_seconds(100)
    assert body.read(10) == bytes(10)
    now += 0.1
    with pytest.raises(TooSlow):
        body.read(10)


class Meanwhile(io.BytesIO):
    """A body that does something once while it is read."""

    def __init__(self, raw: bytes, act: Callable[[], None]) -> None:
        super().__init__(raw)
        self._act: Callable[[], None] | None = act

    def readinto(self, buffer: Any, /) -> int:
        act, self._act = self._act, None
        if act is not None:
            act()
        return super().readinto(buffer)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path, Newsroom(desks=2, couriers=("carrier", "other", "third")))


def post(visit: Visit, raw: bytes, meanwhile: Callable[[], None] = lambda: None) -> tuple[int, str | None]:
    """Deliver, doing something else while the body comes in; return the status and when to come again."""
    answer = visit.office.app.test_client().post(
        "/v1/outbound",
        input_stream=Meanwhile(raw, meanwhile),
        content_length=len(raw),
        headers={"Authorization": f"Bearer {visit.token}"},
    )
    if answer.status_code != 200:
        assert set(parse_json(answer.data)) == {"error", "hint"}
    return answer.status_code, answer.headers.get("Retry-After")


def test_who_comes_while_others_deliver_is_told_to_come_again(office: Office) -> None:
    carrier, other, third = (office.visit(name) for name in ("carrier", "other", "third"))
    raw = office.bundle(1, [reply_cell("a")])
    answers: dict[str, tuple[int, str | None]] = {}

    def two_are_at_it() -> None:
        answers["third"] = post(third, raw)
        answers["again"] = post(carrier, raw)

    def one_is_at_it() -> None:
        answers["other"] = post(other, office.bundle(2, [reply_cell("b")]), two_are_at_it)

    assert post(carrier, raw, one_is_at_it) == (200, None)
    assert answers == {"other": (200, None), "third": (503, "30"), "again": (429, "30")}
    assert post(third, raw) == (200, None)
    office.close()


def test_who_takes_too_long_is_told_to_come_again_and_nothing_is_applied(office: Office) -> None:
    now = 0.0

    def hours_pass() -> None:
        nonlocal now
        now += 13 * 3600

    office.app = create_app(office.box, office.logins, SERVER, Deliveries(clock=lambda: now))
    free = office.store.room().free
    raw = office.bundle(1, [reply_cell("a")])
    assert post(office.visit(), raw, hours_pass) == (408, "30")
    assert (office.mark(1), office.store.room().free) == (0, free)
    assert post(office.visit(), raw) == (200, None)
    office.close()
