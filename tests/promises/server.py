"""A real server with a folder of its own: founded in a second, started by its command, killed, started again.

premises = Premises(tmp_path)
with premises.running():
    premises.browser().send("ข้อความ")
    premises.courier().inventory()

Nothing is simulated but the newsroom that signs: processes, sockets, disk and clock are real, unless `Oddities` ask for
another clock or for a fault that a test must be able to find.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from dropbox.box import Box
from dropbox.home import Home, found
from dropbox.service import COLLECT_SOCKET, SOURCE_SOCKET
from dropbox.serving import memory
from dropbox.state import State
from dropbox.store import Change, Store
from dropbox.store.index import RECORD_BYTES, Record, decode
from keys.bundle import CELL_BYTES
from keys.cell import FILLER, Flags, Geometry, Sealer, seal_block
from keys.inventory import CellId
from keys.minisign import SignedDocument
from keys.primitives import system_randomness
from keys.terms import Limits
from tests.dropbox.serving.visitors import Visit, wait_until
from tests.promises.browser import Browser
from tests.promises.courier import Courier
from tests.promises.desk import Tip, tips
from tests.simulators.newsroom import Newsroom

SLOTS = 200
PROCESSES = 6  # The arbiter, two for pages, two for files, one for couriers.
ODD_PROGRAM = Path(__file__).with_name("odd_server.py")
FILLED_AT_ONCE = 64
ASKING_CIRCUIT = 0xFFFF_FFFF
"""The circuit of whoever asks whether the server answers."""
SMALL = Limits(acknowledge_weeks=3, reply_slots=4, file_bytes=64 << 20, files=10, bundle_cells=4)


@dataclass(frozen=True)
class Oddities:
    """What an odd server does differently.

    `clock`: a file with the seconds that its clock is ahead. `counts`: a file that gets a line of JSON for each request
    of a source. `quick`: heads and bodies must come within a second or two. `in_order`: cells are placed one after the
    other. `in_the_open`: others of the same user may look into its processes.
    """

    clock: str = ""
    counts: str = ""
    quick: bool = False
    in_order: bool = False
    in_the_open: bool = False


def newsroom(label: str = "promises", *, desks: int = 2, limits: Limits = SMALL, **options: object) -> Newsroom:
    """Return a newsroom of today, whose codenames are stretched with the least memory that a manifest allows."""
    return Newsroom(label, desks=desks, limits=limits, now=int(time.time()), **options)  # type: ignore[arg-type]


def command(home: Path, run_folder: Path, oddities: Oddities | None, *, circuits: bool = False) -> list[str]:
    """Return the command that serves: the installed one, or this tree's where none is installed."""
    if oddities is not None:
        return [sys.executable, str(ODD_PROGRAM), str(home), str(run_folder), json.dumps(asdict(oddities))]
    installed = Path(sys.executable).with_name("dropbox-server")
    words = [str(installed)] if installed.exists() else [sys.executable, "-m", "dropbox.cli"]
    consensus = home.with_name("consensus")
    given = ("--home", str(home), "--run", str(run_folder), "--consensus", str(consensus))
    return [*words, "serve", *given, *([] if circuits else ["--without-circuits"])]


