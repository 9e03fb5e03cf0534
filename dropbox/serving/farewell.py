"""How a connection ends without the browser losing the answer.

A browser shows an answer only when it has sent its whole body, and a connection closed on unread bytes is reset. So
what is still coming is taken in and thrown away, in the loop, without a thread; then the connection is shut, given a
moment to be closed from the other side, and closed.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass

from dropbox.serving.loop import Handle, Loop
from dropbox.serving.pace import Pace, TooSlow
from dropbox.serving.plan import Limits

PIECE_BYTES = 65_536
LINGER_BYTES = 65_536


@dataclass(slots=True, eq=False)
class Parting:
    """A connection that has its answer."""

    connection: socket.socket
    left: int
    pace: Pace
    since: float
    alarm: Handle | None = None
    shut: bool = False


class Farewells:
    """The connections of one worker that have their answer."""

    def __init__(self, loop: Loop, limits: Limits) -> None:
        self._loop = loop
        self._limits = limits
        self._partings: dict[Parting, None] = {}
        self._scrap = bytearray(PIECE_BYTES)

    def __len__(self) -> int:
        return len(self._partings)

    def see_off(self, connection: socket.socket, left: int) -> None:
        """Take over a connection whose client may still send `left` bytes of its body."""
        connection.setblocking(False)
        left = min(left, self._limits.drain_bytes)
        parting = Parting(connection, left, Pace(self._limits.rate), self._loop.now())
        self._partings[parting] = None
        if len(self._partings) > self._limits.farewells:
            self._close(next(iter(self._partings)))
        if parting in self._partings:
            self._loop.watch(connection, lambda: self._take(parting))
            self._begin(parting)

    def tell(self, connection: socket.socket, answer: bytes, left: int) -> None:
        """Send a small answer at once, and see the connection off."""
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.send(answer)
        self.see_off(connection, left)

    def close(self) -> None:
        for parting in list(self._partings):
            self._close(parting)

    def _begin(self, parting: Parting) -> None:
        if parting.left:
            self._listen_again(parting)
        else:
            self._shut(parting)

    def _listen_again(self, parting: Parting) -> None:
        moment = self._loop.now() + parting.pace.step_seconds
        parting.alarm = self._loop.at(moment, lambda: self._check_pace(parting))

    def _check_pace(self, parting: Parting) -> None:
        if self._note(parting, 0):
            self._listen_again(parting)

    def _note(self, parting: Parting, amount: int) -> bool:
        """Count what came; close the connection, and return False, when it was too little."""
        now = self._loop.now()
        waited, parting.since = now - parting.since, now
        try:
            parting.pace.note(waited, amount)
        except TooSlow:
            self._close(parting)
            return False
        return True

    def _take(self, parting: Parting) -> None:
        try:
            count = parting.connection.recv_into(self._scrap)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if count == 0:
            self._close(parting)
        elif not parting.shut:
            parting.left -= count
            if self._note(parting, count) and parting.left <= 0:
                self._shut(parting)
        else:
            parting.left += count
            if parting.left > LINGER_BYTES:
                self._close(parting)

    def _shut(self, parting: Parting) -> None:
        """End our side. Only now: tor ends the whole stream when the service ends its side."""
        if parting.alarm is not None:
            parting.alarm.cancel()
        parting.shut = True
        parting.left = 0
        with contextlib.suppress(OSError):
            parting.connection.shutdown(socket.SHUT_WR)
        moment = self._loop.now() + self._limits.farewell_seconds
        parting.alarm = self._loop.at(moment, lambda: self._close(parting))

    def _close(self, parting: Parting) -> None:
        if parting not in self._partings:
            return
        del self._partings[parting]
        self._scrap[:] = bytes(PIECE_BYTES)  # What was thrown away may have been part of a tip.
        if parting.alarm is not None:
            parting.alarm.cancel()
        self._loop.unwatch(parting.connection)
        parting.connection.close()
