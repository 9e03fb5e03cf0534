"""Exporting a thread: its messages and files into a folder, byte for byte, under names that can do no harm.

    <thread>/                      named after the thread
        1/                         one folder a tip
            message.txt            what the source wrote
            message.signed         item 0 as the source's key signed it
            names.json             what each file was really called, its type, size, SHA-256 and state, and whether
                                   the source's signed list names it so
            files/…
        replies.json               what the desk answered

Nothing is ever overwritten, and nothing appears under its name before it is whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from journalist_station.vault import assembling, journal, threads
from journalist_station.vault.database import post
from journalist_station.vault.database import tips as rows
from journalist_station.vault.database.tips import ItemState, ThreadRow
from journalist_station.vault.items import full_disk_told, sync_folder
from journalist_station.vault.safenames import folded, part_name, safe_name, unused_name
from journalist_station.vault.threads import FileFacts, Listed, Tip
from journalist_station.vault.vault import Vault
from keys.encoding import to_json
from keys.errors import Misconfigured, Refused
from keys.files import make_folder
from keys.tip import SOURCE_BYTES

LISTED = {
    Listed.SAME: "Signed by the source piece by piece, and its signed list has this very SHA-256.",
    Listed.DIFFERS: "Signed with the source's key, but its list has another SHA-256: don't rely on it, ask the source.",
    Listed.NOT: "Signed with the source's key, but not in its list: don't rely on it, ask the source.",
    Listed.UNKNOWN: "Signed by the source piece by piece; no signed list here says whether it is all there was.",
}
"""What a journalist should make of a file, in the words of names.json."""

WITHOUT_MESSAGE = "The message hasn't come: whose files these are isn't known yet, but one key signed them all."
STRANGER = (
    "Another source's message has this tip's number. Whoever sent these isn't that source: don't take them for its."
)


@dataclass(frozen=True, slots=True)
class Exported:
    """Where an export lies, and how much it is."""

    folder: Path
    tips: int
    files: int
    size: int


def export_thread(vault: Vault, thread: ThreadRow, target: Path, now: int) -> Exported:
    """Write everything of a thread into a new folder below `target`, which is made when it isn't there.

    Raises:
        Misconfigured: there is no folder to make `target` in.
        Refused: an export of that name is there already.
        NotAuthentic: a file of the vault is damaged; nothing was written.
        NoRoom: the disk is full; nothing was written.
    """
    name = threads.name_of(vault, thread).en
    messages = [threads.read_tip(vault, row) for row in rows.messages(vault.database, thread.number)]
    with _Export(vault, target, f"{thread.number}-{name}") as export:
        for number, tip in enumerate(messages, 1):
            export.add_tip(str(number), tip)
        export.add_replies(thread)
        exported = export.finish(len(messages))
        journal.record(vault.database, now, "export", thread=thread.number, files=exported.files)
    return exported


def export_tip_without_message(vault: Vault, tip: bytes, target: Path, now: int) -> Exported:
    """Write the files of a tip that came without a message by the key that signed them, in a folder for each such key.

    Raises: as `export_thread`; Refused: there are none.
    """
    strays = [each for each in rows.strays(vault.database) if each.tip == tip]
    if not strays:
        raise Refused("There are no files of such a tip.", "journalist-station list shows what there is.")
    with _Export(vault, target, f"without-message-{tip.hex()[:8]}") as export:
        for number, stray in enumerate(strays, 1):
            facts = {"signed_by": stray.source.hex(), "note": STRANGER if stray.claimed else WITHOUT_MESSAGE}
            export.add_files(str(number), threads.files_of(vault, tip, stray.source), facts)
        exported = export.finish(len(strays))
        journal.record(vault.database, now, "export", tip=tip.hex(), files=exported.files)
    return exported


class _Export:
    """Builds an export under a hidden name. Left without `finish`, nothing remains."""

    def __init__(self, vault: Vault, target: Path, name: str) -> None:
        if not target.is_dir() and not target.parent.is_dir():
            raise Misconfigured("There is no such folder to export to.", "Make it first, or name another with --to.")
        self._vault = vault
        self._final = target / name
        if self._final.exists() or self._final.is_symlink():
            raise Refused(f"There is an export {name} already, and it is not overwritten.", "Move it away first.")
        self._target = target
        self._folder = target / f".{name}.{vault.randomness(4).hex()}"
        self._files = self._size = 0

    def __enter__(self) -> _Export:
        make_folder(self._target)
        self._folder.mkdir(mode=0o700)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def finish(self, tips: int) -> Exported:
        sync_folder(self._folder)
        os.rename(self._folder, self._final)
        sync_folder(self._final.parent)
        return Exported(self._final, tips, self._files, self._size)

    def add_tip(self, name: str, tip: Tip) -> None:
        facts = {
            "state": tip.state.value,
            "absent": [entry.item for entry in tip.absent],
            "signed_by": tip.row.raw[:SOURCE_BYTES].hex(),
            "forged_cells_refused": tip.standing.forged,
            "files_of_strangers": tip.standing.strangers,
        }
        folder = self.add_files(name, tip.files, facts)
        _write(folder / "message.txt", [text_of(tip).encode()])
        _write(folder / "message.signed", [tip.row.raw])

    def add_files(self, name: str, files: Iterable[FileFacts], facts: dict[str, Any] | None = None) -> Path:
        folder = self._folder / name
        (folder / "files").mkdir(mode=0o700, parents=True)
        used: set[str] = set()
        entries = [self._add(folder / "files", each, used) for each in files]
        _write(folder / "names.json", [to_json({**(facts or {}), "files": [e for some in entries for e in some]})])
        return folder

    def _add(self, folder: Path, file: FileFacts, used: set[str]) -> list[dict[str, Any]]:
        raw = file.name or b""
        safe = safe_name(raw)
        entry = {
            "name": raw.decode("utf-8", "replace"),
            "name_hex": raw.hex(),
            "type": (file.row.type or b"").decode("utf-8", "replace"),
            "item": file.row.item,
            "inside": file.row.parent is not None,
            "state": file.row.state,
        }
        if file.row.state == ItemState.MISSING:
            return [
                {**entry, **self._place(folder, part_name(safe), used, pieces), "first_cell": first}
                for first, pieces in assembling.read_stretches(self._vault, file.row)
            ]
        [run] = rows.runs(self._vault.database, file.row.number)
        with self._vault.files.read(run.file, file.row.secret) as pieces:
            placed = self._place(folder, safe, used, pieces)
        return [
            {**entry, **placed, "sha256": run.sha256.hex(), "listed": file.listed.value, "note": LISTED[file.listed]}
        ]

    def _place(self, folder: Path, safe: str, used: set[str], pieces: Iterable[bytes | memoryview]) -> dict[str, Any]:
        name = unused_name(safe, used)
        used.add(folded(name))
        size = _write(folder / name, pieces)
        self._files += 1
        self._size += size
        return {"file": name, "size": size}

    def add_replies(self, thread: ThreadRow) -> None:
        replies = post.replies(self._vault.database, thread.number)
        entries = [
            {
                "created": reply.created,
                "automatic": reply.automatic,
                "language": reply.language,
                "state": reply.state,
                "text": reply.text,
                "delivered": reply.delivered,
                "attachments": [
                    {"name": (each.name or b"").decode(), "size": each.size, "sha256": (each.sha256 or b"").hex()}
                    for each in threads.attachments_of(self._vault, reply.number)
                ],
            }
            for reply in replies
        ]
        _write(self._folder / "replies.json", [to_json({"replies": entries})])


def text_of(tip: Tip) -> str:
    """Return a message as plain text: what was written, then the answers to a call's or an offer's questions."""
    parts = [tip.message.text] if tip.message.text else []
    parts += [f"{question}\n{answer}" for question, answer in tip.message.answers]
    return "\n\n".join(parts) + "\n"


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    size = 0
    with full_disk_told(), open(os.open(path, flags, 0o600), "wb") as file:
        for piece in pieces:
            file.write(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return size
