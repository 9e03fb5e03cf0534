"""Requests over a connection that may do anything: what comes whole is returned, all else is one of our errors."""

from __future__ import annotations

import contextlib
import io
import socket as sockets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journalist_station.courier.wire import Cut, Unwelcome, Wire, through_socket, through_tor
from keys.encoding import to_json
from keys.errors import DropBoxError, Malformed, Misconfigured, NoRoom, NotForUs, Refused, Stale
from tests.simulators.wires import answering, http


@contextlib.contextmanager
def server(folder: Path, answer: Callable[[bytes], bytes] | bytes) -> Iterator[Wire]:
    with answering(folder / "w", answer if callable(answer) else lambda request: answer) as path:
        yield Wire("example.onion", through_socket(path))


def test_a_request_is_as_short_as_can_be(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return http(b"body")

    with server(tmp_path, answer) as wire:
        assert wire.get("/v1/inventory", 100, "abc") == b"body"
        assert wire.post("/v1/session", b"{}", 2, 100) == b"body"
        assert wire.post("/v1/outbound", io.BytesIO(b"xyz"), 3, 100, "abc") == b"body"

    assert seen[0].split(b"\r\n") == [
        b"GET /v1/inventory HTTP/1.1",
        b"Host: example.onion",
        b"Accept-Encoding: identity",
        b"Authorization: Bearer abc",
        b"",
        b"",
    ]
    assert b"Authorization" not in seen[1]
    assert b"Content-Length: 2\r\n" in seen[1]
    assert seen[2].endswith(b"xyz") or b"Content-Length: 3" in seen[2]


SAID = to_json({"error": "What happened.", "hint": "What to do."})
STATUSES: list[tuple[int, type[DropBoxError]]] = [
    (400, Malformed),
    (401, Unwelcome),
    (403, Refused),
    (404, NotForUs),
    (405, Misconfigured),
    (413, Refused),
    (500, Misconfigured),
    (503, Stale),
    (507, NoRoom),
]


@pytest.mark.parametrize(("status", "error"), STATUSES)
def test_what_the_server_refuses_is_raised_as_what_it_is(
    tmp_path: Path, status: int, error: type[DropBoxError]
) -> None:
    with server(tmp_path, http(SAID, f"{status} No")) as wire, pytest.raises(error) as raised:
        wire.get("/", 100)

    assert raised.value.message == "The drop box says: What happened."
    assert raised.value.remedy == "What to do."


def test_what_passes_by_itself_is_tried_again(tmp_path: Path) -> None:
    with server(tmp_path, http(SAID, "503 Busy", Retry_After=5)) as wire, pytest.raises(Cut, match="What happened"):
        wire.get("/", 100)


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"{}", to_json({"error": "", "hint": 1}), bytes(20_000)])
def test_what_is_not_the_services_own_word_is_tried_again(tmp_path: Path, body: bytes) -> None:
    with server(tmp_path, http(body, "503 Busy")) as wire, pytest.raises(Cut, match="503"):
        wire.get("/", 100)


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "half a status": b"HTTP/1.1 20",
    "half a head": http(b"body")[:30],
    "no length": http(b"body", Content_Length=None),
    "a length that is a word": http(b"body", Content_Length="many"),
    "a length below zero": http(b"body", Content_Length="-4"),
    "a length in other digits": "HTTP/1.1 200 OK\r\nContent-Length: ๔\r\n\r\nbody".encode(),
    "a length without end": http(b"body", Content_Length="9" * 5_000),
    "two lengths": http(b"body", Content_Length="4\r\nContent-Length: 40"),
    "less than it says": http(b"body", Content_Length=5),
    "pieces": http(b"4\r\nbody\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked"),
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5_000,
    "a line without end": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000,
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_is_not_whole_is_a_cut(tmp_path: Path, raw: bytes) -> None:
    with server(tmp_path, raw) as wire, pytest.raises(Cut):
        wire.get("/", 100)


