"""What the source's pages need of the rest of the server, in one place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from dropbox.box import Box
from dropbox.intake.progress import Board
from dropbox.intake.sending import CellStore
from dropbox.replies import Mailboxes
from dropbox.sessions import Sessions
from keys import mailbox
from keys.codename import Codename
from keys.mailbox import SourceKeys
from keys.manifest import Manifest
from keys.primitives import KEY_BYTES, Randomness

Gate = Callable[[bool, int | None], AbstractContextManager[None]]
"""Waits for one of the machine's places to run the KDF: for sending or not, for which Tor circuit."""


@dataclass(frozen=True, slots=True)
class Context:
    """Made before the workers fork; every worker's pages use the same."""

    box: Box
    cells: CellStore
    mailboxes: Mailboxes
    sessions: Sessions
    board: Board
    gate: Gate
    randomness: Randomness
    milliseconds: Callable[[], int]

    def stretch(self, codename: Codename, *, sending: bool, circuit: int | None) -> bytes:
        """Run the KDF for a codename in its turn: 32 bytes for each set of parameters that the manifest lists.

        Once a session, never once a request. All sets are run for everybody, so that nothing tells who came before
        the parameters were changed.

        Raises:
            NoRoom: too many are waiting.
        """
        with self.gate(sending, circuit):
            return b"".join(mailbox.stretch(codename, each) for each in self.box.manifest.codename)

    def keys(self, stretched: bytes, in_force: Manifest) -> list[SourceKeys]:
        """Derive a source's keys, those of the current parameters first."""
        return [
            SourceKeys.derive(stretched[at : at + KEY_BYTES], in_force.network)
            for at in range(0, len(stretched), KEY_BYTES)
        ]
