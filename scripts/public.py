"""A real newsroom's drop box on the public Tor network: checks, starts server and tor, stays until Ctrl-C.

`scripts/run --public` calls it. It makes no keys and signs nothing: README.md says how a newsroom founds its network.
Not yet run on the public network: tests show that it refuses practice manifests, and that tor's configuration is the
tested private one less the private network's lines.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from keys import terminal
from keys.errors import Misconfigured, Refused
from onion_config import clients, onion_keys, torrc
from onion_config.control import Tor
from onion_config.deadline import Deadline
from onion_config.tor_process import TorProcess, stop_all
from onion_config.torrc import Node, OnionService

BIN = Path(sys.executable).parent
CLOCK_DISAGREES = "clock-disagrees"
SITES = ("source", "collect")
CONNECT_SECONDS = 600.0
SERVER_SECONDS = 120.0
FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--home", type=FOLDER, required=True, help="The folder that dropbox-server init made.")
@click.option("--onions", type=FOLDER, required=True, help="The folder that onion-config keys --onions made.")
@click.option("--tor-data", type=FOLDER, required=True, help="A private folder for tor, with a short path.")
def main(home: Path, onions: Path, tor_data: Path) -> int:
    """Serve a real drop box on the public Tor network until Ctrl-C."""
    check(status_of(home), onions)
    with tempfile.TemporaryDirectory(prefix="mustshare-") as short:
        return serve(home, onions, tor_data, Path(short) / "run")


def status_of(home: Path) -> dict[str, object]:
    """Ask the server how it stands. Raises: Misconfigured: it can't say."""
    command = [str(BIN / "dropbox-server"), "status", "--home", str(home), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["error: no server answered"]
        raise Misconfigured(said[0].removeprefix("error: "), "Make the server first: README.md says how.")
    told: dict[str, object] = json.loads(done.stdout)
    return told


def check(status: dict[str, object], onions: Path) -> None:
    """Refuse what must not stand on the public network.

    Raises:
        Refused: a practice manifest, or a box that would be closed.
        Misconfigured: the collect service would answer strangers.
    """
    if not status["manifest"]:
        raise Refused(
            "This server has no manifest yet.",
            "Found the network, then: dropbox-server admit --network ID MANIFEST EPOCHS…",
        )
    if status["practice"]:
        raise Refused(
            "This is a practice newsroom: it never goes on the public Tor network.",
            "Found a real one, as README.md says, or practise with scripts/run.",
        )
    # What tor kept when it last ran may be days old, and it isn't running yet: the server asks again for each tip.
    if not status["open"] and status["closed_because"] != CLOCK_DISAGREES:
        raise Refused(
            f"The box would be closed ({status['closed_because']}), and nobody could send anything.",
            "See dropbox-server status; usually a desk's epoch list is missing or past.",
        )
    clients.check_closed(onions / "collect")


def services(onions: Path, run_folder: Path) -> list[OnionService]:
    """The two onion services, on the sockets that dropbox-server serve makes below the run folder."""
    return [OnionService(onions / site, run_folder / site / "http.sock") for site in SITES]


def serve(home: Path, onions: Path, tor_data: Path, run_folder: Path) -> int:
    """Start the server and tor, tell the addresses, and stay."""
    node = Node("dropbox", tor_data.absolute())
    signals = endings()
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    server = subprocess.Popen(
        [BIN / "dropbox-server", "serve", "--home", home, "--run", run_folder, "--consensus", node.consensus],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, signals),
    )
    tor = TorProcess(node)
    try:
        wait_for_sockets(server, run_folder)
        tor.start(torrc.server(node, services(onions.absolute(), run_folder)))
        with Tor.connect(node.control, Deadline(CONNECT_SECONDS)) as control:
            control.wait_bootstrapped(Deadline(CONNECT_SECONDS), say)
        for site in SITES:
            print(f"{site}: http://{onion_keys.read(onions / site).address}/")
        print("tor needs some minutes to publish them. Ctrl-C ends both.", flush=True)
        while signal.sigtimedwait(signals, 5) is None:
            if server.poll() is not None or not tor.is_running:
                raise Misconfigured(
                    "The server or tor ended by itself.", "Look at what it printed above, or at tor's log."
                )
        return 0
    finally:
        stop_all([tor])
        server.terminate()
        server.wait()


def endings() -> set[signal.Signals]:
    """What ends it: Ctrl-C, a program that wants it to end, a terminal that was closed (but not under nohup)."""
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return {signal.SIGINT, signal.SIGTERM} | ({signal.SIGHUP} if hangs_up else set())


def wait_for_sockets(server: subprocess.Popen[bytes], run_folder: Path) -> None:
    """Raises: Misconfigured: the server ended, or doesn't come up."""
    deadline = time.monotonic() + SERVER_SECONDS
    while not all((run_folder / site / "http.sock").exists() for site in SITES):
        if server.poll() is not None or time.monotonic() > deadline:
            raise Misconfigured("dropbox-server serve did not start.", "Look at what it printed above.")
        time.sleep(0.05)


def say(what: str, done: float) -> None:
    """Show how far tor is, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r   tor: {done:4.0%} {what:<60}", end="" if done < 1 else "\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    terminal.run(main, "scripts/run --public")
