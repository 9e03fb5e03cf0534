"""The drop box as its pages and its couriers see it: what is in force, whom to seal to, and what bundles change.

One object, made before the workers fork. It holds no newsroom secret; the one key here signs inventories.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from dropbox.floors import FloorsFile
from dropbox.state import Admitted, State
from dropbox.store import Change, Deposit, Store
from keys import bulletin, bundle, epochs, inventory, mailbox, manifest, minisign, statement
from keys.bundle import Entry, EntryType, OutboundReader
from keys.cell import Geometry, Sealer, seal_digest
from keys.encoding import week_of
from keys.epochs import Openness
from keys.errors import DropBoxError, Malformed, NotForUs, Refused, Stale
from keys.inventory import CellId, Health
from keys.manifest import Manifest
from keys.minisign import SignedDocument
from keys.primitives import Randomness
from keys.statement import NetworkId

SECONDS_A_DAY = 86_400
MAX_BUNDLE_MEMORY = 32 << 20  # Kept until the signature is known: a million acknowledged ids, or 32 documents.
_ENTRY_OF_DOCUMENT = {
    EntryType.MANIFEST: "manifest",
    EntryType.EPOCHS: "epochs",
    EntryType.BULLETIN: "bulletin",
    EntryType.CLOSE: "close",
}


@dataclass(frozen=True, slots=True)
class ServerKey:
    """This server's name in the manifest and the seed that signs its inventories."""

    name: str
    seed: bytes

    def __repr__(self) -> str:
        return f"ServerKey({self.name!r})"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of a bundle: how far the desk's entries are applied now, and which were passed over."""

    desk: int
    mark: int
    refused: tuple[int, ...]


