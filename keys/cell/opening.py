"""Opening cells, whole or as far as they must be, and the digest that tells one from another. SPEC section 7."""

from __future__ import annotations

import io
from collections.abc import Iterable

from keys import primitives
from keys.age import header, stream
from keys.age.recipients import HYBRID, HybridIdentity
from keys.age.stream import NONCE_BYTES
from keys.bundle import CELL_BYTES
from keys.cell.block import HEAD_BYTES, Block, Geometry, Head, parse_block, parse_head
from keys.errors import Malformed, NotForUs


def seal_digest(cell: bytes | memoryview, geometry: Geometry) -> bytes:
    """SHA-256 over a cell's age header and nonce. SPEC section 7.3."""
    return primitives.sha256(bytes(cell[: geometry.sealed_head_bytes]))


def open_cell(cell: bytes, identities: Iterable[HybridIdentity], geometry: Geometry, place: int | None = None) -> Block:
    """Open a cell with the first identity that fits; with `place`, only the stanza there is tried.

    Raises:
        Malformed: it isn't a cell of this network's shape, outside or inside.
        NotForUs: no identity opens it.
        NotAuthentic: it was addressed to one of them, but changed afterwards.
    """
    if len(cell) != CELL_BYTES:
        raise _wrong_size()
    return open_block(unwrap(cell[: geometry.sealed_head_bytes], identities, geometry, place), cell, geometry)


def unwrap(
    sealed_head: bytes, identities: Iterable[HybridIdentity], geometry: Geometry, place: int | None = None
) -> bytes:
    """Return the payload key of a cell, given its age header and nonce: the bytes that its seal digest covers.

    The identity that fits is the last one taken from `identities`. Raises: as `open_cell`.
    """
    if len(sealed_head) != geometry.sealed_head_bytes:
        raise _wrong_size()
    source = io.BytesIO(sealed_head)
    parsed = header.parse(source)
    nonce = source.read()
    # Exactly R stanzas of one type and size leave exactly the nonce: another header can't pass for a cell's.
    if len(parsed.stanzas) != geometry.recipients or len(nonce) != NONCE_BYTES:
        raise Malformed("A cell's header isn't of this network's shape.")
    if any(stanza.type != HYBRID for stanza in parsed.stanzas):
        raise Malformed("A cell's header names a recipient that isn't post-quantum.")
    stanzas = parsed.stanzas if place is None else parsed.stanzas[place : place + 1]
    for identity in identities:
        file_key = identity.unwrap(stanzas)
        if file_key is not None:
            break
    else:
        raise NotForUs("No key held here opens this cell.")
    parsed.verify(file_key)
    return stream.payload_key(file_key, nonce)


def peek(payload_key: bytes, first_chunk: bytes | memoryview) -> tuple[Head, bytes]:
    """Say where a cell belongs and how its payload begins, given only the first sealed chunk behind header and nonce.

    So that a station may sort a stick's cells without reading all of each. The rest is not checked here; what is given
    of the payload may be longer than the payload is.

    Raises:
        NotAuthentic: the chunk was changed.
        Malformed: it isn't the beginning of a block.
    """
    start = stream.Chunks(payload_key).open(0, False, first_chunk)
    return parse_head(start), start[HEAD_BYTES:]


def open_block(payload_key: bytes, cell: bytes | memoryview, geometry: Geometry) -> Block:
    """Open the block of a cell whose payload key `unwrap` gave. Raises: NotAuthentic, Malformed: as `open_cell`."""
    if len(cell) != CELL_BYTES:
        raise _wrong_size()
    sealed = memoryview(cell)[geometry.sealed_head_bytes :]
    return parse_block(stream.open_chunks(payload_key, sealed), geometry)


def _wrong_size() -> Malformed:
    return Malformed("A cell has the wrong size.")
