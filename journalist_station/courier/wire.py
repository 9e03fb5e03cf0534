"""One request at a time to a collect service: through Tor's SOCKS port, or a Unix socket on one machine."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from python_socks import ProxyError, ProxyTimeoutError, ProxyType
from python_socks.sync import Proxy

from keys.encoding import Fields, parse_json
from keys.errors import DropBoxError, Malformed, Misconfigured, NotAuthentic, NotForUs, Refused, Stale

CONNECT_SECONDS = 120.0
SILENCE_SECONDS = 180.0
MAX_ERROR_BYTES = 16_384

Connect = Callable[[], socket.socket]


class Cut(DropBoxError):
    """The connection couldn't be made, or broke. What has arrived whole is on the stick."""

    exit_code = 75
    default_remedy = "Run the command again: it goes on where it broke off."


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
        super().__init__(host, timeout=SILENCE_SECONDS)
        self._connect = connect

    def connect(self) -> None:
        self.sock = self._connect()
        self.sock.settimeout(SILENCE_SECONDS)


@dataclass(slots=True)
class Answer:
    """An answer that is being read. `read` returns fewer bytes than asked for only at its end."""

    _response: http.client.HTTPResponse
    length: int

    def read(self, size: int) -> bytes:
        """Raises: Cut: the connection broke."""
        try:
            data = self._response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise Cut("The connection broke off.") from error
        return data

    def all(self, most: int) -> bytes:
        """Return the whole answer. Raises: Malformed: it is longer than `most`. Cut: it broke off."""
        if self.length > most:
            raise Malformed("The server's answer is too long.")
        data = self.read(self.length)
        if len(data) != self.length:
            raise Cut("The connection broke off.")
        return data


_BY_STATUS: Mapping[int, type[DropBoxError]] = {
    400: Malformed,
    401: NotAuthentic,
    403: Refused,
    404: NotForUs,
    503: Stale,
}


class Wire:
    """Sends requests to one collect service; each opens a connection of its own, as the server wants it."""

    def __init__(self, host: str, connect: Connect) -> None:
        self._host = host
        self._connect = connect

    def get(self, path: str, token: str = "") -> Answer:
        return self._ask("GET", path, token, None, 0)

    def post(self, path: str, body: bytes, token: str = "") -> Answer:
        return self._ask("POST", path, token, body, len(body))

    def post_file(self, path: str, file: Path, token: str) -> Answer:
        """Send a file as the body, streamed."""
        with file.open("rb") as body:
            return self._ask("POST", path, token, body, file.stat().st_size)

    def _ask(self, method: str, path: str, token: str, body: object, length: int) -> Answer:
        connection = _Connection(self._host, self._connect)
        headers = {"Content-Length": str(length)} if method == "POST" else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path, body, headers)  # type: ignore[arg-type]  # typeshed lacks a file here.
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise Cut("The connection broke off.") from error
        answer = Answer(response, int(response.headers.get("Content-Length") or 0))
        if response.status != 200:
            _refuse(response.status, answer)
        return answer


def _refuse(status: int, answer: Answer) -> NoReturn:
    """Raise what the server said, as the error that it is."""
    message, hint = f"The server answered with status {status}.", "Try again later."
    try:
        fields = Fields(parse_json(answer.all(MAX_ERROR_BYTES)), "error")
        message, hint = fields.text("error"), fields.text("hint")
    except Malformed:
        pass  # Not this server's own words: a page of something in between.
    raise _BY_STATUS.get(status, Misconfigured)(message, hint)
