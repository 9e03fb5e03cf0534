"""The tests' side of a small site: start it, wait for what it tells, and talk to it over bare sockets."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

PROGRAM = Path(__file__).with_name("small_site.py")
PATIENCE_SECONDS = 60.0


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Return what the condition returns once it is true; fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {seconds} seconds in vain until {what}.")
        time.sleep(0.01)
    return value


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.body)
        return facts


def parse_response(raw: bytes) -> Response:
    head, found, body = raw.partition(b"\r\n\r\n")
    assert found, f"no complete head came: {raw[:200]!r}"
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers, f"{name} stands twice"
        headers[name.lower()] = value
    return Response(int(status_line.split()[1]), headers, body)


class Visit:
    """One connection, as tor makes it."""

    def __init__(self, path: Path, circuit: int | None = None, seconds: float = PATIENCE_SECONDS) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(seconds)
        self.socket.connect(str(path))
        if circuit is not None:
            high, low = circuit >> 16 & 0xFFFF, circuit & 0xFFFF
            self.send(f"PROXY TCP6 fc00:dead:beef:4dad::{high:x}:{low:x} ::1 {low} 80\r\n".encode())

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self, method: str, target: str, *fields: str, length: int | None = None) -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: example.onion", *fields]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def rest(self) -> bytes:
        """Return everything until the other side closes."""
        pieces = []
        while piece := self.socket.recv(65_536):
            pieces.append(piece)
        return b"".join(pieces)

    def response(self) -> Response:
        """Return one response, as a browser reads it: as long as its Content-Length says."""
        raw = b""
        while piece := self.socket.recv(65_536):
            raw += piece
            head, found, body = raw.partition(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: ([0-9]+)", head, re.IGNORECASE)
            if found and length and len(body) >= int(length[1]):
                break
        return parse_response(raw)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Server:
    """A running small site."""

    environment: ClassVar[dict[str, str]] = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }

    @staticmethod
    def arguments(folder: Path, **settings: Any) -> list[str]:
        return [sys.executable, str(PROGRAM), json.dumps({"folder": str(folder), **settings})]

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.socket_path = folder / "s" / "source.sock"
        self.log_path = folder / "log"
        self.proxied = settings.get("circuits", "required") == "required"
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.arguments(folder, **settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        try:
            self.wait_for_workers(settings)
        except BaseException:
            self.kill()
            raise

    def wait_for_workers(self, settings: dict[str, Any]) -> None:
        pages = settings.get("page_processes", 2)
        files = 0 if settings.get("one_crew") else settings.get("file_processes", 1)
        wait_until(lambda: self.process.poll() is not None or len(self.workers()) == pages + files, "workers run")
        wait_until(lambda: self.process.poll() is not None or self.answers(), "the site answers")
        assert self.process.poll() is None, self.log()

    def answers(self) -> bool:
        try:
            return self.get("/").status == 200
        except (OSError, AssertionError):
            return False

    def visit(self, circuit: int = 1, seconds: float = PATIENCE_SECONDS) -> Visit:
        return Visit(self.socket_path, circuit if self.proxied else None, seconds)

    def get(self, target: str, *fields: str, circuit: int = 1, method: str = "GET") -> Response:
        with self.visit(circuit) as visit:
            visit.head(method, target, *fields)
            return visit.response()

    def post(self, target: str, body: bytes, *fields: str, circuit: int = 1) -> Response:
        with self.visit(circuit) as visit:
            visit.head("POST", target, *fields, length=len(body))
            visit.send(body)
            return visit.response()

    def raw(self, data: bytes, circuit: int = 1) -> bytes:
        with self.visit(circuit) as visit:
            with contextlib.suppress(BrokenPipeError):
                visit.send(data)
            return visit.rest()

    def status(self) -> dict[str, Any]:
        return self.get("/status").facts

    def workers(self, crew: str = "") -> list[int]:
        """Return the living workers of a crew, oldest first."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        named = {pid: self.folder / f"worker-{pid}" for pid in children}
        return sorted(int(pid) for pid, file in named.items() if file.exists() and file.read_text().endswith(crew))

    def log(self) -> str:
        return self.log_path.read_text()

    def tell(self, sig: signal.Signals) -> None:
        self.process.send_signal(sig)

    def stop(self, sig: signal.Signals = signal.SIGTERM, seconds: float = PATIENCE_SECONDS) -> int:
        if self.process.poll() is None:
            self.tell(sig)
        try:
            return self.process.wait(seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        """End every process that is left."""
        leftover = self.workers() if self.process.poll() is None else []
        for pid in [self.process.pid, *leftover] if self.process.poll() is None else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def small_site(folder: Path, **settings: Any) -> Iterator[Server]:
    """Run a small site for the length of a block."""
    server = Server(folder, **settings)
    try:
        yield server
    finally:
        server.stop()
