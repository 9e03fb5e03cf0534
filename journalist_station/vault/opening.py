"""Opening the cells of a stick, on all cores: what each one is, and for whom.

Here every cell is read only as far as it must be: the header decides whether it is the one that the server listed and
whether it is for this desk, the first chunk where it belongs. Messages and closing items are small and opened whole;
files are opened later, in the order of their cells, with the payload keys that were found here.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from journalist_station.vault.stick import open_part
from keys import cell as cells
from keys import tip as tips
from keys.age import HybridIdentity
from keys.bundle import CELL_BYTES
from keys.cell import Geometry, Head, Kind
from keys.errors import Malformed, NotAuthentic, NotForUs
from keys.primitives import AEAD_TAG_BYTES, same_bytes, sha256

BATCH_CELLS = 32
CELLS_THAT_PAY = 256
"""From how many cells on other processes are worth their start, which takes about half a second."""
_FIRST_CHUNK_BYTES = cells.CHUNK_BYTES + AEAD_TAG_BYTES
_PR_SET_PDEATHSIG = 1


class Outcome(Enum):
    """What a cell turned out to be."""

    EXCHANGED = auto()
    """Not the one that the server listed: damaged or exchanged on the way, or gone from the server meanwhile."""
    DAMAGED = auto()
    """The one that was listed, and for this desk, but its content doesn't open."""
    FOREIGN = auto()
    """The one that was listed, and no identity of this desk opens it."""
    REFUSED = auto()
    """For this desk, and not what a server seals."""
    SMALL = auto()
    """A message or a closing item, opened whole."""
    FILE = auto()
    """A piece of a file, to be opened with `key`. It says that `source` signed it: not yet verified."""
    REFERRAL = auto()
    """Another desk's referral, opened whole."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A cell to be looked at: its id, the seal digest that the server signed, and where its bytes begin."""

    cell: bytes
    digest: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Some cells of one file."""

    path: Path
    cells: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Sorted:
    """What is known of a cell. `identity` is the place of the one that opened it in the list that was given."""

    cell: bytes
    digest: bytes
    path: Path
    offset: int
    outcome: Outcome
    identity: int | None = None
    head: Head | None = None
    flags: cells.Flags = cells.Flags.NONE
    source: bytes = b""
    key: bytes = field(default=b"", repr=False)
    payload: bytes = field(default=b"", repr=False)


class Opener:
    """Opens cells with a desk's identities, the one that opened the last cell first."""

    def __init__(self, seeds: Sequence[bytes], geometry: Geometry) -> None:
        self._identities = [(place, HybridIdentity.from_seed(seed)) for place, seed in enumerate(seeds)]
        self._geometry = geometry
        self._worked = 0

    def sort(self, batch: Batch) -> list[Sorted]:
        """Say of each cell of a batch what it is. Raises: OSError: the stick can't be read."""
        with open_part(batch.path) as file:
            return [self._sort(file.fileno(), batch.path, wanted) for wanted in batch.cells]

    def _sort(self, file: int, path: Path, wanted: Wanted) -> Sorted:
        head_bytes = self._geometry.sealed_head_bytes
        start = os.pread(file, head_bytes + _FIRST_CHUNK_BYTES, wanted.offset)
        sealed_head = start[:head_bytes]
        # Before anything else is concluded: is this what the server signed for?
        if not same_bytes(sha256(sealed_head), wanted.digest):
            return Sorted(wanted.cell, wanted.digest, path, wanted.offset, Outcome.EXCHANGED)
        try:
            key = cells.unwrap(sealed_head, self._tried(), self._geometry)
        except (NotForUs, Malformed, NotAuthentic):
            # The header is as the server listed it. If it makes no sense, it made none on the server either.
            self._worked = 0
            return Sorted(wanted.cell, wanted.digest, path, wanted.offset, Outcome.FOREIGN)
        try:
            return self._opened(file, path, wanted, key, start[head_bytes:])
        except NotAuthentic:
            return Sorted(wanted.cell, wanted.digest, path, wanted.offset, Outcome.DAMAGED)
        except Malformed:
            # Authentic to the last byte, and yet no block of this version.
            return Sorted(wanted.cell, wanted.digest, path, wanted.offset, Outcome.REFUSED)

    def _tried(self) -> Iterator[HybridIdentity]:
        """Yield the identities; afterwards `_worked` tells which was taken last."""
        for at, (_, identity) in enumerate(self._identities):
            self._worked = at
            yield identity

    def _opened(self, file: int, path: Path, wanted: Wanted, key: bytes, first_chunk: bytes) -> Sorted:
        self._identities.insert(0, self._identities.pop(self._worked))
        identity = self._identities[0][0]
        head, start = cells.peek(key, first_chunk)
        if head.kind is Kind.TIP and head.item not in (tips.MESSAGE_ITEM, tips.CLOSING_ITEM):
            source = start[: tips.SOURCE_BYTES]
            return Sorted(
                wanted.cell, wanted.digest, path, wanted.offset, Outcome.FILE, identity, head, source=source, key=key
            )
        outcome = {Kind.TIP: Outcome.SMALL, Kind.REFERRAL: Outcome.REFERRAL}.get(head.kind, Outcome.REFUSED)
        sealed = os.pread(file, CELL_BYTES, wanted.offset)
        if len(sealed) != CELL_BYTES:
            raise NotAuthentic("A cell is cut short.")
        block = cells.open_block(key, sealed, self._geometry)
        return Sorted(
            wanted.cell,
            wanted.digest,
            path,
            wanted.offset,
            outcome,
            identity,
            head,
            flags=block.flags,
            payload=block.payload,
        )


_opener: Opener | None = None
"""The opener of a worker process. It holds identities, and dies with its parent."""


def _begin(seeds: Sequence[bytes], recipients: int, parent: int) -> None:
    global _opener
    # A killed import must not leave processes behind that hold the desk's identities.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _opener = Opener(seeds, Geometry(recipients))


def _sort_there(batch: Batch) -> list[Sorted]:
    if _opener is None:
        raise RuntimeError("a worker began without its identities")
    return _opener.sort(batch)


def sort_cells(
    batches: Sequence[Batch], seeds: Sequence[bytes], geometry: Geometry, workers: int | None = None
) -> Iterator[list[Sorted]]:
    """Sort the cells of all batches, yielding them batch by batch in their order.

    Args:
        seeds: the identities, in the order in which they are tried.
        workers: how many processes; all cores when left out, and none for few cells. One means: in this process.

    Raises:
        OSError: the stick can't be read.
    """
    count = sum(len(batch.cells) for batch in batches)
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if count >= CELLS_THAT_PAY else 1
    waiting = deque(batches)
    if workers > 1:
        yield from _sort_in_processes(waiting, seeds, geometry, workers)
    opener = Opener(seeds, geometry)
    while waiting:
        yield opener.sort(waiting.popleft())


def _sort_in_processes(
    waiting: deque[Batch], seeds: Sequence[bytes], geometry: Geometry, workers: int
) -> Iterator[list[Sorted]]:
    """Take batches off the front as they are done. What is left when a worker dies is the caller's to do."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (list(seeds), geometry.recipients, os.getpid()))
    running: deque[Future[list[Sorted]]] = deque()
    try:
        for batch in list(waiting):
            # Few at a time: what is opened waits in memory until it is stored.
            if len(running) == 2 * workers:
                result = running.popleft().result()
                waiting.popleft()
                yield result
            running.append(pool.submit(_sort_there, batch))
        while running:
            result = running.popleft().result()
            waiting.popleft()
            yield result
    except BrokenProcessPool:
        # Out of memory, most likely. This process goes on alone.
        return
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
