"""Putting items together from their cells, as they arrive: over several sticks, in any order, in flat memory.

Whoever else a tip was sealed to can seal cells that claim a place in its files. So every piece is verified before it
is used (SPEC 8.4), and what different keys signed under one tip and number is kept apart: a forged piece has no place
here, and whoever signs with a key of their own fills a file of their own.

The cells of an item that come with one import are joined in order into one sealed file, a *run*. An item whose cells
are all here is one run, read straight from the stick when it came with one. Otherwise its runs wait, each sealed like
any other item file, until the missing cells come; then all are joined into one. Nothing here keeps a cell as a cell.
"""

from __future__ import annotations

import heapq
import os
import struct
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from journalist_station.vault.database import tips as rows
from journalist_station.vault.database.tips import ItemRow, ItemState, RunRow
from journalist_station.vault.items import FileWriter, SealedFile
from journalist_station.vault.stick import open_part
from journalist_station.vault.vault import Vault
from keys import cell as cells
from keys import tip as tips
from keys.bundle import CELL_BYTES
from keys.cell import Flags
from keys.errors import Malformed, NotAuthentic

Content = bytes | memoryview
Numbered = tuple[int, Content]
Progress = Callable[[int], object]
"""Told how many bytes were done since the last call."""

_LONGEST_HEAD_BYTES = 4 + 2 * tips.MAX_NAME_BYTES
AHEAD = 8
"""How many cells are opened ahead while the ones before are sealed and hashed: 2 MiB."""


class Place(NamedTuple):
    """Which file: the tip's id, the key that says it signed the pieces, and the item's number in the tip."""

    tip: bytes
    source: bytes
    item: int


@dataclass(frozen=True, slots=True)
class FileCell:
    """A cell of a file on a stick, by its id and seal digest, with the payload key that opens it."""

    cell: bytes
    digest: bytes
    number: int
    path: Path
    offset: int
    key: bytes = field(repr=False)


@dataclass(slots=True)
class Assembly:
    """What became of the cells of one item. To be committed to the database with `commit`."""

    item: ItemRow | None
    secret: bytes = field(repr=False)
    name: bytes | None = field(repr=False)
    type: bytes | None = field(repr=False)
    last_cell: int | None
    interrupted: bool
    sealed: SealedFile | None = None
    numbers: tuple[int, ...] = ()
    replaced: tuple[str, ...] = ()
    held: list[FileCell] = field(default_factory=list)
    damaged: list[FileCell] = field(default_factory=list)
    refused: list[FileCell] = field(default_factory=list)
    forged: list[FileCell] = field(default_factory=list)

    @property
    def state(self) -> str:
        """How much of the item is here once this is committed."""
        # Numbers are distinct and none is behind the last. That one may be 4 billion: it isn't counted up to.
        if self.last_cell is None or len(self.numbers) != self.last_cell + 1:
            return ItemState.MISSING
        return ItemState.INTERRUPTED if self.interrupted else ItemState.WHOLE


def assemble(vault: Vault, place: Place, fresh: Iterable[FileCell], progress: Progress) -> Assembly:
    """Join the cells of an item that just came with those that wait, and seal what comes of it.

    The file is written and lasts; no row names it yet.

    Raises:
        NoRoom: the disk is full; nothing remains.
        OSError: the stick can't be read; nothing remains.
    """
    row = rows.item(vault.database, *place)
    runs = rows.runs(vault.database, row.number) if row else []
    have = {number for run in runs for number in numbers_of(run.cells)}
    result = Assembly(
        row,
        row.secret if row else vault.files.new_secret(),
        row.name if row else None,
        row.type if row else None,
        row.last_cell if row else None,
        row.interrupted if row else False,
    )
    chosen: dict[int, list[FileCell]] = defaultdict(list)
    again: list[FileCell] = []
    for each in fresh:
        (again if each.number in have else chosen[each.number]).append(each)
    opening = _Opening(vault, place, chosen, result, max(have, default=-1))
    opening.judge(again)
    opening.find_last()
    if not chosen:
        opening.close()
        return result
    everything = have | chosen.keys()
    whole = result.last_cell is not None and len(everything) == result.last_cell + 1
    with ExitStack() as stack:
        sources: list[Iterator[Numbered]] = [opening.blocks()]
        if whole:
            sources += [_read_run(vault, result, run, stack) for run in runs]
            result.replaced = tuple(run.file for run in runs)
        writer = stack.enter_context(vault.files.write(result.secret))
        _write(writer, heapq.merge(*sources, key=itemgetter(0)), result, progress)
        if result.numbers:
            result.sealed = writer.commit()
    return result


