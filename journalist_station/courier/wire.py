"""One request at a time to a collect service: through Tor's SOCKS port, or a Unix socket on one machine."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn, Protocol

from python_socks import ProxyError, ProxyTimeoutError, ProxyType
from python_socks.sync import Proxy

from keys.encoding import Fields, parse_json
from keys.errors import DropBoxError, Malformed, Misconfigured, NoRoom, NotAuthentic, NotForUs, Refused, Stale

CONNECT_SECONDS = 120.0
SILENCE_SECONDS = 180.0
MAX_ERROR_BYTES = 16_384
PIECE_BYTES = 65_536

Connect = Callable[[], socket.socket]
"""Makes a connection to the service. Raises: Cut."""


class Cut(DropBoxError):
    """The connection couldn't be made, or broke. What has arrived whole is on the stick."""

    exit_code = 75
    default_remedy = "Run the command again: it goes on where it broke off."


class Unwelcome(NotAuthentic):
    """The service doesn't take this courier's login, or not any more."""


class Source(Protocol):
    """What a request's body is read from."""

    def read(self, size: int, /) -> bytes: ...


def through_tor(address: str, port: int, socks_host: str, socks_port: int, isolation: str) -> Connect:
    """Connect to an onion service through Tor's SOCKS port.

    Args:
        isolation: a user name; Tor keeps circuits of different ones apart.
    """

    def connect() -> socket.socket:
        proxy = Proxy.create(ProxyType.SOCKS5, socks_host, socks_port, isolation, "-", rdns=True)
        try:
            connection: socket.socket = proxy.connect(address, port, timeout=CONNECT_SECONDS)
        except (ProxyError, ProxyTimeoutError, OSError) as error:
            raise Cut(
                "The drop box can't be reached through Tor.",
                "Is tor running, and is this courier's client key in place? If it was revoked, no service answers.",
            ) from error
        return connection

    return connect


def through_socket(path: Path) -> Connect:
    """Connect to a collect service on this machine. For practice and tests."""

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except OSError as error:
            connection.close()
            raise Cut("The collect service's socket doesn't answer.") from error
        return connection

    return connect


class _Connection(http.client.HTTPConnection):
    """An HTTP connection over a socket that somebody else made."""

    def __init__(self, host: str, connect: Connect) -> None:
        super().__init__(host, timeout=SILENCE_SECONDS, blocksize=PIECE_BYTES)
        self._connect = connect

    def connect(self) -> None:
        self.sock = self._connect()
        self.sock.settimeout(SILENCE_SECONDS)


class Answer:
    """The body of an answer, while it is read. `left` counts the bytes that are still to come."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        """Raises: Cut: the answer doesn't say how long it is, as one whose head broke off."""
        length, *more = response.headers.get_all("Content-Length") or [""]
        if more or not (length.isascii() and length.isdecimal() and len(length) < 16) or response.chunked:
            raise _broken()
        self._response = response
        self.left = int(length)

    def some(self, most: int) -> bytes:
        """Return what has arrived, one byte at least, so that a cut loses nothing. Raises: Cut: nothing more comes."""
        try:
            data = self._response.read1(min(most, self.left, PIECE_BYTES))
        except (OSError, http.client.HTTPException) as error:
            raise _broken() from error
        if not data:
            raise _broken()
        self.left -= len(data)
        return data

    def all(self, most: int) -> bytes:
        """Return the whole answer. Raises: Malformed: it is longer than `most`. Cut: it broke off."""
        if self.left > most:
            raise Malformed("The server's answer is too long.")
        parts = []
        while self.left:
            parts.append(self.some(self.left))
        return b"".join(parts)


class Wire:
    """Sends requests to one collect service; each opens a connection of its own, as the server wants it.

    Raises, from every method: Cut, or what the server answered as the error that it is.
    """

    def __init__(self, host: str, connect: Connect) -> None:
        self._host = host
        self._connect = connect

    def get(self, path: str, most: int, token: str = "") -> bytes:
        """Return an answer of at most so many bytes. Raises: Malformed: it is longer."""
        with self._asked("GET", path, token, None, 0) as answer:
            return answer.all(most)

    def post(self, path: str, body: bytes | Source, length: int, most: int, token: str = "") -> bytes:
        """Send a body of so many bytes, and return an answer of at most so many. Raises: Malformed: it is longer."""
        with self._asked("POST", path, token, body, length) as answer:
            return answer.all(most)

    @contextmanager
    def streamed(self, path: str, body: bytes, token: str) -> Iterator[Answer]:
        """Send a body, and have the answer to be read piece by piece."""
        with self._asked("POST", path, token, body, len(body)) as answer:
            yield answer

    @contextmanager
    def _asked(self, method: str, path: str, token: str, body: bytes | Source | None, length: int) -> Iterator[Answer]:
        headers = {"Content-Length": str(length)} if method == "POST" else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with closing(_Connection(self._host, self._connect)) as connection:
            try:
                _send(connection, method, path, body, headers)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise _broken() from error
            with response:
                if response.status != 200:
                    _refuse(response)
                yield Answer(response)


def _send(
    connection: _Connection, method: str, path: str, body: bytes | Source | None, headers: Mapping[str, str]
) -> None:
    try:
        connection.request(method, path, body, headers)  # type: ignore[arg-type]  # typeshed wants all of a file here.
    except (BrokenPipeError, ConnectionResetError):
        # Who refuses a bundle by its first lines needn't take in the rest. What it answered may have arrived.
        if connection.sock is None:
            raise


def _broken() -> Cut:
    return Cut("The connection broke off.")


_BY_STATUS: Mapping[int, type[DropBoxError]] = {
    400: Malformed,
    401: Unwelcome,
    403: Refused,
    404: NotForUs,
    413: Refused,
    503: Stale,
    507: NoRoom,
}


def _refuse(response: http.client.HTTPResponse) -> NoReturn:
    """Raise what the server said, as the error that it is."""
    status = response.status
    try:
        fields = Fields(parse_json(Answer(response).all(MAX_ERROR_BYTES)), "error")
        message, hint = fields.text("error"), fields.text("hint")
        fields.done()
    except Malformed:
        # Not the service's own words: it is starting, or has no place free for another courier.
        raise Cut(f"The drop box answered with status {status} and nothing else.", "Try again later.") from None
    if "Retry-After" in response.headers:
        raise Cut(f"The drop box says: {message}", hint)
    raise _BY_STATUS.get(status, Misconfigured)(f"The drop box says: {message}", hint)
