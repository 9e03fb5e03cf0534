"""A courier at the collect interface, over the real socket. SPEC section 19."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keys import bundle, statement
from keys.bundle import CELL_BYTES
from keys.encoding import Reader, from_hex
from keys.inventory import CellId, Inventory, admit
from keys.minisign import SignedDocument, SigningKey
from tests.dropbox.serving.visitors import Response, Visit, parse_response
from tests.simulators.dropbox import DropBox
from tests.simulators.newsroom import Newsroom


class Courier:
    """Somebody whom the manifest lists; logs in at once."""

    def __init__(self, newsroom: Newsroom, socket_path: Path, name: str = "carrier") -> None:
        self.newsroom = newsroom
        self.socket_path = socket_path
        self._token = ""
        seed = newsroom.courier_seeds[name]
        found = self.request("GET", "/v1/challenge")
        challenge = from_hex(_facts(found)["challenge"], len(_facts(found)["challenge"]) // 2)
        signed = statement.make("courier-login", newsroom.network, [("server", "alpha")], challenge)
        answer = {
            "courier": SigningKey.of(seed).text,
            "challenge": challenge.hex(),
            "signature": statement.sign(seed, signed).hex(),
        }
        self._token = _facts(self.request("POST", "/v1/session", json.dumps(answer).encode()))["token"]

    @property
    def _server_keys(self) -> dict[str, SigningKey]:
        return {party.name: party.key for party in self.newsroom.manifest.servers}

    def request(self, method: str, path: str, body: bytes | None = None) -> Response:
        with Visit(self.socket_path, seconds=60.0) as visit:
            fields = [f"Authorization: Bearer {self._token}"] if self._token else []
            visit.head(method, path, *fields, length=None if body is None else len(body))
            visit.send(body or b"")
            return parse_response(visit.rest())

    def raw_inventory(self) -> tuple[bytes, bytes]:
        """Return a fresh inventory and its signature."""
        answer = self.request("GET", "/v1/inventory")
        assert answer.status == 200, answer.body
        reader = Reader(answer.body)
        raw = reader.take(reader.u32())
        return raw, reader.take(reader.left)

    def inventory(self) -> Inventory:
        """Return a fresh inventory, verified."""
        raw, signature = self.raw_inventory()
        return admit(raw, signature, self.newsroom.network, self._server_keys, {})

    def documents(self) -> dict[str, SignedDocument]:
        reader = Reader(self.request("GET", "/v1/documents").body)
        found = {}
        for _ in range(reader.u32()):
            name = reader.take(reader.u8()).decode()
            found[name] = SignedDocument.decode(reader.take(reader.u32()))
        reader.done()
        return found

    def cells(self, ids: Sequence[CellId]) -> list[bytes]:
        """Fetch cells, in this order."""
        found: list[bytes] = []
        for at in range(0, len(ids), 64):
            some = ids[at : at + 64]
            body = self.request("POST", "/v1/cells", bytes(4) + b"".join(some)).body
            found += [body[start : start + CELL_BYTES] for start in range(0, len(body), CELL_BYTES)]
        return found

    def everything(self) -> dict[CellId, bytes]:
        """Fetch every cell that the server lists."""
        ids = sorted(self.inventory().digests)
        return dict(zip(ids, self.cells(ids), strict=True))

    def deliver(self, outbound: bytes) -> Response:
        return self.request("POST", "/v1/outbound", outbound)

    def fill(self, stick: Path) -> None:
        """Write to a stick what a station reads: inventory, documents and every cell. SPEC section 14."""
        raw, signature = self.raw_inventory()
        found = admit(raw, signature, self.newsroom.network, self._server_keys, {})
        folder = stick / "mustshare" / "inbound" / "alpha"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "inventory").write_bytes(raw)
        (folder / "inventory.minisig").write_bytes(signature)
        for name, document in self.documents().items():
            DropBox.write_document(folder, name, document)
        ids = sorted(found.digests)
        records = [cell_id + sealed for cell_id, sealed in zip(ids, self.cells(ids), strict=True)]
        header = bundle.cells_header(self.newsroom.network, "alpha", found.sequence)
        (folder / f"cells-{found.sequence}-0").write_bytes(header + b"".join(records))


def _facts(answer: Response) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(answer.body)
    assert answer.status == 200, facts
    return facts


def error_of(answer: Response) -> str:
    """Return what a courier is told is wrong."""
    said: str = json.loads(answer.body)["error"]
    assert re.search(r"[.!]$", said)
    return said
