"""How far each upload is: a map in shared memory, so that any worker can show any upload's progress.

The map is anonymous memory made before the workers fork; nothing of it is ever on disk. An entry is found by a
digest of the upload's label, and holds numbers only: no name, no size of a single file, no codename.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, replace
from enum import IntEnum

from dropbox.mutex import Mutex
from keys.primitives import blake2b

_KEY_BYTES = 16
_RECORD = struct.Struct(f">{_KEY_BYTES}sBBHQQQQ")


class Stage(IntEnum):
    """Where an upload stands."""

    WAITING = 0
    RECEIVING = 1
    STORED = 2
    BROKEN = 3
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Progress:
    """One upload: bytes received so far and announced, items safely stored, and times in milliseconds.

    `reason` says why it was refused: a number that only the pages give a meaning, 0 for none.
    """

    stage: Stage = Stage.WAITING
    reason: int = 0
    stored: int = 0
    received: int = 0
    expected: int = 0
    started_ms: int = 0
    changed_ms: int = 0


class Board:
    """A fixed number of places for uploads in progress. A new upload takes the place that is worth least.

    Args:
        places: how many uploads can be shown at once; more than can be received at once.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._beginning = Mutex()
        self._map = mmap.mmap(-1, places * _RECORD.size)

    def _offset(self, key: bytes) -> int | None:
        found = self._map.find(key)
        while found >= 0:
            if found % _RECORD.size == 0:
                return found
            found = self._map.find(key, found + 1)
        return None

    def read(self, label: bytes) -> Progress:
        """Return the progress of the upload with this label; WAITING when nothing has arrived of it."""
        offset = self._offset(_key(label))
        if offset is None:
            return Progress()
        _, stage, reason, stored, received, expected, started, changed = _RECORD.unpack_from(self._map, offset)
        return Progress(Stage(stage), reason, stored, received, expected, started, changed)

    def begin(self, label: bytes, expected: int, now_ms: int) -> Reporter:
        """Take a place for an upload. A label used again starts anew in its old place."""
        key = _key(label)
        progress = Progress(Stage.RECEIVING, expected=expected, started_ms=now_ms, changed_ms=now_ms)
        with self._beginning.held():
            offset = self._offset(key)
            if offset is None:
                offset = min(range(0, self._places * _RECORD.size, _RECORD.size), key=self._worth)
            _write(self._map, offset, key, progress)
        return Reporter(self._map, offset, key, progress)

    def _worth(self, offset: int) -> tuple[bool, int]:
        """What is under way stays longer than what has ended, then what changed later stays longer."""
        _, stage, *_, changed = _RECORD.unpack_from(self._map, offset)
        return stage == Stage.RECEIVING, changed


class Reporter:
    """Writes one upload's progress from the thread that receives it."""

    def __init__(self, shared: mmap.mmap, offset: int, key: bytes, progress: Progress) -> None:
        self._map = shared
        self._offset = offset
        self._key = key
        self._progress = progress

    def update(self, now_ms: int, *, received: int | None = None, stored: int | None = None) -> None:
        received = self._progress.received if received is None else received
        stored = self._progress.stored if stored is None else stored
        self._write(replace(self._progress, received=received, stored=stored, changed_ms=now_ms))

    def end(self, now_ms: int, stage: Stage, reason: int = 0) -> None:
        self._write(replace(self._progress, stage=stage, reason=reason, changed_ms=now_ms))

    def _write(self, progress: Progress) -> None:
        self._progress = progress
        if self._map[self._offset : self._offset + _KEY_BYTES] == self._key:  # Else the place has gone to another.
            _write(self._map, self._offset, self._key, progress)


def _write(shared: mmap.mmap, offset: int, key: bytes, progress: Progress) -> None:
    _RECORD.pack_into(
        shared,
        offset,
        key,
        progress.stage,
        progress.reason,
        min(progress.stored, 65_535),
        progress.received,
        progress.expected,
        progress.started_ms,
        progress.changed_ms,
    )


def _key(label: bytes) -> bytes:
    return blake2b(b"mustshare/progress\0" + label, _KEY_BYTES)
