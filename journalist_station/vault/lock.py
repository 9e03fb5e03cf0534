"""The vault's lock: a passphrase opens the one small file that holds the vault's key, wrapped.

The passphrase is stretched with Argon2id; what comes of it unwraps the vault key, 32 random bytes that never change. So
a new passphrase costs nothing, and a copy of an older lock still opens with the passphrase of its time: whoever fears
that makes a new vault from a backup. Whether the vault is a practice one stands in the lock in the clear, because it is
asked before anything is unlocked; it is bound into the wrapping, so that nobody can change it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from keys import primitives
from keys.encoding import Fields, parse_json, to_json
from keys.errors import DropBoxError, Malformed, Misconfigured, NotAuthentic
from keys.files import read_file, write_file
from keys.primitives import Randomness

FILE = "lock"
VERSION = 1
MAX_BYTES = 4096
WRAPPED_BYTES = primitives.KEY_BYTES + primitives.AEAD_TAG_BYTES
_INFO = b"mustshare/v1/vault/lock/"
_NONCE = bytes(12)
"""Each lock wraps one key under a key of its own, derived from a fresh salt: no nonce is ever used twice."""


@dataclass(frozen=True, slots=True)
class Stretching:
    """What Argon2id costs: memory, and how often it goes through it."""

    memory_kib: int = 256 << 10
    passes: int = 4


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock as it stands in its file. Only `open` says whether the passphrase and the file are right."""

    practice: bool
    salt: bytes
    stretching: Stretching
    wrapped: bytes = field(repr=False)

    @classmethod
    def make(
        cls, key: bytes, passphrase: str, *, practice: bool, randomness: Randomness, stretching: Stretching
    ) -> Lock:
        """Wrap a vault key under a passphrase."""
        salt = randomness(primitives.ARGON2_SALT_BYTES)
        aead = primitives.Aead(_wrapping_key(passphrase, salt, stretching, practice))
        return cls(practice, salt, stretching, aead.seal(_NONCE, key))

    def open(self, passphrase: str) -> bytes:
        """Return the vault key. Raises: NotAuthentic: another passphrase, or the lock was changed."""
        aead = primitives.Aead(_wrapping_key(passphrase, self.salt, self.stretching, self.practice))
        try:
            return aead.open(_NONCE, self.wrapped)
        except NotAuthentic as error:
            raise NotAuthentic(
                "The passphrase doesn't open this vault.",
                "Type it again, and mind Caps Lock and whether the keyboard is Thai or English.",
            ) from error

    def write(self, folder: Path, *, replace: bool = False) -> None:
        """Write the lock into a vault's folder, whole or not at all, for its owner alone."""
        fields = {
            "version": VERSION,
            "practice": self.practice,
            "salt": self.salt.hex(),
            "memory_kib": self.stretching.memory_kib,
            "passes": self.stretching.passes,
            "wrapped": self.wrapped.hex(),
        }
        write_file(folder / FILE, to_json(fields), replace=replace)

    @classmethod
    def read(cls, folder: Path) -> Lock:
        """Read a vault's lock. Nothing in it is authentic before `open`.

        Raises:
            Misconfigured: there is no vault in this folder, or others may read it.
            Malformed: the lock is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            raise Misconfigured(
                "There is no vault in this folder.",
                "Name the vault with --vault, or make one: journalist-station init.",
            )
        if folder.stat().st_mode & 0o077:
            raise Misconfigured("Others on this machine may read the vault's folder.", "Run chmod 700 on it.")
        try:
            fields = Fields(parse_json(read_file(path, MAX_BYTES)), "vault's lock")
            fields.integer("version", VERSION, VERSION)
            lock = cls(
                fields.boolean("practice"),
                fields.hex("salt", primitives.ARGON2_SALT_BYTES),
                # The bounds keep a changed lock from asking for more memory than there is.
                Stretching(fields.integer("memory_kib", 8, 4 << 20), fields.integer("passes", 1, 64)),
                fields.hex("wrapped", WRAPPED_BYTES),
            )
            fields.done()
        except DropBoxError as error:
            raise Malformed("The vault's lock is damaged.", "Put it back from a copy, or restore a backup.") from error
        return lock


def _wrapping_key(passphrase: str, salt: bytes, stretching: Stretching, practice: bool) -> bytes:
    # One form for what a Thai keyboard can type in several ways.
    typed = unicodedata.normalize("NFKC", passphrase).encode()
    stretched = primitives.argon2id(typed, salt, stretching.memory_kib, stretching.passes)
    return primitives.hkdf(stretched, salt, _INFO + (b"practice" if practice else b"real"))
