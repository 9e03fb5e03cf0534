"""The answer to one request: WSGI's `start_response`, and the bytes on the wire.

One answer a connection (tor tells the circuit once a connection), so `Connection: close` ends each, and a body
without Content-Length ends with the connection. No `Server`, no `Date`: nothing says what answers or what its clock
shows.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from dropbox.serving.pace import Disconnected, Pace
from dropbox.serving.prepared import PreparedPage, status_line

_STATUS = re.compile(r"[1-5][0-9]{2} [\x20-\x7e]{0,100}")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_NOT_THE_APPLICATIONS = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "server", "date"}
)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


def wire_head(status: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Write a response's head. Fields that speak of the connection or of this software are left out.

    Of the status only its number is the application's: frameworks are known by how they spell the phrase.

    Raises:
        ValueError: a status or field that can't stand in a head. The message doesn't quote it.
    """
    if not _STATUS.fullmatch(status):
        raise ValueError("The application gave a status that can't be sent.")
    lines = [f"HTTP/1.1 {status_line(int(status[:3]))}"]
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("The application gave a header field that can't be sent.")
        if name.lower() not in _NOT_THE_APPLICATIONS:
            lines.append(f"{name}: {value}")
    lines.append("Connection: close\r\n\r\n")
    return "\r\n".join(lines).encode("latin-1")


def prepared_bytes(page: PreparedPage, status: int, method: str = "GET") -> bytes:
    """Return a prepared page as it goes on the wire."""
    headers = (*page.headers, ("Content-Length", str(len(page.body))))
    return wire_head(status_line(status), headers) + (b"" if method == "HEAD" else page.body)


class Reply:
    """What an application answers, sent as it comes. Used by one thread.

    Sending raises:
        Disconnected: the peer is gone.
        TooSlow: the peer takes less than the minimum rate.
    """

    def __init__(
        self, connection: socket.socket, method: str, pace: Pace, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._method = method
        self._pace = pace
        self._clock = clock
        self._head: bytes | None = None
        self._without_body = method == "HEAD"
        self._room: int | None = None
        self.head_sent = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """WSGI's `start_response` (PEP 3333)."""
        if exc_info is not None and exc_info[1] is not None and self.head_sent:
            raise exc_info[1]
        if exc_info is None and self._head is not None:
            raise RuntimeError("The application started its response twice.")
        self._head = wire_head(status, headers)
        code = int(status[:3])
        self._without_body = self._method == "HEAD" or code in (204, 304)
        lengths = [int(value) for name, value in headers if name.lower() == "content-length"]
        self._room = lengths[0] if lengths else None
        return self.write

    def write(self, data: bytes) -> None:
        """Send part of the body, and before the first part the head. Never more than Content-Length."""
        if self._head is None:
            raise RuntimeError("The application sent a body before its response was started.")
        if self._without_body:
            data = b""
        elif self._room is not None:
            data = data[: self._room]
            self._room -= len(data)
        if not self.head_sent:
            self.head_sent = True
            data = self._head + data
        self._send(data)

    def prepared(self, page: PreparedPage, status: int) -> None:
        """Answer with a prepared page instead of what the application may have begun."""
        self.head_sent = True
        self._send(prepared_bytes(page, status, self._method))

    def finish(self) -> None:
        """Send the head of a response that had no body."""
        if not self.head_sent:
            self.write(b"")

    def _send(self, data: bytes) -> None:
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                since = self._clock()
                try:
                    count = self._connection.send(view[sent:])
                except TimeoutError:
                    count = 0
                except OSError:
                    raise Disconnected("The connection closed before the answer was sent.") from None
                self._pace.note(self._clock() - since, count)
                sent += count
