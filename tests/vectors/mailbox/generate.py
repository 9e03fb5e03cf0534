"""Writes the vectors of SPEC sections 5 and 6 beside itself. Run: python generate.py

It shares no code with what it tests: Argon2id is that of `cryptography` (the product's is libsodium's), HKDF is written
out on hmac, and the rest is hashlib.
"""

import hashlib
import hmac
import json
import struct
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

HERE = Path(__file__).parent


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    pseudorandom = hmac.digest(salt, key, "sha256")
    return hmac.digest(pseudorandom, info + b"\x01", "sha256")


def tag(root: bytes, desk: int, week: int, index: int, cell: int) -> bytes:
    return hmac.digest(root, b"mustshare/v1/tag\x00" + struct.pack(">HIHI", desk, week, index, cell), "sha256")


def address(network: bytes, desk: int, of: bytes) -> bytes:
    return hashlib.blake2b(b"mustshare/v1/address\x00" + network + struct.pack(">H", desk) + of, digest_size=32).digest()


def write(name: str, about: str, codename: str, salt: bytes, memory_kib: int, passes: int, network: bytes) -> None:
    made = json.loads((HERE.parent / "codename" / f"{codename}.json").read_text("utf-8"))
    kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=1, memory_cost=memory_kib)
    stretched = kdf.derive(bytes.fromhex(made["canonical"]))
    keys = {each: hkdf(stretched, network, b"mustshare/v1/codename/" + each.encode()) for each in ("mailbox", "reply", "sign")}
    places = [(1, 2968, 0, 0), (1, 2968, 0, 1), (1, 2968, 1, 0), (2, 2968, 0, 0), (127, 4_000_000_000, 31, 70_000)]
    tags = [tag(keys["mailbox"], *place) for place in places]
    vector = {
        "about": about,
        "canonical": made["canonical"],
        "text": made["text"],
        "salt": salt.hex(),
        "memory_kib": memory_kib,
        "passes": passes,
        "network": network.hex(),
        "stretched": stretched.hex(),
        "root": keys["mailbox"].hex(),
        "reply_seed": keys["reply"].hex(),
        "signing_seed": keys["sign"].hex(),
        "public": Ed25519PrivateKey.from_private_bytes(keys["sign"]).public_key().public_bytes_raw().hex(),
        "cells": [
            {"desk": desk, "week": week, "index": index, "cell": cell, "tag": of.hex(), "address": address(network, desk, of).hex()}
            for (desk, week, index, cell), of in zip(places, tags, strict=True)
        ],
    }
    (HERE / f"{name}.json").write_text(json.dumps(vector, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


write("thai", "The manifest's usual parameters.", "made-th-some", bytes(range(16)), 64 << 10, 3, bytes(range(32)))
write("english", "The least parameters.", "made-en-some", bytes([255]) * 16, 8 << 10, 1, bytes([7]) * 32)
write("english-other-network", "The same in another network.", "made-en-some", bytes([255]) * 16, 8 << 10, 1, bytes([8]) * 32)
