"""The data folder and its files: of fixed size, changed in place, synced, locked, and all of one time.

The store does nothing to a disk but through the two protocols here, so that tests can put a failing disk under it.
No method leaves an `OSError` to the caller: a full disk is `NoRoom`, every other failure `Misconfigured`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeAlias

from keys.errors import DropBoxError, Misconfigured, NoRoom, Refused

Bytes: TypeAlias = bytes | bytearray | memoryview

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Reading must not leave a time behind either: a mailbox with replies would else be told from one without.
_NO_ATIME: int = getattr(os, "O_NOATIME", 0)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_SYNC_FILE_RANGE_WRITE = 2
_sync_file_range = ctypes.CDLL(None).sync_file_range
_sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


class File(Protocol):
    """One preallocated file."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly that many bytes."""

    def write(self, offset: int, *parts: Bytes) -> None:
        """Write the parts one after another, all of them or raise."""

    def sync(self) -> None:
        """Return when everything written to the file is on the disk."""

    def sync_range(self, offset: int, length: int) -> None:
        """Return when this page-aligned range is on the disk; what others wrote elsewhere isn't waited for."""

    def begin_sync(self) -> None:
        """Let what was written begin to go to the disk. A hint: nothing is waited for, promised or raised."""

    def set_time(self, nanoseconds: int) -> None:
        """Set the times of last change and last reading."""

    def own(self) -> None:
        """Lock the file for as long as this process or one forked from it lives. Raises: Misconfigured."""

    def close(self) -> None: ...


class Folder(Protocol):
    """The folder that holds them."""

    def open(self, name: str, *, read_only: bool = False) -> File: ...

    def create(self, name: str, size: int) -> File:
        """Make a file of that size with all its blocks reserved."""

    def remove(self, name: str) -> None: ...

    def sync(self) -> None: ...

    def lock(self, name: str, *, shared: bool = False) -> AbstractContextManager[None]:
        """Hold a lock that excludes every other thread and process, and that dies with whoever holds it."""

    def close(self) -> None: ...


def explain(error: OSError) -> DropBoxError:
    """Turn what the operating system says into what the operator should read. Names no path."""
    if error.errno in _FULL:
        return NoRoom("The disk of the data folder is full.", "Free some room on the server's disk.")
    reason = os.strerror(error.errno) if error.errno else "unknown error"
    return Misconfigured(
        f"The disk refused an operation in the data folder: {reason}.",
        "Check the disk's health, and who owns the data folder.",
    )


class DataFile:
    """A file of the data folder on a real disk."""

    __slots__ = ("_fd", "_size")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        try:
            data = os.pread(self._fd, length, offset)
            while len(data) < length:
                more = os.pread(self._fd, length - len(data), offset + len(data))
                if not more:
                    raise Misconfigured("A file of the data folder is shorter than it was.")
                data += more
        except OSError as error:
            raise explain(error) from error
        return data

    def write(self, offset: int, *parts: Bytes) -> None:
        length = sum(map(len, parts))
        try:
            done = os.pwritev(self._fd, parts, offset)
            while done < length:
                rest = b"".join(parts)[done:]
                done += os.pwrite(self._fd, rest, offset + done)
        except OSError as error:
            raise explain(error) from error

    def sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise explain(error) from error

    def sync_range(self, offset: int, length: int) -> None:
        """See `File`. Linux syncs what a mapping covers (`msync`), also what came by `pwrite`, and nothing more.

        `fdatasync` would make a short text wait for the gigabytes that others are just uploading to the same file.
        """
        try:
            with mmap.mmap(self._fd, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset) as mapped:
                mapped.flush()
        except OSError as error:
            raise explain(error) from error

    def begin_sync(self) -> None:
        _sync_file_range(self._fd, 0, 0, _SYNC_FILE_RANGE_WRITE)  # From its beginning to its end.

    def set_time(self, nanoseconds: int) -> None:
        try:
            os.utime(self._fd, ns=(nanoseconds, nanoseconds))
        except OSError as error:
            raise explain(error) from error

    def own(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Misconfigured(
                "Another server has this data folder open.", "Stop it first, and wait until its workers have ended."
            ) from error
        except OSError as error:
            raise explain(error) from error

    def close(self) -> None:
        os.close(self._fd)


class DataFolder:
    """A data folder on a real disk: mode 0700, files 0600, owned by whoever runs the server."""

    __slots__ = ("_fd",)

    def __init__(self, path: Path) -> None:
        """Raises: Misconfigured: there is no such folder, or others may look into it."""
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise Misconfigured(
                "The data folder can't be opened.", "Make it with dropbox-server init, or name the right one."
            ) from error
        if os.fstat(self._fd).st_mode & _OTHERS:
            os.close(self._fd)
            raise Misconfigured("Others may look into the data folder.", "Set its mode to 0700.")

    @classmethod
    def make(cls, path: Path) -> DataFolder:
        """Make the folder, or take an empty one. Raises: Refused: there is something in it."""
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            if any(path.iterdir()):
                raise Refused("The data folder is not empty.", "Name another, or erase it first.")
            _sync_folder(path.parent)
        except OSError as error:
            raise explain(error) from error
        return cls(path)

    def open(self, name: str, *, read_only: bool = False) -> DataFile:
        flags = (os.O_RDONLY if read_only else os.O_RDWR) | os.O_NOFOLLOW | _NO_ATIME
        try:
            fd = os.open(name, flags, dir_fd=self._fd)
        except FileNotFoundError as error:
            raise Misconfigured(
                f"The data folder has no {name}: its making was not finished, or it is another folder.",
                "If it was just being made, erase it and run dropbox-server init again.",
            ) from error
        except OSError as error:
            raise explain(error) from error
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode) or mode & _OTHERS:
            os.close(fd)
            raise Misconfigured(f"{name} is not a private file.", "Set its mode to 0600.")
        return DataFile(fd)

    def create(self, name: str, size: int) -> DataFile:
        """See `Folder`. Asks for the room first: to find out by filling the disk would harm all who write to it."""
        try:
            disk = os.fstatvfs(self._fd)
            if size > disk.f_bavail * disk.f_frsize:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=self._fd)
            try:
                os.posix_fallocate(fd, 0, size)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise explain(error) from error
        return DataFile(fd)

    def remove(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError as error:
            raise explain(error) from error

    def sync(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise explain(error) from error

    @contextmanager
    def lock(self, name: str, *, shared: bool = False) -> Iterator[None]:
        """See `Folder`. Each holding opens the file anew: an flock belongs to the opening, so it serves threads too.

        It is given back in words, not only by closing: a child forked meanwhile has a copy of the descriptor.
        """
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | _NO_ATIME, dir_fd=self._fd)
        except OSError as error:
            raise explain(error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)

    def close(self) -> None:
        os.close(self._fd)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
