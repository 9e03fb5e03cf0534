"""What may happen between a courier and a server: connections that break at any byte, and a count of what was asked.

with serving(recorder := Recorder(office.app), tmp_path) as socket, cutting(socket, [70_000, None]) as cut:
    …                      # the first connection through `cut` breaks after 70,000 bytes, all others are whole
recorder.cells             # each request for cells: its offset and its ids
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ENDLESS = 1 << 60


@dataclass
class Recorder:
    """A WSGI application around another, that writes down what is asked, and may change what is answered.

    `before` is called with each path before it is answered; `change` gets each answer's path and body.
    """

    app: WSGIApplication
    before: Callable[[str], object] = lambda path: None
    change: Callable[[str, bytes], bytes] | None = None
    paths: list[str] = field(default_factory=list)
    cells: list[tuple[int, list[bytes]]] = field(default_factory=list)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.paths.append(path)
        if path == "/v1/cells":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = io.BytesIO(body)
            ids = [body[at : at + 32] for at in range(4, len(body), 32)]
            self.cells.append((int.from_bytes(body[:4]), ids))
        self.before(path)
        if self.change is None:
            return self.app(environ, start_response)
        return [self._changed(path, environ, start_response, self.change)]

    def _changed(
        self,
        path: str,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        change: Callable[[str, bytes], bytes],
    ) -> bytes:
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def begin(status: str, headers: list[tuple[str, str]], error: Any = None, /) -> Callable[[bytes], object]:
            begun.append((status, headers))
            return lambda data: None

        body = change(path, b"".join(self.app(environ, begin)))
        ((status, headers),) = begun
        kept = [(name, value) for name, value in headers if name != "Content-Length"]
        start_response(status, [*kept, ("Content-Length", str(len(body)))])
        return body

    @property
    def asked(self) -> list[bytes]:
        """The ids of all cells that were asked for, in order, each as often as it was."""
        return [cell for _, ids in self.cells for cell in ids]


class _Cutter:
    def __init__(self, path: Path, target: Path, after: Sequence[int | None], *, hold: bool) -> None:
        self._target = target
        self._after = iter(after)
        self._hold = hold
        self.reached = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self._target))
                self._connections += [near, far]
                limit = next(self._after, None)
                for work in ((self._up, near, far), (self._down, near, far, ENDLESS if limit is None else limit)):
                    thread = threading.Thread(target=work[0], args=work[1:])
                    self._threads.append(thread)
                    thread.start()

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(65_536):
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)

    def _down(self, near: socket.socket, far: socket.socket, limit: int) -> None:
        with contextlib.suppress(OSError):
            while limit and (data := far.recv(min(limit, 65_536))):
                near.sendall(data)
                limit -= len(data)
            if not limit:
                self.reached.set()
                if self._hold:
                    return  # Silence, as of a connection that hangs.
        for end in (near, far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for connection in self._connections:
            connection.close()


@dataclass(frozen=True)
class Cut:
    """A socket whose connections break. `reached` is set when the first has."""

    path: Path
    reached: threading.Event


@contextmanager
def cutting(target: Path, after: Sequence[int | None], *, hold: bool = False) -> Iterator[Cut]:
    """Listen beside a server's socket, and pass connections on to it.

    Args:
        after: after how many bytes from the server each connection breaks, in their order; None, and all behind the
            last: never.
        hold: fall silent instead, as a connection does that hangs.
    """
    path = target.with_name("cut.sock")
    path.unlink(missing_ok=True)
    cutter = _Cutter(path, target, after, hold=hold)
    try:
        yield Cut(path, cutter.reached)
    finally:
        cutter.close()


@contextmanager
def answering(path: Path, answer: Callable[[bytes], bytes]) -> Iterator[Path]:
    """Serve bytes of one's own: `answer` gets what a connection sent first, and says what it is sent."""
    listener = socket.socket(socket.AF_UNIX)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    listener.listen(16)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(10)
                    connection.sendall(answer(connection.recv(65_536)))
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65_536):
                        continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield path
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def http(body: bytes, status: str = "200 OK", **headers: Any) -> bytes:
    """Write an HTTP answer; a header of None is left out."""
    fields = {"Content-Length": len(body), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
