"""A server's collect interface over a real store, with a simulated newsroom around it: what couriers come to.

    office = Office(tmp_path)
    cells = office.fill(3)                                   # cells that stand in the box
    visit = office.visit("carrier")                          # a courier that has logged in, without a socket
    visit.deliver(office.bundle(1, [reply_cell(), acknowledging(cells)]))
    with serving(office.app, tmp_path / "s") as socket: …    # the same behind a Unix socket

The bundles are written and signed as a station would; whatever one might do wrong is an argument.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import TestResponse

from dropbox.box import Box, ServerKey
from dropbox.collect.app import create_app
from dropbox.collect.logins import Logins
from dropbox.state import State
from dropbox.store import Change, Store
from keys import bundle, inventory, mailbox, statement
from keys.bundle import CELL_BYTES, EntryType, OutboundHead
from keys.cell import Geometry, seal_digest
from keys.encoding import Reader, parse_json, to_json, u32
from keys.inventory import CellId, Inventory
from keys.minisign import SignedDocument, SigningKey
from tests.simulators.newsroom import Newsroom, seeded

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

SERVER = "alpha"
Entry = tuple[EntryType, bytes]


def random_cell(label: str) -> bytes:
    """Return what looks like a cell to whoever can't open it."""
    return seeded(f"cell {label}")(CELL_BYTES)


def tag_of(label: str) -> bytes:
    return seeded(f"tag {label}")(32)


def reply_cell(label: str = "a", content: bytes | None = None) -> Entry:
    return EntryType.CELL, tag_of(label) + (random_cell(label) if content is None else content)


def acknowledging(ids: Iterable[bytes]) -> Entry:
    return EntryType.ACKNOWLEDGEMENT, b"".join(ids)


def bundle_of(
    newsroom: Newsroom,
    desk: int,
    entries: Sequence[Entry],
    *,
    first: int = 1,
    signed_by: bytes | None = None,
    **head: Any,
) -> bytes:
    """Return a desk's bundle with these entries, numbered from `first`, as its station would write it now."""
    cells = sum(type_ is EntryType.CELL for type_, _ in entries)
    now, week = newsroom.now, 7 * 86_400
    said = OutboundHead(newsroom.network, desk, SERVER, first, len(entries), cells, now, now + 4 * week)
    return b"".join(bundle.write_outbound(replace(said, **head), entries, signed_by or newsroom.desk_seed(desk)))


class Office:
    """One server of a newsroom. `data` is its store's folder; its clock is the newsroom's."""

    def __init__(
        self,
        folder: Path,
        newsroom: Newsroom | None = None,
        *,
        slots: int = 24,
        reserve: int = 4,
        founded: bool = True,
        with_epochs: bool = True,
    ) -> None:
        self.newsroom = newsroom or Newsroom(desks=2, couriers=("carrier", "other"))
        self.data = folder / "data"
        if founded:
            Store.create(self.data, slots, documents_bytes=1 << 18)
        self.store = Store.open(self.data, reserve_slots=reserve)
        key = ServerKey(SERVER, self.newsroom.server_seeds[SERVER])
        self.box = Box(self.store, key, lambda: self.newsroom.now, seeded("office"), "0.1.0")
        if founded:
            self.store.apply(Change(documents=State(self.newsroom.network).encode()))
            self.box.admit(self.newsroom.documents)
        if founded and with_epochs:
            self.box.admit([self.admitted_epochs(desk) for desk in self.newsroom.manifest.desk_numbers])
        self.logins = Logins(seeded("logins"), lambda: self.newsroom.now)
        self.app = create_app(self.box, self.logins, SERVER)

    def admitted_epochs(self, desk: int) -> SignedDocument:
        document = self.newsroom.epochs(desk, weeks=1)
        self.newsroom.admit_epochs(desk, document)
        return document

    def close(self) -> None:
        self.store.close()

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.newsroom.manifest.recipients)

    def fill(self, count: int, label: str = "stored") -> list[CellId]:
        """Store what looks like cells; return their ids, sorted."""
        ids = [CellId(seeded(f"id {label} {number}")(32)) for number in range(count)]
        self.keep({cell_id: random_cell(f"{label} {number}") for number, cell_id in enumerate(ids)})
        return sorted(ids)

    def keep(self, cells: Mapping[CellId, bytes]) -> None:
        """Store cells, as tips would be."""
        for cell_id, cell in cells.items():
            with self.store.item() as deposit:
                deposit.append(cell, cell_id, seal_digest(cell, self.geometry))
                deposit.commit()

    def address(self, desk: int, label: str) -> CellId:
        """Return where a reply cell of a desk stands."""
        return mailbox.address(self.newsroom.network, desk, tag_of(label))

    def holds(self, *ids: CellId) -> list[bool]:
        return self.store.holds(ids)

    @property
    def state(self) -> State:
        return State.decode(self.store.documents())

    def mark(self, desk: int) -> int:
        return self.state.marks.get(desk, 0)

    def bundle(self, desk: int, entries: Sequence[Entry], **said: Any) -> bytes:
        return bundle_of(self.newsroom, desk, entries, **said)

    def visit(self, courier: str = "carrier") -> Visit:
        """Return a courier that has logged in."""
        visit = Visit(self)
        visit.log_in(courier)
        return visit


