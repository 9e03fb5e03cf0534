"""Files of cells on a stick: written so that a kill at any moment keeps every whole cell. SPEC section 14.2."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from keys import bundle
from keys.bundle import CELL_BYTES, MAX_PART_BYTES
from keys.cell import Geometry, seal_digest
from keys.errors import DropBoxError, Malformed
from keys.inventory import ID_BYTES, CellId
from keys.statement import NetworkId

RECORD_BYTES = ID_BYTES + CELL_BYTES
SYNC_BYTES = 64 << 20
"""After so many bytes the stick is asked to keep them: progress that is shown is progress, and the end comes soon."""
_NAME = re.compile(r"\.?cells-[0-9]{1,16}-[0-9]{1,16}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """A file of cells: under which inventory it was fetched, where its records begin, how many are whole."""

    path: Path
    inventory: int
    first: int
    records: int

    def listed(self, digests: Mapping[CellId, bytes], geometry: Geometry) -> Iterator[CellId]:
        """Yield the ids of its cells that are the ones listed, which their headers tell.

        Args:
            digests: the listed cells' ids and seal digests.

        Raises:
            OSError: the stick is broken.
        """
        length = ID_BYTES + geometry.sealed_head_bytes
        with open_regular(self.path) as file:
            for record in range(self.records):
                start = os.pread(file.fileno(), length, self.first + record * RECORD_BYTES)
                cell_id = CellId(start[:ID_BYTES])
                if cell_id in digests and seal_digest(start[ID_BYTES:], geometry) == digests[cell_id]:
                    yield cell_id


def open_regular(path: Path, mode: int = os.O_RDONLY) -> BinaryIO:
    """Open a file of the stick. Raises: Malformed: a link or a device stands there. OSError: it can't be opened."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise Malformed("On the stick something else stands where a file belongs.")
    return open(os.open(path, mode | os.O_NOFOLLOW | os.O_CLOEXEC), "rb" if mode == os.O_RDONLY else "r+b")


def sync_folder(folder: Path) -> None:
    """Have the names in a folder kept."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Parts:
    """The files of cells in one server's folder on a stick."""

    def __init__(self, folder: Path, network: NetworkId, server: str) -> None:
        self._folder = folder
        self._network = network
        self._server = server

    def found(self) -> list[Part]:
        """Return the files of cells of this network and server; others are none of ours."""
        parts = []
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith("cells-"):
                try:
                    parts.append(self._read(path))
                except DropBoxError:
                    continue
        return parts

    def _read(self, path: Path) -> Part:
        with open_regular(path) as file:
            header = bundle.read_header(file)
            inventory = bundle.parse_cells_header(header, self._network, self._server)
            size = os.fstat(file.fileno()).st_size
            if size > MAX_PART_BYTES:
                raise Malformed("A file of cells is longer than any courier writes.")
            records = (size - len(header)) // RECORD_BYTES
        return Part(path, inventory, len(header), records)

    def drop(self, wanted: Callable[[int], bool]) -> int:
        """Remove the parts that were fetched under inventories of certain numbers; return how many."""
        done = [part for part in self.found() if wanted(part.inventory)]
        for part in done:
            part.path.unlink()
        if done:
            sync_folder(self._folder)
        return len(done)

    def salvage(self) -> None:
        """Finish what a kill left half written: whole cells are kept, the rest is dropped."""
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith(".cells-") and not path.is_dir():
                self._salvage(path)

    def _salvage(self, path: Path) -> None:
        try:
            part = self._read(path)
        except DropBoxError:
            part = None
        if part is not None and part.records and _NAME.match(path.name):
            with open_regular(path, os.O_RDWR) as file:
                os.ftruncate(file.fileno(), part.first + part.records * RECORD_BYTES)
                os.fsync(file.fileno())
            path.rename(self._free_name(part.inventory))
        else:
            path.unlink()
        sync_folder(self._folder)

    def _free_name(self, inventory: int) -> Path:
        """Return the first name of this inventory that nothing has: nothing on a stick is ever overwritten."""
        number = 1
        while os.path.lexists(path := self._folder / f"cells-{inventory}-{number}"):
            number += 1
        return path

    def begin(self, inventory: int) -> Unfinished:
        """Create a new part that holds no cell yet."""
        name = self._free_name(inventory)
        temporary = name.with_name(f".{name.name}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        part = Unfinished(os.open(temporary, flags, 0o644), temporary, name)
        try:
            part.write(bundle.cells_header(self._network, self._server, inventory))
        except OSError:
            part.discard()
            raise
        return part


class Unfinished:
    """A part that is being written. `size` counts the bytes that were written whole."""

    def __init__(self, file: int, temporary: Path, name: Path) -> None:
        self._file = file
        self._temporary = temporary
        self._name = name
        self._unsynced = 0
        self.size = 0

    def write(self, data: bytes) -> None:
        """Write all of it, or raise OSError; what went half is cut off by `complete`."""
        view = memoryview(data)
        while len(view):
            view = view[os.write(self._file, view) :]
        self.size += len(data)
        self._unsynced += len(data)
        if self._unsynced >= SYNC_BYTES:
            os.fdatasync(self._file)
            self._unsynced = 0

    def complete(self) -> None:
        """Give the part its name, once all of it is on the disk."""
        try:
            os.ftruncate(self._file, self.size)
            os.fsync(self._file)
        finally:
            os.close(self._file)
        self._temporary.rename(self._name)
        sync_folder(self._name.parent)

    def discard(self) -> None:
        os.close(self._file)
        self._temporary.unlink()


class PartWriter:
    """Writes cells into parts of at most 2 GiB. Each part gets its name when it is whole and on the disk.

    Raises:
        OSError: from every method: the stick is full or broken. Every cell that `add` returned for is kept.
    """

    def __init__(self, parts: Parts, inventory: int, max_bytes: int = MAX_PART_BYTES) -> None:
        self._parts = parts
        self._inventory = inventory
        self._max_bytes = max_bytes
        self._part: Unfinished | None = None

    def add(self, cell_id: CellId, cell: bytes) -> None:
        """Add one whole cell."""
        if self._part is not None and self._part.size + RECORD_BYTES > self._max_bytes:
            self.complete()
        if self._part is None:
            self._part = self._parts.begin(self._inventory)
        self._part.write(cell_id + cell)

    def complete(self) -> None:
        """Give the part that is being written its name."""
        part, self._part = self._part, None
        if part is not None:
            part.complete()
