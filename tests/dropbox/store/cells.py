"""Cells as the store sees them: an age header's text, then bytes nobody can tell from random ones."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass

from keys.bundle import CELL_BYTES
from keys.inventory import CellId

HEADER_BYTES = 9_428


@dataclass(frozen=True, slots=True)
class Made:
    """A cell, its name, its digest."""

    cell_id: CellId
    digest: bytes
    content: bytes


def make_cell(number: int) -> Made:
    """Return a cell that is all of its number's own."""
    chance = random.Random(f"cell {number}")
    header = b"age-encryption.org/v1\n" + base64.b64encode(chance.randbytes(HEADER_BYTES))
    content = header[:HEADER_BYTES] + chance.randbytes(CELL_BYTES - HEADER_BYTES)
    return Made(CellId(chance.randbytes(32)), chance.randbytes(32), content)
