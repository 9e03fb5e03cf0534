"""Item files: each file of a tip sealed as an age file to a key of its own, whose secret lies in the database alone.

So the file is noise without its row, and destroying the row destroys the file, wherever a copy of it may lie. Given the
secret, stock age opens one: the format outlives this program. Files are written under a temporary name, fsynced and
renamed; a name that no row knows is left over from a broken act, and `sweep` takes it away.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from keys import age
from keys.age import HybridIdentity, StreamOpener
from keys.errors import Misconfigured, NoRoom, NotAuthentic
from keys.primitives import KEY_BYTES, Randomness

FOLDER = "items"
NAME_BYTES = 16
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A finished item file: its name in the vault, and length and SHA-256 of what is sealed in it."""

    name: str
    size: int
    sha256: bytes


class ItemFiles:
    """The folder of item files of a vault."""

    def __init__(self, vault: Path, randomness: Randomness) -> None:
        self._folder = vault / FOLDER
        self._randomness = randomness

    def new_secret(self) -> bytes:
        """Return the secret of a new item: the seed of the identity that its files are sealed to."""
        return self._randomness(KEY_BYTES)

    def write(self, secret: bytes) -> FileWriter:
        """Begin a file sealed to an item's secret. Nothing of it stands under its name before `commit`.

        Raises:
            NoRoom: from the writer, when the disk is full; nothing remains.
        """
        return FileWriter(self._folder, secret, self._randomness)

    @contextlib.contextmanager
    def read(self, name: str, secret: bytes) -> Iterator[StreamOpener]:
        """Open a file: iterate over what was sealed, chunk by authentic chunk.

        Raises:
            NotAuthentic: the file is damaged, cut short, or sealed to another secret.
            Misconfigured: it isn't there.
        """
        try:
            with open(self._path(name), "rb", buffering=_BUFFER_BYTES) as file:
                yield age.opener(file, [HybridIdentity.from_seed(secret)])
        except FileNotFoundError as error:
            raise Misconfigured(
                "A file of this vault is missing.", "Restore the newest backup: somebody took it out of the folder."
            ) from error
        except age.NoIdentityMatches as error:
            raise NotAuthentic("A file of this vault is another item's.", "Restore the newest backup.") from error

    def remove(self, name: str) -> None:
        """Take a file away, if it is there. Its content was destroyed with the row that held its secret."""
        self._path(name).unlink(missing_ok=True)

    def sweep(self, known: frozenset[str]) -> int:
        """Take away every file that isn't known, and return how many there were."""
        swept = 0
        for path in self._folder.rglob("*"):
            if path.is_file() and path.name not in known:
                path.unlink()
                swept += 1
        return swept

    def path(self, name: str) -> Path:
        """Return where a file lies, for copying it as it stands."""
        return self._path(name)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name


class FileWriter:
    """Seals what is written into a new item file, and hashes it. A context: left without `commit`, nothing remains."""

    def __init__(self, folder: Path, secret: bytes, randomness: Randomness) -> None:
        self._folder = folder
        self._name = randomness(NAME_BYTES).hex()
        self._temporary = folder / f".{self._name}"
        self._file: BinaryIO = _create(self._temporary)
        try:
            recipient = HybridIdentity.from_seed(secret).recipient()
            self._sealer = age.sealer(self._file, [recipient], randomness)
        except BaseException:
            self._discard()
            raise
        self._hash = _Hash()
        self._size = 0
        self._committed = False

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._committed:
            self._discard()

    def write(self, data: bytes | memoryview) -> None:
        """Add content. The memory of `data` must not change before the next write or commit."""
        self._size += len(data)
        self._hash.update(data)
        with full_disk_told():
            self._sealer.write(data)

    def commit(self) -> SealedFile:
        """Finish the file: fsynced under its name, the folder fsynced too. It counts once a row names it."""
        with full_disk_told():
            self._sealer.finish()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            folder = self._folder / self._name[:2]
            folder.mkdir(mode=0o700, exist_ok=True)
            os.rename(self._temporary, folder / self._name)
            for changed in (folder, self._folder):
                sync_folder(changed)
        self._committed = True
        digest = self._hash.digest()
        self._hash.stop()
        return SealedFile(self._name, self._size, digest)

    def _discard(self) -> None:
        self._hash.stop()
        # Closing flushes what is left, and may fail again on a full disk: the file goes all the same.
        with contextlib.suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)


class _Hash:
    """SHA-256 of pieces that come one by one; large ones are hashed in a thread while they are sealed in another."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pool: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def update(self, data: bytes | memoryview) -> None:
        self._wait()
        if len(data) < _BUFFER_BYTES // 8:
            self._hash.update(data)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1)
        self._running = self._pool.submit(self._hash.update, data)

    def digest(self) -> bytes:
        self._wait()
        return self._hash.digest()

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()
            self._running = None


@contextlib.contextmanager
def full_disk_told() -> Iterator[None]:
    """Turn the system's word that a disk is full into this project's. Raises: NoRoom."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom("There is no room left on the disk.", "Make room, and run the command again.") from error
        raise


def sync_folder(folder: Path) -> None:
    """Make what was created and renamed in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(path, flags, 0o600), "wb", buffering=_BUFFER_BYTES)
