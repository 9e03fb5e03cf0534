"""What is measured: the drop box as it is delivered, founded for practice, started, and sent to with curl.

Nothing here is faster than what a newsroom runs: the commands of the installed wheel, its worker processes, locked and
poisoned memory, a codename's stretching at its real cost, every page. Only tor is left out, for it is far slower.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dropbox.box import Box
from dropbox.home import Home
from dropbox.store import Store
from keys import codename
from keys.codename import Language
from keys.manifest import Limits
from keys.primitives import system_randomness
from tests.simulators.newsroom import Newsroom

SERVER_NAME = "alpha"
DESKS = 4
REAL_KDF = (64 << 10, 3)
MIB = 1 << 20
GIB = 1 << 30
MAX_FILE_BYTES = 16 * GIB
STARTING_SECONDS = 60.0
PIECE_BYTES = 1 << 18
PROGRAM = Path(sys.executable).with_name("dropbox-server")


class Failed(Exception):
    """A program did not do what was to be measured: its words."""


@dataclass(frozen=True)
class Process:
    """One process of the server: which it is, and the most memory that it ever had resident."""

    pid: int
    parent: int
    peak_mib: float


class Serving:
    """A drop box that serves, and what a source does to it."""

    def __init__(self, server: subprocess.Popen[str], run_folder: Path) -> None:
        self._server = server
        self.socket = run_folder / "source" / "http.sock"

    def upload(self, file: Path, sha256: str) -> float:
        """Send one file to all desks, as the page's form does, and return the seconds until the receipt was there.

        Raises: Failed: the receipt doesn't name the file's SHA-256.
        """
        name = codename.make(Language.ENGLISH, system_randomness).text
        form = ["--form-string", f"codename={name}", "--form-string", "text=benchmark"]
        for number in range(1, DESKS + 1):
            form += ["--form-string", f"desk={number}"]
        form += ["--form", f"files=@{file};filename=file.bin;type=application/octet-stream"]
        address = f"http://localhost/en/send/{secrets.token_hex(16)}"
        seconds, page = curl("--unix-socket", str(self.socket), *form, address)
        if sha256 not in re.sub(r"<wbr>|\s", "", page):
            raise Failed(f"The receipt doesn't name the file: {_words(page)}")
        return seconds

    def processes(self) -> list[Process]:
        """Return every process of the server but its arbiter."""
        found = [each for each in map(_process, Path("/proc").glob("[0-9]*")) if each is not None]
        family = {self._server.pid}
        for _ in range(2):  # Workers, then what stands beside them.
            family |= {each.pid for each in found if each.parent in family}
        return [each for each in found if each.pid in family - {self._server.pid}]


def curl(*arguments: str) -> tuple[float, str]:
    """Run curl and return its seconds, from its start to its end, and what it was answered. Raises: Failed."""
    started = time.perf_counter()
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--noproxy", "*", "--header", "Expect:", *arguments],
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise Failed(f"curl: {done.stderr.strip()}")
    return seconds, done.stdout


def _words(page: str) -> str:
    return " ".join(re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL).split())[:300]


def _process(folder: Path) -> Process | None:
    try:
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
        return Process(int(folder.name), int(status["PPid"]), int(status["VmHWM"].split()[0]) / 1024)
    except (OSError, KeyError):
        return None  # It has just ended, or is the kernel's own.


def practice_network() -> Newsroom:
    """Return a newsroom of today, whose codenames are stretched as any real one's."""
    return Newsroom(
        desks=DESKS,
        servers=(SERVER_NAME,),
        limits=Limits(file_bytes=MAX_FILE_BYTES),
        kdf=REAL_KDF,
        now=int(time.time()),
    )


def founded(folder: Path, gib: int, of: Newsroom | None = None) -> Path:
    """Found a practice network with one server, and return that server's folder. Everything is signed and in date."""
    home = folder / "server"
    newsroom = of or practice_network()
    made = subprocess.run(
        [PROGRAM, "init", "--home", home, "--name", SERVER_NAME, "--gib", str(gib)], capture_output=True, text=True
    )
    if made.returncode:
        raise Failed(made.stderr.strip())
    (home / "server.key").write_text(newsroom.server_seeds[SERVER_NAME].hex() + "\n")
    place = Home(home)
    with place.open_store(system_randomness) as store:
        box = box_of(place, store, newsroom)
        box.join(newsroom.network)
        box.admit([*newsroom.documents, *(newsroom.epochs(desk) for desk in newsroom.manifest.desk_numbers)])
    return home


def box_of(place: Home, store: Store, newsroom: Newsroom) -> Box:
    """Return a server's box while it doesn't serve, to put into it what its newsroom delivers."""
    return Box(store, place.key(), lambda: newsroom.now, system_randomness, "")


@contextmanager
def serving(home: Path) -> Iterator[Serving]:
    """Run the server until the block ends. Raises: Failed: it didn't start."""
    with tempfile.TemporaryDirectory(prefix="bench-") as run:  # Short, for a socket's path has 107 bytes.
        server = subprocess.Popen(
            [PROGRAM, "serve", "--home", home, "--run", run, "--without-circuits"],
            stdout=subprocess.DEVNULL,
            text=True,
        )
        try:
            box = Serving(server, Path(run))
            _wait(server, box.socket)
            yield box
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def _wait(server: subprocess.Popen[str], socket: Path) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if socket.exists():
            curl("--unix-socket", str(socket), "http://localhost/en/send")
            return
        time.sleep(0.05)
    raise Failed("The drop box did not start.")


def noise_file(path: Path, size: int) -> str:
    """Make a file of random bytes and return its SHA-256 in hex."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for at in range(0, size, PIECE_BYTES):
            piece = os.urandom(min(PIECE_BYTES, size - at))
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()
