"""A courier's things, and the command run as a courier runs it, against an office behind a Unix socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from journalist_station.courier.stick import Stick
from journalist_station.courier.sync import Courier
from journalist_station.courier.wire import Wire, through_socket
from keys import bundle, keyfile
from keys.cell import seal_digest
from keys.inventory import CellId
from keys.keyfile import SignerKeyFile
from tests.simulators.newsroom import Newsroom, seeded
from tests.simulators.office import SERVER, Office
from tests.simulators.parts import read_cells

PASSPHRASE = "ฝนตกที่ปลายนา"
PATIENCE_SECONDS = 60
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Ended:
    """What a command left behind: its exit code, what it printed as JSON, and what it said on standard error."""

    code: int
    facts: dict[str, Any]
    said: str


class Trip:
    """A laptop with the manifest and the courier's key file, and sticks below the same folder."""

    def __init__(self, folder: Path, newsroom: Newsroom, courier: str = "carrier") -> None:
        self.folder = folder
        self.newsroom = newsroom
        self.seed = newsroom.courier_seeds[courier]
        self.manifest = folder / "manifest"
        self.manifest.write_bytes(newsroom.documents[-1].encode())
        self.key = folder / "courier.key"
        content = SignerKeyFile("courier", courier, self.seed)
        self.key.write_bytes(keyfile.lock(content, PASSPHRASE, seeded("key file"), log_n=2))

    def stick(self, name: str = "stick") -> Path:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path

    def command(self, socket: Path, *sticks: Path, more: Sequence[str] = ()) -> list[str]:
        words = [sys.executable, "-m", "journalist_station.courier.cli", "sync", "--json", "--passphrase-fd", "0"]
        words += ["--manifest", str(self.manifest), "--key", str(self.key), "--socket", str(socket), *more]
        return words + [word for stick in sticks for word in ("--out", str(stick))]

    def run(
        self, socket: Path, *sticks: Path, passphrase: str = PASSPHRASE, more: Sequence[str] = (), limit: int = 0
    ) -> Ended:
        """Run the command to its end.

        Args:
            limit: how many bytes a file may have, for a disk that is full.
        """
        words = self.command(socket, *sticks, more=more)
        if limit:
            words = ["prlimit", f"--fsize={limit}", *words]
        ended = subprocess.run(
            words,
            input=f"{passphrase}\n",
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            env=environment(),
        )
        return Ended(ended.returncode, json.loads(ended.stdout) if ended.stdout else {}, ended.stderr)

    def courier(self, *sockets: Path, **options: Any) -> Courier:
        """Return a courier in this process, which never waits."""
        wires = [Wire("collect", through_socket(socket)) for socket in sockets]
        options = {"pause": lambda seconds: None, **options}
        return Courier(wires, self.newsroom.manifest, SERVER, self.seed, **options)

    def entered(self, folder: Path) -> Stick:
        """Return a stick that a command has begun to work with."""
        return Stick(folder, self.newsroom.network, SERVER, self.newsroom.manifest.desk_numbers)


def environment() -> dict[str, str]:
    """For programs that import what tests share: the tree comes last, after the installed packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(ROOT)])}


def inbound(stick: Path) -> Path:
    return stick / "mustshare" / "inbound" / SERVER


def outbound(stick: Path) -> Path:
    folder = stick / "mustshare" / "outbound"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def parts(stick: Path) -> list[Path]:
    return sorted(inbound(stick).glob("cells-*"))


def carried(office: Office, stick: Path) -> dict[CellId, bytes]:
    """Read the cells on a stick as a station does, refusing one that came twice."""
    found: dict[CellId, bytes] = {}
    for path in parts(stick):
        for cell_id, cell in read_cells(path.read_bytes(), office.newsroom.network, SERVER):
            assert cell_id not in found
            found[cell_id] = cell
    return found


def stored(office: Office, ids: Iterable[CellId]) -> dict[CellId, bytes]:
    return {cell_id: office.store.read(cell_id) for cell_id in ids}


def write_known(office: Office, stick: Path, desk: int, ids: Iterable[CellId], *, read: int = 0) -> None:
    """Do what a station does that has read the stick under the inventory of this number."""
    raw = bundle.known(office.newsroom.network, desk, {SERVER: read}, ids)
    (stick / "mustshare").mkdir(exist_ok=True)
    (stick / "mustshare" / f"known-{desk}").write_bytes(raw)


def assert_listed(office: Office, cells: dict[CellId, bytes]) -> None:
    """Require that each cell is the one that the server would list."""
    listed = dict(office.store.entries())
    assert {cell_id: seal_digest(cell, office.geometry) for cell_id, cell in cells.items()} == {
        cell_id: listed[cell_id] for cell_id in cells
    }
