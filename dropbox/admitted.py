"""What of a server's state verifies, and what one more document would change. SPEC sections 10 to 12.

All of it is pure. What was verified once is not verified again while what it depends on is the same: reading a week's
keys takes milliseconds, and a server may hold thousands of bulletins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dropbox.allotment import Allotment, check_list, check_signatures
from dropbox.consensus import Comparison
from dropbox.state import State, bulletin_of, desk_of
from keys import bulletin, epochs, manifest
from keys.bulletin import Bulletin, CloseOrder
from keys.epochs import EpochList
from keys.errors import DropBoxError, Malformed, Refused, Stale
from keys.manifest import Manifest
from keys.minisign import SignedDocument, SigningKey


@dataclass(frozen=True, slots=True)
class Rejected:
    """A document that is there and doesn't verify: what it says it is, of which desk and with which id, and why not.

    `desk` is 0 and `bulletin` empty where a document has none.
    """

    kind: str
    because: str
    desk: int = 0
    bulletin: bytes = b""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What of a state verifies, read anew from its signed documents.

    `rejected` tells of documents that don't verify any more: they are kept, never shown or used, and told by `status`.
    """

    state: State
    manifest: Manifest | None
    lists: Mapping[int, EpochList]
    bulletins: Mapping[bytes, Bulletin]
    order: CloseOrder | None
    rejected: tuple[Rejected, ...]

    @classmethod
    def verify(cls, state: State, now: int, before: Admitted | None = None) -> Admitted:
        """Verify every document of a state. Nothing that fails is used, and nothing stands in for it.

        Args:
            before: what this process has verified itself earlier: of it, what the state still holds byte for byte is
                taken over where the same keys count. Dates are always asked anew.
        """
        if before is not None and before.state.network != state.network:
            before = None
        try:
            # Its dates are asked by `open_at`, each time: an expired manifest closes the box, and must still be
            # there to say so in the newsroom's name and to show replies that were signed under it.
            in_force = _run(state, before)
        except DropBoxError as error:
            return cls(state, None, {}, {}, None, (Rejected("manifest", error.message),))
        if in_force is None:
            return cls(state, None, {}, {}, None, ())
        known = _Known(before, in_force)
        rejected: list[Rejected] = []
        lists: dict[int, EpochList] = {}
        for desk, document in state.epochs.items():
            try:
                lists[desk] = known.list(desk, document, state, now)
            except Stale:
                continue  # Past: true once, and no sign of forgery. The desk is closed until it publishes anew.
            except DropBoxError as error:
                rejected.append(Rejected("epochs", error.message, desk))
        bulletins: dict[bytes, Bulletin] = {}
        for name, document in state.bulletins.items():
            try:
                bulletins[name] = known.bulletin(name, document, now)
            except DropBoxError as error:
                author = bulletin_of(document, state.network)[0]
                rejected.append(Rejected("bulletin", error.message, author, name))
        order = None
        if state.order is not None:
            try:
                order = bulletin.admit_close(state.order, in_force)
            except DropBoxError as error:
                rejected.append(Rejected("close", error.message))
        return cls(state, in_force, lists, bulletins, order, tuple(rejected))

    def open_at(self, now: int, clock: Comparison = Comparison.NOT_COMPARED) -> epochs.Openness:
        """Whether the box is open now, for which desks and with which recipients. SPEC 11.5, 11.6.

        Args:
            clock: what tor's consensus says of `now`.
        """
        disagrees = clock is Comparison.DISAGREES
        return epochs.openness(self.manifest, self.lists, self.state.floors, self.order, now, disagrees=disagrees)

    def bulletins_of(self, desk: int) -> dict[bytes, SignedDocument]:
        """Return a desk's bulletins by their ids, those that don't verify among them."""
        return {name: each for name, each in self.state.bulletins.items() if self._author(name) == desk}

    def _author(self, name: bytes) -> int:
        found = self.bulletins.get(name)
        return bulletin_of(self.state.bulletins[name], self.state.network)[0] if found is None else found.desk

    def admitting(self, kind: str, document: SignedDocument, now: int, room: int) -> Admitted:
        """Return what is in force with one more document; this itself where it is there already.

        Args:
            kind: what it says it is: `manifest`, `epochs`, `bulletin` or `close`.
            room: bytes of the documents region.

        Raises:
            DropBoxError: it isn't admitted, and why.
        """
        if kind == "manifest":
            made = self._with_manifest(document, now)
        elif self.manifest is None:
            raise Stale("There is no manifest yet.", "Deliver the manifest first.")
        elif kind == "epochs":
            made = self._with_list(self.manifest, document, now)
        elif kind == "bulletin":
            made = self._with_bulletin(self.manifest, document, now, room)
        elif kind == "close":
            made = self._with_order(self.manifest, document)
        else:
            raise Malformed("A document is of a kind that no server takes in.")
        if made is not self and made.manifest is not None:
            Allotment(room, made.manifest.recipients).check_total(made.state.documents())
        return made

    def _with_manifest(self, document: SignedDocument, now: int) -> Admitted:
        check_signatures(document)
        admitted = manifest.admit(document, self.manifest, self.state.network, now)
        if self.manifest is not None and admitted.raw == self.manifest.raw:
            return self
        current, known = set(admitted.desk_numbers), _Known(self, admitted)
        state = replace(
            self.state,
            # A run that doesn't verify (a damaged disk) is not gone on with, but begun anew. The floors stay.
            manifests=(*(() if self.manifest is None else self.state.manifests), document),
            floors=self.state.floors.advance(manifest=admitted),
            epochs={desk: each for desk, each in self.state.epochs.items() if desk in current},
            bulletins={name: each for name, each in self.state.bulletins.items() if known.keeps(name, each, now)},
            refused={desk: each for desk, each in self.state.refused.items() if desk in current},
        )
        return Admitted.verify(state, now, self)

    def _with_list(self, in_force: Manifest, document: SignedDocument, now: int) -> Admitted:
        check_list(document)
        number = desk_of(document, self.state.network)
        last = self.lists.get(number)
        admitted = epochs.admit(document, in_force, last, self.state.floors.sequence_of(number), now)
        state = replace(
            self.state,
            epochs={**self.state.epochs, number: document},
            floors=self.state.floors.advance(lists=[admitted]),
        )
        return replace(self, state=state, lists={**self.lists, number: admitted})

    def _with_bulletin(self, in_force: Manifest, document: SignedDocument, now: int, room: int) -> Admitted:
        desk, name = bulletin_of(document, self.state.network)
        last = self.bulletins.get(name)
        if last is not None and last.raw == document.statement:
            return self
        if name in self.state.bulletins and self._author(name) != desk:
            raise Refused("This bulletin has the id of another.", "Make it anew, with an id of its own.")
        # Before its signatures are looked at: what finds no room costs nothing.
        others = (each for other, each in self.bulletins_of(desk).items() if other != name)
        Allotment(room, in_force.recipients).check_bulletin(document, others)
        admitted = bulletin.admit(document, in_force, last, now)
        state = replace(self.state, bulletins={**self.state.bulletins, name: document})
        return replace(self, state=state, bulletins={**self.bulletins, name: admitted})

    def _with_order(self, in_force: Manifest, document: SignedDocument) -> Admitted:
        check_list(document)
        order = bulletin.admit_close(document, in_force)
        return replace(self, state=replace(self.state, order=document), order=order)


