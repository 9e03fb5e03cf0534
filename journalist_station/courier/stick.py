"""One stick, written so that pulling it out at any moment loses nothing that was whole. SPEC section 14."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from keys import bundle, files
from keys.bundle import CELL_BYTES, MAX_PART_BYTES, OutboundHead, OutboundReader
from keys.errors import DropBoxError, Malformed, NotForUs
from keys.inventory import ID_BYTES, CellId, check_server_name
from keys.statement import NetworkId

TOP = "mustshare"
RECORD_BYTES = ID_BYTES + CELL_BYTES
MAX_KNOWN_BYTES = 64 << 20
MAX_KEPT_INVENTORIES = 1


@dataclass(frozen=True, slots=True)
class Waiting:
    """An outbound bundle that lies on a stick."""

    path: Path
    head: OutboundHead

    @property
    def last(self) -> int:
        return self.head.first + self.head.entries - 1


class Stick:
    """A folder (a mounted stick) with `mustshare/` below it.

    Raises:
        NotForUs: from the constructor, when the folder isn't there: a stick that isn't mounted must not be invented.
    """

    def __init__(self, folder: Path, network: NetworkId, server: str) -> None:
        if not folder.is_dir():
            raise NotForUs(f"There is no folder {folder.name} to write to.", "Is the stick mounted?")
        self.folder = folder
        self._network = network
        self._server = check_server_name(server)
        self._top = folder / TOP
        self.inbound = self._top / "inbound" / self._server
        self.outbound = self._top / "outbound"

    def prepare(self) -> None:
        """Make the folders, and finish what a cut left half written: whole cells are kept, the rest is dropped."""
        self.inbound.mkdir(parents=True, exist_ok=True)
        self.outbound.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.inbound.glob(".cells-*")):
            self._salvage(path)

    def _salvage(self, path: Path) -> None:
        try:
            with path.open("r+b") as part:
                head = bundle.read_header(part)
                whole = (path.stat().st_size - len(head)) // RECORD_BYTES
                if whole:
                    part.truncate(len(head) + whole * RECORD_BYTES)
                    os.fsync(part.fileno())
        except Malformed:
            whole = 0
        if whole:
            path.rename(_free_name(path.with_name(path.name[1:])))
        else:
            path.unlink()
        _sync_folder(self.inbound)

    def known(self) -> frozenset[CellId]:
        """Return the ids that the station of this stick has already. A list that can't be read means none."""
        for path in sorted(self._top.glob("known-*")):
            try:
                _, ids = bundle.parse_known(files.read_file(path, MAX_KNOWN_BYTES), self._network)
            except DropBoxError:
                continue
            return ids
        return frozenset()

    def parts(self) -> list[Path]:
        return sorted(self.inbound.glob("cells-*"))

    def carried(self) -> frozenset[CellId]:
        """Return the ids of the cells that lie on the stick, read without reading the cells."""
        return frozenset(cell for path in self.parts() for cell in self._ids(path))

    def _ids(self, path: Path) -> Iterator[CellId]:
        with path.open("rb") as part:
            try:
                at = len(bundle.read_header(part))
            except Malformed:
                return
            size = path.stat().st_size
            while at + RECORD_BYTES <= size:
                part.seek(at)
                yield CellId(part.read(ID_BYTES))
                at += RECORD_BYTES

    def drop_known_parts(self, known: frozenset[CellId]) -> int:
        """Remove the parts whose cells the station has all confirmed; return how many."""
        done = [path for path in self.parts() if set(self._ids(path)) <= known]
        for path in done:
            path.unlink()
        if done:
            _sync_folder(self.inbound)
        return len(done)

    def write(self, name: str, data: bytes) -> None:
        """Write one file of the inbound folder, whole or not at all."""
        files.write_file(self.inbound / name, data, private=False, replace=True)

    def collect(self, inventory: int) -> PartWriter:
        """Begin to write cells."""
        return PartWriter(self.inbound, bundle.cells_header(self._network, self._server, inventory), inventory)

    def waiting(self) -> list[Waiting]:
        """Return the outbound bundles for this server, in the order in which they must be delivered."""
        found = []
        for path in sorted(self.outbound.glob("*")):
            if path.name.startswith(".") or not path.is_file():
                continue
            try:
                with path.open("rb") as stream:
                    head = OutboundReader(stream).head
            except DropBoxError:
                continue  # Not a bundle; whoever put it there may look after it.
            if head.network == self._network and head.server == self._server:
                found.append(Waiting(path, head))
        return sorted(found, key=lambda each: (each.head.desk, each.head.first, each.head.entries))

    def wipe(self, waiting: Waiting) -> None:
        """Overwrite a delivered bundle and remove it. A flash drive may keep old copies all the same."""
        size = waiting.path.stat().st_size
        with waiting.path.open("r+b") as stream:
            for at in range(0, size, CELL_BYTES):
                stream.write(os.urandom(min(CELL_BYTES, size - at)))
            stream.flush()
            os.fsync(stream.fileno())
        waiting.path.unlink()
        _sync_folder(self.outbound)


class PartWriter:
    """Writes cells into parts of at most 2 GiB. Each part gets its name when it is whole and on the disk.

    Used as a context manager: leaving it, however it happens, completes the part with the cells that are whole.
    """

    def __init__(self, folder: Path, header: bytes, inventory: int) -> None:
        self._folder = folder
        self._header = header
        self._inventory = inventory
        self._number = 0
        self._file = -1
        self._temporary = folder
        self._size = 0
        self.cells = 0

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._complete()

    def add(self, cell_id: CellId, cell: bytes) -> None:
        """Add one whole cell."""
        if self._file >= 0 and self._size + RECORD_BYTES > MAX_PART_BYTES:
            self._complete()
        if self._file < 0:
            self._begin()
        _write_all(self._file, cell_id + cell)
        self._size += RECORD_BYTES
        self.cells += 1

    def _begin(self) -> None:
        self._number += 1
        self._temporary = self._folder / f".cells-{self._inventory:08d}-{self._number:04d}"
        self._file = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        _write_all(self._file, self._header)
        self._size = len(self._header)

    def _complete(self) -> None:
        if self._file < 0:
            return
        os.ftruncate(self._file, self._size)  # A write that was cut short isn't a cell.
        os.fsync(self._file)
        os.close(self._file)
        self._file = -1
        self._temporary.rename(_free_name(self._folder / self._temporary.name[1:]))
        _sync_folder(self._folder)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while len(view):
        view = view[os.write(file, view) :]


def _free_name(path: Path) -> Path:
    """Return a name that nothing has: parts of an earlier sync under the same inventory stay."""
    number, candidate = 0, path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
