"""Requests that no browser makes, to the same onion service through the same tor."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlencode

from python_socks import ProxyType
from python_socks.sync import Proxy

SECONDS = 120.0
BOUNDARY = "----a-boundary-that-occurs-in-no-file"


@dataclass(frozen=True)
class Answer:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    socks_port: int, onion: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request over tor, on other circuits than the browser's, and return the answer."""
    proxy = Proxy.create(ProxyType.SOCKS5, "127.0.0.1", socks_port, "by hand", "-", rdns=True)
    with closing(http.client.HTTPConnection(onion, timeout=SECONDS)) as connection:
        connection.sock = proxy.connect(onion, 80, timeout=SECONDS)
        connection.request(method, path, body or None, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers.items()), response.read())


def form(fields: Iterable[tuple[str, str]], files: Iterable[tuple[bytes, bytes]] = ()) -> tuple[bytes, str]:
    """Return the body and the content type of a send form; files are names, as they go on the wire, and contents."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    parts += [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="'.encode()
        + name
        + b'"\r\nContent-Type: application/octet-stream\r\n\r\n'
        + content
        + b"\r\n"
        for name, content in files
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


def sign_in(socks_port: int, onion: str, codename: str) -> Answer:
    """Open a codename's mailbox as a browser does, and return its English page."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    entered = ask(socks_port, onion, "POST", "/en/return", urlencode({"codename": codename}).encode(), headers)
    cookie = entered.headers["Set-Cookie"].split(";")[0]
    return ask(socks_port, onion, "GET", entered.headers["Location"], headers={"Cookie": cookie})
