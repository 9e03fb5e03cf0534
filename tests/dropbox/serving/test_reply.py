"""An answer tells nothing of what answers, can't be split or overrun, and gives up a reader that stands still."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dropbox.serving.pace import Disconnected, Pace, Rate, TooSlow
from dropbox.serving.prepared import PreparedPages, plain_page
from dropbox.serving.reply import Reply, prepared_bytes, wire_head

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    client, server = socket.socketpair()
    with client, server:
        server.settimeout(0.02)
        client.settimeout(5)
        yield client, server


def reply_of(pair: Pair, method: str = "GET") -> Reply:
    return Reply(pair[1], method, Pace(Rate(1_000, 0.1, 0.1)))


def received(pair: Pair) -> bytes:
    pair[1].close()
    came = b""
    while piece := pair[0].recv(65_536):
        came += piece
    return came


def test_nothing_tells_what_answers() -> None:
    head = wire_head("200 OK", [("Server", "x"), ("date", "now"), ("Transfer-Encoding", "y"), ("X-A", "b")])
    assert head == b"HTTP/1.1 200 OK\r\nX-A: b\r\nConnection: close\r\n\r\n"
    assert wire_head("404 NOT FOUND", []).startswith(b"HTTP/1.1 404 Not Found\r\n"), "a framework's own spelling"


@pytest.mark.parametrize(
    ("status", "header"),
    [
        ("200 OK\r\nX: canary", ("A", "b")),
        ("canary", ("A", "b")),
        ("299 canary", ("A", "b")),
        ("200 OK", ("A", "canary\r\nSet-Cookie: x")),
        ("200 OK", ("A\r\n", "canary")),
        ("200 OK", ("A", "canary\x00")),
        ("200 OK", ("A", "canary ก")),
    ],
)
def test_a_header_can_not_be_split_and_is_not_quoted(status: str, header: tuple[str, str]) -> None:
    with pytest.raises(ValueError) as error:
        wire_head(status, [header])
    assert "canary" not in str(error.value)


def test_never_more_than_the_content_length(pair: Pair) -> None:
    reply = reply_of(pair)
    reply.start_response("200 OK", [("Content-Length", "3")])
    reply.write(b"ab")
    reply.write(b"cdef")
    assert received(pair).endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "304 Not Modified"), ("GET", "204 No Content")]
)
def test_answers_that_have_no_body(pair: Pair, method: str, status: str) -> None:
    reply = reply_of(pair, method)
    reply.start_response(status, [("Content-Length", "3")])
    reply.write(b"abc")
    assert received(pair).endswith(b"\r\n\r\n")


def test_an_error_page_may_replace_what_has_not_gone_out(pair: Pair) -> None:
    reply = reply_of(pair)
    reply.start_response("200 OK", [])
    error = ValueError()
    reply.start_response("500 Internal Server Error", [], (ValueError, error, None))  # type: ignore[arg-type]
    reply.finish()
    with pytest.raises(ValueError):
        reply.start_response("500 Internal Server Error", [], (ValueError, error, None))  # type: ignore[arg-type]
    assert received(pair).startswith(b"HTTP/1.1 500 ")


def test_a_second_start_is_a_mistake(pair: Pair) -> None:
    reply = reply_of(pair)
    reply.start_response("200 OK", [])
    with pytest.raises(RuntimeError):
        reply.start_response("200 OK", [])


def test_a_reader_that_stands_still_is_given_up(pair: Pair) -> None:
    reply = reply_of(pair)
    reply.start_response("200 OK", [])
    with pytest.raises(TooSlow):
        reply.write(b"x" * 50_000_000)


def test_a_reader_that_is_gone_is_told(pair: Pair) -> None:
    pair[0].close()
    reply = reply_of(pair)
    reply.start_response("200 OK", [])
    with pytest.raises(Disconnected):
        for _ in range(10):
            reply.write(b"x" * 100_000)


@pytest.mark.parametrize("status", [400, 408, 411, 413, 414, 417, 431, 500, 503, 505])
def test_prepared_pages_speak_both_languages(status: int) -> None:
    page = plain_page(status).body.decode()
    assert "กรุณา" in page and '<p lang="en">' in page
    wire = prepared_bytes(PreparedPages({}).page(status), status)
    assert wire.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Length: %d\r\n" % len(page.encode()) in wire
    assert b"Cache-Control: no-store" in wire
    assert prepared_bytes(plain_page(status), status, "HEAD").endswith(b"\r\n\r\n")
