"""A small site under the real serving code, as a program: what the tests of serving start, load and kill.

Started with one JSON argument (`Settings`). Two processes for pages, and one or more for uploads, unless told
otherwise. What workers tell each other stands in one anonymous map, made before the fork as a real store's is.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropbox.serving import memory
from dropbox.serving.gate import Busy, Gate
from dropbox.serving.head import Circuits
from dropbox.serving.lanes import Lane, Route
from dropbox.serving.launch import serve
from dropbox.serving.pace import BodyBroken, Rate
from dropbox.serving.plan import Crew, Limits, Plan, Site
from dropbox.serving.prepared import PreparedPage
from keys.errors import DropBoxError

if TYPE_CHECKING:
    import flask
    from _typeshed.wsgi import StartResponse

PIECE_BYTES = 65_536
BUSY_PAGE = "เต็มแล้ว · full"


@dataclass(frozen=True)
class Settings:
    folder: str
    page_processes: int = 2
    file_processes: int = 1
    file_threads: int = 8
    page_threads: int = 4
    file_waiting: int = 4
    per_circuit: int = 1000
    wait_seconds: float = 1.0
    circuits: str = "required"
    bytes_per_second: int = 1_000
    window_seconds: float = 60.0
    grace_seconds: float = 30.0
    head_seconds: float = 20.0
    drain_bytes: int = 1 << 30
    gathered_bytes: int = 1 << 25
    stop_seconds: float = 20.0
    lifetime_seconds: float | None = None
    one_crew: bool = False
    group: str | None = None
    poison: bool = False
    shield: bool = False


class Claims:
    """What uploads have claimed, by process: 4,096 slots of (process, outcome), freed when a process ends."""

    SLOT = struct.Struct("<IB")
    RUNNING, FINISHED, INTERRUPTED = 1, 2, 3

    def __init__(self, folder: Path) -> None:
        self._map = mmap.mmap(-1, 4096 * self.SLOT.size)
        self._lock = folder / "claims.lock"

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def slots(self) -> list[tuple[int, int]]:
        return list(self.SLOT.iter_unpack(self._map[:]))

    def claim(self) -> int:
        with self.locked():
            number = self.slots().index((0, 0))
            self.settle(number, self.RUNNING)
            return number

    def settle(self, number: int, outcome: int) -> None:
        self.SLOT.pack_into(self._map, number * self.SLOT.size, os.getpid(), outcome)

    def release_worker(self, pid: int) -> None:
        for number, (owner, outcome) in enumerate(self.slots()):
            if owner == pid and outcome == self.RUNNING:
                self.SLOT.pack_into(self._map, number * self.SLOT.size, 0, 0)

    def count(self, outcome: int) -> int:
        return sum(1 for _, state in self.slots() if state == outcome)

    def owners(self) -> list[int]:
        return [owner for owner, state in self.slots() if state == self.RUNNING]


class SmallSite:
    """The application."""

    def __init__(self, settings: Settings) -> None:
        folder = Path(settings.folder)
        self.settings = settings
        self.claims = Claims(folder)
        self.gate = Gate(folder / "gate", wait_seconds=0.2)
        self.session = os.urandom(8).hex()
        self.flask: Any = None
        self.pages: dict[str, Callable[[dict[str, Any], StartResponse], list[bytes]]] = {
            "/": self.front,
            "/status": self.status,
            "/send": self.send,
            "/refuse": self.refuse,
            "/big": self.big,
            "/fail": self.fail,
            "/login": self.login,
            "/gate": self.try_gate,
        }

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith("/flask"):
            self.flask = self.flask or flask_part()
            return self.flask(environ, start_response)
        if path == "/fail-late":
            return self.fail_late(environ, start_response)
        page = self.pages.get(path)
        if page is None:
            return self.text(start_response, "404 Not Found", b"nothing here")
        return page(environ, start_response)

    @staticmethod
    def text(start_response: StartResponse, status: str, body: bytes) -> list[bytes]:
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        start_response(status, [*headers, ("Server", "canary-server"), ("Date", "canary-date")])
        return [body]

    def json(self, start_response: StartResponse, **facts: object) -> list[bytes]:
        return self.text(start_response, "200 OK", json.dumps({"pid": os.getpid(), **facts}).encode())

    def front(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        return self.json(start_response, circuit=environ["mustshare.circuit"], session=self.session)

    def status(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        claims = self.claims
        return self.json(
            start_response,
            running=claims.count(claims.RUNNING),
            finished=claims.count(claims.FINISHED),
            interrupted=claims.count(claims.INTERRUPTED),
            owners=claims.owners(),
        )

    def send(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        if "gate" in environ["QUERY_STRING"]:
            with self.gate.place("return", environ["mustshare.circuit"]):
                return self.take_in(environ, start_response)
        return self.take_in(environ, start_response)

    def take_in(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        slot, outcome = self.claims.claim(), Claims.INTERRUPTED
        seen, buffer, total = hashlib.sha256(), bytearray(PIECE_BYTES), 0
        try:
            while count := environ["wsgi.input"].readinto(buffer):
                seen.update(buffer[:count])
                total += count
            outcome = Claims.FINISHED
        except BodyBroken:
            (Path(self.settings.folder) / f"interrupted-after-{total}").touch()
            raise
        finally:
            self.claims.settle(slot, outcome)
        return self.json(start_response, bytes=total, sha256=seen.hexdigest())

    def refuse(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        return self.text(start_response, "413 Content Too Large", b"this is too large")

    def big(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        return self.text(start_response, "200 OK", b"x" * int(environ["QUERY_STRING"]))

    def login(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        return self.json(start_response, body=environ["wsgi.input"].read().decode())

    def try_gate(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        try:
            with self.gate.place("return", None):
                return self.json(start_response, gate="free")
        except Busy:
            return self.json(start_response, gate="busy")

    def fail(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        written = environ["wsgi.input"].read().decode()
        print(written, file=environ["wsgi.errors"])
        raise ValueError(f"{written} {environ['QUERY_STRING']} {environ.get('HTTP_COOKIE')}")

    def fail_late(self, environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100")])
        yield b"a first part"
        raise ValueError(environ["QUERY_STRING"])


def flask_part() -> flask.Flask:
    import flask  # Only here, so that a site without it starts in half the time.

    app = flask.Flask("flask_part")

    @app.route("/flask/<name>", methods=["GET", "POST"])
    def show(name: str) -> dict[str, Any]:
        request = flask.request
        return {
            "name": name,
            "url": request.url,
            "host": request.host,
            "args": request.args.to_dict(),
            "form": request.form.to_dict(),
            "cookies": request.cookies.to_dict(),
            "type": request.content_type,
            "length": request.content_length,
        }

    @app.route("/flask/fail")
    def fail() -> str:
        raise ValueError(flask.request.query_string.decode())

    return app


def plan_of(settings: Settings) -> Plan:
    folder = Path(settings.folder)
    lanes = (
        Lane("pages", settings.page_threads, 65_536, gathers=True, wait_seconds=settings.wait_seconds),
        Lane(
            "files",
            settings.file_threads,
            1 << 40,
            waiting=settings.file_waiting,
            wait_seconds=settings.wait_seconds,
            per_circuit=settings.per_circuit,
        ),
        Lane("login", 2, 4_096, gathers=True, wait_seconds=settings.wait_seconds),
    )
    crews: tuple[Crew, ...] = (
        Crew("pages", ("pages", "login"), settings.page_processes, lifetime_seconds=settings.lifetime_seconds),
        Crew("files", ("files",), settings.file_processes, door=False),
    )
    if settings.one_crew:
        crews = (Crew("all", ("pages", "files", "login"), settings.page_processes),)
    site = Site(
        name="source",
        socket=folder / "s" / "source.sock",
        lanes=lanes,
        crews=crews,
        routes=(Route("files", "/send*"), Route("files", "/refuse"), Route("login", "/login")),
        circuits=Circuits(settings.circuits),
        pages={503: PreparedPage(BUSY_PAGE.encode())},
    )
    limits = Limits(
        rate=Rate(settings.bytes_per_second, settings.window_seconds, settings.grace_seconds),
        head_seconds=settings.head_seconds,
        drain_bytes=settings.drain_bytes,
        gathered_bytes=settings.gathered_bytes,
    )
    return Plan(
        (site,),
        folder / "run",
        limits,
        group=settings.group,
        stop_seconds=settings.stop_seconds,
        lock_memory=settings.shield,
    )


def main() -> int:
    settings = Settings(**json.loads(sys.argv[1]))
    if settings.poison:
        memory.poison_frees()
    if settings.shield:
        memory.shield()
    site = SmallSite(settings)

    def started(crew: str) -> None:
        (Path(settings.folder) / f"worker-{os.getpid()}").write_text(crew)

    try:
        return serve(
            lambda: {"source": site},
            plan_of(settings),
            on_worker_start=started,
            on_worker_exit=site.claims.release_worker,
        )
    except DropBoxError as error:
        print(f"error: {error.message}\nhint: {error.remedy}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
