"""The only module that names a cipher, a key derivation or a signature.

To replace an algorithm, change it here and raise the version in the format that uses it. Each function states
its sizes; wrong sizes from a caller are programmers' mistakes (`ValueError`), bad ciphertext is `NotAuthentic`.
"""

from __future__ import annotations

import hashlib
import hmac as _hmac
import secrets
from collections.abc import Callable

import nacl.bindings
import nacl.exceptions
import nacl.pwhash.argon2id
import nacl.secret
import nacl.signing
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from keys.errors import NotAuthentic

Randomness = Callable[[int], bytes]
"""Returns that many random bytes. Code takes one as a parameter, so that vectors need no patching."""

system_randomness: Randomness = secrets.token_bytes

KEY_BYTES = 32
SIGNATURE_BYTES = 64
AEAD_TAG_BYTES = 16
ARGON2_SALT_BYTES = 16
HPKE_MLKEM768X25519_ENC_BYTES = 1120
MLKEM768X25519_PUBLIC_BYTES = 1216
MLKEM768_PUBLIC_BYTES = 1184


def sha256(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()


def sha3_256(data: bytes) -> bytes:
    return hashlib.sha3_256(data).digest()


def blake2b(data: bytes, size: int = 32) -> bytes:
    """BLAKE2b with `size` bytes of output (RFC 7693), unkeyed."""
    return hashlib.blake2b(data, digest_size=size).digest()


class Blake2b512:
    """BLAKE2b with 64 bytes of output, of bytes that come piece by piece: for what is too long to hold."""

    __slots__ = ("_hash",)

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=64)

    def update(self, data: bytes) -> None:
        self._hash.update(data)

    def digest(self) -> bytes:
        return self._hash.digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    return _hmac.digest(key, data, "sha256")


def same_bytes(one: bytes, other: bytes) -> bool:
    """Compare in time that doesn't depend on where they differ."""
    return _hmac.compare_digest(one, other)


def hkdf(key: bytes, salt: bytes, info: bytes, size: int = KEY_BYTES) -> bytes:
    """HKDF-SHA-256 (RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=size, salt=salt or None, info=info).derive(key)


def argon2id(password: bytes, salt: bytes, memory_kib: int, passes: int) -> bytes:
    """Argon2id v1.3 (RFC 9106) with one lane: 32 bytes. Takes `memory_kib` KiB of RAM while it runs."""
    derived = bytes(nacl.pwhash.argon2id.kdf(KEY_BYTES, password, salt, opslimit=passes, memlimit=memory_kib * 1024))
    # libsodium leaves its last block, which is the result, on this thread's stack, where it would lie until something
    # else reaches as deep. The same call at its cheapest writes over it.
    nacl.pwhash.argon2id.kdf(
        KEY_BYTES, b"", bytes(ARGON2_SALT_BYTES), nacl.pwhash.argon2id.OPSLIMIT_MIN, nacl.pwhash.argon2id.MEMLIMIT_MIN
    )
    return derived


def scrypt(password: bytes, salt: bytes, log_n: int) -> bytes:
    """scrypt (RFC 7914) with r = 8, p = 1, N = 2**log_n: 32 bytes. Takes 1024 × N bytes of RAM."""
    return Scrypt(salt=salt, length=KEY_BYTES, n=1 << log_n, r=8, p=1).derive(password)


class Aead:
    """ChaCha20-Poly1305 (RFC 8439) under one key."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)

    def seal(self, nonce: bytes, plaintext: bytes | memoryview) -> bytes:
        return self._cipher.encrypt(nonce, plaintext, None)

    def seal_into(self, nonce: bytes, plaintext: bytes | bytearray | memoryview, out: memoryview) -> int:
        """Seal into `out`, which must hold exactly 16 bytes more than the plaintext. Copies nothing."""
        return self._cipher.encrypt_into(nonce, plaintext, None, out)

    def open(self, nonce: bytes, ciphertext: bytes | memoryview) -> bytes:
        """Raises: NotAuthentic: when the tag doesn't match."""
        try:
            return self._cipher.decrypt(nonce, ciphertext, None)
        except InvalidTag as error:
            raise NotAuthentic("This was not sealed with that key, or it was changed.") from error


def x25519_public(secret: bytes) -> bytes:
    return x25519.X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def x25519_agree(secret: bytes, public: bytes) -> bytes:
    """X25519 (RFC 7748). Raises: NotAuthentic: for a low-order point, whose result is all zeros."""
    try:
        return x25519.X25519PrivateKey.from_private_bytes(secret).exchange(
            x25519.X25519PublicKey.from_public_bytes(public)
        )
    except ValueError as error:
        raise NotAuthentic("A low-order point stands where a public key belongs.") from error


