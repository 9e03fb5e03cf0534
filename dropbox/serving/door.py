"""The door: takes connections in, and reads the heads of their requests without giving any of them a thread.

A thousand connections that send half a head cost a buffer each and nothing else; they end at their deadline, and
long before memory does the oldest give way.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Callable

from dropbox.serving.head import Circuits, Head, HeadReader, HeadRefused, HeadTooLate
from dropbox.serving.loop import Handle, Loop
from dropbox.serving.plan import Limits
from dropbox.serving.turns import Key

PIECE_BYTES = 16_384
DRAWS_A_TURN = 8
YIELD_SECONDS = 0.005
OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class OutOfDescriptors(Exception):
    """This process may open nothing more for now."""


class Tap:
    """A source of new work that sibling processes draw from too: lets a less loaded one go first, but never for long.

    Args:
        draw: takes one thing; returns False when none was there.
        may_draw: whether this process holds no more than its siblings.
    """

    def __init__(
        self, loop: Loop, source: socket.socket, draw: Callable[[], bool], may_draw: Callable[[], bool]
    ) -> None:
        self._loop = loop
        self._source = source
        self._draw = draw
        self._may_draw = may_draw
        self._waited = False
        self._pause: Handle | None = None
        self._open = False

    def open(self) -> None:
        self._open = True
        self._loop.watch(self._source, self._readable, vital=True)

    def close(self) -> None:
        self._open = False
        self._loop.unwatch(self._source)
        if self._pause is not None:
            self._pause.cancel()

    def pause(self, seconds: float) -> None:
        """Draw nothing for a while."""
        if self._open:
            self._loop.unwatch(self._source)
            self._pause = self._loop.at(self._loop.now() + seconds, self.open)

    def _readable(self) -> None:
        if self._waited:  # They have had their chance: take one, and then look again.
            self._waited = False
            self._draw()
            return
        for _ in range(DRAWS_A_TURN):
            if not self._may_draw():
                self._waited = True
                self.pause(YIELD_SECONDS)
                return
            if not self._draw():
                return


class HalfOpen:
    """A connection whose head isn't complete."""

    __slots__ = ("connection", "counted", "deadline", "reader")

    def __init__(self, connection: socket.socket, circuits: Circuits) -> None:
        self.connection = connection
        self.reader = HeadReader(circuits)
        self.deadline: Handle | None = None
        self.counted = False


class Door:
    """Reads heads.

    Args:
        on_head: takes over a connection whose head is complete, with all the bytes that came.
        on_refusal: takes over a connection to be answered with this status.
    """

    def __init__(
        self,
        loop: Loop,
        limits: Limits,
        circuits: Circuits,
        on_head: Callable[[socket.socket, Head, HeadReader], None],
        on_refusal: Callable[[socket.socket, int], None],
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._circuits = circuits
        self._on_head = on_head
        self._on_refusal = on_refusal
        self._visitors: dict[HalfOpen, None] = {}
        self._per_circuit: Counter[Key] = Counter()

    def __len__(self) -> int:
        return len(self._visitors)

    def accept_from(self, listener: socket.socket) -> bool:
        """Take in a connection that waits; return False when none did.

        Raises:
            OutOfDescriptors: and the oldest half-open connection has given way. Pause, and try again.
        """
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                self._give_way(None)
                raise OutOfDescriptors from None
            return False  # The one that waited has gone, or a sibling took it.
        self._admit(connection)
        return True

    def close(self) -> None:
        """Close every connection whose head isn't complete."""
        for visitor in list(self._visitors):
            self._drop(visitor)

    def _admit(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        visitor = HalfOpen(connection, self._circuits)
        self._visitors[visitor] = None
        visitor.deadline = self._loop.at(self._loop.now() + self._limits.head_seconds, lambda: self._late(visitor))
        self._loop.watch(connection, lambda: self._read(visitor))
        if len(self._visitors) > self._limits.half_open:
            self._give_way(None)

    def _read(self, visitor: HalfOpen) -> None:
        try:
            piece = visitor.connection.recv(PIECE_BYTES)
            head = visitor.reader.feed(piece)
        except BlockingIOError:
            return
        except OSError:
            self._drop(visitor)
            return
        except HeadRefused as refusal:
            self._refuse(visitor, refusal)
            return
        if not piece:
            self._drop(visitor)
        elif head is not None:
            self._release(visitor)
            self._on_head(visitor.connection, head, visitor.reader)
        elif not visitor.counted and visitor.reader.circuit is not None:
            self._count(visitor, visitor.reader.circuit)

    def _count(self, visitor: HalfOpen, circuit: int) -> None:
        visitor.counted = True
        self._per_circuit[circuit] += 1
        if self._per_circuit[circuit] > self._limits.half_open_per_circuit:
            self._give_way(circuit)

    def _give_way(self, circuit: int | None) -> None:
        """Close the oldest half-open connection, of this circuit if one is given."""
        oldest = next((v for v in self._visitors if circuit is None or v.reader.circuit == circuit), None)
        if oldest is not None:
            self._drop(oldest)

    def _late(self, visitor: HalfOpen) -> None:
        self._refuse(visitor, HeadTooLate("The request's head took too long."))

    def _refuse(self, visitor: HalfOpen, refusal: HeadRefused) -> None:
        self._release(visitor)
        visitor.reader.wipe()
        self._on_refusal(visitor.connection, refusal.http_status)

    def _drop(self, visitor: HalfOpen) -> None:
        self._release(visitor)
        visitor.reader.wipe()
        visitor.connection.close()

    def _release(self, visitor: HalfOpen) -> None:
        self._loop.unwatch(visitor.connection)
        if visitor.deadline is not None:
            visitor.deadline.cancel()
        del self._visitors[visitor]
        circuit = visitor.reader.circuit
        if visitor.counted:
            self._per_circuit[circuit] -= 1
            if not self._per_circuit[circuit]:
                del self._per_circuit[circuit]
