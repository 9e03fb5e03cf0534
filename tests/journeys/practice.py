"""A practice newsroom as `scripts/run` makes it: the lines that it prints, its stations, its logs, its processes."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from keys import inventory, keyfile, manifest, primitives
from keys.inventory import Inventory
from keys.keyfile import DeskKeyFile
from keys.manifest import Manifest
from keys.minisign import SignedDocument
from tests.journeys.onion import Answer, ask

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
START_SECONDS = 240.0
END_SECONDS = 60.0
COMMAND_SECONDS = 240.0
LOG_LINES, LOG_COLUMNS = 8, 160

Result = TypeVar("Result")


def until(condition: Callable[[], Result | None], seconds: float, what: str) -> Result:
    """Return the condition's first true result. Raises: TimeoutError: there was none in time; it says for what."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} seconds: {what}")
        time.sleep(0.05)
    return result


class Done:
    """A command that ended: its exit code and what it said."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.errors = done.stderr

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.errors}"


class Practice:
    """One practice newsroom below a folder of its own. `start` and `stop` may follow each other any number of times."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "newsroom"
        self.told: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, *options: str) -> list[str]:
        """What `scripts/run` runs once everything is installed."""
        return [sys.executable, str(ROOT / "scripts/practice.py"), "--folder", str(self.home), *options]

    def launch(self, *options: str) -> subprocess.Popen[bytes]:
        """Start it as a terminal does, in a process group of its own. What it says goes to `said` and `shown`."""
        with self.said.open("wb") as errors, self.shown.open("wb") as out:
            self._process = subprocess.Popen(
                self.command(*options),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                env={name: value for name, value in os.environ.items() if "DISPLAY" not in name},
                start_new_session=True,
            )
        return self._process

    @property
    def said(self) -> Path:
        return self.folder / "said"

    @property
    def shown(self) -> Path:
        return self.folder / "shown"

    def start(self) -> None:
        """Start it, and wait until it is open."""
        process = self.launch("--json")

        def is_open() -> bool:
            assert process.poll() is None, f"it ended by itself:\n{self.said.read_text()}"
            return self.shown.read_bytes().endswith(b"\n")

        until(is_open, START_SECONDS, "the practice newsroom is open")
        self.told = json.loads(self.shown.read_text())

    def interrupt(self) -> int:
        """Press Ctrl-C in its terminal, and wait for its end; return its exit code."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(END_SECONDS)

    def stop(self) -> None:
        """End it if it runs, whatever state it is in."""
        if self._process is None or self._process.poll() is not None:
            return
        try:
            self.interrupt()
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise

    def processes(self) -> list[str]:
        """The command lines of all processes that belong to it, however they were started."""
        words = {str(self.home)}
        if self.told:
            words.add(str(Path(self.told["control"]).parents[3]))  # The short link that leads to the same place.
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # It ended meanwhile.
            if any(word in line for word in words):
                found.append(line)
        return found

    def step(self, number: int) -> str:
        """The line that `scripts/run` prints under this number."""
        line: str = self.told["steps"][number - 1]
        return line

    @property
    def source(self) -> str:
        """The source site's onion address."""
        address: str = self.told["addresses"]["source"]
        return address

    @property
    def socks_port(self) -> int:
        port: int = self.told["socks"]
        return port

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request to the source site over tor, without a browser."""
        return ask(self.socks_port, self.source, method, path, body, headers)

    def run(self, line: str) -> Done:
        """Paste a line into a terminal."""
        return Done(
            subprocess.run(
                ["bash", "-c", line],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        )

    def succeed(self, line: str) -> Done:
        """Paste a line that must succeed."""
        done = self.run(line)
        assert done.code == 0, f"{line}\n{done}"
        return done

    def tool(self, name: str, *words: object) -> Done:
        """Run another command of the distribution, which must succeed."""
        return self.succeed(shlex.join([str(BIN / name), *map(str, words)]))

    def station(self, desk: str, command: str, *words: object) -> dict[str, Any]:
        """Run a station's command; return what it tells programs."""
        given = [*command.split(), *map(str, words), "--json", "--vault", str(self.home / "stations" / desk)]
        line = shlex.join([str(BIN / "journalist-station"), *given, "--passphrase-fd", "3"])
        facts: dict[str, Any] = json.loads(self.succeed(f"{line} 3<{shlex.quote(str(self.home / 'passphrase'))}").out)
        return facts

    def stick(self, desk: str) -> Path:
        return self.home / "sticks" / desk

    @property
    def ceremony(self) -> Path:
        return self.home / "ceremony"

    def manifest(self) -> Manifest:
        return manifest.parse(self.document("manifest-1").statement)

    def document(self, name: str) -> SignedDocument:
        return SignedDocument.decode((self.ceremony / f"{name}.document").read_bytes())

    def inventory(self, desk: str = "isra") -> Inventory:
        """What the server says that it holds, as the courier brought it on a desk's stick, verified."""
        folder = self.stick(desk) / "mustshare/inbound/alpha"
        raw, signature = (folder / "inventory").read_bytes(), (folder / "inventory.minisig").read_bytes()
        in_force = self.manifest()
        servers = {server.name: server.key for server in in_force.servers}
        return inventory.admit(raw, signature, in_force.network, servers, {})

    def desk_key(self, number: int) -> DeskKeyFile:
        """A desk's own secret: what a test needs that plays a desk which betrays."""
        passphrase = (self.home / "passphrase").read_text().splitlines()[0]
        key = keyfile.unlock((self.ceremony / f"desk-{number}.key").read_bytes(), passphrase)
        assert isinstance(key, DeskKeyFile)
        return key

    def logs(self) -> Iterator[tuple[str, str]]:
        """The ends of everything that was logged."""
        places = [self.said, self.home / "server.log", *sorted((self.home / "tor/network").glob("*/log"))]
        for path in places:
            if path.exists():
                lines = path.read_text(errors="replace").splitlines()
                yield str(path.relative_to(self.folder)), "\n".join(line[:LOG_COLUMNS] for line in lines[-LOG_LINES:])


@contextmanager
def practice() -> Iterator[Practice]:
    """A practice newsroom in a temporary folder, not yet started. Nothing of it is left behind."""
    folder = Path(tempfile.mkdtemp(prefix="mustshare-journey-"))
    made = Practice(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def sha256(content: bytes) -> str:
    return primitives.sha256(content).hex()
