"""A crowd of connections that one thread keeps going: each sends what it has at the crowd's pace, and hears its answer.

with Crowd(socket_path, bytes_per_second=5_000) as crowd:
    members = [crowd.join(circuit, *upload.pieces, at_once=upload.first) for circuit in range(1, 201)]
    ...                                                             # they go on sending meanwhile
    crowd.hurry()                                                   # the rest as fast as it is taken
    crowd.wait(members)                                             # until each was answered, or cut off
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from keys import codename
from keys.codename import Language
from keys.primitives import Randomness
from tests.dropbox.serving.visitors import Visit, wait_until
from tests.dropbox.source.site import Upload, form_fields, multipart
from tests.promises.browser import MULTIPART, URL_ENCODED, Answer

TICK_SECONDS = 0.1
PIECE_BYTES = 64 * 1024
AT_ONCE = 1 << 40
HERE = b"the content of the file"


class Member:
    """One connection of a crowd. `pieces`: what it sends in all; `allowed`: how much it may have sent by now."""

    def __init__(self, visit: Visit, pieces: Iterable[bytes], allowed: float) -> None:
        self._visit = visit
        self._pieces = deque(memoryview(piece) for piece in pieces)
        self._heard: list[bytes] = []
        self.allowed = allowed
        self.sent = 0
        self.ended = False

    @property
    def answer(self) -> Answer | None:
        """What it was answered, once all of that has come; None before, and if it was cut off."""
        raw = b"".join(self._heard)
        found = Answer(raw) if self.ended and raw else None
        return found if found is not None and found.whole else None

    def go_on(self) -> None:
        """Send what is due, and take what has come."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            while self._pieces and (due := int(self.allowed) - self.sent) > 0:
                self._sent(self._visit.socket.send(self._pieces[0][: min(due, PIECE_BYTES)]))
        with contextlib.suppress(BlockingIOError):
            try:
                while piece := self._visit.socket.recv(PIECE_BYTES):
                    self._heard.append(piece)
            except ConnectionResetError:
                pass
            self.close()

    def _sent(self, count: int) -> None:
        self.sent += count
        self._pieces[0] = self._pieces[0][count:]
        if not self._pieces[0]:
            self._pieces.popleft()

    def close(self) -> None:
        self.ended = True
        self._visit.close()


class Crowd:
    """See the module. Nobody in it waits for another.

    Args:
        bytes_per_second: of each member.
    """

    def __init__(self, socket_path: Path, *, bytes_per_second: float = AT_ONCE) -> None:
        self._socket_path = socket_path
        self._bytes_per_second = bytes_per_second
        self._members: list[Member] = []
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Crowd:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._thread.join()
        for member in self._members:
            member.close()

    def join(self, circuit: int, *pieces: bytes, at_once: int = 0) -> Member:
        """Connect over a circuit; send the first `at_once` bytes without delay, and the rest at the crowd's pace."""
        visit = Visit(self._socket_path, circuit)
        visit.socket.setblocking(False)
        member = Member(visit, pieces, at_once)
        self._members.append(member)  # Appending is one step: the thread goes through a copy.
        return member

    def hurry(self) -> None:
        """From now on everybody sends as fast as the server takes it."""
        self._bytes_per_second = AT_ONCE

    @staticmethod
    def wait(members: Iterable[Member], what: str = "everybody was answered", seconds: float = 120.0) -> None:
        wait_until(lambda: all(member.ended for member in members), what, seconds)

    def _run(self) -> None:
        before = time.monotonic()
        while not self._leaving.wait(TICK_SECONDS):
            now = time.monotonic()
            due, before = self._bytes_per_second * (now - before), now
            for member in [each for each in self._members if not each.ended]:
                member.allowed += due
                member.go_on()


def post(path: str, body: bytes, declared: str = MULTIPART, *, length: int | None = None) -> bytes:
    """Return a whole request; with `length` it announces more than it brings."""
    lines = (f"POST {path} HTTP/1.1", "Host: example.onion", declared, f"Content-Length: {length or len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def login(typed: str) -> bytes:
    """Return the request that types a codename."""
    return post("/en/return", f"codename={typed.replace(' ', '+')}".encode("ascii"), URL_ENCODED)


class SlowUpload:
    """A form with one file, of somebody whom nobody knows.

    `pieces`: the whole request, the file's content by itself; `first`: how many bytes come before that, or with its
    beginning; `digest`: the file's SHA-256, in hex.
    """

    def __init__(self, text: str, content: bytes, randomness: Randomness, desks: Sequence[int] = (1,)) -> None:
        self.text = text
        self.content = content
        self.digest = sha256(content).hexdigest()
        name = codename.make(Language.ENGLISH, randomness)
        body = multipart(form_fields(text, desks, name=name.text), [Upload("slow.bin", HERE)])
        before, _, after = body.partition(HERE)
        head = post(f"/en/send/{secrets.token_hex(16)}", b"", length=len(before) + len(content) + len(after))
        self.pieces = (head + before, content, after)
        self.first = len(self.pieces[0]) + 64

    def has_receipt(self, member: Member) -> bool:
        """Whether whoever sent it was shown a receipt that lists the file."""
        return member.answer is not None and member.answer.status == 200 and self.digest in member.answer.text
