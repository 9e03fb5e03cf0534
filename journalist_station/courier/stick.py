"""One stick, written so that pulling it out at any moment loses nothing that was whole. SPEC section 14.

Whoever had the stick before may wish us ill: no link on it is followed, and nothing on it is believed but what a
signature or a digest confirms elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from journalist_station.courier.parts import Parts, PartWriter, open_regular, sync_folder
from keys import bundle, files
from keys.bundle import CELL_BYTES, MAX_PART_BYTES, Known, OutboundHead, OutboundReader
from keys.cell import Geometry
from keys.errors import DropBoxError, Malformed, NoRoom, NotForUs, Refused
from keys.inventory import CellId, Inventory, check_server_name
from keys.statement import NetworkId

TOP = "mustshare"
MAX_KNOWN_BYTES = 64 << 20
MAX_INVENTORY_BYTES = 512 << 20
MAX_SIGNATURE_BYTES = 1_024
_WIPING = ".wiping-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PROTECTED = (errno.EROFS, errno.EACCES, errno.EPERM)
_IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY)


class StickFull(NoRoom):
    """There is no room left on the stick. The cells that fitted are there, whole."""

    default_remedy = "Empty it, or take a larger one, and run the command again: it goes on where it broke off."


class StickFailed(DropBoxError):
    """The stick can't be read or written: pulled out, broken, write-protected."""

    exit_code = 74
    default_remedy = "Is it still plugged in, and not write-protected? Run the command again, or take another stick."