@dataclass(slots=True)
class _Applied:
    """A bundle's effects, gathered while it streams in, before its signature is known to be good."""

    acknowledged: list[CellId] = field(default_factory=list)
    documents: list[tuple[int, str, SignedDocument]] = field(default_factory=list)
    addresses: dict[CellId, int] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)
    memory: int = 0


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
    ) -> None:
        """Args: floors: where they are kept once more, so that an old data folder is noticed."""
        self.store = store
        self._floors = floors
        self._key = key
        self._clock = clock
        self._randomness = randomness
        self._version = version
        self._lock = threading.Lock()
        self._cached: tuple[int, int, Admitted] | None = None

    @property
    def now(self) -> int:
        """Unix seconds."""
        return self._clock()

    def admitted(self) -> Admitted:
        """Return what is in force: verified again whenever anything changed, or another week began."""
        version, week = self.store.documents_version, week_of(self.now)
        with self._lock:
            if self._cached is None or self._cached[:2] != (version, week):
                admitted = Admitted.verify(self._state(), self.now)
                self._cached = (version, week, admitted)
            return self._cached[2]

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
        found = self.admitted().manifest
        if found is None:
            raise Stale("This drop box has no manifest that its newsroom signed.", "The newsroom must deliver one.")
        return found

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.manifest.recipients)

    def openness(self) -> Openness:
        """Whether anything may be taken in now, for which desks; ask for each tip anew."""
        return self.admitted().open_at(self.now)

    def sealer(self, desks: Sequence[int]) -> tuple[int, Sealer]:
        """Return the week and a sealer to these desks, raising the floor to that week first.

        Raises:
            Stale: the box, or one of these desks, is closed. Nothing else is ever sealed to.
        """
        now = self.openness()
        if not now.is_open or not desks or not set(desks) <= set(now.desks):
            raise Stale("The drop box is closed for what you chose.", "Nothing was stored. Try again later.")
        self._raise_floor(now.week)
        recipients = [now.recipients[desk] for desk in sorted(set(desks))]
        return now.week, Sealer(recipients, self.geometry, self._randomness)

    def _raise_floor(self, week: int) -> None:
        if self.admitted().state.floors.week < week:
            self._change(lambda state: replace(state, floors=state.floors.advance(week=week, now=self.now)))

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
            state = self._state()
            told = []
            for document in documents:
                kind = statement.type_of(document.statement)
                state = self._with(state, kind, document)
                told.append(kind)
            self.store.apply(Change(documents=state.encode()))
            self.keep_floors()
        return told

    def _with(self, state: State, kind: str, document: SignedDocument) -> State:
        """Return the state with one more document admitted. Raises: DropBoxError: it isn't."""
        now = self.now
        before = Admitted.verify(state, now)
        if kind == "manifest":
            return self._with_manifest(state, before, document, now)
        if before.manifest is None:
            raise Stale("There is no manifest yet.", "Deliver the manifest first.")
        if kind == "epochs":
            number = epochs.parse(document.statement, state.network).desk
            floor = state.floors.sequence_of(number)
            admitted = epochs.admit(document, before.manifest, before.lists.get(number), floor, now)
            floors = state.floors.advance(lists=[admitted])
            return replace(state, epochs={**state.epochs, number: document}, floors=floors)
        if kind == "bulletin":
            name = bulletin.parse(document.statement, state.network).id
            bulletin.admit(document, before.manifest, before.bulletins.get(name), now)
            return replace(state, bulletins={**state.bulletins, name: document})
        if kind == "close":
            bulletin.admit_close(document, before.manifest)
            return replace(state, order=document)
        raise Malformed("A document is of a kind that no server takes in.")

    @staticmethod
    def _with_manifest(state: State, before: Admitted, document: SignedDocument, now: int) -> State:
        admitted = manifest.admit(document, before.manifest, state.network, now)
        if before.manifest is not None and admitted.raw == before.manifest.raw:
            return state
        current = set(admitted.desk_numbers)
        return replace(
            state,
            manifests=(*state.manifests, document),
            floors=state.floors.advance(manifest=admitted),
            epochs={desk: each for desk, each in state.epochs.items() if desk in current},
        )

    def deliver(self, stream: BinaryIO) -> Delivery:
        """Apply a desk's outbound bundle as it streams in: all of it in one transaction, or nothing. SPEC 15.3.

        Cells are written to claimed slots meanwhile, where nobody sees them until the signature has been verified.

        Raises:
            Malformed, NotForUs, NotAuthentic, Stale, NoRoom: nothing was changed.
        """
        reader = OutboundReader(stream)
        head, in_force = reader.head, self.manifest
        if head.network != in_force.network or head.server != self._key.name:
            raise NotForUs("This bundle is for another server or network.")
        desk = in_force.desk(head.desk)
        head.check_dates(self.now)
        mark = self.admitted().state.marks.get(head.desk, 0)
        bundle.refuse_gap(head, mark)
        gathered = _Applied()
        with self.store.item(max(head.cells, 1), reserved=True) as deposit:
            for entry in reader.entries():
                if entry.number > mark:
                    self._gather(entry, head.desk, in_force, deposit, gathered)
            reader.verify(desk.key.public)
            return self._apply(head, mark, deposit, gathered)

    def _gather(self, entry: Entry, desk: int, in_force: Manifest, deposit: Deposit, gathered: _Applied) -> None:
        if entry.type is not EntryType.CELL:
            gathered.memory += len(entry.content)
            if gathered.memory > MAX_BUNDLE_MEMORY:
                raise Malformed("The bundle holds more documents and acknowledgements than any station writes.")
        if entry.type is EntryType.ACKNOWLEDGEMENT:
            gathered.acknowledged += entry.acknowledged()
        elif entry.type is EntryType.CELL:
            tag, cell = entry.tag_and_cell()
            address = CellId(mailbox.address(in_force.network, desk, tag))
            if address in gathered.addresses:
                gathered.refused.append(entry.number)
            else:
                deposit.append(cell, address, seal_digest(cell, Geometry(in_force.recipients)))
                gathered.addresses[address] = entry.number
        else:
            try:
                document = SignedDocument.decode(entry.content)
            except Malformed:
                gathered.refused.append(entry.number)  # What can't even be read isn't admitted either.
            else:
                gathered.documents.append((entry.number, _ENTRY_OF_DOCUMENT[entry.type], document))

    def _apply(self, head: bundle.OutboundHead, mark: int, deposit: Deposit, gathered: _Applied) -> Delivery:
        with self.store.exclusive():
            state = self._state()
            if state.marks.get(head.desk, 0) != mark:
                raise Stale("Another bundle of this desk was delivered just now.", "Deliver this one again.")
            refused = list(gathered.refused)
            for number, kind, document in gathered.documents:
                try:
                    state = self._with(state, kind, document)
                except DropBoxError:
                    refused.append(number)
            held = self.store.holds(list(gathered.addresses))
            refused += [number for number, is_held in zip(gathered.addresses.values(), held, strict=True) if is_held]
            last = max(mark, head.first + head.entries - 1)
            earlier = [each for each in state.refused.get(head.desk, ()) if each >= head.first]
            listed = tuple(sorted({*earlier, *refused}))[: inventory.MAX_REFUSED]
            state = replace(state, marks={**state.marks, head.desk: last}, refused={**state.refused, head.desk: listed})
            desks = Admitted.verify(state, self.now).manifest
            self.store.apply(
                Change(
                    deposits=(deposit,),
                    acknowledged={head.desk: gathered.acknowledged},
                    current_desks=frozenset(desks.desk_numbers) if desks else None,
                    documents=state.encode(),
                )
            )
            self.keep_floors()
        return Delivery(head.desk, last, listed)

    def documents(self) -> list[tuple[str, SignedDocument]]:
        """Return every signed document with the name that it has on sticks and on the keys page. SPEC section 14.1."""
        state = self.admitted().state
        named = [(f"manifest-{manifest.parse(document.statement).sequence}", document) for document in state.manifests]
        for desk, document in sorted(state.epochs.items()):
            named.append((f"epochs-{desk}-{epochs.parse(document.statement).sequence}", document))
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
            return replace(state, inventory=sequence, floors=state.floors.advance(now=self.now))

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
