"""A stick: where things lie on it, read with suspicion and written whole or not at all. SPEC section 14.1.

Whoever prepared the stick may wish us ill. So no link on it is followed, nothing but regular files is read, reading is
bounded, and whatever is written goes through folders that were opened one by one from the stick's own top.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from keys import bundle
from keys.errors import DropBoxError, Malformed, Misconfigured, NoRoom
from keys.inventory import ID_BYTES, check_server_name
from keys.minisign import MAX_DOCUMENT_BYTES, MAX_SIGNATURES, SignedDocument
from keys.statement import NetworkId

TOP = "mustshare"
RECORD_BYTES = ID_BYTES + bundle.CELL_BYTES
MAX_INVENTORY_BYTES = 256 << 20
MAX_SIGNATURE_BYTES = 1024
MAX_NAMES = 100_000

_CELLS = re.compile(r"cells((?:-[0-9]{1,16}){2,4})\Z", re.ASCII)
_DOCUMENT = re.compile(r"(manifest-[1-9][0-9]{0,15}|epochs-[1-9][0-9]{0,2}-[1-9][0-9]{0,15})\Z")
_FURTHER = re.compile(r"(desk-[0-9]{1,3}-[a-z0-9-]{1,32})\.([0-9]{4,9})\Z", re.ASCII)
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\Z")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Part:
    """A file of cells: `first` is where its first record begins, `records` how many whole ones follow.

    `inventory` is the number of the one under which they were fetched.
    """

    path: Path
    server: str
    inventory: int
    first: int
    records: int
    cut_short: bool

    def at(self, record: int) -> int:
        """Return where a record's cell begins, behind its id."""
        return self.first + record * RECORD_BYTES + ID_BYTES