class StickAhead(StickFailed):
    """The stick brings what the server doesn't know any more: nothing on it may be replaced before it was read."""

    exit_code = Refused.exit_code
    default_remedy = "Take it to its station as it is, and use another stick for this trip. Tell the newsroom."


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system says of a stick into what a person can do about it."""
    try:
        yield
    except NoRoom as error:
        raise StickFull(f"The stick {folder.name} is full.") from error
    except OSError as error:
        if error.errno in _FULL:
            raise StickFull(f"The stick {folder.name} is full.") from error
        if error.errno in _PROTECTED:
            raise StickFailed(
                f"The stick {folder.name} is write-protected.",
                "Unlock it or mount it for writing, or take another one.",
            ) from error
        if error.errno in _IN_THE_WAY:
            raise StickFailed(
                f"On the stick {folder.name} something stands where this program's files belong.",
                f"Move what is below {TOP} away, if it is somebody's, or take another stick.",
            ) from error
        raise StickFailed(f"The stick {folder.name} can't be read or written.") from error


@dataclass(frozen=True, slots=True)
class Waiting:
    """An outbound bundle that lies on a stick."""

    path: Path
    head: OutboundHead


class Stick:
    """A folder (a mounted stick) with `mustshare/` below it. Used as a context manager, by one courier at a time.

    Entering makes the folders and finishes what a cut left half done.

    Args:
        desks: the manifest's; what others have written on the stick isn't heard.

    Raises:
        NotForUs: from the constructor, when the folder isn't there: a stick that isn't mounted must not be invented.
        Refused: on entering, when another courier's command works with the stick.
        StickFull, StickFailed: from every other method.
    """

    def __init__(self, folder: Path, network: NetworkId, server: str, desks: Collection[int]) -> None:
        if not folder.is_dir():
            raise NotForUs(f"There is no folder {folder.name} to write to.", "Is the stick mounted?")
        self.folder = folder
        self._network = network
        self._server = check_server_name(server)
        self._desks = sorted(desks)
        self._top = folder / TOP
        self._inbound = self._top / "inbound" / self._server
        self._outbound = self._top / "outbound"
        self._parts = Parts(self._inbound, network, server)
        self._lock = -1

    def __enter__(self) -> Stick:
        with explained(self.folder):
            for path in (self._top, self._inbound.parent, self._inbound, self._outbound):
                _make_folder(path, self.folder.name)
            self._take()
            try:
                self._finish()
            except BaseException:
                os.close(self._lock)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def _finish(self) -> None:
        self._parts.salvage()
        for path in sorted(self._outbound.iterdir()):
            if path.name.startswith(_WIPING) and _is_regular(path):
                _overwrite(path)

    def _take(self) -> None:
        self._lock = os.open(self._top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Refused(
                f"Another courier's command works with the stick {self.folder.name}.", "Let that one end first."
            ) from None

    def known(self) -> Known:
        """Return what every station of this stick has: several desks may share one, and each must get all it lacks.

        A list that can't be read counts for nothing, so that more is fetched, never less.
        """
        lists = []
        with explained(self.folder):
            for desk in self._desks:
                try:
                    with open_regular(self._top / f"known-{desk}") as file:
                        found = bundle.parse_known(_read(file, MAX_KNOWN_BYTES), self._network)
                except (DropBoxError, FileNotFoundError):
                    continue
                if found.desk == desk:
                    lists.append(found)
        if not lists:
            return Known(0, {}, frozenset())
        read = min(each.inventories.get(self._server, 0) for each in lists)
        return Known(0, {self._server: read}, frozenset.intersection(*(each.ids for each in lists)))

    def inventory(self) -> tuple[bytes, bytes] | None:
        """Return the inventory that lies on the stick and its signature, unverified, or None."""
        with explained(self.folder):
            try:
                with (
                    open_regular(self._inbound / "inventory") as raw,
                    open_regular(self._inbound / "inventory.minisig") as signature,
                ):
                    return _read(raw, MAX_INVENTORY_BYTES), _read(signature, MAX_SIGNATURE_BYTES)
            except (DropBoxError, FileNotFoundError):
                return None

    def refuse_ahead(self, earlier: int, listing: int) -> None:
        """Refuse to go on with a stick whose cells a server has forgotten: it was put back to an older state.

        Args:
            earlier: the number of the inventory on the stick, which the server signed.
            listing: the number of the one that it has signed now.

        Raises:
            StickAhead: there are cells between the two that no station has read.
        """
        read = self.known().inventories.get(self._server, 0)
        with explained(self.folder):
            ahead = [part for part in self._parts.found() if max(read, listing) < part.inventory <= earlier]
        if ahead:
            raise StickAhead(
                f"The stick {self.folder.name} brings cells that the server doesn't know any more: "
                "it was put back to an older state."
            )

    def take_stock(self, listing: Inventory, geometry: Geometry) -> frozenset[CellId]:
        """Remove the parts that need not be carried; return the ids that needn't be fetched for this stick.

        Those are the parts that were read at the stations, and those of an inventory that the server has yet to make:
        they were put there to keep its cells away. What a station has read and doesn't know came damaged: it is fetched
        again, and so is what isn't the cell that is listed.
        """
        known = self.known()
        read = known.inventories.get(self._server, 0)
        read = 0 if read > listing.sequence else read
        with explained(self.folder):
            self._parts.drop(lambda number: number <= read or number > listing.sequence)
            found = self._parts.found()
            carried = frozenset(cell for part in found for cell in part.listed(listing.digests, geometry))
        return known.ids | carried

    def write(self, name: str, data: bytes) -> None:
        """Write one file of the inbound folder, whole or not at all; one that is there already is left alone."""
        path = self._inbound / name
        with explained(self.folder):
            if not _holds(path, data):
                files.write_file(path, data, private=False, replace=True)

    def collect(self, inventory: int, max_bytes: int = MAX_PART_BYTES) -> CellWriter:
        """Begin to write cells that were fetched under this inventory."""
        return CellWriter(self.folder, PartWriter(self._parts, inventory, max_bytes))

    def waiting(self) -> list[Waiting]:
        """Return the outbound bundles for this server, in the order in which they must be delivered."""
        found = []
        with explained(self.folder):
            for path in sorted(self._outbound.iterdir()):
                if path.name.startswith("."):
                    continue
                try:
                    with open_regular(path) as stream:
                        head = OutboundReader(stream).head
                except DropBoxError:
                    continue  # Not a bundle; whoever put it there may look after it.
                if head.network == self._network and head.server == self._server:
                    found.append(Waiting(path, head))
        return sorted(found, key=lambda each: (each.head.desk, each.head.first, each.head.entries))

    @contextmanager
    def reading(self, waiting: Waiting) -> Iterator[tuple[BundleSource, int]]:
        """Open a bundle to be sent: what to read it from, and how many bytes it has."""
        with explained(self.folder):
            file = open_regular(waiting.path)
        with file:
            yield BundleSource(self.folder, file), os.fstat(file.fileno()).st_size

    def wipe(self, waiting: Waiting) -> None:
        """Overwrite a delivered bundle and remove it. A flash drive may keep old copies all the same."""
        with explained(self.folder):
            # Under another name first, so that a wiping that was cut off is found, and finished next time.
            begun = waiting.path.with_name(f"{_WIPING}{waiting.path.name}")
            waiting.path.rename(begun)
            _overwrite(begun)


class CellWriter:
    """Takes the cells for one stick. Leaving it, however it happens, keeps those that are whole."""

    def __init__(self, folder: Path, parts: PartWriter) -> None:
        self._folder = folder
        self._parts = parts

    def __enter__(self) -> CellWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with explained(self._folder):
            self._parts.complete()

    def add(self, cell_id: CellId, cell: bytes) -> None:
        """Add a whole cell. Raises: StickFull, StickFailed: those before it are kept."""
        with explained(self._folder):
            self._parts.add(cell_id, cell)


class BundleSource:
    """What a bundle is read from while it is sent."""

    def __init__(self, folder: Path, file: BinaryIO) -> None:
        self._folder = folder
        self._file = file

    def read(self, size: int, /) -> bytes:
        """Raises: StickFailed: the stick, and not the connection, failed."""
        with explained(self._folder):
            return self._file.read(size)


def _make_folder(path: Path, stick: str) -> None:
    if not path.is_dir():
        path.mkdir()
    if path.is_symlink():
        raise Malformed(f"On the stick {stick} a link stands where a folder belongs.", "Take another stick.")


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _read(file: BinaryIO, max_bytes: int) -> bytes:
    data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Malformed("A file on the stick is too long to be what its name says.")
    return data


def _holds(path: Path, data: bytes) -> bool:
    try:
        with open_regular(path) as file:
            return file.read(len(data) + 1) == data
    except (FileNotFoundError, Malformed):
        return False


def _overwrite(path: Path) -> None:
    with open_regular(path, os.O_RDWR) as file:
        # A file of holes that somebody put there must not hold up the trip, or fill the stick.
        size = min(os.fstat(file.fileno()).st_size, MAX_PART_BYTES)
        for at in range(0, size, CELL_BYTES):
            file.write(os.urandom(min(CELL_BYTES, size - at)))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    sync_folder(path.parent)
