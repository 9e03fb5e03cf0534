"""Folders and files that only one account may read: onion keys, client keys, a tor's data.

tor refuses a folder that others can enter, and runs under an account of its own on a real server. So whatever root
writes here belongs to the owner of the folder it is written into.
"""

from __future__ import annotations

import os
from pathlib import Path

from keys.errors import Misconfigured
from keys.files import write_file

UNIX_SOCKET_MAX_BYTES = 100
"""Linux takes 107 bytes; servers and tor append a few of their own while they bind."""


def private_folder(folder: Path) -> Path:
    """Make the folder, parents included, or tighten it to 0700 where it exists already.

    Raises:
        OSError: it can't be made, or belongs to another account.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True, mode=0o700)
        _inherit_owner(folder)
    folder.chmod(0o700)
    return folder


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600, replacing another, so that a reader sees all of it or nothing.

    Raises:
        NoRoom: the disk is full.
        OSError: the folder can't be written.
    """
    write_file(path, content, replace=True)
    _inherit_owner(path)


def check_socket_path(path: Path, whose: str) -> None:
    """Refuse a path that is too long for a Unix socket, before tor or the server does it less plainly.

    Raises:
        Misconfigured: it has more than 100 bytes.
    """
    length = len(os.fsencode(path))
    if length > UNIX_SOCKET_MAX_BYTES:
        raise Misconfigured(
            f"The path of {whose} socket has {length} bytes; Unix sockets take {UNIX_SOCKET_MAX_BYTES}.",
            "Use a folder with a shorter path.",
        )


def _inherit_owner(path: Path) -> None:
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
