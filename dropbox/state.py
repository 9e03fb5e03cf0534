"""What a server remembers besides cells: signed documents, marks, floors. All of it public or worthless to a thief.

One immutable value, encoded as one blob in the store's documents region, replaced whole in the same transaction as
the cells that came with it. SPEC store section, DESIGN section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from keys import bulletin, epochs, manifest
from keys.bulletin import Bulletin, CloseOrder
from keys.encoding import INTEGER_MAX, Fields, Reader, parse_json, to_json, u32
from keys.epochs import EpochList, Floors
from keys.errors import DropBoxError, Malformed, Stale
from keys.manifest import Manifest
from keys.minisign import SignedDocument
from keys.statement import NetworkId, parse_number

VERSION = 1
_KINDS = ("manifest", "epochs", "bulletin", "close")


@dataclass(frozen=True, slots=True)
class State:
    """Everything but the cells.

    `manifests` is the whole run from the first: who starts this server again verifies it anew, and trusts no file.
    """

    network: NetworkId
    manifests: tuple[SignedDocument, ...] = ()
    epochs: Mapping[int, SignedDocument] = field(default_factory=dict)
    bulletins: Mapping[bytes, SignedDocument] = field(default_factory=dict)
    order: SignedDocument | None = None
    floors: Floors = field(default_factory=Floors)
    marks: Mapping[int, int] = field(default_factory=dict)
    refused: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    inventory: int = 0

    def encode(self) -> bytes:
        documents = [
            *(("manifest", document) for document in self.manifests),
            *(("epochs", document) for _, document in sorted(self.epochs.items())),
            *(("bulletin", document) for _, document in sorted(self.bulletins.items())),
            *((("close", self.order),) if self.order else ()),
        ]
        head = to_json(
            {
                "version": VERSION,
                "network": self.network.hex(),
                "documents": [kind for kind, _ in documents],
                "floors": parse_json(self.floors.encode()),
                "marks": {str(desk): mark for desk, mark in self.marks.items()},
                "refused": {str(desk): list(numbers) for desk, numbers in self.refused.items()},
                "inventory": self.inventory,
            }
        )
        parts = [u32(len(head)), head]
        for _, document in documents:
            data = document.encode()
            parts += [u32(len(data)), data]
        return b"".join(parts)

    @classmethod
    def decode(cls, blob: bytes) -> State:
        """Raises: Malformed: it isn't what `encode` writes."""
        reader = Reader(blob)
        fields = Fields(parse_json(reader.take(reader.u32())), "server's state")
        fields.integer("version", VERSION, VERSION)
        network = NetworkId(fields.hex("network", 32))
        kinds = fields.array("documents", 10_000)
        floors = Floors.parse(to_json(fields.object("floors")))
        marks = _by_desk(fields.object("marks"))
        refused = {_desk(desk): _numbers(value) for desk, value in fields.object("refused").items()}
        inventory = fields.integer("inventory", 0, INTEGER_MAX)
        fields.done()
        state = cls(network, floors=floors, marks=marks, refused=refused, inventory=inventory)
        for kind in kinds:
            if kind not in _KINDS:
                raise Malformed("The server's state has a document of an unknown kind.")
            state = state._with(kind, SignedDocument.decode(reader.take(reader.u32())))
        reader.done()
        return state

    def _with(self, kind: str, document: SignedDocument) -> State:
        if kind == "manifest":
            return replace(self, manifests=(*self.manifests, document))
        if kind == "epochs":
            number = epochs.parse(document.statement, self.network).desk
            return replace(self, epochs={**self.epochs, number: document})
        if kind == "bulletin":
            name = bulletin.parse(document.statement, self.network).id
            return replace(self, bulletins={**self.bulletins, name: document})
        return replace(self, order=document)


def _desk(name: str) -> int:
    return parse_number(name, 127)


def _by_desk(value: Mapping[str, object]) -> dict[int, int]:
    return {_desk(desk): _number(mark) for desk, mark in value.items()}


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise Malformed("The server's state has a number that is none.")
    return value


def _numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise Malformed("The server's state is damaged.")
    return tuple(_number(each) for each in value)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What of a state verifies, read anew from its signed documents.

    `rejected` counts documents that don't verify any more: they are kept, never shown or used, and told by `status`.
    """

    state: State
    manifest: Manifest | None
    lists: Mapping[int, EpochList]
    bulletins: Mapping[bytes, Bulletin]
    order: CloseOrder | None
    rejected: int

    @classmethod
    def verify(cls, state: State, now: int) -> Admitted:
        """Verify every document of a state. Nothing that fails is used, and nothing stands in for it."""
        rejected = 0
        in_force: Manifest | None = None
        try:
            if state.manifests:
                # Its dates are asked by `open_at`, each time: an expired manifest closes the box, and must still be
                # there to say so in the newsroom's name and to show replies that were signed under it.
                in_force = manifest.verify_run(state.manifests, None, state.network)
        except DropBoxError:
            rejected += 1
        if in_force is None:
            return cls(state, None, {}, {}, None, rejected)
        lists: dict[int, EpochList] = {}
        for desk, document in state.epochs.items():
            try:
                lists[desk] = epochs.admit(document, in_force, None, state.floors.sequence_of(desk), now)
            except Stale:
                continue  # Past: true once, and no sign of forgery. The desk is closed until it publishes anew.
            except DropBoxError:
                rejected += 1
        bulletins: dict[bytes, Bulletin] = {}
        for name, document in state.bulletins.items():
            try:
                bulletins[name] = bulletin.admit(document, in_force, None, now)
            except DropBoxError:
                rejected += 1
        order = None
        if state.order is not None:
            try:
                order = bulletin.admit_close(state.order, in_force)
            except DropBoxError:
                rejected += 1
        return cls(state, in_force, lists, bulletins, order, rejected)

    def open_at(self, now: int) -> epochs.Openness:
        """Whether the box is open now, for which desks and with which recipients. SPEC 11.5."""
        return epochs.openness(self.manifest, self.lists, self.state.floors, self.order, now)
