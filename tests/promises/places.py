"""Every place of a machine where a server could leave what it must not keep, searched for needles.

A needle is found wherever its bytes stand: in files, in files that were deleted and are still open, in files that are
mapped, in what the server printed. Who searches needs to look into the server's processes: root may, others only when
the server runs in the open.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

COMMON_FOLDERS = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
MOST_FILES = 20_000
MOST_BYTES = 8 << 20
"""Of one file in a folder that everybody uses; the server's own files are read whole."""
PIECE_BYTES = 4 << 20
_MAPPED = re.compile(r"([0-9a-f]+-[0-9a-f]+) (\S+) \S+ (\S+) (\d+) *(.*)")


@dataclass
class Search:
    """One search. `since`: seconds of the epoch, before which nothing of a common folder can be the server's."""

    needles: Mapping[str, bytes]
    since: float
    found: set[tuple[str, str]] = field(default_factory=set)
    looked_at: dict[str, int] = field(default_factory=dict)
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._longest = max(map(len, self.needles.values()))

    def everywhere(
        self, own: Iterable[Path], pids: Iterable[int], common: Iterable[Path] = COMMON_FOLDERS
    ) -> set[tuple[str, str]]:
        """Search the server's own folders and files, what its processes hold, and the folders that everybody uses."""
        for path in own:
            self.below("its own files", path, most_bytes=None)
        self.processes(pids)
        for folder in common:
            self.below(str(folder), folder, most_bytes=MOST_BYTES)
        return self.found

    def below(self, place: str, path: Path, *, most_bytes: int | None) -> None:
        for count, file in enumerate(_files(path)):
            if count >= MOST_FILES:
                return
            with contextlib.suppress(OSError):
                facts = file.lstat()
                if not stat.S_ISREG(facts.st_mode) or (most_bytes is not None and not self._may_be_its(facts)):
                    continue
                self._file(place, file, facts, most_bytes)

    def _may_be_its(self, facts: os.stat_result) -> bool:
        return facts.st_uid == os.geteuid() and max(facts.st_ctime, facts.st_mtime) >= self.since

    def processes(self, pids: Iterable[int]) -> None:
        """Search every open descriptor and every mapped file of these processes."""
        for pid in pids:
            self._descriptors(pid)
            self._maps(pid)

    def _descriptors(self, pid: int) -> None:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                facts = descriptor.stat()
                if stat.S_ISREG(facts.st_mode):
                    self._file("an open descriptor", descriptor, facts, None)

    def _maps(self, pid: int) -> None:
        """Programs and libraries, which nobody has written to since the start, are left out."""
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            match = _MAPPED.match(line)
            if match is None or match[4] == "0":
                continue
            mapped = Path(f"/proc/{pid}/map_files/{match[1]}")
            with contextlib.suppress(FileNotFoundError, PermissionError):
                facts = mapped.stat()
                if facts.st_nlink == 0 or max(facts.st_ctime, facts.st_mtime) >= self.since:
                    self._file("a mapped file", mapped, facts, None)

    def _file(self, place: str, file: Path, facts: os.stat_result, most_bytes: int | None) -> None:
        if (facts.st_dev, facts.st_ino) in self._seen:
            return
        self._seen.add((facts.st_dev, facts.st_ino))
        self.looked_at[place] = self.looked_at.get(place, 0) + 1
        with file.open("rb") as stream:
            self._stream(place, stream, most_bytes)

    def _stream(self, place: str, stream: BinaryIO, most_bytes: int | None) -> None:
        tail, read = b"", 0
        while piece := stream.read(PIECE_BYTES):
            window = tail + piece
            self.found |= {(place, name) for name, needle in self.needles.items() if needle in window}
            tail = window[1 - self._longest :]
            read += len(piece)
            if most_bytes is not None and read >= most_bytes:
                return


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith("pytest-")] if path in COMMON_FOLDERS else folders
        for name in names:
            yield Path(folder, name)
