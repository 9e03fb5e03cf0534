"""A tiny site behind an onion service, and a visitor who reaches it through a SOCKS port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.sync import Proxy

from keys.onion import OnionAddress

CONNECT_SECONDS = 60


class OnionSite:
    """Answers each line that comes in on its Unix socket with the same line, for as long as the visitor likes.

    It reads tor's PROXY line first, if there is one, and remembers what it says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.proxy_lines: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                visitor, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(visitor,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self, visitor: socket.socket) -> None:
        with visitor, visitor.makefile("rwb", buffering=0) as stream:
            try:
                for line in stream:
                    if line.startswith(b"PROXY "):
                        self.proxy_lines.append(line.decode().strip())
                    else:
                        stream.write(line)
            except OSError:
                return


@contextmanager
def connected(socks_port: int, address: OnionAddress) -> Iterator[socket.socket]:
    """A connection to an onion service. Raises: ProxyError, ProxyTimeoutError: tor can't make one."""
    proxy = Proxy.create(ProxyType.SOCKS5, "127.0.0.1", socks_port, rdns=True)
    connection: socket.socket = proxy.connect(address, 80, timeout=CONNECT_SECONDS)
    connection.settimeout(CONNECT_SECONDS)
    with connection:
        yield connection


def echoes(connection: socket.socket, line: bytes = b"hello\n") -> bool:
    """Whether the site at the other end answers with the same line; False when the connection has ended."""
    try:
        connection.sendall(line)
        answer = b""
        while not answer.endswith(b"\n"):
            piece = connection.recv(1024)
            if not piece:
                return False
            answer += piece
    except ConnectionError:
        return False
    return answer == line


def answers(socks_port: int, address: OnionAddress) -> bool:
    """Whether a new visitor gets an answer."""
    try:
        with connected(socks_port, address) as connection:
            return echoes(connection)
    except (ProxyError, ProxyTimeoutError, ProxyConnectionError):
        return False
