"""A courier's errand: deliver what sticks bring, fetch what they lack, wipe what is confirmed. SPEC sections 14, 19."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from journalist_station.courier.load import Errand, Load
from journalist_station.courier.stick import (
    MAX_INVENTORY_BYTES,
    BundleSource,
    Stick,
    StickFailed,
    StickFull,
    Waiting,
)
from journalist_station.courier.wire import Cut, Unwelcome, Wire
from keys import inventory, statement
from keys.bundle import CELL_BYTES, MAX_PART_BYTES
from keys.cell import Geometry, seal_digest
from keys.encoding import Fields, Reader, from_hex, parse_json, to_json, u32
from keys.errors import DropBoxError, Malformed, NotForUs
from keys.inventory import CellId, Inventory
from keys.manifest import Manifest
from keys.minisign import SignedDocument, SigningKey

CELLS_A_REQUEST = 256
MAX_DOCUMENTS_BYTES = 64 << 20
MAX_SMALL_BYTES = 65_536
PAUSES_SECONDS = (0.0, 1.0, 4.0, 15.0)
"""How long to wait before each further try, when one brought nothing at all."""

_DOCUMENT = re.compile(r"(manifest-[1-9][0-9]{0,15}|epochs-[1-9][0-9]{0,2}-[1-9][0-9]{0,15}|bulletin-[0-9a-f]{32})\Z")
_T = TypeVar("_T")

Told = Callable[[str, int, int], None]
"""Told what is being done, how far it is, and of how many bytes."""


class Courier:
    """One courier at one collect service. Holds no desk's key and nothing that opens a cell.

    Args:
        seed: the courier's Ed25519 seed; the manifest lists its key.
        wires: to every service that could be this server's; the one that says so is used.
        server: the server's name in the manifest.
        pause: waits so many seconds.
        part_bytes: how long a file of cells may be.
    """

    def __init__(
        self,
        wires: Sequence[Wire],
        in_force: Manifest,
        server: str,
        seed: bytes,
        told: Told = lambda what, done, of: None,
        *,
        pause: Callable[[float], None] = time.sleep,
        part_bytes: int = MAX_PART_BYTES,
    ) -> None:
        self._wires = tuple(wires)
        self._wire = self._wires[0]
        self._manifest = in_force
        self._server = server
        self._seed = seed
        self._told = told
        self._pause = pause
        self._part_bytes = part_bytes
        self._token = ""
        self._geometry = Geometry(in_force.recipients)
        self.errand = Errand()

    def sync(self, sticks: Sequence[Stick]) -> None:
        """Run the errand for all sticks in one trip, each of them entered. `errand` tells how far it came.

        What was whole stays, whatever breaks: a stick that fails is left behind, and the others are served.

        Raises:
            Cut: the connection broke and didn't come back.
            StickFull, StickFailed: a stick failed; all that could be done without it is done.
            DropBoxError: the server refused the courier, or its inventory doesn't verify.
        """
        load = Load(self.errand)
        if len(self._wires) > 1:
            self._wire = self._found()
        self._persist(self._login)
        for stick in sticks:
            with load.guarded(stick):
                self._deliver(stick)
        listing, raw, signature = self._persist(self._inventory)
        self.errand.inventory, self.errand.listed = listing.sequence, len(listing.digests)
        self.errand.fetched = {str(stick.folder): 0 for stick in sticks}
        documents = self._persist(self._documents)
        for stick in sticks:
            with load.guarded(stick):
                self._spare(stick, listing)
                self.errand.wiped += _wipe_confirmed(stick, listing)
                _write_papers(stick, raw, signature, documents)
                load.add(stick, listing.digests.keys() - stick.take_stock(listing, self._geometry))
        with load.writing(listing.sequence, self._part_bytes):
            self._fetch(load, listing)
        load.raise_first()

    def _persist(self, attempt: Callable[[], _T]) -> _T:
        """Try again after a cut, and log in again when the login has expired."""
        patience = _Patience(self._pause)
        while True:
            try:
                return attempt()
            except (Cut, Unwelcome) as error:
                self._bear(error, patience)

    def _bear(self, error: Cut | Unwelcome, patience: _Patience) -> None:
        """Do what may help against an error, or raise it. A service that was restarted has forgotten all logins."""
        if isinstance(error, Cut):
            patience.wait(error)
        elif self._token:
            patience.log_in_once(error)
            self._token = ""
            self._persist(self._login)
        else:
            raise error

    def _found(self) -> Wire:
        """Return the service that is this server's. Raises: NotForUs: none is. Cut: it may be one that is silent."""
        silent: Cut | None = None
        for wire in self._wires:
            self._wire = wire
            try:
                self._persist(self._challenge)
                return wire
            except NotForUs:
                continue
            except Cut as error:
                silent = error
        raise silent or NotForUs("None of the manifest's collect services is this server's.")

    def _challenge(self) -> str:
        fields = Fields(parse_json(self._wire.get("/v1/challenge", MAX_SMALL_BYTES)), "challenge")
        network, server = fields.hex("network", 32), fields.text("server")
        text = fields.text("challenge", 1_024)
        fields.done()
        if network != self._manifest.network or server != self._server:
            raise NotForUs("This service belongs to another network or server.")
        return text

    def _login(self) -> None:
        text = self._challenge()
        challenge = from_hex(text, len(text) // 2)
        signed = statement.make("courier-login", self._manifest.network, [("server", self._server)], challenge)
        body = to_json(
            {
                "courier": SigningKey.of(self._seed).text,
                "challenge": text,
                "signature": statement.sign(self._seed, signed).hex(),
            }
        )
        answer = Fields(parse_json(self._wire.post("/v1/session", body, len(body), MAX_SMALL_BYTES)), "login")
        token = answer.text("token", 1_024)
        answer.done()
        if not (token.isascii() and token.isalnum()):
            raise Malformed("The server gave a token that can't be one.")
        self._token = token

    def _deliver(self, stick: Stick) -> None:
        for waiting in stick.waiting():
            try:
                self._persist(partial(self._deliver_one, stick, waiting))
                self.errand.delivered += 1
            except (StickFull, StickFailed, Unwelcome):
                raise
            except DropBoxError as error:
                # It stays on the stick: perhaps an earlier one must come first, perhaps the station makes a new one.
                # Even if it cuts the connection each time, what comes in must not wait for it.
                self.errand.troubles.append((waiting.path.name, error))

    def _deliver_one(self, stick: Stick, waiting: Waiting) -> None:
        with stick.reading(waiting) as (source, length):
            body = _Watched(source, length, self._told)
            self._wire.post("/v1/outbound", body, length, MAX_SMALL_BYTES, self._token)

    def _inventory(self) -> tuple[Inventory, bytes, bytes]:
        self._told("reading the inventory", 0, 0)
        reader = Reader(self._wire.get("/v1/inventory", MAX_INVENTORY_BYTES, self._token))
        raw = reader.take(reader.u32())
        signature = reader.take(reader.left)
        return self._admitted(raw, signature), raw, signature

    def _admitted(self, raw: bytes, signature: bytes) -> Inventory:
        keys = {self._server: self._manifest.server(self._server).key}
        return inventory.admit(raw, signature, self._manifest.network, keys, {})

    def _spare(self, stick: Stick, listing: Inventory) -> None:
        """Leave a stick as it is that brings what the server has forgotten. Raises: StickAhead."""
        found = stick.inventory()
        if found is None:
            return
        try:
            earlier = self._admitted(*found)
        except DropBoxError:
            return  # Nothing that the server has signed: what lies beside it is nobody's word.
        stick.refuse_ahead(earlier.sequence, listing.sequence)

    def _documents(self) -> dict[str, SignedDocument]:
        reader = Reader(self._wire.get("/v1/documents", MAX_DOCUMENTS_BYTES, self._token))
        found: dict[str, SignedDocument] = {}
        for _ in range(reader.u32()):
            name = reader.take(reader.u8()).decode("ascii", "replace")
            # These become names of files: none may stand for a file of cells or the inventory, or lead elsewhere.
            if not _DOCUMENT.match(name) or name in found:
                raise Malformed("The server names a document by something that isn't a document's name.")
            found[name] = SignedDocument.decode(reader.take(reader.u32()))
        reader.done()
        return found

    def _fetch(self, load: Load, listing: Inventory) -> None:
        while wanted := load.wanted():
            for done, (cell_id, cell) in enumerate(self._cells(wanted), 1):
                self._told("fetching", done * CELL_BYTES, len(wanted) * CELL_BYTES)
                if seal_digest(cell, self._geometry) != listing.digests[cell_id]:
                    self.errand.gone += 1  # Deleted meanwhile, or exchanged: the next inventory knows.
                    load.give_up(cell_id)
                elif not load.keep(cell_id, cell):
                    break  # A stick failed: what it alone lacked needn't be fetched.

    def _cells(self, wanted: Sequence[CellId]) -> Iterator[tuple[CellId, bytes]]:
        """Yield the cells in order. A cut is mended by asking for what is left, from the very byte."""
        at, begun = 0, bytearray()
        patience = _Patience(self._pause)
        while at < len(wanted):
            batch = wanted[at : at + CELLS_A_REQUEST]
            try:
                with self._wire.streamed("/v1/cells", u32(len(begun)) + b"".join(batch), self._token) as answer:
                    if answer.left != len(batch) * CELL_BYTES - len(begun):
                        raise Malformed("The server sends more or less than it was asked for.")
                    while answer.left:
                        begun += answer.some(CELL_BYTES - len(begun))
                        patience.renew()
                        if len(begun) == CELL_BYTES:
                            yield wanted[at], bytes(begun)
                            at, begun = at + 1, bytearray()
            except (Cut, Unwelcome) as error:
                self._bear(error, patience)


class _Patience:
    """How often something is tried again that brings nothing at all."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        self._pause = pause
        self.renew()

    def renew(self) -> None:
        """Something came: begin anew."""
        self._pauses = iter(PAUSES_SECONDS)
        self._may_log_in = True

    def wait(self, error: Cut) -> None:
        """Wait, longer each time. Raises: Cut: the error, when it has been borne long enough."""
        seconds = next(self._pauses, None)
        if seconds is None:
            raise error
        self._pause(seconds)

    def log_in_once(self, error: Unwelcome) -> None:
        """Raises: Unwelcome: the error, when the courier has logged in for it before."""
        if not self._may_log_in:
            raise error
        self._may_log_in = False


class _Watched:
    """What a bundle is read from, telling how far it is."""

    def __init__(self, source: BundleSource, length: int, told: Told) -> None:
        self._source = source
        self._length = length
        self._told = told
        self._sent = 0

    def read(self, size: int, /) -> bytes:
        self._told("delivering", self._sent, self._length)
        data = self._source.read(size)
        self._sent += len(data)
        return data


def _wipe_confirmed(stick: Stick, listing: Inventory) -> int:
    """Wipe the bundles whose every entry the signed inventory confirms; return how many."""
    confirmed = [each for each in stick.waiting() if each.head.last <= listing.marks.get(each.head.desk, 0)]
    for each in confirmed:
        stick.wipe(each)
    return len(confirmed)


def _write_papers(stick: Stick, raw: bytes, signature: bytes, documents: Mapping[str, SignedDocument]) -> None:
    stick.write("inventory", raw)
    stick.write("inventory.minisig", signature)
    for name, document in documents.items():
        stick.write(name, document.statement)
        for number, each in enumerate(document.signatures):
            stick.write(f"{name}.{number}.minisig" if number else f"{name}.minisig", each)
