"""From a codename to a source's keys, and from those to the addresses of replies. SPEC sections 5 and 6.

Pure. Every lookup value derives from the Argon2id output, never from the codename: a seized index is no oracle on
which codenames could be guessed cheaply.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from keys import primitives
from keys.codename import Codename
from keys.encoding import u16, u32
from keys.inventory import CellId
from keys.primitives import KEY_BYTES
from keys.statement import NETWORK_ID_BYTES, NetworkId
from keys.terms import KdfParameters

_PURPOSE = b"mustshare/v1/codename/"


def stretch(codename: Codename, parameters: KdfParameters) -> bytes:
    """Return a codename's stretched key, 32 bytes. Takes the parameters' memory and, by design, its time."""
    return primitives.argon2id(codename.canonical, parameters.salt, parameters.memory_kib, parameters.passes)


@dataclass(frozen=True)
class SourceKeys:
    """What a source is, to the newsroom: the root of its mailbox, where replies are sealed to, and how it signs."""

    root: bytes
    reply_seed: bytes
    signing_seed: bytes

    def __repr__(self) -> str:
        return "SourceKeys(…)"

    @classmethod
    def derive(cls, stretched: bytes, network: NetworkId) -> SourceKeys:
        """Derive them from a stretched key (32 bytes), for one network. SPEC section 5."""
        if len(stretched) != KEY_BYTES or len(network) != NETWORK_ID_BYTES:
            raise ValueError("a stretched key and a network id have 32 bytes each")
        return cls(
            *(primitives.hkdf(stretched, network, _PURPOSE + purpose) for purpose in (b"mailbox", b"reply", b"sign"))
        )

    @cached_property
    def public(self) -> bytes:
        """The source's Ed25519 public key, 32 bytes: the name of its thread."""
        return primitives.ed25519_public(self.signing_seed)


def tag(root: bytes, desk: int, week: int, index: int, cell: int = 0) -> bytes:
    """Return the tag of one cell of a reply, 32 bytes: known to the source and to the desks that it wrote to."""
    place = u16(desk) + u32(week) + u16(index) + u32(cell)
    return primitives.hmac_sha256(root, b"mustshare/v1/tag\0" + place)


def address(network: NetworkId, desk: int, tag: bytes) -> CellId:
    """Return where a cell with this tag stands, for the desk whose signature the server verified. SPEC section 6.3."""
    return CellId(primitives.blake2b(b"mustshare/v1/address\0" + network + u16(desk) + tag))
