"""Options and file names that the ceremony's commands share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from keys import keyfile
from keys.age.passphrase import DEFAULT_LOG_N
from keys.errors import Refused
from keys.files import make_folder, read_file, write_file
from keys.keyfile import KeyFile
from keys.minisign import MAX_DOCUMENT_BYTES, SignedDocument
from keys.primitives import system_randomness
from keys.terminal import FolderToWrite, Passphrases

_F = TypeVar("_F", bound=Callable[..., Any])

INPUT = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
FOLDER = FolderToWrite()

MAX_SIGNED_BYTES = MAX_DOCUMENT_BYTES + 32_768
"""A document with its signatures around it."""

with_work_factor = click.option(
    "--work-factor",
    type=click.IntRange(10, 20),
    default=DEFAULT_LOG_N,
    show_default=True,
    help="scrypt's work factor: 18 takes about a second and 256 MiB to unlock. Lower it only to practise.",
)


def with_names(command: _F) -> _F:
    """Give a command a desk's names and descriptions in both languages."""
    for name, text, required in (
        ("--description-en", "What the desk says about itself, in English.", False),
        ("--description-th", "What the desk says about itself, in Thai.", False),
        ("--name-en", "The desk's name in English.", True),
        ("--name-th", "The desk's name in Thai.", True),
    ):
        command = click.option(name, required=required, default=None if required else "", metavar="TEXT", help=text)(
            command
        )
    return command


def now() -> int:
    """The one place where the ceremony looks at the clock."""
    return int(time.time())


def unlock(path: Path, passphrases: Passphrases) -> KeyFile:
    """Read a key file, ask for its passphrase, and open it."""
    data = read_file(path, keyfile.MAX_BYTES)
    return keyfile.unlock(data, passphrases.ask(f"the key file {path.name}"))


def write_locked(path: Path, content: KeyFile, passphrases: Passphrases, work_factor: int) -> None:
    """Ask for a new passphrase, lock a secret with it, and write the key file for its owner's eyes only."""
    refuse_existing(path)
    passphrase = passphrases.ask(f"the key file {path.name}", new=True)
    write_file(path, keyfile.lock(content, passphrase, system_randomness, log_n=work_factor))


def refuse_existing(*paths: Path) -> None:
    """Refuse before anything is asked or written, so that a command with several files writes all or none.

    Raises:
        Refused: one of them exists.
    """
    for path in paths:
        if path.exists() or path.is_symlink():
            raise Refused(f"{path.name} exists already, and is never overwritten.", "Choose another name or folder.")


def read_document(path: Path) -> SignedDocument:
    """Read a signed document (SPEC 3.5). Raises: Malformed: it isn't one."""
    return SignedDocument.decode(read_file(path, MAX_SIGNED_BYTES))


def document_paths(folder: Path, name: str, signatures: int) -> tuple[Path, Path, list[Path]]:
    """Return where a document, its plain statement and its plain signatures are written."""
    minisigs = [folder / (f"{name}.{number}.minisig" if number else f"{name}.minisig") for number in range(signatures)]
    return folder / f"{name}.document", folder / name, minisigs


def write_document(folder: Path, name: str, document: SignedDocument) -> Path:
    """Write a document as one file, and beside it the plain files that stock `minisign -V` verifies.

    The folder is made when it isn't there.

    The first signature stands in `<name>.minisig`, where minisign looks for it, further ones in `<name>.1.minisig` …

    Returns:
        The path of the document.
    """
    whole, statement, minisigs = document_paths(folder, name, len(document.signatures))
    refuse_existing(whole, statement, *minisigs)
    make_folder(folder)
    write_file(statement, document.statement, private=False)
    for path, signature in zip(minisigs, document.signatures, strict=True):
        write_file(path, signature, private=False)
    write_file(whole, document.encode(), private=False)
    return whole
