"""What was inside a file that its source had already sealed with age to the desk's published keys.

The original stays as it came; what it held stands beside it, opened while the week's identity still exists.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator, Sequence

from journalist_station.vault.database import tips as rows
from journalist_station.vault.database.tips import ItemState, RunRow
from journalist_station.vault.items import SealedFile
from journalist_station.vault.vault import Vault
from keys import age
from keys.age import HybridIdentity
from keys.age.armor import BEGIN
from keys.age.header import VERSION_LINE, Reader
from keys.errors import DropBoxError

_SUFFIXES = (b".age", b".AGE")
_LOOK_BYTES = 2048


class Pieces(io.RawIOBase):
    """Reads an iterable of pieces as a file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._pending:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._pending = memoryview(piece)
        size = min(len(buffer), len(self._pending))
        buffer[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size


def unseal(vault: Vault, sealed: SealedFile, secret: bytes, identities: Sequence[HybridIdentity]) -> Inner | None:
    """Open an item's content once more, if it is an age file to one of these identities.

    Returns:
        What was in it, sealed under a secret of its own, to be committed with `commit`; None when it is another kind of
        file, or sealed to somebody else. Of a file that was cut short the part is kept that came.

    Raises:
        NotAuthentic: the item's own file is damaged.
        NoRoom: the disk is full.
    """
    with vault.files.read(sealed.name, secret) as pieces:
        reader = io.BufferedReader(Pieces(pieces), _LOOK_BYTES)
        start = reader.peek(_LOOK_BYTES)
        if start.startswith(VERSION_LINE):
            source: Reader = reader
        elif start.lstrip().startswith(BEGIN):
            source = age.ArmorReader(reader)
        else:
            return None
        try:
            content = iter(age.opener(source, identities))
            first = next(content)
        except DropBoxError:
            return None
        inner_secret = vault.files.new_secret()
        with vault.files.write(inner_secret) as writer:
            whole = True
            for piece in _until_broken(itertools.chain([first], content)):
                if piece is None:
                    whole = False
                else:
                    writer.write(piece)
            return Inner(inner_secret, writer.commit(), whole)


def _until_broken(content: Iterator[bytes]) -> Iterator[bytes | None]:
    """Yield the pieces, and None at the place where the rest is damaged or missing."""
    try:
        yield from content
    except DropBoxError:
        yield None


class Inner:
    """What was inside an age file, sealed in the vault, and not yet named by a row."""

    __slots__ = ("_sealed", "_secret", "_whole")

    def __init__(self, secret: bytes, sealed: SealedFile, whole: bool) -> None:
        self._secret = secret
        self._sealed = sealed
        self._whole = whole

    def commit(self, vault: Vault, parent: int, name: bytes | None) -> None:
        """Name it in the database beside the item that it was in. To be called in a transaction."""
        name = _without_suffix(name or b"")
        state = ItemState.WHOLE if self._whole else ItemState.INTERRUPTED
        number = rows.add_item(vault.database, self._secret, state, parent=parent, name=name, type=b"")
        rows.add_run(vault.database, RunRow(self._sealed.name, number, b"", self._sealed.size, self._sealed.sha256))


def _without_suffix(name: bytes) -> bytes:
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name
