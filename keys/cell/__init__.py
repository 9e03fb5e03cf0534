"""The cell: the one object that is ever stored. Blocks, sealing them as they fill, opening them. SPEC section 7."""

from __future__ import annotations

from keys.age.stream import CHUNK_BYTES
from keys.bundle import CELL_BYTES
from keys.cell.block import (
    FILLER,
    HEAD_BYTES,
    MAGIC,
    SERIES_BYTES,
    TRAILER_BYTES,
    Block,
    Flags,
    Geometry,
    Head,
    Kind,
    parse_block,
)
from keys.cell.opening import open_block, open_cell, peek, seal_digest, unwrap
from keys.cell.sealing import CellWriter, Frame, ItemWriter, OpenCell, Seal, Sealer, Sink, below, seal_block, shuffled

__all__ = [
    "CELL_BYTES",
    "CHUNK_BYTES",
    "FILLER",
    "HEAD_BYTES",
    "MAGIC",
    "SERIES_BYTES",
    "TRAILER_BYTES",
    "Block",
    "CellWriter",
    "Flags",
    "Frame",
    "Geometry",
    "Head",
    "ItemWriter",
    "Kind",
    "OpenCell",
    "Seal",
    "Sealer",
    "Sink",
    "below",
    "open_block",
    "open_cell",
    "parse_block",
    "peek",
    "seal_block",
    "seal_digest",
    "shuffled",
    "unwrap",
]
