"""The server's clock against tor's consensus: the times on which the directory authorities agreed. SPEC 11.6.

Whoever sets a server's clock chooses the week that tips are sealed to. tor keeps the newest consensus that it verified
in a file; of that only the head is read here, so this needs no network, no control socket, and no stem.
"""

from __future__ import annotations

import enum
import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from keys.errors import Malformed

MAX_HEAD_BYTES = 1_024
EARLY_SECONDS = 3_600
"""So much may a clock be behind a consensus that has just been made."""
LATE_SECONDS = 86_400
"""So long after it expired tor itself still takes a consensus as reasonably live."""

_TIME = rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"
_HEAD = re.compile(
    rb"network-status-version 3(?: microdesc)?\n"
    rb"vote-status consensus\n"
    rb"consensus-method [1-9]\d{0,3}\n"
    rb"valid-after " + _TIME + rb"\n"
    rb"fresh-until " + _TIME + rb"\n"
    rb"valid-until " + _TIME + rb"\n"
)


class Comparison(enum.Enum):
    """What a look at tor's consensus says of a clock. The value is a word for programs."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    NOT_COMPARED = "not-compared"


@dataclass(frozen=True, slots=True)
class Consensus:
    """When a consensus was made, is to be replaced, and expires: Unix seconds."""

    valid_after: int
    fresh_until: int
    valid_until: int

    def compare(self, now: int) -> Comparison:
        """Say whether a clock may be right: not over an hour before it was made, nor over a day after it expired."""
        fits = self.valid_after - EARLY_SECONDS <= now <= self.valid_until + LATE_SECONDS
        return Comparison.AGREES if fits else Comparison.DISAGREES


def parse_head(data: bytes) -> Consensus:
    """Read the times from the first lines of a consensus; what follows is not looked at. tor's dir-spec, 3.4.1.

    Its signatures are not checked here: tor keeps none that it hasn't verified.

    Raises:
        Malformed: it doesn't begin like a consensus, or its times aren't in order.
    """
    match = _HEAD.match(data)
    if match is None:
        raise Malformed("This is not the head of a consensus of Tor's.")
    found = Consensus(*(_seconds(each) for each in match.groups()))
    if not found.valid_after < found.fresh_until <= found.valid_until:
        raise Malformed("The times of this consensus are not in order.")
    return found


def _seconds(text: bytes) -> int:
    try:
        moment = datetime.strptime(text.decode("ascii"), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise Malformed("A time of this consensus is none.") from error
    return int(moment.timestamp())


class ConsensusFile:
    """The file in which tor keeps its consensus, or a copy of its head. Any thread may ask.

    Each question looks whether another file stands there; it is read only then. So a server whose tor has been off for
    days is right again as soon as tor has a new consensus.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int, int], Consensus | None] | None = None

    def compare(self, now: int) -> Comparison:
        """Compare a clock. A file that is absent, unreadable or malformed compares nothing."""
        try:
            found = self._newest()
        except OSError:
            return Comparison.NOT_COMPARED
        return Comparison.NOT_COMPARED if found is None else found.compare(now)

    def _newest(self) -> Consensus | None:
        known = self._read
        if known is not None and known[0] == _mark(self._path.stat()):
            return known[1]
        # A pipe that somebody put there keeps nobody waiting.
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            here = os.fstat(descriptor)
            head = os.read(descriptor, MAX_HEAD_BYTES) if stat.S_ISREG(here.st_mode) else b""
        finally:
            os.close(descriptor)
        try:
            found = parse_head(head)
        except Malformed:
            found = None
        self._read = _mark(here), found
        return found


def _mark(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size
