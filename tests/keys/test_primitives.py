"""The algorithms: against published values, and raising what they say they raise."""

from __future__ import annotations

import hashlib
import hmac

import nacl.bindings
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import given
from hypothesis import strategies as st

from keys import primitives
from keys.errors import NotAuthentic
from keys.primitives import Aead, Blake2b512, HybridPrivateKey, HybridPublicKey, SecretBox

KEY = bytes(range(32))
X25519_PRIME = 2**255 - 19


def test_hashes_are_the_published_ones() -> None:
    assert primitives.sha256(b"abc").hex().startswith("ba7816bf8f01cfea")
    assert primitives.sha3_256(b"abc").hex().startswith("3a985da74fe225b2")
    assert primitives.blake2b(b"abc", 64).hex().startswith("ba80a53f981c4d0d")
    assert primitives.blake2b(b"abc") == hashlib.blake2b(b"abc", digest_size=32).digest()


@given(parts=st.lists(st.binary(max_size=200), max_size=5))
def test_a_hash_by_pieces_is_the_hash_of_the_whole(parts: list[bytes]) -> None:
    digest = Blake2b512()
    for part in parts:
        digest.update(part)

    assert digest.digest() == primitives.blake2b(b"".join(parts), 64)


def test_hmac_is_rfc_4231s() -> None:
    mac = primitives.hmac_sha256(b"\x0b" * 20, b"Hi There")

    assert mac.hex() == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    assert primitives.same_bytes(mac, hmac.digest(b"\x0b" * 20, b"Hi There", "sha256"))
    assert not primitives.same_bytes(mac, mac[:-1] + b"\x00")


def test_hkdf_is_rfc_5869s() -> None:
    # Test case 1, its first 32 bytes; test case 3 has neither salt nor info.
    out = primitives.hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)))
    assert out.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    out = primitives.hkdf(b"\x0b" * 22, b"", b"", 42)
    assert out.hex().startswith("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879e")


def test_argon2id_takes_its_memory_passes_and_salt_into_account() -> None:
    base = primitives.argon2id(b"password", bytes(16), 64, 1)

    assert len(base) == 32
    assert base == primitives.argon2id(b"password", bytes(16), 64, 1)
    others = [
        primitives.argon2id(b"passwore", bytes(16), 64, 1),
        primitives.argon2id(b"password", bytes(15) + b"\x01", 64, 1),
        primitives.argon2id(b"password", bytes(16), 65, 1),
        primitives.argon2id(b"password", bytes(16), 64, 2),
    ]
    assert len({base, *others}) == 5


@pytest.mark.parametrize(("memory_kib", "passes"), [(64, 1), (256, 2), (1_024, 3)])
def test_argon2id_is_openssls_too(memory_kib: int, passes: int) -> None:
    salt = b"somesaltsomesalt"
    other = Argon2id(salt=salt, length=32, iterations=passes, lanes=1, memory_cost=memory_kib).derive(b"password")

    assert primitives.argon2id(b"password", salt, memory_kib, passes) == other


def test_scrypt_is_rfc_7914s() -> None:
    # The RFC's third vector has N = 16384, r = 8, p = 1; its first 32 bytes.
    out = primitives.scrypt(b"pleaseletmein", b"SodiumChloride", 14)

    assert out.hex() == "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"


def test_what_is_sealed_opens_under_its_key_and_nonce_alone() -> None:
    aead, nonce = Aead(KEY), bytes(12)
    sealed = aead.seal(nonce, b"text")
    out = bytearray(20)
    aead.seal_into(nonce, b"text", memoryview(out))

    assert aead.open(nonce, sealed) == b"text"
    assert bytes(out) == sealed
    for other, at, data in [
        (Aead(bytes(32)), nonce, sealed),
        (aead, bytes(11) + b"\x01", sealed),
        (aead, nonce, sealed[:-1]),
    ]:
        with pytest.raises(NotAuthentic):
            other.open(at, data)
    with pytest.raises(NotAuthentic):
        aead.open(nonce, b"")


