"""Random-looking bytes, as fast as the disk takes them: what free room is made of. SPEC section 18.3."""

from __future__ import annotations

from collections.abc import Callable

from dropbox.store.files import File
from keys.primitives import KEY_BYTES, Aead, Randomness

_SHORT_BYTES = 4_096
_FILL_BYTES = 1 << 20

Progress = Callable[[int, int], None]
"""Told how many bytes are done, and of how many."""


def noise(length: int, randomness: Randomness) -> bytes | memoryview:
    """Return that many bytes nobody can tell from random ones, or from a cell's sealed payload.

    Long runs are the ciphertext of zeros under a key that is used for this call alone and then dropped: several times
    as fast as the system's own source, and the same cipher that fills the payload of every cell.
    """
    if length <= _SHORT_BYTES:
        return randomness(length)
    return memoryview(Aead(randomness(KEY_BYTES)).seal(bytes(12), bytes(length)))[:length]


def fill(file: File, randomness: Randomness, progress: Progress | None = None) -> None:
    """Fill a new file with noise, to the disk, so that room never used looks like room used before."""
    for at in range(0, file.size, _FILL_BYTES):
        file.write(at, noise(min(_FILL_BYTES, file.size - at), randomness))
        if progress is not None:
            progress(min(at + _FILL_BYTES, file.size), file.size)
    file.sync()