def _write(writer: FileWriter, pieces: Iterator[Numbered], result: Assembly, progress: Progress) -> None:
    numbers = []
    for number, payload in _ahead(pieces):
        view = memoryview(payload)
        if number == 0 and result.name is None:
            view = view[_read_head(payload, result) :]
        writer.write(view)
        numbers.append(number)
        progress(len(payload))
    result.numbers = tuple(numbers)


def _read_head(payload: Content, result: Assembly) -> int:
    """Take name and type off the beginning of an item; return how long they are there."""
    try:
        head = tips.read_file_head(bytes(payload[:_LONGEST_HEAD_BYTES]))
    except Malformed:
        return 0  # No server makes this. What it holds is kept as it is, without a name.
    result.name, result.type = head.name, head.declared_type
    return head.size


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of a file that its source signed."""

    content: memoryview
    flags: Flags


class _Opening:
    """Opens the chosen cells of an item in order. One that can't be opened is left out, and told of."""

    def __init__(
        self, vault: Vault, place: Place, chosen: dict[int, list[FileCell]], result: Assembly, highest: int
    ) -> None:
        self._geometry = vault.geometry
        self._network = vault.network
        self._place = place
        self._chosen = chosen
        self._result = result
        self._held = highest
        self._highest = highest
        self._files: dict[Path, BinaryIO] = {}

    def judge(self, again: Iterable[FileCell]) -> None:
        """Settle cells of places that are filled already: the same piece once more, or somebody's try."""
        for each in again:
            if self._open_one(each) is not None:
                self._result.held.append(each)

    def find_last(self) -> None:
        """Open the highest cell, whose trailer says whether it is the item's last, before anything is written."""
        while self._chosen:
            number = max(self._chosen)
            self._highest = max(number, self._held)
            if number < self._held or self._result.last_cell is not None:
                return
            piece = self._open(number)
            if piece is not None:
                if piece.flags & Flags.LAST:
                    self._result.last_cell = number
                    self._result.interrupted = bool(piece.flags & Flags.INTERRUPTED)
                return

    def blocks(self) -> Iterator[Numbered]:
        """Yield number and payload of every chosen cell that opens, in order. Raises: OSError."""
        try:
            for number in sorted(self._chosen):
                piece = self._open(number)
                if piece is not None:
                    first, *others = self._chosen[number]
                    self._result.held.append(first)
                    self.judge(others)
                    yield number, piece.content
        finally:
            self.close()

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _open(self, number: int) -> _Piece | None:
        """Open the first cell of a number that is good; drop the number when there is none."""
        for each in list(self._chosen[number]):
            piece = self._open_one(each)
            if piece is not None:
                return piece
            self._chosen[number].remove(each)
        del self._chosen[number]
        return None

    def _open_one(self, each: FileCell) -> _Piece | None:
        try:
            sealed = os.pread(self._file(each.path), CELL_BYTES, each.offset)
            if len(sealed) != CELL_BYTES:
                raise NotAuthentic("A cell is cut short.")
            block = cells.open_block(each.key, sealed, self._geometry)
        except NotAuthentic:
            self._result.damaged.append(each)
            return None
        except Malformed:
            self._result.refused.append(each)
            return None
        tip, source, item = self._place
        try:
            signer, content = tips.open_piece(block.payload, self._network, tip, item, each.number, block.flags)
            if signer != source:
                raise NotAuthentic("A piece of a file names two sources.")
        except (NotAuthentic, Malformed):
            self._result.forged.append(each)
            return None
        # The last cell says so, no other does, and none stands behind it.
        last = bool(block.flags & Flags.LAST)
        known = self._result.last_cell
        behind = known is not None and (each.number > known or last != (each.number == known))
        if (last and each.number < self._highest) or behind:
            self._result.refused.append(each)
            return None
        return _Piece(content, block.flags)

    def _file(self, path: Path) -> int:
        if path not in self._files:
            self._files[path] = open_part(path)
        return self._files[path].fileno()


