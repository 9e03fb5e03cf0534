"""Each request finds its lane, no circuit takes all threads of one, and who waits in vain is given back."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from dropbox.serving.answer import Request
from dropbox.serving.head import Head
from dropbox.serving.lanes import Lane, LanePool, Route
from keys.errors import Misconfigured
from tests.dropbox.serving.visitors import wait_until


def head_of(method: str = "GET", path: str = "/", length: int = 0, circuit: int | None = None) -> Head:
    return Head(method, path, "", "HTTP/1.1", (), length, False, circuit)


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    one, other = socket.socketpair()
    with one, other:
        yield one


class Answering:
    """Keeps every request until it is let go."""

    def __init__(self) -> None:
        self.began: list[int | None] = []
        self.go = threading.Semaphore(0)

    def __call__(self, request: Request) -> None:
        self.began.append(request.head.circuit)
        self.go.acquire()

    def count(self, wanted: int) -> Callable[[], bool]:
        return lambda: len(self.began) == wanted


def offer(pool: LanePool, connection: socket.socket, circuit: int | None = None) -> bool:
    return pool.offer(Request(connection, head_of(circuit=circuit), bytearray()))


@pytest.mark.parametrize(
    ("route", "head", "fits"),
    [
        (Route("files", "/send"), head_of("POST", "/send"), True),
        (Route("files", "/send"), head_of("GET", "/send"), False),
        (Route("files", "/send"), head_of("POST", "/send/x"), False),
        (Route("files", "/send*"), head_of("POST", "/send/x"), True),
        (Route("files", "/send"), head_of("POST", "/s%65nd"), True),
        (Route("files", "/send", over_bytes=100), head_of("POST", "/send", 99), False),
        (Route("files", "/send", over_bytes=100), head_of("POST", "/send", 100), True),
        (Route("files", "/file/*", frozenset({"GET"})), head_of("GET", "/file/1"), True),
        (Route("files", "/box/*/file/*"), head_of("POST", "/box/label/file/1/2"), True),
        (Route("files", "/box/*/file/*"), head_of("POST", "/box/label"), False),
        (Route("files", "/box/*/file/*"), head_of("POST", "/box/a/b/file/1"), False),
        (Route("files", "/b.x/*/end"), head_of("POST", "/b.x/a/end"), True),
        (Route("files", "/b.x/*/end"), head_of("POST", "/box/a/end"), False),
    ],
)
def test_a_route_is_chosen_by_method_path_and_length(route: Route, head: Head, fits: bool) -> None:
    assert route.fits(head) is fits


def test_a_lane_without_threads_is_a_mistake() -> None:
    with pytest.raises(Misconfigured):
        Lane("none", 0, 10)


def test_threads_then_places_to_wait_then_no_room(connection: socket.socket) -> None:
    answering = Answering()
    pool = LanePool(Lane("x", 2, 10, waiting=1), answering)
    assert [offer(pool, connection) for _ in range(4)] == [True, True, True, False]
    wait_until(answering.count(2), "two are being answered")
    assert pool.held == 3
    answering.go.release()
    wait_until(answering.count(3), "the third has its turn")
    answering.go.release(2)
    wait_until(lambda: pool.held == 0, "all are answered")
    assert offer(pool, connection)
    answering.go.release()


def test_one_circuit_never_has_all_the_threads(connection: socket.socket) -> None:
    answering = Answering()
    pool = LanePool(Lane("x", 4, 10, per_circuit=2, waiting_per_circuit=3), answering)
    assert [offer(pool, connection, circuit=7) for _ in range(2)] == [True, True]
    wait_until(answering.count(2), "the circuit has its two")
    assert [offer(pool, connection, circuit=7) for _ in range(4)] == [True, True, True, False]
    assert offer(pool, connection, circuit=8)
    wait_until(answering.count(3), "the other circuit is answered")
    assert answering.began == [7, 7, 8]
    answering.go.release()
    wait_until(answering.count(4), "the next has its turn")
    answering.go.release(10)
    wait_until(lambda: pool.held == 0, "all are answered")


def test_who_waits_in_vain_is_given_back(connection: socket.socket) -> None:
    answering = Answering()
    pool = LanePool(Lane("x", 1, 10, wait_seconds=3.0), answering, clock=lambda: 100.0)
    assert offer(pool, connection, 1)
    wait_until(answering.count(1), "the first is being answered")
    assert offer(pool, connection, 2)
    assert pool.expired(102.0) == []
    assert [request.head.circuit for request in pool.expired(103.0)] == [2]
    assert offer(pool, connection, 3)
    assert len(pool.expired(math.inf)) == 1
    assert [request.head.circuit for request in pool.running()] == [1]
    answering.go.release()
