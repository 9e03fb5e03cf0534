"""What a visitor, or an attacker, sees of the worker: each test talks to real processes over their Unix socket.

Promise 8: what floods one lane leaves the others answering.
"""

from __future__ import annotations

import contextlib
import hashlib
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dropbox.serving.small_site import BUSY_PAGE
from tests.dropbox.serving.visitors import Server, Visit, parse_response, small_site, wait_until

AT_ONCE_SECONDS = 2.0
HOST = b"Host: example.onion\r\n"
PROXY = b"PROXY TCP6 fc00:dead:beef:4dad::0:9 ::1 9 80\r\n"


def answers_at_once(server: Server, circuit: int = 9_999) -> None:
    since = time.monotonic()
    assert server.get("/", circuit=circuit).status == 200
    assert time.monotonic() - since < AT_ONCE_SECONDS


class TestWhatTheApplicationIsTold:
    def test_flask_finds_its_way(self, site: Server) -> None:
        facts = site.get("/flask/%E0%B8%81%20a?x=1&y=%E0%B8%82", "Cookie: a=1", "Cookie: b=2").facts
        assert facts["name"] == "ก a"
        assert facts["args"] == {"x": "1", "y": "ข"}
        assert facts["cookies"] == {"a": "1", "b": "2"}
        assert facts["host"] == "example.onion"
        assert facts["url"].startswith("http://example.onion/flask/")

    def test_forms_are_read(self, site: Server) -> None:
        kind = "Content-Type: application/x-www-form-urlencoded"
        facts = site.post("/flask/form", b"m=%E0%B8%81&n=", kind).facts
        assert facts["form"] == {"m": "ก", "n": ""}
        assert (facts["type"], facts["length"]) == ("application/x-www-form-urlencoded", 14)

    def test_the_circuit_is_told(self, site: Server) -> None:
        assert site.get("/", circuit=0xBEEF_1234).facts["circuit"] == 0xBEEF_1234

    def test_without_tors_line_there_is_no_answer(self, site: Server) -> None:
        with Visit(site.socket_path) as visit:
            visit.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert visit.response().status == 400

    def test_a_circuit_may_be_unknown_where_the_plan_says_so(self, folder: Path) -> None:
        with small_site(folder, circuits="optional") as server:
            assert server.get("/").facts["circuit"] is None
            with Visit(server.socket_path, circuit=77) as visit:
                visit.head("GET", "/")
                assert visit.response().facts["circuit"] == 77


class TestWhatIsNotTold:
    @pytest.mark.parametrize("target", ["/", "/nowhere", "/fail", "/refuse", "/big?10", "/flask/x", "/flask/fail"])
    def test_no_header_names_software_or_time(self, site: Server, target: str) -> None:
        response = site.get(target)
        assert not {"server", "date", "via", "x-powered-by", "etag"} & set(response.headers)
        assert response.headers["connection"] == "close"
        assert b"gunicorn" not in response.body and b"Python" not in response.body

    def test_refusals_neither(self, site: Server) -> None:
        for data in (
            PROXY + b"\x00",
            PROXY + b"GET / HTTP/3.0\r\n\r\n",
            PROXY + b"POST / HTTP/1.1\r\n" + HOST + b"\r\n",
        ):
            with Visit(site.socket_path) as visit:
                visit.send(data)
                response = visit.response()
            assert set(response.headers) == {
                "content-type",
                "content-length",
                "cache-control",
                "content-security-policy",
                "referrer-policy",
                "x-content-type-options",
                "connection",
            }
            assert b"gunicorn" not in response.body.lower()

    def test_errors_leave_nothing_of_the_request_in_the_log(self, folder: Path) -> None:
        with small_site(folder) as server:
            assert server.post("/fail?canaryquery", b"canarybody", "Cookie: canarycookie").status == 500
            assert server.get("/flask/fail?canaryflask", "X-Canary: canaryheader").status == 500
            assert b"a first part" in server.raw(PROXY_GET % b"/fail-late?canarylate")
            server.raw(b"canaryline canary\r\n\r\n")
            server.raw(PROXY_GET % (b"/canarypath" + b"x" * 9_000))
            with server.visit() as visit:
                visit.head("POST", "/send?canarysend", length=1_000)
                visit.send(b"canarysent")
            wait_until(lambda: server.status()["interrupted"] == 1, "the broken upload is noticed")
        log = server.log()
        assert "A request failed: ValueError at" in log
        assert "canary" not in log
        assert "Traceback" not in log

    def test_an_error_page_is_the_sites_own_and_says_nothing(self, site: Server) -> None:
        page = site.get("/fail?canary")
        assert page.status == 500
        assert b"canary" not in page.body and b"Error" not in page.body
        assert "ระบบของเราขัดข้อง" in page.body.decode()