def environment() -> dict[str, str]:
    """As the server sets it for itself, so that it needn't start twice. `tests/dropbox/serving` tests that it does."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONMALLOC": "malloc",
        "MALLOC_PERTURB_": memory.POISON,
        "GLIBC_TUNABLES": memory.TUNABLES,
    }


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def descendants(pid: int) -> list[int]:
    """Return a process and all that it started, and they, parents first."""
    found = [pid]
    for task in _listed(Path(f"/proc/{pid}/task")):
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found += descendants(int(child))
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def fill(store: Store, recipients: int, *, leaving: int) -> None:
    """Fill a store with cells that nobody opens, until only so many free slots are left besides the reserve."""
    geometry = Geometry(recipients)
    seal = Sealer([], geometry, system_randomness).seal()
    cell = seal_block(seal, FILLER, geometry, b"", Flags.LAST)
    room = store.room()
    missing = room.free - room.reserve - leaving
    while missing > 0:
        count = min(missing, FILLED_AT_ONCE)
        with store.item(count) as deposit:
            for _ in range(count):
                deposit.append(cell, system_randomness(32), seal.digest)
            deposit.commit()
        missing -= count


class Premises:
    """A server's home on the disk, and the server while it runs.

    Args:
        admit: take in the newsroom's manifests and every desk's epoch list.
        circuits: every connection must begin with tor's circuit line, as behind tor.
    """

    def __init__(
        self,
        folder: Path,
        of: Newsroom | None = None,
        *,
        slots: int = SLOTS,
        admit: bool = True,
        circuits: bool = False,
    ) -> None:
        self.folder = folder
        self.circuits = circuits
        self.newsroom = of or newsroom()
        self.home = Home(folder / "home")
        self.run_folder = folder / "run"
        self.consensus = folder / "consensus"
        self.log_path = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.home.settle("alpha", slots, lambda length: self.newsroom.server_seeds["alpha"])
        Store.create(self.home.data, slots, documents_bytes=1 << 18)
        with self.store() as store:
            found(store)
            box = self._box(store)
            box.join(self.newsroom.network)
            if admit:
                box.admit(self.newsroom.documents)
        if admit:
            for desk in self.newsroom.manifest.desk_numbers:
                document = self.newsroom.epochs(desk)
                self.newsroom.admit_epochs(desk, document)
                self.admit(document)

    # The disk, while nothing runs.

    def store(self) -> Store:
        """Open the data folder, as a server does at start."""
        return self.home.open_store(system_randomness)

    def _box(self, store: Store) -> Box:
        return Box(store, self.home.key(), lambda: self.newsroom.now, system_randomness, "0", self.home.floors)

    def admit(self, *documents: SignedDocument) -> None:
        """Take in signed documents, as `dropbox-server admit` does."""
        with self.store() as store:
            self._box(store).admit(documents)

    def state(self) -> State:
        with self.store() as store:
            return State.decode(store.documents())

    def put_state(self, state: State) -> None:
        """Change what the server remembers, as somebody could who has its disk."""
        with self.store() as store:
            store.apply(Change(documents=state.encode()))

    # The disk as anybody reads it, at any time.

    def records(self) -> dict[int, Record]:
        """Return the record of each slot that holds a cell, read from the raw file."""
        raw = (self.home.data / "cells.index").read_bytes()
        found = {
            at // RECORD_BYTES: decode(at // RECORD_BYTES, raw[at : at + RECORD_BYTES])
            for at in range(0, len(raw), RECORD_BYTES)
        }
        return {slot: record for slot, record in found.items() if record is not None}

    def cells(self) -> dict[CellId, bytes]:
        """Return every stored cell, read from the raw files."""
        with (self.home.data / "cells.slab").open("rb") as slab:
            found = {}
            for slot, record in self.records().items():
                slab.seek(slot * CELL_BYTES)
                found[record.cell_id] = slab.read(CELL_BYTES)
        return found

    def headers_in_free_slots(self) -> list[int]:
        """Return the free slots that begin like a cell."""
        stored = self.records()
        with (self.home.data / "cells.slab").open("rb") as slab:
            found = []
            for slot in range((self.home.data / "cells.slab").stat().st_size // CELL_BYTES):
                slab.seek(slot * CELL_BYTES)
                if slot not in stored and slab.read(21) == b"age-encryption.org/v1":
                    found.append(slot)
        return found

    # The server.

    def start(self, oddities: Oddities | None = None) -> None:
        """Start the server, and return when every process of it serves."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command(self.home.folder, self.run_folder, oddities, circuits=self.circuits),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                cwd=self.folder,
                start_new_session=True,
            )
        try:
            wait_until(
                lambda: self._ended() or (len(self.pids()) >= PROCESSES and self.answers()), "the server answers"
            )
            assert not self._ended(), self.log()
        except BaseException:
            self.kill()
            raise

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def answers(self) -> bool:
        """Whether both sites answer."""
        try:
            for path in (SOURCE_SOCKET, COLLECT_SOCKET):
                with Visit(self.run_folder / path, ASKING_CIRCUIT if self.circuits else None) as visit:
                    visit.head("GET", "/")
                    if not visit.rest():
                        return False
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def running(self, oddities: Oddities | None = None) -> Iterator[Premises]:
        """Serve for the length of a block; then kill whatever is left."""
        self.start(oddities)
        try:
            yield self
        finally:
            self.kill()

    def pids(self) -> list[int]:
        """Return every process of the server, the arbiter first."""
        return [] if self.process is None else descendants(self.process.pid)

    def crews(self) -> list[int]:
        """Return the arbiter's own children."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def kill(self) -> None:
        """End every process at one blow, as a power cut does, and return when none is left."""
        if self.process is None:
            return
        pids = self.pids()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
        wait_until(lambda: all(gone(pid) for pid in pids) and self._is_free(), "every process has ended")
        self.process = None

    def _is_free(self) -> bool:
        """Whether no thread of any process holds the data folder's lock any more."""
        with (self.home.data / "cells.slab").open("rb") as slab:
            try:
                fcntl.flock(slab, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Ask the server to end, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(sig)
        code = self.process.wait(60)
        self.kill()
        return code

    def log(self) -> str:
        return self.log_path.read_text()

    def browser(self, language: str = "th", circuit: int | None = None) -> Browser:
        return Browser(self.source_socket, language, circuit)

    def courier(self) -> Courier:
        return Courier(self.newsroom, self.collect_socket)

    def tips(self, desk: int = 1) -> dict[bytes, list[Tip]]:
        """Return every tip that a desk's keys open in the raw files, by source."""
        return tips(self.newsroom, self.cells().values(), desk)

    @property
    def source_socket(self) -> Path:
        return self.run_folder / SOURCE_SOCKET

    @property
    def collect_socket(self) -> Path:
        return self.run_folder / COLLECT_SOCKET
