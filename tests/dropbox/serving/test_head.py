"""One spelling of a request's head is read, every other refused before it ends, and no repr shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox.serving.head import (
    FIELDS_MAX,
    Circuits,
    ExpectationRefused,
    Head,
    HeadReader,
    HeadRefused,
    HeadTooLarge,
    LengthRequired,
    TargetTooLong,
    VersionRefused,
    parse_proxy_line,
)

HOST = b"Host: example.onion\r\n"
PROXY = b"PROXY TCP6 fc00:dead:beef:4dad::12:abcd ::1 43981 80\r\n"


def read(data: bytes, circuits: Circuits = Circuits.ABSENT) -> Head | None:
    return HeadReader(circuits).feed(data)


def whole(data: bytes) -> Head:
    head = read(data)
    assert head is not None
    return head


def test_a_browsers_request_is_read() -> None:
    head = whole(
        b"POST /send/%E0%B8%81?a=1&b=2?3 HTTP/1.1\r\nHost: abc.onion:80\r\nUser-Agent: Mozilla/5.0\r\nAccept:  */* \r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 12\r\nCookie: a=1; b=\xe0\xb8\x81\r\n\r\n"
    )
    assert (head.method, head.path, head.query, head.version) == ("POST", "/send/%E0%B8%81", "a=1&b=2?3", "HTTP/1.1")
    assert head.length == 12
    assert ("accept", "*/*") in head.fields
    assert ("cookie", "a=1; b=\xe0\xb8\x81") in head.fields
    assert head.circuit is None


def test_what_follows_the_head_is_the_body() -> None:
    reader = HeadReader(Circuits.REQUIRED)
    assert reader.feed(PROXY + b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n\x00\r\n\r\nbo") is not None
    assert reader.body() == b"\x00\r\n\r\nbo"
    assert reader.circuit == 0x12ABCD
    reader.wipe()
    assert not any(reader.received)


def test_a_head_may_come_byte_by_byte() -> None:
    data = PROXY + b"GET /a HTTP/1.1\r\n" + HOST + b"X: y\r\n\r\n"
    reader = HeadReader(Circuits.REQUIRED)
    for position in range(len(data) - 1):
        assert reader.feed(data[position : position + 1]) is None
    head = reader.feed(data[-1:])
    assert head is not None
    assert (head.path, head.circuit) == ("/a", 0x12ABCD)


def test_neither_head_nor_request_shows_what_it_holds() -> None:
    head = whole(b"GET /?canary HTTP/1.1\r\nCookie: canary\r\n" + HOST + b"\r\n")
    assert "canary" not in f"{head!r} {head}"


REFUSALS = {
    b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n": HeadRefused,
    b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n": HeadRefused,
    b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n": HeadRefused,
    b"GET /\xe0\xb8\x81 HTTP/1.1\r\n" + HOST + b"\r\n": HeadRefused,
    b"GET http://example.onion/ HTTP/1.1\r\n" + HOST + b"\r\n": HeadRefused,
    b"GET /#part HTTP/1.1\r\n" + HOST + b"\r\n": HeadRefused,
    b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n": HeadRefused,
    b"GET /\r\n" + HOST + b"\r\n": HeadRefused,
    b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n": HeadRefused,
    b"GET / HTTP/2.0\r\n" + HOST + b"\r\n": VersionRefused,
    b"GET / HTTP/0.9\r\n" + HOST + b"\r\n": VersionRefused,
    b"GET / HTTP/1.1\r\n\r\n": HeadRefused,
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n": HeadRefused,
    b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n": HeadRefused,
    b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n": HeadRefused,
    b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n folded\r\n\r\n": HeadRefused,
    b"GET / HTTP/1.1\r\n" + HOST + b"A : b\r\n\r\n": HeadRefused,
    b"GET / HTTP/1.1\r\n" + HOST + b"A_B: c\r\n\r\n": HeadRefused,
    b"GET / HTTP/1.1\r\n" + HOST + b"A\r\n\r\n": HeadRefused,
    b"GET / HTTP/1.1\r\n" + HOST + b": a\r\n\r\n": HeadRefused,
    b"GET / HTTP/1.1\r\n" + HOST + b"A: b\x00\r\n\r\n": HeadRefused,
    b"GET / HTTP/1.1\r\n" + HOST + b"A: b\rc\r\n\r\n": HeadRefused,
    b"GET / HTTP/1.1\n" + HOST + b"\r\n": HeadRefused,
    b"GET / HTTP/1.1\r\n" + HOST + b"A: b\n\r\n": HeadRefused,
    b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n": HeadRefused,
    b"POST / HTTP/1.1\r\n" + HOST + b"\r\n": LengthRequired,
    b"PUT / HTTP/1.1\r\n" + HOST + b"\r\n": LengthRequired,
    b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n": LengthRequired,
    b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n": LengthRequired,
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n": HeadRefused,
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n": HeadRefused,
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 1\r\n\r\n": HeadRefused,
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n": HeadRefused,
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\n": HeadRefused,
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: \xb2\r\n\r\n": HeadRefused,
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9999999999999999999\r\n\r\n": HeadRefused,
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nExpect: a-pony\r\n\r\n": ExpectationRefused,
    b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n": TargetTooLong,
    b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 17_000 + b"\r\n\r\n": HeadTooLarge,
    b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * FIELDS_MAX + b"\r\n": HeadTooLarge,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n": HeadRefused,
}


@pytest.mark.parametrize("data", REFUSALS, ids=lambda data: repr(data[:60]))
def test_every_other_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(HeadRefused) as refusal:
        read(data)
    assert type(refusal.value) is REFUSALS[data]


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x03\x01",
        b"\xff\xfe",
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1.1\r\nA: \x00",
        b"a" * 33,
        b" ",
        b"\r\n",
        b"GET /" + b"a" * 5_000,
        b"GET / HTTP/1.1\r\nA: " + b"b" * 17_000,
    ],
    ids=repr,
)
def test_what_can_never_become_a_head_is_refused_before_it_ends(start: bytes) -> None:
    with pytest.raises(HeadRefused):
        read(start)


def test_without_a_body_none_is_awaited() -> None:
    assert whole(b"GET / HTTP/1.0\r\n\r\n").length == 0
    assert whole(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n").length == 0


def test_expectations() -> None:
    with_it = b"POST / HTTP/%b\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n"
    assert whole(with_it % b"1.1").expects_continue
    assert not whole(with_it % b"1.0").expects_continue


class TestProxyLine:
    GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"

    def test_it_gives_the_circuit(self) -> None:
        head = read(PROXY + self.GET, Circuits.REQUIRED)
        assert head is not None and head.circuit == 0x12ABCD
        assert parse_proxy_line(b"PROXY TCP6 fc00:dead:beef:4dad::ffff:ffff ::1 65535 42") == 0xFFFFFFFF
        assert parse_proxy_line(b"PROXY TCP6 fc00:dead:beef:4dad::0:1 ::1 1 80") == 1

    def test_where_it_is_required_nothing_goes_without_it(self) -> None:
        with pytest.raises(HeadRefused):
            read(b"GET", Circuits.REQUIRED)

    def test_where_it_is_optional_both_ways_work(self) -> None:
        named, unnamed = read(PROXY + self.GET, Circuits.OPTIONAL), read(self.GET, Circuits.OPTIONAL)
        assert named is not None and named.circuit == 0x12ABCD
        assert unnamed is not None and unnamed.circuit is None

    def test_where_it_is_absent_it_is_no_request(self) -> None:
        with pytest.raises(HeadRefused):
            read(PROXY + self.GET, Circuits.ABSENT)

    def test_a_client_cannot_add_a_second_one(self) -> None:
        with pytest.raises(HeadRefused):
            read(PROXY + PROXY + self.GET, Circuits.REQUIRED)

    @pytest.mark.parametrize(
        "line",
        [
            b"PROXY TCP6 2001:db8::1 ::1 1 80\r\n",
            b"PROXY TCP4 127.0.0.1 127.0.0.1 1 80\r\n",
            b"PROXY UNKNOWN\r\n",
            b"PROXY TCP6 fc00:dead:beef:4dad:::1 ::1 1 80\r\n",
            b"PROXY TCP6 fc00:dead:beef:4dad::12:abcd ::1 43981 80\n\r\n",
            b"PROXY " + b"x" * 200,
        ],
        ids=repr,
    )
    def test_any_other_is_refused(self, line: bytes) -> None:
        with pytest.raises(HeadRefused):
            read(line + self.GET, Circuits.REQUIRED)


@given(st.binary(max_size=400), st.sampled_from(Circuits))
def test_any_bytes_give_a_head_or_a_refusal(data: bytes, circuits: Circuits) -> None:
    try:
        read(data, circuits)
    except HeadRefused:
        return


@given(
    st.lists(
        st.sampled_from(
            [
                b"GET",
                b" ",
                b"/",
                b"HTTP/1.1",
                b"\r\n",
                b"Host: a",
                b"\n",
                b"\r",
                b"A:",
                b"Content-Length: 5",
                b"\x00",
                b"x",
            ]
        ),
        max_size=30,
    ),
    st.integers(1, 7),
)
def test_the_size_of_the_pieces_never_matters(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)

    def outcome(pieces: list[bytes]) -> object:
        reader = HeadReader(Circuits.ABSENT)
        try:
            for piece in pieces:
                head = reader.feed(piece)
                if head is not None:
                    return (head.method, head.path, head.fields, head.length)
        except HeadRefused:
            return "refused"
        return "unfinished"

    assert outcome([data[i : i + size] for i in range(0, len(data), size)]) == outcome([data])
