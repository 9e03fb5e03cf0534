"""What the source's pages need of the rest of the server, in one place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from dropbox import guides
from dropbox.box import Box
from dropbox.guides import Guides
from dropbox.intake.progress import Board
from dropbox.intake.sending import CellStore
from dropbox.intake.workshop import SealStream
from dropbox.replies import Found, Mailboxes
from dropbox.sessions import Session, Sessions
from keys import mailbox
from keys.cell import Sealer
from keys.codename import Codename
from keys.mailbox import SourceKeys
from keys.manifest import Manifest
from keys.primitives import KEY_BYTES, Randomness

Gate = Callable[[bool, int | None], AbstractContextManager[None]]
"""Waits for one of the machine's places to run the KDF: for sending or not, for which Tor circuit."""

Seals = Callable[[Sealer], SealStream]
"""Makes the seals of one upload, to a sealer's recipients: ahead, where the process has a workshop."""


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
    seals: Seals = SealStream
    guides: Guides = field(default_factory=guides.shipped)

    def sign_in(self, codename: Codename, *, sending: bool, circuit: int | None) -> Session:
        """Begin a session for a codename, running the KDF in its turn: once a session, never once a request.

        All sets of parameters that the manifest lists are run for everybody, so that nothing tells who came before the
        parameters were changed.

        Raises:
            Stale: the box has no manifest.
            NoRoom: too many are waiting.
        """
        parameters = self.box.manifest.codename
        with self.gate(sending, circuit):
            return self.sessions.begin(b"".join(mailbox.stretch(codename, each) for each in parameters))

    def look(self, session: Session) -> list[Found]:
        """Return every reply in a session's mailbox, newest first. Raises: Stale: the box has no manifest."""
        in_force = self.box.manifest
        return [
            found
            for keys in _all_keys(session, in_force)
            for found in self.mailboxes.look(keys, in_force, self.box.now)
        ]

    def signing_keys(self, session: Session, in_force: Manifest) -> SourceKeys:
        """Return the keys that a session sends with.

        After the parameters were changed, a source has several. The ones that a reply was found under go on, so that
        a follow-up stays in its thread; without a reply, those of the current parameters.
        """
        every = _all_keys(session, in_force)
        if len(every) == 1:
            return every[0]
        replies = self.look(session)
        return replies[0].keys if replies else every[0]


def _all_keys(session: Session, in_force: Manifest) -> list[SourceKeys]:
    """Derive a session's keys, those of the current parameters first."""
    stretched = session.stretched
    return [
        SourceKeys.derive(stretched[at : at + KEY_BYTES], in_force.network)
        for at in range(0, len(stretched), KEY_BYTES)
    ]
