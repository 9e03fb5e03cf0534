"""A request's body gives exactly its bytes, however they come, and says when they stall or stop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropbox.serving.body import Body
from dropbox.serving.pace import Disconnected, Pace, Rate, TooSlow

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    client, server = socket.socketpair()
    with client, server:
        server.settimeout(0.02)
        yield client, server


def body_of(server: socket.socket, length: int, early: bytes = b"", *, expects_continue: bool = False) -> Body:
    rate = Rate(bytes_per_second=1_000, window_seconds=0.1, grace_seconds=0.1)
    return Body(server, bytearray(early), length, Pace(rate), expects_continue=expects_continue)


def test_it_ends_where_its_length_says(pair: Pair) -> None:
    client, server = pair
    client.sendall(b"cdef and what doesn't belong to it")
    body = body_of(server, 6, b"ab")
    assert body.read(1) == b"a"
    assert body.read() == b"bcdef"
    assert body.read() == b""
    assert body.left == 0


def test_more_than_its_length_may_have_come_early(pair: Pair) -> None:
    body = body_of(pair[1], 3, b"abcdef")
    assert body.read() == b"abc"


def test_one_read_returns_what_is_there(pair: Pair) -> None:
    client, server = pair
    client.sendall(b"12345")
    buffer = bytearray(100)
    assert body_of(server, 100).readinto(buffer) == 5
    assert buffer[:5] == b"12345"


def test_one_read_returns_all_that_has_come_in_pieces(pair: Pair) -> None:
    client, server = pair
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    for piece in (b"1" * 60_000, b"2" * 60_000, b"3"):
        client.sendall(piece)
    buffer = bytearray(200_000)
    assert body_of(server, 150_000).readinto(buffer) == 120_001
    assert buffer[:120_001] == b"1" * 60_000 + b"2" * 60_000 + b"3"


def test_a_connection_that_closes_early_is_told(pair: Pair) -> None:
    client, server = pair
    client.sendall(b"12345")
    client.close()
    body = body_of(server, 100)
    assert body.read(10) == b"12345"
    for _ in range(2):
        with pytest.raises(Disconnected):
            body.read(10)


def test_a_stall_is_told(pair: Pair) -> None:
    body = body_of(pair[1], 100)
    with pytest.raises(TooSlow):
        body.read(10)
    assert body.broken is not None


def test_the_body_is_asked_for_only_when_it_is_read(pair: Pair) -> None:
    client, server = pair
    body = body_of(server, 5, expects_continue=True)
    assert body.unread == 0
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)
    client.sendall(b"12345")
    assert body.read() == b"12345"
    assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_what_came_early_is_overwritten(pair: Pair) -> None:
    body = body_of(pair[1], 10, b"canary")
    body.wipe()
    assert body.read(6) == bytes(6)


@settings(max_examples=30)
@given(st.binary(max_size=2_000), st.integers(0, 2_000), st.lists(st.integers(1, 700), min_size=1, max_size=5))
def test_pieces_never_matter(data: bytes, split: int, sizes: list[int]) -> None:
    client, server = socket.socketpair()
    with client, server:
        server.settimeout(1.0)
        body = Body(server, bytearray(data[:split]), len(data), Pace(Rate()))
        sender = threading.Thread(target=client.sendall, args=(data[split:],))
        sender.start()
        came, turn = b"", 0
        while piece := body.read(sizes[turn % len(sizes)]):
            came += piece
            turn += 1
        sender.join()
    assert came == data


def test_what_has_come_is_not_awaited_again(pair: Pair) -> None:
    body = body_of(pair[1], 100, b"1234567890")
    assert (body.unread, body.left) == (90, 100)
    body.read(4)
    assert (body.unread, body.left) == (90, 96)
