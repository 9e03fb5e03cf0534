"""The drop box as its pages and its couriers see it: what is in force, whom to seal to, and what bundles change.

One object, made before the workers fork. It holds no newsroom secret; the one key here signs inventories.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from dropbox.admitted import Admitted
from dropbox.consensus import Comparison
from dropbox.delivery import MAX_REASONS, Delivery, Gathered
from dropbox.floors import FloorsFile, higher
from dropbox.state import State, sequence_of
from dropbox.store import Change, Deposit, Store
from keys import bundle, inventory, manifest, minisign, statement
from keys.bundle import OutboundHead, OutboundReader
from keys.cell import Geometry, Sealer
from keys.encoding import week_of
from keys.epochs import Openness
from keys.errors import NotForUs, Refused, Stale
from keys.inventory import Health
from keys.manifest import Manifest
from keys.minisign import SignedDocument, SigningKey
from keys.primitives import Randomness
from keys.statement import NetworkId

SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class ServerKey:
    """This server's name in the manifest and the seed that signs its inventories."""

    name: str
    seed: bytes

    def __repr__(self) -> str:
        return f"ServerKey({self.name!r})"


def _nothing_to_compare(_now: int) -> Comparison:
    return Comparison.NOT_COMPARED


class Box:
    """Everything a server knows, over its store. Every method may be called by any worker's thread."""

    def __init__(
        self,
        store: Store,
        key: ServerKey,
        clock: Callable[[], int],
        randomness: Randomness,
        version: str,
        floors: FloorsFile | None = None,
        compare: Callable[[int], Comparison] = _nothing_to_compare,
    ) -> None:
        """
        Args:
            floors: where they are kept once more, so that an old data folder is noticed.
            compare: says of a time of this server's clock what tor's consensus says of it. Asked for each tip.
        """
        self.store = store
        self._floors = floors
        self._compare = compare
        self._key = key
        self._clock = clock
        self._randomness = randomness
        self._version = version
        self._lock = threading.Lock()
        self._verified: Admitted | None = None
        self._verified_for: tuple[int, int] | None = None

    @property
    def now(self) -> int:
        """Unix seconds."""
        return self._clock()

    def admitted(self) -> Admitted:
        """Return what is in force: verified again whenever documents changed, or another week began."""
        current = self.store.documents_version, week_of(self.now)
        with self._lock:
            if self._verified is None or self._verified_for != current:
                self._verified = Admitted.verify(self._state(), self.now, self._verified)
                self._verified_for = current
            return self._verified

    def _remember(self, verified: Admitted) -> None:
        """Keep what was just verified, so that the next look needn't do it again."""
        with self._lock:
            self._verified, self._verified_for = verified, None

    def _state(self) -> State:
        """Return the state as it stands on the disk."""
        state = State.decode(self.store.documents())
        return state if self._floors is None else self._floors.over(state)

    def keep_floors(self) -> None:
        """Keep the floors once more; at start, and whenever documents were admitted."""
        if self._floors is not None:
            self._floors.keep(self._state())

    @property
    def manifest(self) -> Manifest:
        """The last manifest that verifies, in date or not. Raises: Stale: there is none; the box is closed."""
        return _manifest_of(self.admitted())

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.manifest.recipients)

    def openness(self) -> Openness:
        """Whether anything may be taken in now, for which desks; ask for each tip anew."""
        return self._open_at(self.now)

    def _open_at(self, now: int) -> Openness:
        return self.admitted().open_at(now, self._compare(now))

    def sealer(self, desks: Sequence[int]) -> tuple[int, Sealer]:
        """Return the week and a sealer to these desks, raising the floor to that week first.

        Raises:
            Stale: the box, or one of these desks, is closed. Nothing else is ever sealed to.
        """
        now = self.now
        opening = self._open_at(now)
        if not opening.is_open or not desks or not set(desks) <= set(opening.desks):
            raise Stale("The drop box is closed for what you chose.", "Nothing was stored. Try again later.")
        self._raise_floor(opening.week, now)
        recipients = [opening.recipients[desk] for desk in sorted(set(desks))]
        return opening.week, Sealer(recipients, self.geometry, self._randomness)

    def _raise_floor(self, week: int, now: int) -> None:
        """Raise the floors to a time at which the box was open, so by a clock that doesn't disagree."""
        if self.admitted().state.floors.week < week:
            self._change(lambda state: replace(state, floors=state.floors.advance(week=week, now=now)))

    def _change(self, edit: Callable[[State], State]) -> None:
        """Replace the state alone, in one transaction, whatever other workers do meanwhile."""
        with self.store.exclusive():
            state = edit(self._state())
            self.store.apply(Change(documents=state.encode()))

    def join(self, network: NetworkId) -> None:
        """Belong to a network from now on, before its first manifest is admitted.

        Raises:
            Refused: this server belongs to another one already; its cells are sealed for that.
        """

        def settle(state: State) -> State:
            if state.manifests:
                raise Refused("This server belongs to a network already.", "Make a new server for another network.")
            return replace(state, network=network)

        self._change(settle)

    def admit(self, documents: Iterable[SignedDocument]) -> list[str]:
        """Take in documents that lie at hand (at founding, by an administrator); return what was admitted, in words.

        Raises:
            DropBoxError: the first that isn't admitted. Nothing was changed then.
        """
        with self.store.exclusive():
            admitted = Admitted.verify(self._state(), self.now, self._verified)
            told = []
            for document in documents:
                kind = statement.type_of(document.statement)
                admitted = admitted.admitting(kind, document, self.now, self.store.documents_room)
                told.append(kind)
            desks = frozenset(admitted.manifest.desk_numbers) if admitted.manifest else None
            # What only a retired desk hadn't acknowledged goes now: a full box may have no room for a bundle.
            self.store.apply(Change(current_desks=desks, documents=admitted.state.encode()))
            self.keep_floors()
        self._remember(admitted)
        return told

    def deliver(self, stream: BinaryIO) -> Delivery:
        """Apply a desk's outbound bundle as it streams in: all of it in one transaction, or nothing. SPEC 15.3.

        Cells are written to claimed slots meanwhile, where nobody sees them until the signature has been verified.

        Raises:
            Malformed, NotForUs, NotAuthentic, Stale, NoRoom: nothing was changed.
        """
        reader = OutboundReader(stream)
        head, base = reader.head, self.admitted()
        in_force = _manifest_of(base)
        if head.network != in_force.network or head.server != self._key.name:
            raise NotForUs("This bundle is for another server or network.")
        desk = in_force.desk(head.desk)
        head.check_dates(self.now)
        mark = base.state.marks.get(head.desk, 0)
        bundle.refuse_gap(head, mark)
        room = self.store.documents_room
        with self.store.item(max(min(head.cells, head.last - mark), 1), reserved=True) as deposit:
            gathered = Gathered(in_force, head.desk, deposit, room)
            for entry in reader.entries():
                if entry.number > mark:
                    gathered.add(entry)
            reader.verify(desk.key.public)
            # Before the lock, since it may take a while; within it only where somebody was faster.
            after = gathered.admitted(base, self.now, room)
            return self._apply(head, desk.key, mark, deposit, gathered, base, after)

    def _apply(
        self,
        head: OutboundHead,
        signer: SigningKey,
        mark: int,
        deposit: Deposit,
        gathered: Gathered,
        base: Admitted,
        after: tuple[Admitted, dict[int, str]],
    ) -> Delivery:
        with self.store.exclusive():
            state = self._state()
            if state.marks.get(head.desk, 0) != mark:
                raise Stale("Another bundle of this desk was delivered just now.", "Deliver this one again.")
            if not state.has_documents_of(base.state):
                base = Admitted.verify(state, self.now, base)
                if _manifest_of(base).desk(head.desk).key != signer:
                    raise Stale("The manifest was changed just now.", "Deliver this bundle again.")
                after = gathered.admitted(base, self.now, self.store.documents_room)
            admitted, not_admitted = after
            reasons = gathered.refused(self.store.holds(gathered.addresses), not_admitted)
            last = max(mark, head.last)
            earlier = [each for each in state.refused.get(head.desk, ()) if each >= head.first]
            listed = tuple(sorted({*earlier, *reasons}))[: inventory.MAX_REFUSED]
            desks = frozenset(_manifest_of(admitted).desk_numbers)
            state = replace(
                state.with_documents_of(admitted.state),
                floors=higher(state.floors, admitted.state.floors),
                marks={**state.marks, head.desk: last},
                refused={desk: each for desk, each in {**state.refused, head.desk: listed}.items() if desk in desks},
            )
            self.store.apply(
                Change(
                    deposits=(deposit,),
                    acknowledged={head.desk: gathered.acknowledged()},
                    current_desks=desks,
                    documents=state.encode(),
                )
            )
            self.keep_floors()
        self._remember(replace(admitted, state=state))
        return Delivery(head.desk, last, listed, dict(list(reasons.items())[:MAX_REASONS]))

    def documents(self) -> list[tuple[str, SignedDocument]]:
        """Return every signed document with the name that it has on sticks and on the keys page. SPEC section 14.1."""
        state = self.admitted().state
        named = [(f"manifest-{manifest.parse(document.statement).sequence}", document) for document in state.manifests]
        for desk, document in sorted(state.epochs.items()):
            named.append((f"epochs-{desk}-{sequence_of(document, state.network)}", document))
        for name, document in sorted(state.bulletins.items()):
            named.append((f"bulletin-{name.hex()}", document))
        return named

    def inventory(self) -> tuple[bytes, bytes]:
        """Return a fresh signed inventory: the statement and its detached signature. SPEC section 13."""
        in_force = self.manifest
        if in_force.server(self._key.name).key != minisign.SigningKey.of(self._key.seed):
            raise Refused("The manifest lists another key for this server.", "Ask the roots for a new manifest.")
        sequence = 0

        def count(state: State) -> State:
            nonlocal sequence
            sequence = state.inventory + 1
            now = self.now
            seen = None if self._compare(now) is Comparison.DISAGREES else now
            return replace(state, inventory=sequence, floors=state.floors.advance(now=seen))

        self._change(count)
        state = self.admitted().state
        raw = inventory.compose(
            in_force.network,
            self._key.name,
            sequence,
            self.now,
            manifest=in_force.sequence,
            marks=state.marks,
            refused=state.refused,
            health=self._health(in_force),
            entries=self.store.entries(),
        )
        return raw, minisign.sign(self._key.seed, raw, "inventory")

    def _health(self, in_force: Manifest) -> Health:
        room = self.store.room()
        week = week_of(self.now)
        days = {desk: max(0, (each.weeks[-1] + 1 - week) * 7) for desk, each in self.admitted().lists.items()}
        left = max(0, (in_force.valid_until - self.now) // SECONDS_A_DAY)
        return Health(self._version, left, days, room.slots, room.free)


def _manifest_of(admitted: Admitted) -> Manifest:
    """Raises: Stale: there is no manifest that verifies; the box is closed."""
    if admitted.manifest is None:
        raise Stale("This drop box has no manifest that its newsroom signed.", "The newsroom must deliver one.")
    return admitted.manifest
