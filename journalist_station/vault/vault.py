"""The vault: everything that one desk's station keeps, opened by a passphrase.

    lock        the passphrase's lock on the vault key
    vault.db    SQLCipher: facts, texts, keys of the items
    items/      item files, each sealed to its own key

It remembers who it is (network, desk, keys) and which manifest is in force. What is done with it stands in the modules
beside this one; time and randomness are given to each of them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from journalist_station.vault import journal
from journalist_station.vault.database import KEY_BYTES, Database, facts
from journalist_station.vault.items import FOLDER as ITEMS
from journalist_station.vault.items import ItemFiles, sync_folder
from journalist_station.vault.lock import Lock, Stretching
from keys import manifest as manifests
from keys.age import HybridIdentity, HybridRecipient
from keys.cell import Geometry
from keys.errors import Misconfigured, NotAuthentic, NotForUs, Refused
from keys.keyfile import DeskKeyFile
from keys.manifest import Desk, Manifest
from keys.minisign import SignedDocument
from keys.primitives import Randomness
from keys.statement import NetworkId

DATABASE = "vault.db"
_BUSY = "busy"


class Vault:
    """An open vault. Close it, or use it as a context."""

    def __init__(self, folder: Path, database: Database, randomness: Randomness) -> None:
        self.folder = folder
        self.database = database
        self.randomness = randomness
        self.files = ItemFiles(folder, randomness)
        self.network = NetworkId(_bytes(database, "network"))
        self.desk = facts.number(database, "desk")
        self.practice = bool(facts.number(database, "practice"))
        self._manifest = manifests.parse(SignedDocument.decode(facts.newest_manifest(database)).statement)

    @classmethod
    def create(
        cls,
        folder: Path,
        passphrase: str,
        desk_key: DeskKeyFile,
        documents: Sequence[SignedDocument],
        network: NetworkId,
        now: int,
        randomness: Randomness,
        stretching: Stretching | None = None,
    ) -> Vault:
        """Make a vault for a desk. It appears whole, or not at all.

        Args:
            folder: where; nothing may be there yet.
            desk_key: the desk's key, whose secret's derived keys are kept, not the secret itself: a stolen vault signs
                as the desk, but opens no backup.
            documents: the network's manifests from the first on.
            network: the network's id, as the person confirmed it.

        Raises:
            Refused: the folder exists.
            NotForUs: the manifest has no such desk, or lists it with another key; or it's another network's.
            DropBoxError: as `keys.manifest.admit_run` does.
        """
        if folder.exists():
            raise Refused("There is something in that folder already.", "Choose another folder for the vault.")
        manifest = manifests.admit_run(documents, None, network, now)
        if desk_key.network not in (None, network) or manifest.desk(desk_key.number).key != desk_key.key:
            raise NotForUs(
                "The manifest doesn't list this desk with this key.",
                "Compare the desk's fingerprint with the one in the manifest: newsroom-keys shows both.",
            )
        building = folder.with_name(f".{folder.name}.{randomness(8).hex()}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        building.mkdir(mode=0o700)
        try:
            key = randomness(KEY_BYTES)
            make_folders(building)
            lock = Lock.make(
                key,
                passphrase,
                practice=manifest.practice,
                randomness=randomness,
                stretching=stretching or Stretching(),
            )
            lock.write(building)
            database = Database(building / DATABASE, key)
            try:
                _found(database, desk_key, manifest, documents, now)
            finally:
                database.close()
            os.rename(building, folder)
            sync_folder(folder.parent)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        return cls(folder, Database(folder / DATABASE, key), randomness)

    @classmethod
    def open(cls, folder: Path, passphrase: str, randomness: Randomness) -> Vault:
        """Unlock a vault.

        Raises:
            NotAuthentic: the passphrase is wrong, or something in the vault was changed or is damaged.
            Misconfigured: there is no vault, or others may read it.
            Malformed: its lock is damaged.
        """
        lock = Lock.read(folder)
        key = lock.open(passphrase)
        path = folder / DATABASE
        if not path.is_file():
            raise Misconfigured("The vault's database is missing.", "Restore the newest backup.")
        database = Database(path, key)
        try:
            vault = cls(folder, database, randomness)
            if vault.practice != lock.practice:
                raise NotAuthentic("The vault's lock is another vault's.", "Restore the newest backup.")
        except BaseException:
            database.close()
            raise
        return vault

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Vault:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other programs from importing, sending, erasing and copying meanwhile.

        Raises:
            Misconfigured: one of them is at it.
        """
        descriptor = os.open(self.folder / _BUSY, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno != errno.EWOULDBLOCK:
                    raise
                raise Misconfigured(
                    "Another program is working with this vault.", "Wait until it has finished, or close it."
                ) from error
            yield
        finally:
            os.close(descriptor)

    def change_passphrase(self, old: str, new: str, now: int, stretching: Stretching | None = None) -> None:
        """Lock the vault with another passphrase. Raises: NotAuthentic: the old one is wrong; nothing was changed."""
        lock = Lock.read(self.folder)
        key = lock.open(old)
        changed = Lock.make(
            key, new, practice=self.practice, randomness=self.randomness, stretching=stretching or Stretching()
        )
        changed.write(self.folder, replace=True)
        journal.record(self.database, now, "passphrase")

    @property
    def manifest(self) -> Manifest:
        """The manifest in force. Its dates are to be checked each time it is used (`manifest_in_date`)."""
        return self._manifest

    def manifest_in_date(self, now: int) -> Manifest:
        """Return the manifest in force. Raises: Stale: it isn't in date. NotForUs: this desk isn't in it any more."""
        manifests.check_dates(self._manifest, now)
        self._manifest.desk(self.desk)
        return self._manifest

    def admit_manifests(self, documents: Sequence[SignedDocument], now: int) -> bool:
        """Take manifests that follow the one in force; return whether there was anything new.

        Raises:
            DropBoxError: as `keys.manifest.admit_run` does; nothing was changed.
        """
        latest = manifests.admit_run(documents, self._manifest, self.network, now)
        if latest is self._manifest:
            return False
        with self.database.transaction():
            for document in documents:
                facts.add_manifest(self.database, manifests.parse(document.statement).sequence, document.encode())
            journal.record(self.database, now, "manifest", sequence=latest.sequence)
        self._manifest = latest
        return True

    @property
    def me(self) -> Desk:
        """This desk, as the manifest in force lists it."""
        return self._manifest.desk(self.desk)

    @property
    def geometry(self) -> Geometry:
        return Geometry(self._manifest.recipients)

    @property
    def signing_seed(self) -> bytes:
        """The seed of the desk's signing key. Read each time, so that it isn't kept."""
        return _bytes(self.database, "signing_seed")

    @property
    def backup_recipient(self) -> HybridRecipient:
        """Whom backups are sealed to: whoever holds the desk's secret."""
        return HybridRecipient.from_text(_bytes(self.database, "backup_recipient").decode())


def make_folders(folder: Path) -> None:
    """Make the folders inside a vault's folder."""
    (folder / ITEMS).mkdir(mode=0o700)


def _found(
    database: Database, desk_key: DeskKeyFile, manifest: Manifest, documents: Sequence[SignedDocument], now: int
) -> None:
    recipient = HybridIdentity.from_seed(desk_key.desk.backup_key).recipient()
    with database.transaction():
        facts.set_setting(database, "network", manifest.network)
        facts.set_setting(database, "desk", desk_key.number)
        facts.set_setting(database, "practice", int(manifest.practice))
        facts.set_setting(database, "signing_seed", desk_key.desk.signing_seed)
        facts.set_setting(database, "backup_recipient", str(recipient).encode())
        for document in documents:
            facts.add_manifest(database, manifests.parse(document.statement).sequence, document.encode())
        journal.record(database, now, "init", desk=desk_key.number, network=manifest.network.hex())


def _bytes(database: Database, name: str) -> bytes:
    value = facts.setting(database, name)
    if not isinstance(value, bytes):
        raise NotAuthentic("The vault's database lacks what every vault has.", "Restore the newest backup.")
    return value
