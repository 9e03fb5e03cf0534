"""The payload of an age file: chunks of 64 KiB, each sealed by itself, the last one marked. SPEC section 4.3.

Both directions stream, in memory that doesn't depend on the payload's length. An opened chunk is authentic and in its
place; only the end of the iteration says that nothing is missing behind it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Protocol

from keys.errors import NotAuthentic
from keys.primitives import AEAD_TAG_BYTES, Aead, hkdf

CHUNK_BYTES = 65_536
SEALED_CHUNK_BYTES = CHUNK_BYTES + AEAD_TAG_BYTES
NONCE_BYTES = 16

Piece = bytes | memoryview


class PayloadNotAuthentic(NotAuthentic):
    """A chunk doesn't open, or the payload was cut short or lengthened.

    What was handed out before is authentic, but it is not the whole.
    """


class Source(Protocol):
    """What a payload is read from. Short reads are fine; an empty one is the end."""

    def read(self, size: int, /) -> bytes | None: ...


class Writer(Protocol):
    """What is written to. It takes all it is given, as buffered files and `io.BytesIO` do (a raw file may not)."""

    def write(self, data: bytes, /) -> object: ...


def payload_key(file_key: bytes, nonce: bytes) -> bytes:
    """Derive the payload's key from the file key and the 16-byte nonce that stands behind the header."""
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a payload's nonce has {NONCE_BYTES} bytes")
    return hkdf(file_key, nonce, b"payload")


def chunk_nonce(index: int, last: bool) -> bytes:
    """Return the nonce of a chunk: its place in 88 bits, which no payload can exhaust, then the mark of the last."""
    return index.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


class Chunks:
    """Seals and opens the chunks of one payload, each by its place.

    Sealing two different plaintexts at one place under one key would betray both: a payload key serves one payload.
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = Aead(key)

    def seal(self, index: int, last: bool, plaintext: Piece | bytearray) -> bytes:
        return self._aead.seal(chunk_nonce(index, last), memoryview(plaintext))

    def seal_into(self, index: int, last: bool, plaintext: Piece | bytearray, out: memoryview) -> int:
        """Seal into `out`, which holds exactly 16 bytes more than the plaintext. Copies nothing."""
        return self._aead.seal_into(chunk_nonce(index, last), plaintext, out)

    def open(self, index: int, last: bool, sealed: Piece) -> bytes:
        """Raises: PayloadNotAuthentic: it isn't this payload's chunk of that place and mark."""
        try:
            return self._aead.open(chunk_nonce(index, last), sealed)
        except NotAuthentic as error:
            raise PayloadNotAuthentic("The content of this file was damaged or changed.") from error


class StreamSealer:
    """Seals a payload as it comes: hold at most one chunk back, because only the end tells which was the last.

    Args:
        key: the payload's key, never used before.
        writer: gets sealed chunks, one a call. Header and nonce are the caller's to write before.
    """

    def __init__(self, key: bytes, writer: Writer) -> None:
        refuse_raw(writer)
        self._chunks = Chunks(key)
        self._writer = writer
        self._pending = bytearray()
        self._index = 0
        self._finished = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add plaintext, any number of bytes."""
        if self._finished:
            raise RuntimeError("this payload is already finished")
        view = memoryview(data).cast("B")
        if self._pending:
            take = CHUNK_BYTES - len(self._pending)
            self._pending += view[:take]
            view = view[take:]
            if not view:
                return
            self._seal(self._pending, last=False)
            self._pending.clear()
        while len(view) > CHUNK_BYTES:
            self._seal(view[:CHUNK_BYTES], last=False)
            view = view[CHUNK_BYTES:]
        self._pending += view

    def finish(self) -> None:
        """Seal the last chunk. A payload that is never finished can't be mistaken for a whole one."""
        if self._finished:
            raise RuntimeError("this payload is already finished")
        self._finished = True
        self._seal(self._pending, last=True)
        self._pending = bytearray()

    def _seal(self, plaintext: bytearray | memoryview, *, last: bool) -> None:
        self._writer.write(self._chunks.seal(self._index, last, plaintext))
        self._index += 1


class StreamOpener:
    """Opens a payload as it is read: iterate over its plaintext, chunk by chunk, once.

    Each piece handed out is authentic. Whether the whole came is known only when the iteration ends by itself; what is
    made of the pieces before that must be undone when it raises.

    Args:
        key: the payload's key.
        reader: stands at the payload's first chunk, behind the nonce.

    Raises:
        PayloadNotAuthentic: from the iteration.
    """

    def __init__(self, key: bytes, reader: Source) -> None:
        self._opened = _opened(Chunks(key), _pieces(reader))

    def __iter__(self) -> Iterator[bytes]:
        return self._opened


def open_chunks(key: bytes, sealed: Piece) -> bytes:
    """Open a whole payload in memory: all of it, or nothing. Raises: PayloadNotAuthentic."""
    return b"".join(_opened(Chunks(key), _slices(memoryview(sealed))))


def read_fully(reader: Source, size: int) -> bytes:
    """Read exactly `size` bytes, or fewer when the end comes first.

    Raises:
        BlockingIOError: the reader doesn't block, and has nothing now: that must not pass for the end.
    """
    parts: list[bytes] = []
    while size:
        part = reader.read(size)
        if part is None:
            raise BlockingIOError("age needs a reader that blocks")
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def refuse_raw(writer: Writer) -> None:
    """Raises: TypeError: the writer is an unbuffered file, which may take a part of what it is given and not say so."""
    if isinstance(writer, io.RawIOBase):
        raise TypeError("age needs a buffered writer: a raw one may take only a part of a chunk")


def _pieces(reader: Source) -> Iterator[tuple[Piece, bool]]:
    """Cut what is read into sealed chunks, each with whether it is all that is left."""
    piece = read_fully(reader, SEALED_CHUNK_BYTES)
    while len(piece) == SEALED_CHUNK_BYTES and (following := read_fully(reader, SEALED_CHUNK_BYTES)):
        yield piece, False
        piece = following
    yield piece, True


def _slices(sealed: memoryview) -> Iterator[tuple[Piece, bool]]:
    for start in range(0, len(sealed) or 1, SEALED_CHUNK_BYTES):
        end = start + SEALED_CHUNK_BYTES
        yield sealed[start:end], end >= len(sealed)


def _opened(chunks: Chunks, pieces: Iterator[tuple[Piece, bool]]) -> Iterator[bytes]:
    for index, (sealed, ended) in enumerate(pieces):
        if index and len(sealed) <= AEAD_TAG_BYTES:
            # An empty last chunk behind others would be a second spelling of the same payload.
            raise PayloadNotAuthentic("The content of this file ends with a chunk that has nothing in it.")
        plaintext, last = _open_one(chunks, index, sealed, ended)
        yield plaintext
        if last and not ended:
            raise PayloadNotAuthentic("Something was added behind the end of this file.")
        if ended and not last:
            raise PayloadNotAuthentic("This file was cut short.")


def _open_one(chunks: Chunks, index: int, sealed: Piece, ended: bool) -> tuple[bytes, bool]:
    """Open a chunk, and say whether it is marked as the last.

    The mark is tried first that an undamaged file would have. A full chunk with the other mark is authentic too, and
    tells a file that was cut or lengthened from one that was damaged.
    """
    try:
        return chunks.open(index, ended, sealed), ended
    except PayloadNotAuthentic:
        if len(sealed) < SEALED_CHUNK_BYTES:
            raise
    return chunks.open(index, not ended, sealed), not ended