@dataclass
class Visit:
    """One courier at the office, by Flask's client: requests as SPEC 19 has them."""

    office: Office
    token: str = ""

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.office.app.test_client().get(path, headers=self._headers(headers))

    def post(self, path: str, body: bytes, **headers: str) -> TestResponse:
        return self.office.app.test_client().post(path, data=body, headers=self._headers(headers))

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        return {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **headers}

    def challenge(self) -> str:
        said = parse_json(self.get("/v1/challenge").data)
        assert said["network"] == self.office.newsroom.network.hex()
        assert said["server"] == SERVER
        return str(said["challenge"])

    def answer(
        self, seed: bytes, challenge: str, *, server: str = SERVER, type_: str = "courier-login"
    ) -> TestResponse:
        """Answer a challenge with a key, and say which."""
        signed = statement.make(type_, self.office.newsroom.network, [("server", server)], bytes.fromhex(challenge))
        signature = statement.sign(seed, signed).hex()
        said = {"courier": SigningKey.of(seed).text, "challenge": challenge, "signature": signature}
        return self.post("/v1/session", to_json(said))

    def log_in(self, courier: str) -> None:
        answer = self.answer(self.office.newsroom.courier_seeds[courier], self.challenge())
        assert answer.status_code == 200, answer.data
        self.token = str(parse_json(answer.data)["token"])

    def inventory(self) -> Inventory:
        """Fetch the inventory and verify it."""
        answer = self.get("/v1/inventory")
        assert answer.status_code == 200, answer.data
        reader = Reader(answer.data)
        raw = reader.take(reader.u32())
        keys = {server.name: server.key for server in self.office.newsroom.manifest.servers}
        return inventory.admit(raw, reader.take(reader.left), self.office.newsroom.network, keys, {})

    def documents(self) -> dict[str, SignedDocument]:
        reader = Reader(self.get("/v1/documents").data)
        found = {}
        for _ in range(reader.u32()):
            name = reader.take(reader.u8()).decode("ascii")
            found[name] = SignedDocument.decode(reader.take(reader.u32()))
        reader.done()
        return found

    def cells(self, ids: Sequence[bytes], offset: int = 0) -> TestResponse:
        return self.post("/v1/cells", u32(offset) + b"".join(ids))

    def deliver(self, raw: bytes) -> dict[str, Any]:
        """Deliver a bundle that is good; return what the server says of it."""
        answer = self.post("/v1/outbound", raw)
        assert answer.status_code == 200, answer.data
        return parse_json(answer.data)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(app: WSGIApplication, folder: Path) -> Iterator[Path]:
    """Serve an application on a Unix socket in a folder, a thread for each connection."""
    folder.mkdir(exist_ok=True)
    path = folder / "http.sock"
    path.unlink(missing_ok=True)
    server = make_server(f"unix://{path}", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield path
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
