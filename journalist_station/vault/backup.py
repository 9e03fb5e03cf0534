"""A backup: the whole vault in one file, sealed to the desk's backup key, which the vault itself doesn't hold.

The file is an age file; inside is a tar archive of the database as it lies on the disk, its key, and the item files.
It replaces the backup before it. It reaches back to the oldest week whose keys it holds: only a newer backup, and the
destruction of this one, erase those.

A practice vault's backup says so in the clear, because it is asked before anything is unlocked: its header has one more
stanza, which opens nothing. The header's own tag covers it, so nobody can put it into a real vault's backup.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from journalist_station.vault import confirming, epochs, inner, journal
from journalist_station.vault.database import KEY_BYTES, Database, facts
from journalist_station.vault.database import tips as rows
from journalist_station.vault.items import FOLDER as ITEMS
from journalist_station.vault.items import full_disk_told, sync_folder
from journalist_station.vault.lock import Lock, Stretching
from journalist_station.vault.vault import DATABASE, Vault, make_folders
from keys import age
from keys.age import HybridIdentity, StreamSealer
from keys.age.header import Stanza
from keys.age.header import parse as parse_header
from keys.age.recipients import Label
from keys.errors import Malformed, NotAuthentic, NotForUs, Refused
from keys.keyfile import DeskSecret
from keys.primitives import Randomness

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

TIME = "backup_time"
WEEK = "backup_week"
_KEY = "key"
_MEMBER = re.compile(rf"{ITEMS}/([0-9a-f]{{2}})/(\1[0-9a-f]{{30}})\Z")
_BUFFER_BYTES = 1 << 20
MAX_KEY_BYTES = 64
PRACTICE_STANZA = "mustshare-practice"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was written. `reaches_back` is the oldest week that it could open, None when there is none."""

    size: int
    files: int
    reaches_back: int | None


class PracticeMark:
    """Stands among a backup's recipients, and can't open it."""

    label = Label.POSTQUANTUM

    def wrap(self, file_key: bytes, randomness: Randomness) -> list[Stanza]:
        """Return the one stanza that says it."""
        return [Stanza(PRACTICE_STANZA, (), b"")]


def is_practice(path: Path) -> bool:
    """Tell whether a backup says that it is a practice vault's. Only `restore` tells whether that is true.

    Raises:
        Malformed: it is no backup.
    """
    with open(path, "rb") as file:
        return any(stanza.type == PRACTICE_STANZA for stanza in parse_header(file).stanzas)


def write(vault: Vault, passphrase: str, path: Path, now: int) -> Backup:
    """Write a backup, replacing a file of that name only once the new one is whole.

    Args:
        passphrase: the vault's, whose key goes into the backup.

    Raises:
        NotAuthentic: the passphrase is wrong.
        Misconfigured: another program is working with the vault.
        NoRoom: the disk is full; an older backup stays.
    """
    key = Lock.read(vault.folder).open(passphrase)
    with vault.exclusive():
        weeks = epochs.weeks(vault)
        reaches_back = weeks[0].week if weeks else None
        with vault.database.transaction():
            facts.set_setting(vault.database, TIME, now)
            facts.set_setting(vault.database, WEEK, reaches_back or 0)
            journal.record(vault.database, now, "backup", reaches_back=reaches_back)
        vault.database.compact()
        files = sorted(rows.all_files(vault.database))
        temporary = path.with_name(f".{path.name}.{vault.randomness(4).hex()}")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with full_disk_told(), open(os.open(temporary, flags, 0o600), "wb", buffering=_BUFFER_BYTES) as file:
                mark = [PracticeMark()] if vault.practice else []
                sealer = age.sealer(file, [vault.backup_recipient, *mark], vault.randomness)
                _archive(vault, key, files, sealer)
                sealer.finish()
                file.flush()
                os.fsync(file.fileno())
            size = temporary.stat().st_size
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    return Backup(size, len(files), reaches_back)


class _Sealing(io.RawIOBase):
    """Lets the archive be written into a sealer."""

    def __init__(self, sealer: StreamSealer) -> None:
        self._sealer = sealer

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data)
        self._sealer.write(view)
        return view.nbytes


