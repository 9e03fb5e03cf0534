"""Files written whole or not at all, and read up to a limit.

For commands: everything else in `keys` is bytes in, bytes out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from keys.errors import Malformed, NoRoom, Refused


def read_file(path: Path, max_bytes: int) -> bytes:
    """Read a file of at most so many bytes. Raises: Malformed: it is longer. OSError: it can't be read."""
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Malformed(f"A file is longer than the {max_bytes} bytes that it may have.")
    return data


def write_file(path: Path, data: bytes, *, private: bool = True, replace: bool = False) -> None:
    """Write a file whole or not at all: under a temporary name, fsynced, then moved into place, the folder fsynced.

    Args:
        path: where to; its folder must exist.
        private: only its owner may read it (0600); otherwise everybody (0644).
        replace: whether an existing file may be replaced.

    Raises:
        Refused: something of that name exists and may not be replaced; nothing was changed.
        NoRoom: the disk is full; nothing was changed.
    """
    if not replace and (path.is_symlink() or path.exists()):
        raise _exists()
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    try:
        with _discarded(temporary):
            _write_new(temporary, data, 0o600 if private else 0o644)
            if replace:
                os.replace(temporary, path)
            else:
                _place(temporary, path)
            _sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom("There is no room left to write the file.") from error
        raise


def make_folder(path: Path) -> None:
    """Make a folder for its owner alone (0700) in a folder that is there; one of that name stays as it is.

    Raises:
        OSError: there is nothing to make it in, a file has that name, or it may not be made.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        _sync_folder(path.parent)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)


def _exists() -> Refused:
    return Refused("A file of that name exists, and it is not overwritten.", "Choose another name, or move it away.")


@contextlib.contextmanager
def _discarded(temporary: Path) -> Iterator[None]:
    try:
        yield
    finally:
        temporary.unlink(missing_ok=True)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)  # Whatever the umask: what is for everybody is for another account to read.
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _place(temporary: Path, path: Path) -> None:
    """Give a finished file its name, unless somebody has taken it meanwhile."""
    try:
        os.link(temporary, path)  # Fails when the name is taken, which rename() doesn't.
    except FileExistsError as error:
        raise _exists() from error
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A stick's file system knows no links. The name was free a moment ago, and the stick has one user.
        os.rename(temporary, path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
