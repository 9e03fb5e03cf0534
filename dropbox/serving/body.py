"""The body of one request as `wsgi.input`: straight from the socket, never spooled, never longer than announced."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dropbox.serving.pace import BodyBroken, Disconnected, Pace

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Body(io.RawIOBase):
    """Reads at most `length` bytes: first those that came along with the head, then the socket's.

    A raw stream: `read(n)` and `readinto` return what is there, at least one byte, and nothing only at the end;
    `read()` returns all that is left. Nothing is buffered here, so nothing stays behind here.

    Reading raises:
        Disconnected: the connection closed before `length` bytes had come.
        TooSlow: the peer fell below the minimum rate. After either, each further read raises the same.
    """

    def __init__(
        self,
        connection: socket.socket,
        early: bytearray,
        length: int,
        pace: Pace,
        *,
        expects_continue: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._connection = connection
        self._early = early[:length]
        self._early_taken = 0
        self._pace = pace
        self._expects_continue = expects_continue
        self._clock = clock
        self.left = length
        self.broken: BodyBroken | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        with memoryview(buffer).cast("B") as whole, whole[: self.left] as wanted:
            if not wanted:
                return 0
            if self._early_taken < len(self._early):
                count = self._take_early(wanted)
            else:
                count = self._receive(wanted)
        self.left -= count
        return count

    @property
    def unread(self) -> int:
        """How many bytes the client is still going to send: none if it waits to be asked for them."""
        return 0 if self._expects_continue else self.left - (len(self._early) - self._early_taken)

    def wipe(self) -> None:
        """Overwrite what came along with the head."""
        self._early[:] = bytes(len(self._early))

    def _take_early(self, wanted: memoryview) -> int:
        part = self._early[self._early_taken : self._early_taken + len(wanted)]
        wanted[: len(part)] = part
        self._early_taken += len(part)
        part[:] = bytes(len(part))
        return len(part)

    def _receive(self, wanted: memoryview) -> int:
        if self.broken is not None:
            raise self.broken
        try:
            self._invite()
            return self._wait_for_bytes(wanted)
        except BodyBroken as broken:
            self.broken = broken
            raise

    def _invite(self) -> None:
        """Ask for the body now if the client waits for that: so an early refusal costs it nothing."""
        if self._expects_continue:
            self._expects_continue = False
            with contextlib.suppress(OSError):
                self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _wait_for_bytes(self, wanted: memoryview) -> int:
        while True:
            since = self._clock()
            try:
                count = self._connection.recv_into(wanted)
            except TimeoutError:
                self._pace.note(self._clock() - since, 0)
                continue
            except OSError:
                count = 0
            if count == 0:
                raise Disconnected("The connection closed before everything had come.")
            count += self._what_is_there(wanted[count:])
            self._pace.note(self._clock() - since, count)
            return count

    def _what_is_there(self, wanted: memoryview) -> int:
        """Read what has come already, without waiting: a fast upload then costs few turns of all that follows.

        What is wrong with the connection is said by the next read that waits.
        """
        total = 0
        while total < len(wanted):
            try:
                count = os.readv(self._connection.fileno(), [wanted[total:]])  # A socket with a timeout never blocks.
            except OSError:
                break
            if not count:
                break
            total += count
        return total