def _archive(vault: Vault, key: bytes, files: list[str], sealer: StreamSealer) -> None:
    target = io.BufferedWriter(_Sealing(sealer), _BUFFER_BYTES)
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, _KEY, io.BytesIO(key), len(key))
        for name, path in [
            (DATABASE, vault.folder / DATABASE),
            *((f"{ITEMS}/{file[:2]}/{file}", vault.files.path(file)) for file in files),
        ]:
            with open(path, "rb") as file_:
                _add(archive, name, file_, os.fstat(file_.fileno()).st_size)
    target.flush()


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    archive.addfile(member, content)


def restore(
    path: Path,
    secret: DeskSecret,
    folder: Path,
    passphrase: str,
    now: int,
    randomness: Randomness,
    stretching: Stretching | None = None,
) -> Vault:
    """Make a vault from a backup. It appears whole, or not at all.

    The lost vault may have sent bundles that this one knows nothing of: so this one takes no place of a reply that the
    lost one may have taken, and writes no outbox before an inventory has come. SPEC 6.2.

    Raises:
        Refused: the folder exists.
        NotForUs: the backup is another desk's.
        NotAuthentic, Malformed: it is damaged, or no backup, or a real vault's that says that it is for practice.
    """
    if folder.exists():
        raise Refused("There is something in that folder already.", "Choose another folder for the vault.")
    marked = is_practice(path)
    building = folder.with_name(f".{folder.name}.{randomness(8).hex()}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building.mkdir(mode=0o700)
    try:
        make_folders(building)
        key = _unpack(path, HybridIdentity.from_seed(secret.backup_key), building)
        database = Database(building / DATABASE, key)
        try:
            # Another key, so that a lost vault's passphrase, should anybody have it, is of no use against this one.
            key = randomness(KEY_BYTES)
            database.rekey(key)
            vault = Vault(building, database, randomness)
            with database.transaction():
                confirming.step_over(vault, now)
                facts.set_setting(database, confirming.AWAITS_INVENTORY, 1)
                journal.record(database, now, "restore", backup_of=facts.number(database, TIME))
            practice = vault.practice
            if marked and not practice:
                raise NotAuthentic("This backup says that it is for practice, and holds a real vault.")
        finally:
            database.close()
        lock = Lock.make(
            key, passphrase, practice=practice, randomness=randomness, stretching=stretching or Stretching()
        )
        lock.write(building)
        os.rename(building, folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return Vault(folder, Database(folder / DATABASE, key), randomness)


def _unpack(path: Path, identity: HybridIdentity, folder: Path) -> bytes:
    key = b""
    seen: set[str] = set()
    with open(path, "rb", buffering=_BUFFER_BYTES) as sealed:
        try:
            pieces = age.opener(sealed, [identity])
        except age.NoIdentityMatches as error:
            raise NotForUs("This backup is another desk's.", "Give the key of the desk that made it.") from error
        reader = io.BufferedReader(inner.Pieces(pieces), _BUFFER_BYTES)
        try:
            for member, content in _members(reader):
                if member.name in seen:
                    raise Malformed("The backup names a file twice.")
                seen.add(member.name)
                if member.name == _KEY:
                    key = content.read(MAX_KEY_BYTES)
                else:
                    _write_member(folder, member.name, content)
        except tarfile.TarError as error:
            raise Malformed("This is not a backup of a vault.") from error
        while reader.read(_BUFFER_BYTES):
            continue  # To its end: only there does age say that nothing is missing.
    if len(key) != KEY_BYTES or DATABASE not in seen:
        raise Malformed("The backup lacks what every backup has.")
    return key


def _members(reader: io.BufferedReader[inner.Pieces]) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    with tarfile.open(fileobj=reader, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content is None:
                raise Malformed("The backup holds something that is no file.")
            yield member, content


def _write_member(folder: Path, name: str, content: IO[bytes]) -> None:
    """Write a file of the archive. Only the names that a vault has can be written at all."""
    match = _MEMBER.match(name)
    if name == DATABASE:
        path = folder / DATABASE
    elif match:
        path = folder / ITEMS / match[1] / match[2]
        path.parent.mkdir(mode=0o700, exist_ok=True)
    else:
        raise Malformed("The backup holds a file that no vault has.")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        shutil.copyfileobj(content, file, _BUFFER_BYTES)
        file.flush()
        os.fsync(file.fileno())