@pytest.mark.parametrize("coordinate", [0, 1, X25519_PRIME - 1, X25519_PRIME, X25519_PRIME + 1])
@pytest.mark.parametrize("top_bit", [0, 1])
def test_low_order_points_are_known_in_every_spelling(coordinate: int, top_bit: int) -> None:
    point = (coordinate | top_bit << 255).to_bytes(32, "little")

    assert primitives.x25519_is_low_order(point)
    with pytest.raises(NotAuthentic):
        primitives.x25519_agree(KEY, point)


@given(seed=st.binary(min_size=32, max_size=32))
def test_two_keys_agree(seed: bytes) -> None:
    ours, theirs = primitives.x25519_public(KEY), primitives.x25519_public(seed)

    assert primitives.x25519_agree(KEY, theirs) == primitives.x25519_agree(seed, ours)
    assert primitives.x25519_agree(KEY, theirs) == nacl.bindings.crypto_scalarmult(KEY, theirs)
    assert not primitives.x25519_is_low_order(theirs)


def test_what_is_wrapped_is_unwrapped_by_its_key_alone() -> None:
    key, other = HybridPrivateKey(KEY), HybridPrivateKey(bytes(32))
    enc, ciphertext = HybridPublicKey(key.public_raw).wrap(b"0123456789abcdef", b"info")

    assert key.unwrap(enc, ciphertext, b"info") == b"0123456789abcdef"
    assert len(enc) == primitives.HPKE_MLKEM768X25519_ENC_BYTES
    changed = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
    for holder, share, body, info in [
        (other, enc, ciphertext, b"info"),
        (key, enc[:-1] + bytes([enc[-1] ^ 1]), ciphertext, b"info"),
        (key, enc, changed, b"info"),
        (key, enc, ciphertext, b"other"),
        (key, b"", b"", b"info"),
    ]:
        with pytest.raises(NotAuthentic):
            holder.unwrap(share, body, info)
    assert "HybridPrivateKey(…)" in repr(key)


def test_keys_of_another_size_are_a_programmers_mistake() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        HybridPrivateKey(bytes(31))
    with pytest.raises(ValueError, match="1,216"):
        HybridPublicKey(bytes(1215))


def test_ed25519_is_rfc_8032s() -> None:
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = primitives.ed25519_sign(seed, b"\x72")

    assert primitives.ed25519_public(seed).hex() == public
    assert signature.hex().startswith("92a009a9f0d4cab8720e820b5f642540")
    primitives.ed25519_verify(bytes.fromhex(public), b"\x72", signature)


@given(message=st.binary(max_size=40), at=st.integers(0, 63), change=st.integers(1, 255), junk=st.binary(max_size=70))
def test_only_the_signature_of_a_message_verifies(message: bytes, at: int, change: int, junk: bytes) -> None:
    public, signature = primitives.ed25519_public(KEY), primitives.ed25519_sign(KEY, message)
    primitives.ed25519_verify(public, message, signature)

    altered = signature[:at] + bytes([signature[at] ^ change]) + signature[at + 1 :]
    for key, said, by in [
        (public, message + b"x", signature),
        (public, message, altered),
        (public, message, junk),
        (primitives.ed25519_public(bytes(32)), message, signature),
        (junk, message, signature),
    ]:
        with pytest.raises(NotAuthentic):
            primitives.ed25519_verify(key, said, by)


@given(plaintext=st.binary(max_size=40), junk=st.binary(max_size=60), at=st.integers(0))
def test_a_box_opens_what_its_own_process_sealed(plaintext: bytes, junk: bytes, at: int) -> None:
    box = SecretBox(KEY)
    sealed = box.seal(plaintext)

    assert box.open(sealed) == plaintext
    assert box.seal(plaintext) != sealed
    at %= len(sealed)
    for data in (junk, sealed[:at], sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]):
        with pytest.raises(NotAuthentic):
            box.open(data)
    with pytest.raises(NotAuthentic):
        SecretBox(bytes(32)).open(sealed)
