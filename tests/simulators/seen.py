"""What a station holds, read back and decrypted: for comparing with what was sent."""

from __future__ import annotations

from dataclasses import dataclass

from journalist_station.vault import threads
from journalist_station.vault.database import tips as rows
from journalist_station.vault.database.cells import Fate
from journalist_station.vault.threads import FileFacts, Tip
from journalist_station.vault.vault import Vault
from keys.primitives import sha256


@dataclass(frozen=True)
class SeenFile:
    """A file as the station gives it out. `content` is None while cells are missing."""

    name: bytes | None
    content: bytes | None
    state: str
    inside: bool = False


@dataclass(frozen=True)
class SeenTip:
    text: str
    state: str
    files: tuple[SeenFile, ...]


def tips(vault: Vault) -> dict[bytes, list[Tip]]:
    """Return every message by its source's public key, in order."""
    return {
        thread.source: [threads.read_tip(vault, row) for row in rows.messages(vault.database, thread.number)]
        for thread in rows.threads(vault.database)
    }


def fates(vault: Vault) -> dict[Fate, int]:
    """Return how many cells had each fate, of those that a server lists just as they were read."""
    listed = "SELECT fate, count(DISTINCT cell) FROM sightings JOIN cells USING (cell, digest) GROUP BY fate"
    return {Fate(fate): count for fate, count in vault.database.rows(listed)}


def content(vault: Vault, file: FileFacts) -> bytes | None:
    """Return what is sealed in an item file, after checking it against its row."""
    if file.sha256 is None:
        return None
    [run] = rows.runs(vault.database, file.row.number)
    with vault.files.read(run.file, file.row.secret) as pieces:
        data = b"".join(pieces)
    assert (len(data), sha256(data)) == (run.size, run.sha256)
    return data


def everything(vault: Vault) -> dict[bytes, list[SeenTip]]:
    """Return all texts and files by source, decrypted."""
    return {
        source: [
            SeenTip(
                tip.message.text,
                tip.state.value,
                tuple(
                    SeenFile(file.name, content(vault, file), file.row.state, file.row.parent is not None)
                    for file in tip.files
                ),
            )
            for tip in found
        ]
        for source, found in tips(vault).items()
    }


def only(vault: Vault) -> SeenTip:
    """Return the one tip that the vault holds."""
    [[tip]] = everything(vault).values()
    return tip