PROXY_GET = b"GET %b HTTP/1.1\r\n" + HOST + b"\r\n"


class TestMalformedRequests:
    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
            (b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 20_000 + b"\r\n\r\n", 431),
            (bytes(range(256)) * 40, 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"GET / HTTP/1.1\r\nA: b\r\n\r\n", 400),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
            (b"POST /send HTTP/1.1\r\n" + HOST + b"\r\n", 411),
            (b"POST /send HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 411),
            (b"POST /send HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
            (b"POST /send HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nExpect: x\r\n\r\na", 417),
            (b"POST /send HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999\r\n\r\na", 413),
            (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 65537\r\n\r\n" + b"a" * 65_537, 413),
        ],
        ids=lambda value: repr(value)[:50],
    )
    def test_each_gets_its_status_and_a_page(self, site: Server, data: bytes, status: int) -> None:
        with site.visit() as visit:
            with contextlib.suppress(BrokenPipeError):
                visit.send(data)
            response = visit.response()
        assert response.status == status
        assert "กรุณา" in response.body.decode()
        assert site.process.poll() is None

    def test_no_worker_is_lost_to_them(self, site: Server) -> None:
        before = site.workers()
        for data in (b"\x00", b"G", b"GET", b"\r\n\r\n", b"\xff" * 100_000):
            with site.visit() as visit, contextlib.suppress(BrokenPipeError):
                visit.send(data)
        answers_at_once(site)
        assert site.workers() == before

    def test_a_body_shorter_than_announced_is_interrupted(self, folder: Path) -> None:
        with small_site(folder) as server:
            with server.visit() as visit:
                visit.head("POST", "/send", length=1_000_000)
                visit.send(b"x" * 1_000)
            wait_until(lambda: server.status()["interrupted"] == 1, "the upload is broken off")

    def test_of_a_body_longer_than_announced_only_that_much_is_read(self, site: Server) -> None:
        with site.visit() as visit:
            visit.head("POST", "/send", length=10)
            visit.send(b"0123456789" + b"more" * 1_000)
            assert visit.response().facts["bytes"] == 10

    def test_a_client_that_waits_to_be_asked_is_asked(self, site: Server) -> None:
        for target in ("/send", "/login"):
            with site.visit() as visit:
                visit.head("POST", target, "Expect: 100-continue", length=4)
                assert visit.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
                visit.send(b"body")
                assert visit.response().status == 200

    def test_or_is_refused_before_it_sent_anything(self, site: Server) -> None:
        with site.visit() as visit:
            visit.head("POST", "/refuse", "Expect: 100-continue", length=4)
            assert visit.response().status == 413

    def test_heads_of_answers_only(self, site: Server) -> None:
        response = site.get("/big?1000", method="HEAD")
        assert (response.status, response.headers["content-length"], response.body) == (200, "1000", b"")


class TestHalfSentHeads:
    @pytest.mark.parametrize("count", [60, 500])
    def test_they_leave_pages_answering(self, site: Server, count: int) -> None:
        with contextlib.ExitStack() as visits:
            for circuit in range(count):
                visit = visits.enter_context(site.visit(circuit))
                visit.send(b"GET / HTTP/1.1\r\nHost: exa" if circuit % 2 else b"")
            answers_at_once(site)
            assert site.post("/send", b"x" * 100_000).status == 200

    def test_they_end_at_their_deadline_with_a_page(self, folder: Path) -> None:
        with small_site(folder, head_seconds=0.3) as server, server.visit() as visit:
            visit.send(b"GET / HTTP/1.1\r\n")
            assert visit.response().status == 408

    def test_those_of_one_circuit_make_room_for_each_other(self, folder: Path) -> None:
        with small_site(folder, page_processes=1) as server, contextlib.ExitStack() as visits:
            flood = [visits.enter_context(server.visit(circuit=5)) for _ in range(40)]
            other = visits.enter_context(server.visit(circuit=6))
            other.send(b"GET / HTTP/1.1\r\n")
            assert flood[0].rest() == b""
            other.send(HOST + b"\r\n")
            assert other.response().status == 200

    def test_half_sent_bodies_take_no_thread_either(self, site: Server) -> None:
        with contextlib.ExitStack() as visits:
            for circuit in range(60):
                visit = visits.enter_context(site.visit(circuit))
                visit.head("POST", "/login" if circuit % 2 else "/", length=4_000)
                visit.send(b"half")
            answers_at_once(site)
            assert site.post("/login", b"abc").facts["body"] == "abc"

    def test_those_that_would_fill_the_memory_give_way(self, folder: Path) -> None:
        settings = {"page_processes": 1, "gathered_bytes": 200_000}
        with small_site(folder, **settings) as server, contextlib.ExitStack() as visits:
            flood = [visits.enter_context(server.visit(circuit)) for circuit in (1, 2, 2, 2)]
            for visit in flood:
                visit.head("POST", "/", length=60_000)
                visit.send(b"half")
            assert flood[1].response().status == 503
            flood[0].send(b"x" * 59_996)
            assert flood[0].response().status == 200

    def test_a_small_body_that_never_comes_ends(self, folder: Path) -> None:
        settings = {"bytes_per_second": 10_000, "grace_seconds": 0.2}
        with small_site(folder, **settings) as server, server.visit() as visit:
            visit.head("POST", "/login", length=1_000)
            visit.send(b"half")
            assert visit.response().status == 408


class TestLanes:
    def test_uploads_that_fill_their_lane_leave_pages_answering(self, folder: Path) -> None:
        with small_site(folder, file_threads=8, file_waiting=4) as server, contextlib.ExitStack() as visits:
            for circuit in range(12):
                visit = visits.enter_context(server.visit(circuit))
                visit.head("POST", "/send", length=1_000_000)
                visit.send(b"x" * 1_000)
            wait_until(lambda: server.status()["running"] == 8, "the lane is full")
            answers_at_once(server)
            assert server.post("/login", b"abc").status == 200

    @pytest.mark.parametrize("one_crew", [False, True])
    def test_who_finds_no_room_gets_a_page_not_a_reset(self, folder: Path, one_crew: bool) -> None:
        settings = {
            "file_threads": 2,
            "file_waiting": 1,
            "wait_seconds": 0.5,
            "one_crew": one_crew,
            "page_processes": 1,
        }
        with small_site(folder, **settings) as server, contextlib.ExitStack() as visits:
            uploads = []
            for circuit in range(4):
                uploads.append(visits.enter_context(server.visit(circuit)))
                uploads[-1].head("POST", "/send", length=300_000)
                uploads[-1].send(b"x" * 100_000)
            wait_until(lambda: server.status()["running"] == 2, "two uploads run")
            for late in uploads[2:]:
                late.send(b"x" * 200_000)
                response = late.response()
                assert (response.status, response.body.decode()) == (503, BUSY_PAGE)
            for early in uploads[:2]:
                early.send(b"x" * 200_000)
                assert early.response().facts["bytes"] == 300_000

    def test_who_waits_a_little_is_served(self, folder: Path) -> None:
        settings = {"file_threads": 1, "file_waiting": 1, "wait_seconds": 10.0}
        with small_site(folder, **settings) as server, server.visit(1) as first, server.visit(2) as second:
            first.head("POST", "/send", length=10)
            wait_until(lambda: server.status()["running"] == 1, "the first runs")
            second.head("POST", "/send", length=10)
            second.send(b"x" * 10)
            first.send(b"x" * 10)
            assert first.response().status == 200
            assert second.response().status == 200

    def test_one_circuit_cannot_fill_a_lane(self, folder: Path) -> None:
        settings = {"file_threads": 4, "per_circuit": 2, "file_waiting": 20, "wait_seconds": 0.5}
        with small_site(folder, **settings) as server, contextlib.ExitStack() as visits:
            flood = [visits.enter_context(server.visit(circuit=5)) for _ in range(6)]
            for visit in flood:
                visit.head("POST", "/send", length=10)
            wait_until(lambda: server.status()["running"] == 2, "two of the flood run")
            assert server.post("/send", b"x" * 10, circuit=6).status == 200
            assert server.status()["running"] == 2
            # Which two of them run is up to the processes at the door; all six sit on the same circuit.
            sockets = {visit.socket: visit for visit in flood}
            wait_until(lambda: len(select.select(sockets, [], [], 0)[0]) >= 4, "four have their answer")
            refused = [sockets[answered] for answered in select.select(sockets, [], [], 0)[0]]
            assert [visit.response().status for visit in refused] == [503] * 4

    def test_uploads_spread_over_the_processes_of_their_crew(self, folder: Path) -> None:
        settings = {"file_processes": 2, "file_threads": 40, "wait_seconds": 5.0}
        with small_site(folder, **settings) as server, contextlib.ExitStack() as visits:
            for circuit in range(40):
                visit = visits.enter_context(server.visit(circuit))
                visit.head("POST", "/send", length=10)
            wait_until(lambda: server.status()["running"] == 40, "all uploads run")
            owners = server.status()["owners"]
            # Even shares are the rule; a machine that has no time for one of them may shift some to the other.
            assert sorted(set(owners)) == sorted(server.workers("files"))
            assert min(owners.count(owner) for owner in set(owners)) >= 5


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A site that wants 1,000 bytes a second, looks twice a second, and has one thread for pages."""
    settings = {"bytes_per_second": 1_000, "window_seconds": WINDOW_SECONDS, "grace_seconds": WINDOW_SECONDS}
    with small_site(tmp_path_factory.mktemp("impatient"), page_threads=1, page_processes=1, **settings) as server:
        yield server


WINDOW_SECONDS = 0.5


class TestPace:
    def test_a_slow_honest_upload_survives_every_window(self, impatient: Server) -> None:
        data = bytes(range(200)) * 40
        with impatient.visit() as visit:
            visit.head("POST", "/send", length=len(data))
            since = time.monotonic()
            for position in range(0, len(data), 200):
                visit.send(data[position : position + 200])
                time.sleep(0.05)  # 4,000 bytes a second, in small pieces: the pace is what is tested.
            response = visit.response()
        assert time.monotonic() - since > 3 * WINDOW_SECONDS
        assert response.facts["sha256"] == hashlib.sha256(data).hexdigest()

    def test_a_stalled_one_ends_and_is_told(self, impatient: Server) -> None:
        before = impatient.status()["interrupted"]
        with impatient.visit() as visit:
            visit.head("POST", "/send", length=100_000)
            visit.send(b"x" * 50_000)
            assert visit.response().status == 408
        assert impatient.status()["interrupted"] == before + 1

    def test_a_trickle_ends_though_it_never_stalls(self, impatient: Server) -> None:
        before, deadline = impatient.status()["interrupted"], time.monotonic() + 15
        with impatient.visit() as visit, contextlib.suppress(BrokenPipeError):
            visit.head("POST", "/send", length=1_000_000)
            while time.monotonic() < deadline:
                visit.send(b"x")
                time.sleep(0.02)
        assert time.monotonic() < deadline
        assert impatient.status()["interrupted"] == before + 1

    def test_a_reader_that_stands_still_frees_its_thread(self, impatient: Server) -> None:
        with impatient.visit() as visit:
            visit.head("GET", "/big?50000000")
            visit.socket.recv(1)
            wait_until(lambda: impatient.get("/", circuit=2).status == 200, "the thread is free again")

    def test_one_that_is_refused_and_stops_sending_is_let_go(self, impatient: Server) -> None:
        with impatient.visit() as visit:
            visit.head("POST", "/refuse", length=1_000_000)
            visit.send(b"x" * 1_000)
            assert parse_response(visit.rest()).status == 413


@pytest.mark.long
def test_a_thousand_slow_uploads_are_held_and_pages_answer(folder: Path) -> None:
    seconds, piece = 10, b"x" * 5_000
    settings = {"file_processes": 2, "file_threads": 600, "file_waiting": 400, "wait_seconds": 10.0}
    with small_site(folder, **settings) as server, contextlib.ExitStack() as visits:
        uploads = [visits.enter_context(server.visit(circuit)) for circuit in range(1_000)]
        for visit in uploads:
            visit.head("POST", "/send", length=seconds * len(piece))
        wait_until(lambda: server.status()["running"] == len(uploads), "all run")
        for _ in range(seconds):
            next_second = time.monotonic() + 1
            for visit in uploads:
                visit.send(piece)
            answers_at_once(server)
            time.sleep(max(0.0, next_second - time.monotonic()))  # 5,000 bytes a second each.
        assert all(visit.response().facts["bytes"] == seconds * len(piece) for visit in uploads)


class TestEarlyRefusals:
    def test_the_page_comes_when_everything_has_been_sent(self, site: Server) -> None:
        body = b"x" * 5_000_000
        with site.visit() as visit:
            visit.head("POST", "/refuse", length=len(body))
            visit.send(body)
            response = parse_response(visit.rest())
        assert (response.status, response.body) == (413, b"this is too large")

    def test_meanwhile_no_thread_is_held(self, folder: Path) -> None:
        with small_site(folder, file_threads=1, file_waiting=10) as server, contextlib.ExitStack() as visits:
            sending = []
            for circuit in range(5):
                sending.append(visits.enter_context(server.visit(circuit)))
                sending[-1].head("POST", "/refuse", length=1_000_000)
                sending[-1].send(b"x" * 100)
            assert server.post("/send", b"abc", circuit=50).status == 200
            for visit in sending:
                visit.send(b"x" * 999_900)
                assert visit.response().status == 413

    def test_no_more_is_taken_than_the_bound(self, folder: Path) -> None:
        with small_site(folder, drain_bytes=1_000_000) as server, server.visit() as visit:
            visit.head("POST", "/refuse", length=100_000_000)
            sent = 0
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                while sent < 100_000_000:
                    sent += visit.socket.send(b"x" * 65_536)
            assert sent < 10_000_000

    def test_a_large_page_comes_whole(self, site: Server) -> None:
        assert site.get("/big?3000000").body == b"x" * 3_000_000


PARTS = [
    PROXY,
    b"GET / HTTP/1.1\r\n",
    b"POST /login HTTP/1.1\r\n",
    b"POST /send HTTP/1.1\r\n",
    HOST,
    b"Content-Length: 5\r\n",
    b"Content-Length: 99999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"\r\n",
    b"hello",
    b"\x00",
    b"\n",
]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with small_site(tmp_path_factory.mktemp("fuzzed"), head_seconds=5.0) as server:
        yield server


class TestAnything:
    @settings(max_examples=100)
    @given(st.lists(st.sampled_from(PARTS) | st.binary(max_size=40), max_size=10))
    def test_any_bytes_are_answered_or_dropped_and_break_nothing(self, fuzzed: Server, parts: list[bytes]) -> None:
        with Visit(fuzzed.socket_path) as visit:
            with contextlib.suppress(BrokenPipeError):
                visit.send(b"".join(parts))
            visit.socket.shutdown(socket.SHUT_WR)
            came = visit.rest().replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
        assert not came or parse_response(came).status in (200, 400, 411, 413, 414, 417, 431, 505)

    def test_and_nobody_noticed(self, fuzzed: Server) -> None:
        assert fuzzed.get("/").status == 200
        assert fuzzed.log() == ""