def _run(state: State, before: Admitted | None) -> Manifest | None:
    """Return the last of a state's manifests, each verified after the one before it, once."""
    if not state.manifests:
        return None
    trusted, rest = None, state.manifests
    if before is not None and before.manifest is not None:
        known = before.state.manifests
        if state.manifests[: len(known)] == known:
            trusted, rest = before.manifest, state.manifests[len(known) :]
    return manifest.verify_run(rest, trusted, state.network) if rest else trusted


class _Known:
    """What was verified before, as far as it counts under the manifest in force."""

    def __init__(self, before: Admitted | None, in_force: Manifest) -> None:
        self._in_force = in_force
        self._lists: Mapping[int, EpochList] = {}
        self._bulletins: Mapping[bytes, Bulletin] = {}
        if before is not None and before.manifest is not None:
            self._lists = before.lists
            if _signing(before.manifest) == _signing(in_force):
                self._bulletins = before.bulletins

    def list(self, desk: int, document: SignedDocument, state: State, now: int) -> EpochList:
        """Raises: DropBoxError: it isn't admitted, or no longer."""
        known = self._lists.get(desk)
        last = known if known is not None and known.raw == document.statement else None
        found = epochs.admit(document, self._in_force, last, state.floors.sequence_of(desk), now)
        epochs.check_dates(found, now)
        return found

    def bulletin(self, name: bytes, document: SignedDocument, now: int) -> Bulletin:
        """Raises: DropBoxError: it isn't admitted, or no longer."""
        known = self._bulletins.get(name)
        if known is not None and known.raw == document.statement:
            bulletin.check_date(known, now)
            return known
        return bulletin.admit(document, self._in_force, None, now)

    def keeps(self, name: bytes, document: SignedDocument, now: int) -> bool:
        """Say whether a bulletin is still signed as it must be, whatever its date."""
        try:
            self.bulletin(name, document, now)
        except Stale:
            return True
        except DropBoxError:
            return False
        return True


def _signing(in_force: Manifest) -> tuple[int, dict[int, SigningKey]]:
    """Return what a bulletin's signatures depend on."""
    return in_force.bulletin_signatures, {desk.number: desk.key for desk in in_force.desks}
