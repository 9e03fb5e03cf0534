"""Whom a file is sealed to, and who opens it: X25519 and the post-quantum hybrid. SPEC sections 4.4 and 4.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Protocol

from keys import primitives
from keys.age import bech32
from keys.age.header import FILE_KEY_BYTES, HeaderMalformed, Stanza, decode
from keys.encoding import to_base64
from keys.errors import Malformed, NotAuthentic
from keys.primitives import AEAD_TAG_BYTES, KEY_BYTES, Randomness

X25519 = "X25519"
X25519_TEXT = "age"
X25519_SECRET_TEXT = "AGE-SECRET-KEY-"
HYBRID = "mlkem768x25519"
HYBRID_TEXT = "age1pq"
HYBRID_SECRET_TEXT = "AGE-SECRET-KEY-PQ-"

WRAPPED_FILE_KEY_BYTES = FILE_KEY_BYTES + AEAD_TAG_BYTES

_X25519_INFO = b"age-encryption.org/v1/X25519"
_HYBRID_INFO = b"age-encryption.org/mlkem768x25519"

# A wrapping key is derived from fresh randomness and seals one file key, so one fixed nonce is never used twice.
WRAP_NONCE = bytes(12)


class Label(Enum):
    """Which recipients may share a file: those of one label, and a passphrase with nobody."""

    CLASSICAL = "classical"
    POSTQUANTUM = "post-quantum"
    PASSPHRASE = "passphrase"


class Recipient(Protocol):
    """Somebody to whom a file can be sealed."""

    @property
    def label(self) -> Label:
        """Whom this recipient may share a file with."""

    def wrap(self, file_key: bytes, randomness: Randomness) -> list[Stanza]:
        """Wrap a 16-byte file key to stanzas that only the matching identity can unwrap."""


class Identity(Protocol):
    """Somebody who can open files sealed to them."""

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key, or None when no stanza is for this identity.

        Every stanza of the identity's own type is checked before any is tried, so that a bad header is refused
        whichever key one holds. The file key is to be believed only after the header's MAC has been verified with it.

        Raises:
            HeaderMalformed: a stanza of this identity's type breaks the type's rules.
        """


@dataclass(frozen=True, slots=True)
class X25519Recipient:
    """age's classical public key: 32 bytes, `age1…`. Not safe from a quantum computer of later years.

    Raises:
        Malformed: a low-order point, to which nothing could be sealed.
    """

    public: bytes
    label: ClassVar[Label] = Label.CLASSICAL

    def __post_init__(self) -> None:
        if len(self.public) != KEY_BYTES or primitives.x25519_is_low_order(self.public):
            raise Malformed("This is not an X25519 public key.")

    @classmethod
    def from_text(cls, text: str) -> X25519Recipient:
        """Read `age1…`. Raises: Malformed."""
        return cls(bech32.decode(text, X25519_TEXT))

    def __str__(self) -> str:
        return bech32.encode(X25519_TEXT, self.public)

    def wrap(self, file_key: bytes, randomness: Randomness) -> list[Stanza]:
        """Wrap the file key under a fresh ephemeral key, made from 32 bytes of `randomness`."""
        ephemeral = randomness(KEY_BYTES)
        share = primitives.x25519_public(ephemeral)
        agreed = primitives.x25519_agree(ephemeral, self.public)
        return [Stanza(X25519, (to_base64(share),), _wrapping(agreed, share, self.public).seal(WRAP_NONCE, file_key))]


@dataclass(frozen=True, slots=True, eq=False)
class X25519Identity:
    """age's classical private key: 32 bytes, `AGE-SECRET-KEY-1…`."""

    secret: bytes = field(repr=False)
    _public: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise Malformed("This is not an X25519 private key.")
        object.__setattr__(self, "_public", primitives.x25519_public(self.secret))

    @classmethod
    def from_text(cls, text: str) -> X25519Identity:
        """Read `AGE-SECRET-KEY-1…`. Raises: Malformed."""
        return cls(bech32.decode(text, X25519_SECRET_TEXT))

    def secret_text(self) -> str:
        """Write the private key. Whoever reads it opens everything that was sealed to it."""
        return bech32.encode(X25519_SECRET_TEXT, self.secret)

    def recipient(self) -> X25519Recipient:
        return X25519Recipient(self._public)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        for share, body in [_parts(stanza, KEY_BYTES) for stanza in stanzas if stanza.type == X25519]:
            try:
                agreed = primitives.x25519_agree(self.secret, share)
                return _wrapping(agreed, share, self._public).open(WRAP_NONCE, body)
            except NotAuthentic:
                continue
        return None


