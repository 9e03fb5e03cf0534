"""The keys of an onion service, made offline, so that its address can stand in the manifest before tor ever runs.

A service's folder holds three files as tor itself would write them: `hs_ed25519_secret_key`, `hs_ed25519_public_key`
and `hostname`. tor's rend-spec-v3, section 6 and appendix; hs-ntor keys are tor's own affair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from keys import primitives
from keys.errors import Malformed, Misconfigured, NotAuthentic
from keys.onion import OnionAddress, onion_address, parse_onion
from keys.primitives import Randomness
from onion_config.private_files import private_folder, write_private

SECRET_FILE = "hs_ed25519_secret_key"
PUBLIC_FILE = "hs_ed25519_public_key"
HOSTNAME_FILE = "hostname"

_SECRET_HEAD = b"== ed25519v1-secret: type0 ==\0\0\0"
_PUBLIC_HEAD = b"== ed25519v1-public: type0 ==\0\0\0"
_EXPANDED_BYTES = 64


@dataclass(frozen=True, slots=True)
class OnionKeys:
    """An onion service's key pair. Whoever has `expanded` can stand in for the service."""

    expanded: bytes = field(repr=False)
    public: bytes

    @classmethod
    def of_seed(cls, seed: bytes) -> OnionKeys:
        """Derive them from 32 secret bytes; the same seed gives the same address."""
        return cls(primitives.ed25519_expand(seed), primitives.ed25519_public(seed))

    @property
    def address(self) -> OnionAddress:
        return onion_address(self.public)

    def files(self) -> dict[str, bytes]:
        """The files of the service's folder, by name."""
        return {
            SECRET_FILE: _SECRET_HEAD + self.expanded,
            PUBLIC_FILE: _PUBLIC_HEAD + self.public,
            HOSTNAME_FILE: f"{self.address}\n".encode(),
        }


def from_files(secret_file: bytes, hostname_file: bytes) -> OnionKeys:
    """Take apart what tor or `OnionKeys.files` wrote, and check that the address belongs to the key.

    Raises:
        Malformed: either isn't such a file.
        NotAuthentic: the address is another key's.
    """
    if not secret_file.startswith(_SECRET_HEAD) or len(secret_file) != len(_SECRET_HEAD) + _EXPANDED_BYTES:
        raise Malformed("This is not the secret key of an onion service.")
    expanded = secret_file[len(_SECRET_HEAD) :]
    keys = OnionKeys(expanded, primitives.ed25519_public_of_expanded(expanded))
    try:
        stated = parse_onion(hostname_file.decode("ascii").strip())
    except UnicodeDecodeError as error:
        raise Malformed("The file that holds the onion address is damaged.") from error
    if stated != keys.address:
        raise NotAuthentic("The onion address beside this key belongs to another key.")
    return keys


def make(folder: Path, randomness: Randomness) -> OnionKeys:
    """Make a service's keys in its folder, or read those that are there: an address is never replaced.

    Raises:
        Malformed, NotAuthentic, Misconfigured: as `read`, when the folder holds a key already.
        OSError: the folder can't be written.
    """
    if (folder / SECRET_FILE).exists():
        return read(folder)
    keys = OnionKeys.of_seed(randomness(primitives.KEY_BYTES))
    private_folder(folder)
    # The secret comes last: a folder that has one is whole.
    for name, content in reversed(keys.files().items()):
        write_private(folder / name, content)
    return keys


def read(folder: Path) -> OnionKeys:
    """Read the keys of the service in this folder.

    Raises:
        Misconfigured: there are none.
        Malformed, NotAuthentic: as `from_files`.
        OSError: this account may not read them.
    """
    try:
        return from_files((folder / SECRET_FILE).read_bytes(), (folder / HOSTNAME_FILE).read_bytes())
    except FileNotFoundError as error:
        raise Misconfigured(
            f"The onion service “{folder.name}” has no keys here.", "Make them with: onion-config keys --onions FOLDER"
        ) from error