def test_an_answer_that_is_too_long_is_not_taken_in(tmp_path: Path) -> None:
    with server(tmp_path, http(bytes(1_000))) as wire:
        with pytest.raises(Malformed):
            wire.get("/", 999)
        assert len(wire.get("/", 1_000)) == 1_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(raw=st.binary(max_size=200), begins=st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", http(b"")[:-2]]))
def test_any_answer_raises_only_our_errors(tmp_path: Path, raw: bytes, begins: bytes) -> None:
    with server(tmp_path, begins + raw) as wire, contextlib.suppress(DropBoxError):
        wire.get("/", 100)
    with server(tmp_path, http(raw, "400 No")) as wire, pytest.raises(DropBoxError):
        wire.get("/", 100)


def test_what_came_before_a_break_is_kept(tmp_path: Path) -> None:
    with server(tmp_path, http(b"12345", Content_Length=9)) as wire, wire.streamed("/", b"", "") as answer:
        got = b""
        with pytest.raises(Cut):
            while True:
                got += answer.some(4)
        assert got == b"12345"
        assert answer.left == 4


def test_a_server_that_refuses_before_it_has_read_all_is_heard(tmp_path: Path) -> None:
    """It answers on the first bytes and closes, while megabytes are still on their way to it."""
    listener = sockets.socket(sockets.AF_UNIX)
    listener.bind(str(tmp_path / "w"))
    listener.listen(1)

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1_000)
            connection.sendall(http(SAID, "403 Forbidden"))

    thread = threading.Thread(target=refuse)
    thread.start()
    try:
        with pytest.raises((Refused, Cut)) as raised:
            wire = Wire("x", through_socket(tmp_path / "w"))
            wire.post("/v1/outbound", io.BytesIO(bytes(8 << 20)), 8 << 20, 100)
    finally:
        thread.join()
        listener.close()
    assert isinstance(raised.value, Refused), "a Unix socket keeps what was sent before it was closed"


def test_a_body_that_can_t_be_read_is_not_the_connection_s_fault(tmp_path: Path) -> None:
    class Broken:
        def read(self, size: int, /) -> bytes:
            raise Misconfigured("The stick is broken.")

    with server(tmp_path, http(b"")) as wire, pytest.raises(Misconfigured):
        wire.post("/", Broken(), 5, 100)


def test_no_service_is_a_cut(tmp_path: Path) -> None:
    with pytest.raises(Cut):
        Wire("x", through_socket(tmp_path / "nothing")).get("/", 100)


class Socks:
    """A SOCKS port as tor's, for one connection; it passes on to nobody, and answers by itself."""

    def __init__(self, reply: bytes, answer: bytes = b"") -> None:
        self.asked: list[bytes] = []
        self._reply = reply
        self._answer = answer
        self._listener = sockets.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            self.asked.append(connection.recv(64))
            connection.sendall(b"\x05\x02")
            self.asked.append(connection.recv(600))
            connection.sendall(b"\x01\x00")
            self.asked.append(connection.recv(600))
            connection.sendall(self._reply)
            if self._answer:
                self.asked.append(connection.recv(4_000))
                connection.sendall(self._answer)

    def close(self) -> None:
        self._listener.close()
        self._thread.join()


GRANTED = b"\x05\x00\x00\x01" + bytes(6)
ONION = "a" * 56 + ".onion"


def test_tor_is_given_the_name_and_keeps_servers_apart() -> None:
    socks = Socks(GRANTED, http(b"body"))
    try:
        assert Wire(ONION, through_tor(ONION, 80, "127.0.0.1", socks.port, "alpha")).get("/", 100) == b"body"
    finally:
        socks.close()

    greeting, login, request, asked = socks.asked
    assert 2 in greeting[2:], "it offers to log in, which is how tor keeps circuits apart"
    assert login == b"\x01\x05alpha\x01-"
    assert request == b"\x05\x01\x00\x03\x3e" + ONION.encode() + b"\x00\x50", "the name itself, resolved by nobody here"
    assert f"Host: {ONION}".encode() in asked


@pytest.mark.parametrize(
    "reply", [b"", b"\x05", b"\x05\x01\x00\x01" + bytes(6), b"\x05\xf4\x00\x01" + bytes(6), b"HTTP/1.1"]
)
def test_when_tor_can_t_reach_it_that_is_a_cut(reply: bytes) -> None:
    socks = Socks(reply)
    try:
        with pytest.raises(Cut, match="Tor") as raised:
            through_tor(ONION, 80, "127.0.0.1", socks.port, "alpha")()
    finally:
        socks.close()
    assert "revoked" in raised.value.remedy


def test_when_tor_doesn_t_run_that_is_a_cut() -> None:
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Cut, match="Tor"):
        through_tor(ONION, 80, "127.0.0.1", port, "alpha")()
