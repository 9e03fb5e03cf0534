"""minisign's public keys and detached signatures, as stock `minisign` reads and writes them. SPEC sections 3.3 to 3.5.

Format: https://jedisct1.github.io/minisign/. Only the prehashed algorithm `ED` is written or read.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keys import primitives
from keys.encoding import Reader, u8, u16, u32
from keys.errors import Malformed, NotAuthentic

MAX_SIGNATURES = 16
MAX_DOCUMENT_BYTES = 1 << 20
_KEY_ID_BYTES = 8
_UNTRUSTED = "untrusted comment: "
_TRUSTED = "trusted comment: "


def _decode(text: str, length: int, what: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError) as error:
        raise Malformed(f"This {what} is not base64.") from error
    if len(data) != length or base64.b64encode(data).decode() != text:
        raise Malformed(f"This {what} has the wrong length or isn't canonical.")
    return data


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 public key of 32 bytes, written as minisign writes it. Equal when the 32 bytes are equal."""

    public: bytes

    @classmethod
    def of(cls, seed: bytes) -> SigningKey:
        return cls(primitives.ed25519_public(seed))

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Raises: Malformed: not a minisign public key, or its id isn't the one that its bytes give."""
        raw = _decode(text, 2 + _KEY_ID_BYTES + 32, "signing key")
        key = cls(raw[10:])
        if raw[:2] != b"Ed" or raw[2:10] != key.id:
            raise Malformed("This signing key is not one of this project's minisign keys.")
        return key

    @property
    def id(self) -> bytes:
        return primitives.blake2b(self.public)[:_KEY_ID_BYTES]

    @property
    def text(self) -> str:
        return base64.b64encode(b"Ed" + self.id + self.public).decode()

    @property
    def fingerprint(self) -> str:
        """What people compare: 8 groups of 4 hexadecimal digits."""
        digits = primitives.sha256(self.public)[:16].hex()
        return " ".join(digits[at : at + 4] for at in range(0, 32, 4))

    def file(self) -> bytes:
        """The public key file that `minisign -V -p` takes. minisign shows a key's id as a little-endian number."""
        return f"{_UNTRUSTED}minisign public key {self.id[::-1].hex().upper()}\n{self.text}\n".encode()


def sign(seed: bytes, statement: bytes, type_: str) -> bytes:
    """Return the detached signature file of a statement, its trusted comment naming the statement's type."""
    key = SigningKey.of(seed)
    signature = primitives.ed25519_sign(seed, primitives.blake2b(statement, 64))
    comment = f"mustshare/v1/{type_}"
    whole = primitives.ed25519_sign(seed, signature + comment.encode())
    first = base64.b64encode(b"ED" + key.id + signature).decode()
    return f"{_UNTRUSTED}signature\n{first}\n{_TRUSTED}{comment}\n{base64.b64encode(whole).decode()}\n".encode()


@dataclass(frozen=True, slots=True)
class _Signature:
    key_id: bytes
    signature: bytes
    comment: str
    whole: bytes


def _parse(data: bytes) -> _Signature:
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise Malformed("This signature file is not text.") from error
    if (
        len(data) > 1024
        or len(lines) != 5
        or lines[4]
        or not lines[0].startswith(_UNTRUSTED)
        or not lines[2].startswith(_TRUSTED)
    ):
        raise Malformed("This is not a minisign signature of four lines.")
    raw = _decode(lines[1], 2 + _KEY_ID_BYTES + 64, "signature")
    if raw[:2] != b"ED":
        raise Malformed("This signature isn't prehashed (algorithm ED).")
    return _Signature(raw[2:10], raw[10:], lines[2].removeprefix(_TRUSTED), _decode(lines[3], 64, "global signature"))


def verify(key: SigningKey, statement: bytes, signature_file: bytes, type_: str) -> None:
    """Verify one detached signature over a statement of this type.

    Raises:
        Malformed: the file isn't a minisign signature.
        NotAuthentic: another key, other bytes, or another trusted comment.
    """
    found = _parse(signature_file)
    if found.key_id != key.id or found.comment != f"mustshare/v1/{type_}":
        raise NotAuthentic("The signature is another key's, or of another kind.")
    primitives.ed25519_verify(key.public, primitives.blake2b(statement, 64), found.signature)
    primitives.ed25519_verify(key.public, found.signature + found.comment.encode(), found.whole)


def signers(
    keys: Iterable[SigningKey], statement: bytes, signature_files: Sequence[bytes], type_: str
) -> frozenset[SigningKey]:
    """Return which of these keys validly signed. Distinct keys: a key or a signature given twice counts once.

    Signatures that aren't by any of these keys, malformed ones among them, count for nothing and do no harm.

    Raises:
        Malformed: more than 16 signatures, so that nobody can make a verifier work without end.
    """
    if len(signature_files) > MAX_SIGNATURES:
        raise Malformed(f"There are more than {MAX_SIGNATURES} signatures.")
    found = set()
    for key in frozenset(keys):
        for signature_file in signature_files:
            try:
                verify(key, statement, signature_file, type_)
            except (Malformed, NotAuthentic):
                continue
            found.add(key)
            break
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A statement with its detached signatures, as bundles carry it. Nothing is verified yet."""

    statement: bytes
    signatures: tuple[bytes, ...]

    def encode(self) -> bytes:
        parts = [u32(len(self.statement)), self.statement, u8(len(self.signatures))]
        for signature in self.signatures:
            parts += [u16(len(signature)), signature]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> SignedDocument:
        """Raises: Malformed: cut short, too long, too many signatures, or something behind the end."""
        reader = Reader(data)
        length = reader.u32()
        if length > MAX_DOCUMENT_BYTES:
            raise Malformed("This is no signed document, or it is longer than 1 MiB.")
        statement = reader.take(length)
        count = reader.u8()
        if count > MAX_SIGNATURES:
            raise Malformed(f"A signed document has more than {MAX_SIGNATURES} signatures.")
        signatures = tuple(reader.take(reader.u16()) for _ in range(count))
        reader.done()
        return cls(statement, signatures)
