"""Gathering: small bodies are taken in whole before they cost a thread, so that no slow sender holds one.

They stay in memory, in one buffer of exactly their length that is overwritten when the request has its answer. When
that memory is full, the circuit that holds most of it gives way with its oldest: so a flood of bodies sent at a crawl
ends itself, and a short message from somebody else still goes through.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from dropbox.serving.answer import Request
from dropbox.serving.loop import Handle, Loop
from dropbox.serving.plan import Limits
from dropbox.serving.turns import Key


@dataclass(slots=True, eq=False)
class Unfinished:
    """A request whose body isn't complete: `came` bytes of its buffer hold it so far."""

    request: Request
    came: int
    deadline: Handle


class Gathering:
    """Collects bodies.

    Args:
        on_gathered: takes over the request, its body complete in `early`.
        on_refusal: takes over a request whose body came too slowly (408) or had to give way (503).
    """

    def __init__(
        self,
        loop: Loop,
        limits: Limits,
        on_gathered: Callable[[Request], None],
        on_refusal: Callable[[Request, int], None],
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._on_gathered = on_gathered
        self._on_refusal = on_refusal
        self._unfinished: dict[Unfinished, None] = {}
        self._bytes: Counter[Key] = Counter()

    def __len__(self) -> int:
        return len(self._unfinished)

    def gather(self, request: Request) -> None:
        """Take over a request, and pass it on when its body is complete."""
        length = request.head.length
        if len(request.early) >= length:
            self._on_gathered(request)
            return
        self._begin(request, length)
        while self._bytes.total() > self._limits.gathered_bytes or len(self._unfinished) > self._limits.half_open:
            self._give_way()

    def close(self) -> None:
        """Close every connection whose body isn't complete."""
        for unfinished in list(self._unfinished):
            self._drop(unfinished)

    def _begin(self, request: Request, length: int) -> None:
        came = len(request.early)
        buffer = bytearray(length)
        buffer[:came] = request.early
        request.forget()
        request.early = buffer
        moment = self._loop.now() + self._limits.rate.longest_for(length)
        unfinished = Unfinished(request, came, self._loop.at(moment, lambda: self._refuse(unfinished, 408)))
        self._unfinished[unfinished] = None
        self._bytes[request.head.circuit] += length
        request.connection.setblocking(False)
        if request.head.expects_continue:
            with contextlib.suppress(OSError):
                request.connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._loop.watch(request.connection, lambda: self._read(unfinished))

    def _read(self, unfinished: Unfinished) -> None:
        request = unfinished.request
        try:
            with memoryview(request.early)[unfinished.came :] as missing:
                count = request.connection.recv_into(missing)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        unfinished.came += count
        if not count:
            self._drop(unfinished)
        elif unfinished.came == len(request.early):
            self._release(unfinished)
            self._on_gathered(request)

    def _give_way(self) -> None:
        heaviest = max(self._bytes, key=lambda circuit: self._bytes[circuit])
        self._refuse(next(each for each in self._unfinished if each.request.head.circuit == heaviest), 503)

    def _refuse(self, unfinished: Unfinished, status: int) -> None:
        self._release(unfinished)
        unfinished.request.forget()
        del unfinished.request.early[unfinished.came :]  # Its length tells how much is still to come.
        self._on_refusal(unfinished.request, status)

    def _drop(self, unfinished: Unfinished) -> None:
        self._release(unfinished)
        unfinished.request.forget()
        unfinished.request.connection.close()

    def _release(self, unfinished: Unfinished) -> None:
        self._loop.unwatch(unfinished.request.connection)
        unfinished.deadline.cancel()
        del self._unfinished[unfinished]
        head = unfinished.request.head
        self._bytes[head.circuit] -= head.length
        if self._bytes[head.circuit] <= 0:
            del self._bytes[head.circuit]
