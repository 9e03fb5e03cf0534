"""A file that holds one checked run of bytes, or none, and then noise: redo record, documents. SPEC section 18.5."""

from __future__ import annotations

from dropbox.store.files import File
from keys import primitives
from keys.encoding import Reader, u32

HEAD_BYTES = 36
CHECKSUM_BYTES = 32

REDO_LABEL = b"mustshare/v1/redo\0"
DOCUMENTS_LABEL = b"mustshare/v1/documents\0"


def checksum(label: bytes, payload: bytes) -> bytes:
    return primitives.blake2b(label + u32(len(payload)) + payload, CHECKSUM_BYTES)


def compose(label: bytes, payload: bytes) -> bytes:
    """Return what is written at the file's beginning: length, checksum, payload."""
    return u32(len(payload)) + checksum(label, payload) + payload


def read(file: File, label: bytes) -> bytes | None:
    """Return the payload, or None where the file holds none that is whole.

    A checksum, not a signature: it tells a finished write from a broken one or from noise, and nothing about who wrote.
    """
    head = Reader(file.read(0, HEAD_BYTES))
    length, expected = head.u32(), head.take(CHECKSUM_BYTES)
    if length > file.size - HEAD_BYTES:
        return None
    payload = file.read(HEAD_BYTES, length)
    return payload if checksum(label, payload) == expected else None
