"""A courier's errand: deliver what sticks bring, fetch what they lack, wipe what is confirmed. SPEC sections 14, 19."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from journalist_station.courier.stick import PartWriter, Stick, Waiting
from journalist_station.courier.wire import Cut, Wire
from keys import inventory, statement
from keys.bundle import CELL_BYTES
from keys.cell import Geometry, seal_digest
from keys.encoding import Fields, Reader, from_hex, parse_json, to_json, u32
from keys.errors import DropBoxError, Malformed, NotForUs
from keys.inventory import CellId, Inventory
from keys.manifest import Manifest
from keys.minisign import SignedDocument, SigningKey

CELLS_A_REQUEST = 64
TRIES = 5
MAX_INVENTORY_BYTES = 1 << 30
MAX_DOCUMENTS_BYTES = 64 << 20
MAX_SMALL_BYTES = 16_384

Told = Callable[[str, int, int], None]
"""Told what is being done, how far it is, and of how much (bytes or bundles)."""


@dataclass(slots=True)
class Errand:
    """What one sync did, for the table at its end."""

    delivered: int = 0
    wiped: int = 0
    fetched: dict[str, int] = field(default_factory=dict)
    gone: int = 0
    damaged: int = 0
    listed: int = 0
    inventory: int = 0
    troubles: list[tuple[str, str]] = field(default_factory=list)


class Courier:
    """One courier at one collect service. Holds no desk's key and nothing that opens a cell.

    Args:
        seed: the courier's Ed25519 seed; the manifest lists its key.
        server: the server's name in the manifest.
    """

    def __init__(self, wire: Wire, in_force: Manifest, server: str, seed: bytes, told: Told) -> None:
        self._wire = wire
        self._manifest = in_force
        self._server = server
        self._seed = seed
        self._told = told
        self._token = ""
        self._geometry = Geometry(in_force.recipients)

    def sync(self, sticks: Sequence[Stick]) -> Errand:
        """Run the errand for all sticks in one trip. What was whole stays, whatever breaks.

        Raises:
            Cut: the connection broke and didn't come back.
            DropBoxError: the server refused the courier, or its inventory doesn't verify.
        """
        errand = Errand()
        for stick in sticks:
            stick.prepare()
        self._login()
        for stick in sticks:
            self._deliver(stick, errand)
        listing, raw, signature = self._inventory()
        errand.inventory, errand.listed = listing.sequence, len(listing.digests)
        documents = self._documents()
        for stick in sticks:
            errand.wiped += _wipe_confirmed(stick, listing)
            _write_papers(stick, raw, signature, documents)
        self._fetch(sticks, listing, errand)
        return errand

    def _login(self) -> None:
        fields = Fields(parse_json(self._wire.get("/v1/challenge").all(MAX_SMALL_BYTES)), "challenge")
        network, server = fields.hex("network", 32), fields.text("server")
        if network != self._manifest.network or server != self._server:
            raise NotForUs("This service belongs to another network or server.")
        text = fields.text("challenge", 1_024)
        challenge = from_hex(text, len(text) // 2)
        signed = statement.make("courier-login", self._manifest.network, [("server", server)], challenge)
        body = to_json(
            {
                "courier": SigningKey.of(self._seed).text,
                "challenge": text,
                "signature": statement.sign(self._seed, signed).hex(),
            }
        )
        answer = Fields(parse_json(self._wire.post("/v1/session", body).all(MAX_SMALL_BYTES)), "login")
        self._token = answer.text("token", 1_024)

    def _deliver(self, stick: Stick, errand: Errand) -> None:
        waiting = stick.waiting()
        for number, each in enumerate(waiting):
            self._told("delivering", number, len(waiting))
            try:
                self._wire.post_file("/v1/outbound", each.path, self._token).all(MAX_SMALL_BYTES)
                errand.delivered += 1
            except Cut:
                raise
            except DropBoxError as error:
                # It stays on the stick: perhaps an earlier one must come first, perhaps the station makes a new one.
                errand.troubles.append((each.path.name, error.message))

    def _inventory(self) -> tuple[Inventory, bytes, bytes]:
        self._told("reading the inventory", 0, 0)
        reader = Reader(self._wire.get("/v1/inventory", self._token).all(MAX_INVENTORY_BYTES))
        raw = reader.take(reader.u32())
        signature = reader.take(reader.left)
        keys = {server.name: server.key for server in self._manifest.servers}
        return inventory.admit(raw, signature, self._manifest.network, keys, {}), raw, signature

    def _documents(self) -> list[tuple[str, SignedDocument]]:
        reader = Reader(self._wire.get("/v1/documents", self._token).all(MAX_DOCUMENTS_BYTES))
        found = []
        for _ in range(reader.u32()):
            name = reader.take(reader.u8()).decode("ascii", "replace")
            document = SignedDocument.decode(reader.take(reader.u32()))
            if not name.replace("-", "").isalnum() or not name.isascii():
                raise Malformed("The server names a document by something that isn't a name.")
            found.append((name, document))
        reader.done()
        return found

    def _fetch(self, sticks: Sequence[Stick], listing: Inventory, errand: Errand) -> None:
        lacking: dict[CellId, list[Stick]] = {}
        for stick in sticks:
            known = stick.known()
            stick.drop_known_parts(known)
            errand.fetched[stick.folder.name] = 0
            for cell_id in listing.digests.keys() - known - stick.carried():
                lacking.setdefault(cell_id, []).append(stick)
        wanted = sorted(lacking)
        with ExitStack() as stack:
            parts = {stick: stack.enter_context(stick.collect(listing.sequence)) for stick in sticks}
            for done, (cell_id, cell) in enumerate(self._cells(wanted), 1):
                if seal_digest(cell, self._geometry) != listing.digests[cell_id]:
                    errand.gone += 1  # Deleted meanwhile, or damaged on the way: the next inventory knows.
                else:
                    _keep(lacking[cell_id], parts, cell_id, cell, errand)
                self._told("fetching", done * CELL_BYTES, len(wanted) * CELL_BYTES)

    def _cells(self, wanted: Sequence[CellId]) -> Iterator[tuple[CellId, bytes]]:
        """Yield the cells in order. A cut is mended by asking for what is left, from the very byte."""
        at, begun, tries = 0, b"", 0
        while at < len(wanted):
            batch = wanted[at : at + CELLS_A_REQUEST]
            try:
                answer = self._wire.post("/v1/cells", u32(len(begun)) + b"".join(batch), self._token)
                for cell_id in batch:
                    begun += answer.read(CELL_BYTES - len(begun))
                    if len(begun) < CELL_BYTES:
                        raise Cut("The connection broke off.")
                    yield cell_id, begun
                    at, begun, tries = at + 1, b"", 0
            except Cut:
                tries += 1
                if tries >= TRIES:
                    raise


def _keep(
    sticks: Sequence[Stick], parts: dict[Stick, PartWriter], cell_id: CellId, cell: bytes, errand: Errand
) -> None:
    for stick in sticks:
        parts[stick].add(cell_id, cell)
        errand.fetched[stick.folder.name] += 1


def _wipe_confirmed(stick: Stick, listing: Inventory) -> int:
    """Wipe the bundles whose every entry the signed inventory confirms; return how many."""
    confirmed: list[Waiting] = [each for each in stick.waiting() if each.last <= listing.marks.get(each.head.desk, 0)]
    for each in confirmed:
        stick.wipe(each)
    return len(confirmed)


def _write_papers(stick: Stick, raw: bytes, signature: bytes, documents: Sequence[tuple[str, SignedDocument]]) -> None:
    stick.write("inventory", raw)
    stick.write("inventory.minisig", signature)
    for name, document in documents:
        stick.write(name, document.statement)
        for number, each in enumerate(document.signatures):
            stick.write(f"{name}.{number}.minisig" if number else f"{name}.minisig", each)
