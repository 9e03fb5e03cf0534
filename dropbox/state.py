"""What a server remembers besides cells: signed documents, marks, floors. All of it public or worthless to a thief.

One immutable value, encoded as one blob in the store's documents region, replaced whole in the same transaction as
the cells that came with it. SPEC store section, DESIGN section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from keys import bulletin, epochs, statement
from keys.encoding import INTEGER_MAX, Fields, Reader, from_hex, parse_json, to_json, u32
from keys.epochs import Floors
from keys.errors import Malformed, NoRoom
from keys.minisign import SignedDocument
from keys.statement import NetworkId, parse_number
from keys.terms import MAX_DESK_NUMBER

VERSION = 1
MAX_DOCUMENTS = 10_000


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

    def documents(self) -> Iterator[SignedDocument]:
        """Yield every document."""
        return (document for _, document in self._by_kind())

    def has_documents_of(self, other: State) -> bool:
        """Say whether another state holds the same documents, byte for byte."""
        return self.network == other.network and self == self.with_documents_of(other)

    def with_documents_of(self, other: State) -> State:
        """Return this state with another's documents; every number stays."""
        return replace(
            self,
            manifests=other.manifests,
            epochs=other.epochs,
            bulletins=other.bulletins,
            order=other.order,
        )

    def _by_kind(self) -> Iterator[tuple[str, SignedDocument]]:
        yield from (("manifest", document) for document in self.manifests)
        yield from (("epochs", document) for _, document in sorted(self.epochs.items()))
        yield from (("bulletin", document) for _, document in sorted(self.bulletins.items()))
        if self.order is not None:
            yield "close", self.order

    def encode(self) -> bytes:
        """Raises: NoRoom: there are more documents than `decode` would take."""
        documents = list(self._by_kind())
        if len(documents) > MAX_DOCUMENTS:
            raise NoRoom("The server has no room left for documents.", "Make a new server for this network.")
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
        """Take a value apart; of the documents only what they are called is read.

        Raises:
            Malformed: it isn't what `encode` writes.
        """
        reader = Reader(blob)
        fields = Fields(parse_json(reader.take(reader.u32())), "server's state")
        fields.integer("version", VERSION, VERSION)
        network = NetworkId(fields.hex("network", 32))
        kinds = fields.array("documents", MAX_DOCUMENTS)
        floors = Floors.parse(to_json(fields.object("floors")))
        marks = _by_desk(fields.object("marks"))
        refused = {_desk(desk): _numbers(value) for desk, value in fields.object("refused").items()}
        inventory = fields.integer("inventory", 0, INTEGER_MAX)
        fields.done()
        read = _Read(network)
        for kind in kinds:
            read.add(kind, SignedDocument.decode(reader.take(reader.u32())))
        reader.done()
        return cls(
            network,
            tuple(read.manifests),
            read.epochs,
            read.bulletins,
            read.order,
            floors=floors,
            marks=marks,
            refused=refused,
            inventory=inventory,
        )


class _Read:
    """The documents of a value, as they are read one after another."""

    def __init__(self, network: NetworkId) -> None:
        self._network = network
        self.manifests: list[SignedDocument] = []
        self.epochs: dict[int, SignedDocument] = {}
        self.bulletins: dict[bytes, SignedDocument] = {}
        self.order: SignedDocument | None = None

    def add(self, kind: object, document: SignedDocument) -> None:
        if kind == "manifest":
            self.manifests.append(document)
        elif kind == "epochs":
            self.epochs[desk_of(document, self._network)] = document
        elif kind == "bulletin":
            self.bulletins[bulletin_of(document, self._network)[1]] = document
        elif kind == "close":
            self.order = document
        else:
            raise Malformed("The server's state has a document of an unknown kind.")


def desk_of(document: SignedDocument, network: NetworkId) -> int:
    """Return the desk that an epoch list says it is of; nothing else of it is read. Raises: Malformed, NotForUs."""
    return statement.parse(document.statement, epochs.TYPE, ["desk", "sequence"], network).number(
        "desk", MAX_DESK_NUMBER
    )


def sequence_of(document: SignedDocument, network: NetworkId) -> int:
    """Return the sequence that an epoch list says it has; nothing else of it is read. Raises: as `desk_of`."""
    return statement.parse(document.statement, epochs.TYPE, ["desk", "sequence"], network).number("sequence")


def bulletin_of(document: SignedDocument, network: NetworkId) -> tuple[int, bytes]:
    """Return the desk and the id that a bulletin says it has; nothing else of it is read. Raises: as `desk_of`."""
    said = statement.parse(document.statement, bulletin.TYPE, ["desk", "bulletin", "revision"], network)
    return said.number("desk", MAX_DESK_NUMBER), from_hex(said.value("bulletin"), bulletin.ID_BYTES)


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
