"""SPEC's formats written a second time, from the document alone: for generators of vectors, which import none of ours.

Hashes are hashlib's; Ed25519 and ChaCha20-Poly1305 are called without the layer that `keys` puts over them.
"""

import base64
import hashlib
import hmac
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

NETWORK = bytes(range(32))
CELL_BYTES = 262_144


def secret(label):
    """32 bytes that depend on the label alone."""
    return hashlib.sha256(label.encode()).digest()


def public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def to_json(value):
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2) + "\n").encode()


def header(kind, *context, network=NETWORK):
    lines = [f"mustshare/v1/{kind}", f"network {network.hex()}", *(f"{name} {value}" for name, value in context)]
    return "".join(f"{line}\n" for line in lines).encode() + b"\n"


def sign(seed, statement):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(hashlib.blake2b(statement).digest())


def key_id(seed):
    return hashlib.blake2b(public(seed), digest_size=32).digest()[:8]


def signing_key(seed):
    return base64.b64encode(b"Ed" + key_id(seed) + public(seed)).decode()


def minisign(seed, statement, kind):
    signature = sign(seed, statement)
    comment = f"mustshare/v1/{kind}"
    whole = Ed25519PrivateKey.from_private_bytes(seed).sign(signature + comment.encode())
    first = base64.b64encode(b"ED" + key_id(seed) + signature).decode()
    last = base64.b64encode(whole).decode()
    return f"untrusted comment: signature\n{first}\ntrusted comment: {comment}\n{last}\n"


def hkdf(key, salt, info):
    """HKDF-SHA-256 for 32 bytes: one block."""
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\x01", "sha256")


def stream(file_key, nonce, plaintext):
    """age's payload, behind the nonce."""
    cipher = ChaCha20Poly1305(hkdf(file_key, nonce, b"payload"))
    chunks = [plaintext[at : at + 65_536] for at in range(0, len(plaintext), 65_536)]
    return b"".join(
        cipher.encrypt(number.to_bytes(11, "big") + bytes([number == len(chunks) - 1]), chunk, None)
        for number, chunk in enumerate(chunks)
    )


def sparse(size, pieces):
    """Zeros with bytes written over them."""
    data = bytearray(size)
    for at, piece in pieces:
        data[at : at + len(piece)] = piece
    return bytes(data)


def write(folder, name, vector):
    text = json.dumps(vector, indent=1, ensure_ascii=False) + "\n"
    (Path(folder) / f"{name}.json").write_text(text, encoding="utf-8")
