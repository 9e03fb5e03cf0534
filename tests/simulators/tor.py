"""A tor as others see it: a control socket that answers from a table, and the file in which it keeps its consensus."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

Item = TypeVar("Item")

AUTHENTICATION = {
    "PROTOCOLINFO": ['250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250-VERSION Tor="0.4.9.11"\r\n250 OK'],
    "AUTHENTICATE": ["250 OK"],
}


class ControlSocket:
    """A control socket with one visitor at a time.

    Args:
        path: where it listens.
        answers: for the first words of a command, its answers one after another; the last one serves for ever. Any
            other command is answered with `250 OK`.
        after_reload: for each reload, what tor then tells of descriptors; the last one serves for ever.
    """

    def __init__(
        self, path: Path, answers: dict[str, list[str]] | None = None, after_reload: Sequence[Sequence[str]] = ()
    ) -> None:
        self.asked: list[str] = []
        self._answers = {**AUTHENTICATION, **(answers or {})}
        self._after_reload = [list(events) for events in after_reload]
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                visitor, _ = self._listener.accept()
            except OSError:
                return
            with visitor, visitor.makefile("rb") as lines:
                self._talk(lines.readline, visitor.sendall)

    def _talk(self, read: Callable[[], bytes], send: Callable[[bytes], None]) -> None:
        try:
            while line := read():
                command = line.decode().strip()
                self.asked.append(command)
                send(f"{self._answer(command)}\r\n".encode())
                if command == "SIGNAL RELOAD":
                    for event in _next(self._after_reload) or ():
                        send(f"650 HS_DESC {event}\r\n".encode())
        except ConnectionError:
            return

    def _answer(self, command: str) -> str:
        for start, answers in self._answers.items():
            if re.match(rf"{re.escape(start)}\b", command):
                return _next(answers) or "250 OK"
        return "250 OK"


def _next(of: list[Item]) -> Item | None:
    return of.pop(0) if len(of) > 1 else of[0] if of else None


def consensus_head(made: int) -> bytes:
    """Return the first lines of a consensus as tor 0.4.9 keeps it: made at this time, good for three hours."""
    after, fresh, until = (
        datetime.fromtimestamp(made + hours * 3_600, UTC).strftime("%Y-%m-%d %H:%M:%S") for hours in (0, 1, 3)
    )
    return (
        "network-status-version 3 microdesc\nvote-status consensus\nconsensus-method 35\n"
        f"valid-after {after}\nfresh-until {fresh}\nvalid-until {until}\nvoting-delay 2 2\nclient-versions \n"
    ).encode("ascii")
