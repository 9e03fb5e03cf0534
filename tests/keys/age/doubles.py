"""Readers, writers and randomness that behave as the real ones may, and always in the same way."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable

from keys.primitives import Randomness


def seeded(seed: int = 1) -> Randomness:
    """Randomness that is the same in every run."""
    return random.Random(seed).randbytes


def counting() -> Randomness:
    """Randomness that counts: 00 01 02 …, for bytes that are written down."""
    numbers = iter(range(256))
    return lambda size: bytes(next(numbers) for _ in range(size))


class Trickle(io.BytesIO):
    """Gives what is asked for in smaller pieces, as a pipe or a socket does."""

    def __init__(self, data: bytes, sizes: Iterable[int]) -> None:
        super().__init__(data)
        self._sizes = list(sizes) or [1]
        self._turn = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._turn += 1
        piece = self._sizes[self._turn % len(self._sizes)]
        return super().read(piece if size is None or size < 0 else min(size, piece))


class Endless:
    """Gives `size` bytes without ever holding them."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._block = bytes(range(256)) * 256

    def read(self, size: int, /) -> bytes:
        size = min(size, self._left, len(self._block))
        self._left -= size
        return self._block[:size]


class Counter:
    """Takes everything, keeps the number of bytes only."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes, /) -> int:
        self.size += len(data)
        return len(data)