def _read_run(vault: Vault, result: Assembly, run: RunRow, stack: ExitStack) -> Iterator[Numbered]:
    """Yield the pieces of a run again, without the head that was taken off the first."""
    pieces = stack.enter_context(vault.files.read(run.file, result.secret))
    full = vault.geometry.payload_bytes - tips.PIECE_FRAME_BYTES
    head = 0 if result.name is None else 4 + len(result.name) + len(result.type or b"")
    numbers = list(numbers_of(run.cells))
    left = run.size
    cut = _Cutter(iter(pieces))
    for number in numbers:
        size = min(left, full - head if number == 0 else full)
        left -= size
        yield number, cut.take(size)


class _Cutter:
    """Cuts a stream of pieces into others of given sizes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._pending = bytearray()

    def take(self, size: int) -> bytes:
        while len(self._pending) < size:
            self._pending += next(self._pieces)
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        return taken


def read_stretches(vault: Vault, item: ItemRow) -> Iterator[tuple[int, Iterator[Content]]]:
    """Yield what is here of an item with missing cells: for each unbroken stretch its first cell, and its bytes.

    A stretch must be read to its end before the next.
    """
    runs = rows.runs(vault.database, item.number)
    shape = Assembly(item, item.secret, item.name, item.type, item.last_cell, item.interrupted)
    with ExitStack() as stack:
        merged = heapq.merge(*(_read_run(vault, shape, run, stack) for run in runs), key=itemgetter(0))
        following = next(merged, None)
        while following is not None:
            first = following[0]

            def stretch(at: int) -> Iterator[Content]:
                nonlocal following
                while following is not None and following[0] == at:
                    yield following[1]
                    at, following = at + 1, next(merged, None)

            yield first, stretch(first)


def commit(vault: Vault, place: Place, result: Assembly) -> int:
    """Name what `assemble` sealed in the database; return the item's number. To be called in a transaction."""
    if result.item is None:
        tip, source, item = place
        number = rows.add_item(vault.database, result.secret, result.state, tip=tip, source=source, item=item)
    else:
        number = result.item.number
    if result.sealed is not None:
        rows.delete_runs(vault.database, result.replaced)
        stretches = stretches_of(result.numbers)
        sealed = result.sealed
        rows.add_run(vault.database, RunRow(sealed.name, number, stretches, sealed.size, sealed.sha256))
    rows.set_item(
        vault.database,
        number,
        name=result.name,
        type=result.type,
        last_cell=result.last_cell,
        interrupted=result.interrupted,
        state=result.state,
    )
    if result.name:
        rows.index(vault.database, rows.Found.FILE_NAME, number, result.name.decode("utf-8", "replace"))
    return number


def stretches_of(numbers: Sequence[int]) -> bytes:
    """Write sorted numbers as pairs of u32: the first and last of each unbroken stretch."""
    breaks = [at for at, (one, next_) in enumerate(pairwise(numbers), 1) if next_ != one + 1]
    starts, ends = [0, *breaks], [*breaks, len(numbers)]
    return b"".join(
        struct.pack(">II", numbers[start], numbers[end - 1]) for start, end in zip(starts, ends, strict=True)
    )


def numbers_of(stretches: bytes) -> Iterator[int]:
    """Read what `stretches_of` wrote."""
    for first, last in struct.iter_unpack(">II", stretches):
        yield from range(first, last + 1)


def _ahead(values: Iterator[Numbered]) -> Iterator[Numbered]:
    """Run an iterator in a thread, a few steps ahead: opening and sealing then share two cores."""
    with ThreadPoolExecutor(1) as pool:
        running = deque(pool.submit(next, values, None) for _ in range(AHEAD))
        while (value := running.popleft().result()) is not None:
            running.append(pool.submit(next, values, None))
            yield value
