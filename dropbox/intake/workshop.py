"""Seals made ahead in another process, so that a fast upload's own process has mostly symmetric work left.

Wrapping one cell's key for R readers takes R encapsulations, about 0.1 ms each under the interpreter's lock: more than
all the rest of a cell together. A helper process beside each uploads' worker makes seals while the worker takes in
bytes. It knows recipients' public keys and hands out payload keys through a socket; no plaintext ever reaches it. It is
never waited for: what it hasn't made yet the worker makes itself, and so both are busy while an upload is faster than
they are, and nothing changes but the speed when the helper is gone.

Seals are made ahead for one upload, while it runs, and only a few: each is the key of a cell that isn't written yet.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable
from types import TracebackType

from keys.age.recipients import HybridRecipient
from keys.cell import Geometry, Seal, Sealer
from keys.encoding import u8
from keys.primitives import KEY_BYTES, MLKEM768X25519_PUBLIC_BYTES, Randomness

INLINE_CELLS = 3
"""So many cells are sealed in place before the helper is asked: most uploads are small."""

BATCH = 2
MOST_AHEAD = 8
"""A seal has 9 KiB: so many fit into a socket's buffer, and the helper never waits for a slow upload's worker."""

_LINE_SECONDS = 1.0
_IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU", "SIGWINCH")


class Workshop:
    """The helper process, as its worker sees it. Made once in a worker, before that starts threads.

    The helper ends when its worker has ended or closed this. It keeps no descriptor but its own: no socket of the
    server's, no file of the store's.

    Args:
        prepare: called in the helper before anything else, to shield its memory.
    """

    def __init__(self, randomness: Randomness, prepare: Callable[[], object]) -> None:
        self._door, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = os.fork()
        if self.process == 0:
            _be_helper(inner, randomness, prepare)
        inner.close()
        self._door.setblocking(False)

    def seals(self, sealer: Sealer) -> SealStream:
        """Return the seals of one upload, to the recipients of a sealer."""
        return SealStream(sealer, self._door)

    def close(self) -> None:
        """Let the helper end. Uploads under way go on without it."""
        self._door.close()


class SealStream:
    """Seals for one upload: call it once for each cell. Used by one thread, as a context manager.

    How many are ordered ahead grows only when there was none to be had: a slow upload keeps two.
    """

    def __init__(self, sealer: Sealer, door: socket.socket | None = None) -> None:
        """Args: door: the workshop's; without one, every seal is made in place."""
        self._sealer = sealer
        self._door = door
        self._line: socket.socket | None = None
        self._prefix_bytes = sealer.geometry.sealed_head_bytes
        self._received = bytearray()
        self._ready: deque[Seal] = deque()
        self._ordered = 0
        self._ahead = BATCH
        self._cells = 0

    def __enter__(self) -> SealStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()

    def __call__(self) -> Seal:
        self._cells += 1
        seal = None
        if self._door is not None and self._cells > INLINE_CELLS:
            try:
                seal = self._exchange(self._door)
            except OSError:  # The helper is gone, or so busy that it can't even listen.
                self._hang_up()
        return seal or self._sealer.seal()

    def _exchange(self, door: socket.socket) -> Seal | None:
        """Take in what the helper has made, order more, and return a seal if there is one."""
        line = self._line
        if line is None:
            line = self._connect(door)
        else:
            self._take_in(line)
            if not self._ready:
                self._ahead = min(self._ahead + BATCH, MOST_AHEAD)
        seal = self._ready.popleft() if self._ready else None
        while self._ordered + len(self._ready) + BATCH <= self._ahead:
            line.send(u8(BATCH))
            self._ordered += BATCH
        return seal

    def _connect(self, door: socket.socket) -> socket.socket:
        self._line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._line.setblocking(False)
        recipients = b"".join(recipient.public for recipient in self._sealer.recipients)
        with other:
            self._line.sendall(u8(self._sealer.geometry.recipients) + u8(len(self._sealer.recipients)) + recipients)
            socket.send_fds(door, [b"!"], [other.fileno()])
        return self._line

    def _take_in(self, line: socket.socket) -> None:
        size = self._prefix_bytes + KEY_BYTES
        with contextlib.suppress(BlockingIOError):
            while len(self._received) < size * self._ordered:
                part = line.recv(size * self._ordered - len(self._received))
                if not part:
                    raise OSError("the workshop hung up")
                self._received += part
        whole = len(self._received) // size
        for at in range(0, whole * size, size):
            key_at = at + self._prefix_bytes
            self._ready.append(Seal(bytes(self._received[at:key_at]), bytes(self._received[key_at : at + size])))
        del self._received[: whole * size]
        self._ordered -= whole

    def _hang_up(self) -> None:
        """End the line. Seals that are left were never used, and never will be."""
        self._door = None
        self._ready.clear()
        self._received.clear()
        if self._line is not None:
            self._line.close()
            self._line = None


def _be_helper(door: socket.socket, randomness: Randomness, prepare: Callable[[], object]) -> None:
    """Live as the helper process. Doesn't return, and never runs what its worker would run at its end."""
    code = 1
    try:
        for each in _IGNORED:  # Who stops a server signals all of its processes, and the worker isn't done yet.
            signal.signal(signal.Signals[each], signal.SIG_IGN)
        os.closerange(3, door.fileno())
        os.closerange(door.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        prepare()
        gc.freeze()
        _Bench(door, randomness).work()
        code = 0
    finally:
        os._exit(code)


class _Bench:
    """The helper's side: takes new lines from the door, and serves their orders in turn until the door closes."""

    def __init__(self, door: socket.socket, randomness: Randomness) -> None:
        self._door = door
        self._randomness = randomness
        self._lines = selectors.DefaultSelector()
        self._sealers: dict[int, Sealer] = {}

    def work(self) -> None:
        self._lines.register(self._door, selectors.EVENT_READ)
        while True:
            for key, _ in self._lines.select():
                if key.data is not None:
                    self._serve(key.data)
                elif not self._welcome():
                    return

    def _welcome(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._door, 1, 1)
        for descriptor in descriptors:
            line = socket.socket(fileno=descriptor)
            line.settimeout(_LINE_SECONDS)
            self._lines.register(line, selectors.EVENT_READ, line)
        return bool(message)  # Nothing, once the worker has ended.

    def _serve(self, line: socket.socket) -> None:
        try:
            if line.fileno() not in self._sealers:
                self._sealers[line.fileno()] = self._read_order(line)
                return
            sealer = self._sealers[line.fileno()]
            for _ in range(_exactly(line, 1)[0]):
                seal = sealer.seal()
                line.sendall(seal.prefix + seal.payload_key)
        except OSError:
            self._lines.unregister(line)
            self._sealers.pop(line.fileno(), None)
            line.close()

    def _read_order(self, line: socket.socket) -> Sealer:
        places, count = _exactly(line, 2)
        raw = _exactly(line, count * MLKEM768X25519_PUBLIC_BYTES)
        recipients = [
            HybridRecipient(raw[at : at + MLKEM768X25519_PUBLIC_BYTES])
            for at in range(0, len(raw), MLKEM768X25519_PUBLIC_BYTES)
        ]
        return Sealer(recipients, Geometry(places), self._randomness)


def _exactly(line: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            raise OSError("the worker hung up")
        data += part
    return bytes(data)
