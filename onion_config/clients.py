"""Couriers' client keys for the collect service: without one, its descriptor can't be read and nothing answers.

Each courier has an X25519 key. tor on the server reads the public half from `authorized_clients/NAME.auth`; tor on
the courier's laptop reads the private half from a file in `ClientOnionAuthDir` (the only way on Tails), or is told it
through its control socket. tor's manual, "Client Authorization"; rend-spec-v3, appendix G.

tor opens a service to everybody when its folder lists nobody. So a collect service always has one entry more, whose
private half was thrown away: revoking the last courier leaves a closed door, not an open one.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NewType

from keys import primitives
from keys.errors import Malformed, Misconfigured, NotForUs, Refused
from keys.onion import OnionAddress
from keys.primitives import Randomness
from onion_config.private_files import private_folder, write_private

CourierName = NewType("CourierName", str)

FOLDER = "authorized_clients"
_SUFFIX = ".auth"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")
_NOBODY = CourierName("nobody")
_SERVER_LINE = re.compile(r"descriptor:x25519:[A-Za-z2-7]{52}\n?")


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One courier's X25519 key: the private half goes to the courier and is kept nowhere else."""

    secret: bytes = field(repr=False)

    @property
    def public(self) -> bytes:
        return primitives.x25519_public(self.secret)

    @property
    def public_base32(self) -> str:
        """The public half as tor writes keys in its files."""
        return _base32(self.public)

    def server_line(self) -> str:
        """The content of the server's `.auth` file."""
        return f"descriptor:x25519:{self.public_base32}\n"

    def client_line(self, address: OnionAddress) -> str:
        """The content of the courier's `.auth_private` file, for `ClientOnionAuthDir`."""
        return f"{address.removesuffix('.onion')}:descriptor:x25519:{_base32(self.secret)}\n"

    def control_blob(self) -> str:
        """The key as `ONION_CLIENT_AUTH_ADD` wants it."""
        return f"x25519:{base64.b64encode(self.secret).decode()}"


def client_file_name(name: CourierName) -> str:
    """The name under which tor on a courier's laptop finds the key."""
    return f"{name}.auth_private"


def parse_client_line(text: str) -> tuple[str, ClientKey]:
    """Read an `.auth_private` file: the service's 56 characters, and the key.

    Raises:
        Malformed: it isn't one.
    """
    match = re.fullmatch(r"([a-z2-7]{56}):descriptor:x25519:([A-Z2-7]{52})\n?", text)
    if not match:
        raise Malformed("This is not the private key of an onion service's client.")
    return match[1], ClientKey(base64.b32decode(match[2] + "===="))


def courier_name(text: str) -> CourierName:
    """Raises: Refused: it can't be a courier's name here (it becomes the name of a file)."""
    if not _NAME.match(text) or text == _NOBODY:
        raise Refused(
            "A courier's name has 1 to 32 characters: a to z, 0 to 9 and hyphens, and isn't “nobody”.",
            "Choose a short name that tells the newsroom who it is, and nobody else.",
        )
    return CourierName(text)


def close_to_strangers(service: Path, randomness: Randomness) -> None:
    """Make the collect service answer nobody, until a courier is added. Does nothing where that is so already.

    Raises:
        OSError: the folder can't be written.
    """
    private_folder(service)
    path = private_folder(service / FOLDER) / f"{_NOBODY}{_SUFFIX}"
    if not _counts(path):
        write_private(path, ClientKey(randomness(primitives.KEY_BYTES)).server_line().encode())


def check_closed(service: Path) -> None:
    """Require that tor finds a client in this folder: it skips files that it can't read, and opens where none is left.

    Raises:
        Misconfigured: the service in this folder would answer anybody who knows its address.
    """
    if not any(_counts(path) for path in (service / FOLDER).glob(f"*{_SUFFIX}")):
        raise Misconfigured(
            "The collect service lists no client that tor can read, and tor would open it to everybody.",
            "Make its keys with: onion-config keys --onions FOLDER",
        )


def _counts(path: Path) -> bool:
    """Say whether a file is one client's line, as tor reads it."""
    try:
        return _SERVER_LINE.fullmatch(path.read_text("ascii")) is not None
    except (OSError, UnicodeDecodeError):
        return False


def add(service: Path, name: CourierName, randomness: Randomness) -> ClientKey:
    """Make a courier's key and let tor's next reload admit it.

    Raises:
        Refused: a courier of that name has a key: whoever lost one is revoked first.
        OSError: the folder can't be written.
    """
    close_to_strangers(service, randomness)
    path = _path(service, name)
    if path.exists():
        raise Refused(
            "A courier of that name has a key already.", "Revoke it first, or choose another name: see `courier list`."
        )
    key = ClientKey(randomness(primitives.KEY_BYTES))
    write_private(path, key.server_line().encode())
    return key


def names(service: Path) -> tuple[CourierName, ...]:
    """The couriers that have a key, in alphabetical order."""
    found = (path.name.removesuffix(_SUFFIX) for path in (service / FOLDER).glob(f"*{_SUFFIX}"))
    return tuple(CourierName(name) for name in sorted(found) if name != _NOBODY)


def revoke(service: Path, name: CourierName, randomness: Randomness) -> None:
    """Take a courier's key off the list. tor must then raise the service anew (`control.Tor.renew_service`).

    Raises:
        NotForUs: no courier of that name has a key.
        OSError: the folder can't be written.
    """
    path = _path(service, name)
    if not path.exists():
        raise NotForUs("No courier of that name has a key.", "See: onion-config courier list")
    close_to_strangers(service, randomness)
    path.unlink()


def _path(service: Path, name: CourierName) -> Path:
    return service / FOLDER / f"{name}{_SUFFIX}"


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=")
