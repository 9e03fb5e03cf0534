"""Making a data folder, checking its shape, and looking at it without touching it. SPEC sections 18.2 and 18.7."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dropbox.store import layout, region
from dropbox.store.files import DataFolder, File, Folder
from dropbox.store.index import RECORD_BYTES, Index, decode
from dropbox.store.journal import Journal, redo_bytes
from dropbox.store.noise import Progress, fill
from keys.bundle import CELL_BYTES
from keys.errors import DropBoxError, Misconfigured
from keys.primitives import Randomness, system_randomness

MAX_SLOTS = 2**31 - 1
DOCUMENTS_BYTES = 8 << 20


def found(
    folder: Folder, slots: int, documents_bytes: int, randomness: Randomness, progress: Progress | None = None
) -> None:
    """Make the files, of noise from end to end, and empty documents. What was begun is removed if it can't be finished.

    Raises:
        NoRoom: the disk is too small.
        Misconfigured: the disk refused.
        ValueError: a size makes no store.
    """
    if not 0 < slots <= MAX_SLOTS or documents_bytes <= region.HEAD_BYTES:
        raise ValueError("a store has at least one slot, and documents of more than 36 bytes")
    sizes = {
        layout.SLAB: slots * CELL_BYTES,
        layout.INDEX: slots * RECORD_BYTES,
        layout.DOCUMENTS: documents_bytes,
        layout.REDO: redo_bytes(slots, documents_bytes),
    }
    reported = _Progress(sum(sizes.values()), progress)
    try:
        for name, size in sizes.items():
            file = folder.create(name, size)
            try:
                fill(file, randomness, reported)
                if name == layout.DOCUMENTS:
                    file.write(0, region.compose(region.DOCUMENTS_LABEL, b""))
                    file.sync()
            finally:
                file.close()
            reported.next_file(size)
        folder.sync()
    except BaseException:
        for name in sizes:
            folder.remove(name)
        raise


class _Progress:
    """Adds up the progress of one file after another."""

    def __init__(self, total: int, told: Progress | None) -> None:
        self._total = total
        self._told = told
        self._before = 0

    def __call__(self, done: int, of: int) -> None:
        if self._told is not None:
            self._told(self._before + done, self._total)

    def next_file(self, size: int) -> None:
        self._before += size


@dataclass(frozen=True, slots=True)
class Files:
    """The four files of an opened folder, whose sizes fit each other."""

    slab: File
    index: File
    documents: File
    redo: File

    def all(self) -> tuple[File, ...]:
        return self.slab, self.index, self.documents, self.redo

    def close(self) -> None:
        for file in self.all():
            file.close()


def open_files(folder: Folder, *, read_only: bool = False) -> Files:
    """Open the folder's files. Raises: Misconfigured: one is missing, or they are not of one store."""
    opened: list[File] = []
    try:
        for name in layout.FILES:
            opened.append(folder.open(name, read_only=read_only))
    except DropBoxError:
        for file in opened:
            file.close()
        raise
    files = Files(*opened)
    slots, rest = divmod(files.slab.size, CELL_BYTES)
    fits = (
        slots > 0
        and not rest
        and files.index.size == slots * RECORD_BYTES
        and files.documents.size > region.HEAD_BYTES
        and files.redo.size == redo_bytes(slots, files.documents.size)
    )
    if not fits:
        files.close()
        raise Misconfigured(
            "The sizes of the data folder's files don't fit each other.",
            "Put the right files back, or make the data folder anew.",
        )
    return files


@dataclass(frozen=True, slots=True)
class Status:
    """What a look from outside shows: slots in all, cells stored, the documents, and how many bytes these may have."""

    slots: int
    stored: int
    documents: bytes
    documents_room: int


def status(path: Path) -> Status:
    """Look into a data folder, whether a server has it open or not. Changes nothing, not even a time.

    A transaction that a killed server left standing is counted as done.

    Raises:
        Misconfigured: it is no data folder, or it is damaged.
    """
    folder = DataFolder(path)
    try:
        return look(folder)
    finally:
        folder.close()


def look(folder: Folder) -> Status:
    """Do what `status` says, in an opened folder."""
    files = open_files(folder, read_only=True)
    try:
        index = Index(files.index)
        journal = Journal(index, files.documents, files.redo, system_randomness)
        with folder.lock(layout.REDO, shared=True):
            left_over = journal.left_over()
            stored = {slot for slot, _ in index.live()}
            documents = left_over.documents if left_over is not None else None
            if documents is None:
                documents = journal.documents()
        for slot, raw in (left_over.records if left_over is not None else {}).items():
            stored = stored - {slot} if decode(slot, raw) is None else stored | {slot}
        return Status(index.slots, len(stored), documents, journal.documents_room())
    finally:
        files.close()