@dataclass(frozen=True, slots=True)
class HybridRecipient:
    """age's post-quantum public key, ML-KEM-768 with X25519: 1,216 bytes, `age1pq1…`.

    Raises:
        Malformed: the bytes are no such key, or its X25519 half is a low-order point.
    """

    public: bytes
    _key: primitives.HybridPublicKey = field(init=False, repr=False, compare=False)
    label: ClassVar[Label] = Label.POSTQUANTUM

    def __post_init__(self) -> None:
        try:
            key = primitives.HybridPublicKey(self.public)
        except ValueError as error:
            raise Malformed("This is not a post-quantum public key.") from error
        if primitives.x25519_is_low_order(self.public[-KEY_BYTES:]):
            raise Malformed("This is not a post-quantum public key.")
        object.__setattr__(self, "_key", key)

    @classmethod
    def from_text(cls, text: str) -> HybridRecipient:
        """Read `age1pq1…`. Raises: Malformed."""
        return cls(bech32.decode(text, HYBRID_TEXT))

    def __str__(self) -> str:
        return bech32.encode(HYBRID_TEXT, self.public)

    def wrap(self, file_key: bytes, randomness: Randomness) -> list[Stanza]:
        """Wrap the file key by HPKE in base mode.

        The encapsulation's randomness comes from the cryptographic library, not from `randomness`: it offers no way to
        give it in. So a hybrid stanza can't be reproduced, and no vector of one is made here.
        """
        enc, body = self._key.wrap(file_key, _HYBRID_INFO)
        return [Stanza(HYBRID, (to_base64(enc),), body)]

    def decoy(self, randomness: Randomness) -> Stanza:
        """Make a stanza that opens for nobody, and that nobody without this recipient's private key tells from others.

        Its encapsulation is a real one; in place of the wrapped file key, which is a stream cipher's output and its tag
        under a key that only the private key gives, stand random bytes. For recipients whose private key is gone.
        """
        enc = self._key.encapsulation(randomness(KEY_BYTES))
        return Stanza(HYBRID, (to_base64(enc),), randomness(WRAPPED_FILE_KEY_BYTES))


@dataclass(frozen=True, slots=True, eq=False)
class HybridIdentity:
    """age's post-quantum private key: a seed of 32 bytes, `AGE-SECRET-KEY-PQ-1…`."""

    seed: bytes = field(repr=False)
    _key: primitives.HybridPrivateKey = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != KEY_BYTES:
            raise Malformed("This is not the seed of a post-quantum private key.")
        object.__setattr__(self, "_key", primitives.HybridPrivateKey(self.seed))

    @classmethod
    def from_seed(cls, seed: bytes) -> HybridIdentity:
        """Expand a 32-byte seed; the same seed always gives the same identity. Raises: Malformed: another length."""
        return cls(seed)

    @classmethod
    def from_text(cls, text: str) -> HybridIdentity:
        """Read `AGE-SECRET-KEY-PQ-1…`. Raises: Malformed."""
        return cls(bech32.decode(text, HYBRID_SECRET_TEXT))

    def secret_text(self) -> str:
        """Write the private key. Whoever reads it opens everything that was sealed to it."""
        return bech32.encode(HYBRID_SECRET_TEXT, self.seed)

    def recipient(self) -> HybridRecipient:
        return HybridRecipient(self._key.public_raw)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        enc_bytes = primitives.HPKE_MLKEM768X25519_ENC_BYTES
        for enc, body in [_parts(stanza, enc_bytes) for stanza in stanzas if stanza.type == HYBRID]:
            try:
                return self._key.unwrap(enc, body, _HYBRID_INFO)
            except NotAuthentic:
                continue
        return None


def parse_recipient(text: str) -> X25519Recipient | HybridRecipient:
    """Read a public key of either kind. Raises: Malformed."""
    if text.startswith(HYBRID_TEXT + "1"):
        return HybridRecipient.from_text(text)
    return X25519Recipient.from_text(text)


def parse_identity(text: str) -> X25519Identity | HybridIdentity:
    """Read a private key of either kind. Raises: Malformed."""
    if text.startswith(HYBRID_SECRET_TEXT + "1"):
        return HybridIdentity.from_text(text)
    return X25519Identity.from_text(text)


def _wrapping(agreed: bytes, share: bytes, public: bytes) -> primitives.Aead:
    return primitives.Aead(primitives.hkdf(agreed, share + public, _X25519_INFO))


def _parts(stanza: Stanza, share_bytes: int) -> tuple[bytes, bytes]:
    """Take the share (both types end theirs with an X25519 point) and the wrapped file key out of a stanza.

    The body's length is fixed, or a crafted one could open under many keys and tell which of them is held here.

    Raises:
        HeaderMalformed: not exactly one argument, another length, or a low-order point, with which anybody agrees.
    """
    if len(stanza.arguments) != 1 or len(stanza.body) != WRAPPED_FILE_KEY_BYTES:
        raise HeaderMalformed(f"A stanza of type {stanza.type} has the wrong parts.")
    share = decode(stanza.arguments[0])
    if len(share) != share_bytes or primitives.x25519_is_low_order(share[-KEY_BYTES:]):
        raise HeaderMalformed(f"A stanza of type {stanza.type} has a share that no recipient can use.")
    return share, stanza.body