_X25519_PRIME = 2**255 - 19
_X25519_LOW_ORDER = frozenset(
    {
        0,
        1,
        _X25519_PRIME - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)


def x25519_is_low_order(public: bytes) -> bool:
    """Say whether every agreement with this point, in any of its spellings, is all zeros (RFC 7748, section 6.1)."""
    coordinate = int.from_bytes(public, "little") & (2**255 - 1)
    return coordinate % _X25519_PRIME in _X25519_LOW_ORDER


_HPKE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


class HybridPublicKey:
    """An ML-KEM-768 + X25519 public key: 1,184 bytes and 32 bytes."""

    __slots__ = ("_key", "_mlkem")

    def __init__(self, raw: bytes) -> None:
        """Raises: ValueError: when the bytes are no such key."""
        if len(raw) != MLKEM768X25519_PUBLIC_BYTES:
            raise ValueError("a hybrid public key has 1,216 bytes")
        self._mlkem = mlkem.MLKEM768PublicKey.from_public_bytes(raw[:MLKEM768_PUBLIC_BYTES])
        self._key = hpke.MLKEM768X25519PublicKey(
            self._mlkem, x25519.X25519PublicKey.from_public_bytes(raw[MLKEM768_PUBLIC_BYTES:])
        )

    def wrap(self, plaintext: bytes, info: bytes) -> tuple[bytes, bytes]:
        """HPKE base mode, one message (RFC 9180): returns the encapsulation (1,120 bytes) and the ciphertext."""
        sealed = _HPKE.encrypt(plaintext, self._key, info)
        return sealed[:HPKE_MLKEM768X25519_ENC_BYTES], sealed[HPKE_MLKEM768X25519_ENC_BYTES:]

    def encapsulation(self, ephemeral: bytes) -> bytes:
        """Return an encapsulation as `wrap` makes it (ML-KEM's ciphertext, X25519's share), and drop what it agrees on.

        Args:
            ephemeral: 32 random bytes, X25519's half of its randomness.
        """
        _, ciphertext = self._mlkem.encapsulate()
        return ciphertext + x25519_public(ephemeral)


class HybridPrivateKey:
    """An ML-KEM-768 + X25519 private key, expanded from a 32-byte seed with SHAKE-256."""

    __slots__ = ("_key", "public_raw")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_BYTES:
            raise ValueError("a hybrid seed has 32 bytes")
        expanded = hashlib.shake_256(seed).digest(96)
        mlkem_key = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        x25519_key = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
        self._key = hpke.MLKEM768X25519PrivateKey(mlkem_key, x25519_key)
        self.public_raw = mlkem_key.public_key().public_bytes_raw() + x25519_key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "HybridPrivateKey(…)"

    def unwrap(self, enc: bytes, ciphertext: bytes, info: bytes) -> bytes:
        """Raises: NotAuthentic: when this isn't the key, or the message was changed."""
        try:
            return _HPKE.decrypt(enc + ciphertext, self._key, info)
        except (InvalidTag, ValueError) as error:
            raise NotAuthentic("This was not wrapped to that key, or it was changed.") from error


def ed25519_public(seed: bytes) -> bytes:
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def ed25519_expand(seed: bytes) -> bytes:
    """Return the 64 bytes that signing really uses (RFC 8032, 5.1.5): the clamped scalar and the nonce prefix.

    tor keeps an onion service's secret key in this form.
    """
    expanded = bytearray(hashlib.sha512(seed).digest())
    expanded[0] &= 0b1111_1000
    expanded[31] = expanded[31] & 0b0111_1111 | 0b0100_0000
    return bytes(expanded)


def ed25519_public_of_expanded(expanded: bytes) -> bytes:
    """Return the public key that belongs to an expanded secret key, as tor keeps it."""
    return bytes(nacl.bindings.crypto_scalarmult_ed25519_base_noclamp(expanded[:KEY_BYTES]))


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed).sign(message)


class Ed25519Key:
    """A signing key kept ready, for whoever signs many things in a row: making it costs as much as signing."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "Ed25519Key(…)"

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Verify strictly with libsodium, which also refuses small-order keys and non-canonical signatures.

    Raises:
        NotAuthentic: when the signature isn't this key's over exactly this message.
    """
    try:
        nacl.signing.VerifyKey(public).verify(message, signature)
    except (nacl.exceptions.BadSignatureError, nacl.exceptions.ValueError, InvalidSignature) as error:
        raise NotAuthentic("The signature doesn't match.") from error


class SecretBox:
    """XSalsa20-Poly1305 with a random nonce, for what this process alone reads again (cookies)."""

    __slots__ = ("_box",)

    def __init__(self, key: bytes) -> None:
        self._box = nacl.secret.SecretBox(key)

    def seal(self, plaintext: bytes) -> bytes:
        return bytes(self._box.encrypt(plaintext))

    def open(self, ciphertext: bytes) -> bytes:
        """Raises: NotAuthentic: when it wasn't sealed with this key, or was changed."""
        try:
            return self._box.decrypt(ciphertext)
        except (nacl.exceptions.CryptoError, ValueError) as error:
            raise NotAuthentic("This was not sealed by this process.") from error