class Stick:
    """One stick, or a folder that stands for one.

    Raises:
        Misconfigured: from the constructor, when there is no such folder.
        OSError: from any method, when the stick is pulled out or broken.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise Misconfigured(
                f"There is no stick at {folder.name!r}.", "Plug it in, and name the folder it shows as."
            )
        self.folder = folder

    def servers(self) -> list[str]:
        """Return the names of the servers that something came from; a folder with another name is none."""
        return [name for name in self._names(TOP, "inbound") if _is_server(name)]

    def inventory(self, server: str) -> tuple[bytes, bytes] | None:
        """Return an inventory and its signature, unverified, or None when the courier brought none.

        Raises:
            Malformed: one of them is too long to be what it says.
        """
        raw = self._read(TOP, "inbound", server, "inventory", most=MAX_INVENTORY_BYTES)
        signature = self._read(TOP, "inbound", server, "inventory.minisig", most=MAX_SIGNATURE_BYTES)
        if raw is None or signature is None:
            return None
        return raw, signature

    def documents(self, server: str) -> list[str]:
        """Return the names of the manifests and epoch lists beside an inventory."""
        return [name for name in self._names(TOP, "inbound", server) if _DOCUMENT.match(name)]

    def document(self, server: str, name: str) -> SignedDocument:
        """Return one of them, unverified. Raises: Malformed: it is too long, or not to be read."""
        raw = self._read(TOP, "inbound", server, name, most=MAX_DOCUMENT_BYTES)
        if raw is None:
            raise Malformed("A document on the stick is gone.")
        names = [f"{name}.minisig", *(f"{name}.{number}.minisig" for number in range(1, MAX_SIGNATURES))]
        signatures = [each for beside in names for each in self._signatures(server, beside)]
        return SignedDocument(raw, tuple(signatures[:MAX_SIGNATURES]))

    def _signatures(self, server: str, name: str) -> list[bytes]:
        raw = self._read(TOP, "inbound", server, name, most=MAX_SIGNATURES * MAX_SIGNATURE_BYTES)
        return split_signatures(raw or b"")

    def parts(self, server: str, network: NetworkId) -> tuple[list[Part], list[DropBoxError]]:
        """Return the files of cells that came from a server, and what is wrong with those that are left out."""
        parts, problems = [], []
        matches = [_CELLS.match(name) for name in self._names(TOP, "inbound", server)]
        order = sorted(([int(number) for number in match[1][1:].split("-")], match[0]) for match in matches if match)
        for _, name in order:
            try:
                parts.append(self._part(server, name, network))
            except DropBoxError as error:
                problems.append(error)
        return parts, problems

    def _part(self, server: str, name: str, network: NetworkId) -> Part:
        with self._open(TOP, "inbound", server, name) as file:
            head = bundle.read_header(file)
            inventory = bundle.parse_cells_header(head, network, server)
            size = os.fstat(file.fileno()).st_size
            if size > bundle.MAX_PART_BYTES:
                raise Malformed(
                    "A file of cells is longer than any courier writes: it was left out.",
                    "Somebody prepared this stick, or it is broken. Let the courier fetch again, with another stick.",
                )
            records, rest = divmod(size - len(head), RECORD_BYTES)
            return Part(self.folder / TOP / "inbound" / server / name, server, inventory, len(head), records, rest > 0)

    def known(self, desk: int, network: NetworkId) -> bundle.Known | None:
        """Return what a station of this desk wrote here the last time, or None when that can't be read."""
        try:
            raw = self._read(TOP, f"known-{desk}", most=MAX_INVENTORY_BYTES)
            return None if raw is None else bundle.parse_known(raw, network)
        except DropBoxError:
            return None

    def write_known(self, desk: int, raw: bytes) -> None:
        """Write which cells needn't be fetched again."""
        self._write([raw], f"known-{desk}", TOP)

    def write_bundle(self, desk: int, server: str, pieces: Iterable[bytes], number: int = 1) -> int:
        """Write one of a desk's bundles for a server, in place of the one before; return its length in bytes."""
        ending = "" if number == 1 else f".{number:04}"
        return self._write(pieces, f"desk-{desk}-{server}{ending}", TOP, "outbound")

    def drop_bundles(self, desk: int, server: str, above: int) -> None:
        """Remove a desk's bundles for a server with higher numbers: an earlier outbox wrote more of them."""
        with _folder(self.folder, (TOP, "outbound"), create=True) as descriptor:
            for name in os.listdir(descriptor):
                found = _FURTHER.match(name)
                if found and found[1] == f"desk-{desk}-{server}" and int(found[2]) > above:
                    with contextlib.suppress(IsADirectoryError, PermissionError):
                        os.unlink(name, dir_fd=descriptor)

    def _names(self, *folders: str) -> list[str]:
        try:
            with _folder(self.folder, folders, create=False) as descriptor:
                names: list[str] = []
                for name in os.listdir(descriptor):
                    if len(names) == MAX_NAMES:
                        raise Malformed("There are too many files on this stick.", "Take a stick that is in order.")
                    if not name.startswith("."):
                        names.append(name)
                return sorted(names)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _open(self, *names: str) -> BinaryIO:
        with _folder(self.folder, names[:-1], create=False) as descriptor:
            return _regular(names[-1], descriptor)

    def _read(self, *names: str, most: int) -> bytes | None:
        try:
            with self._open(*names) as file:
                data = file.read(most + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if len(data) > most:
            raise Malformed("A file on the stick is too long to be what its name says.")
        return data

    def _write(self, pieces: Iterable[bytes], name: str, *folders: str) -> int:
        temporary = f".{secrets.token_hex(8)}"
        with _folder(self.folder, folders, create=True) as descriptor:
            for left in filter(_TEMPORARY.match, os.listdir(descriptor)):
                with contextlib.suppress(IsADirectoryError, PermissionError):
                    os.unlink(left, dir_fd=descriptor)  # A write that broke off.
            try:
                size = _write_new(temporary, descriptor, pieces)
                os.rename(temporary, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
                os.fsync(descriptor)
            except OSError as error:
                if error.errno in _FULL:
                    raise NoRoom("There is no room left on the stick.", "Take another stick, or empty it.") from error
                if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
                    raise Malformed("On the stick a folder stands where a file belongs.") from error
                raise
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=descriptor)
        return size


def open_part(path: Path) -> BinaryIO:
    """Open a file of cells for reading at will. Raises: Malformed: it is no regular file, or no longer."""
    return _regular(path)


def split_signatures(raw: bytes) -> list[bytes]:
    """Take a file of one or more minisign signatures apart, four lines each. Nothing is verified."""
    lines = raw.splitlines(keepends=True)
    return [b"".join(lines[at : at + 4]) for at in range(0, min(len(lines), 4 * MAX_SIGNATURES), 4)]


def _is_server(name: str) -> bool:
    try:
        check_server_name(name)
    except Malformed:
        return False
    return True


@contextlib.contextmanager
def _folder(top: Path, names: Iterable[str], *, create: bool) -> Iterator[int]:
    """Open a folder below the stick's top, step by step and through no link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(top, flags)
    try:
        for name in names:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=descriptor)
            try:
                below = os.open(name, flags | os.O_NOFOLLOW, dir_fd=descriptor)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR) and create:
                    raise Malformed(
                        "On the stick a link or a file stands where a folder belongs.", "Take another stick."
                    ) from error
                raise
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _regular(path: str | Path, folder: int | None = None) -> BinaryIO:
    # Without O_NONBLOCK, a named pipe would hold us up for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EACCES):
            raise Malformed("On the stick a link or a device stands where a file belongs.") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Malformed("On the stick something else stands where a file belongs.")
    return open(descriptor, "rb")


def _write_new(name: str, folder: int, pieces: Iterable[bytes]) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    size = 0
    with open(os.open(name, flags, 0o644, dir_fd=folder), "wb") as file:
        for piece in pieces:
            file.write(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return size
