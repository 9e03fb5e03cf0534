"""How fast a file is taken in, sealed and on the disk, beside OnionShare and beside just writing it."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmarks.dropbox_server import GIB, MIB, Failed, Serving, curl, founded, noise_file, serving
from scripts.benchmarks.report import Section, median, times, verdict

LARGE, PEER_LARGE = GIB, 1_000 * MIB
"""OnionShare answers 413 at exactly 1 GiB."""

LEAST_OF_PEER, LEAST_OF_DISK = 1.5, 0.4
PIECE_BYTES = 1 << 18
LISTENING_SECONDS = 60.0


class OnionShare:
    """OnionShare's receive mode on loopback. It keeps what it takes in plaintext, and doesn't fsync."""

    def __init__(self, port: str) -> None:
        self._address = f"http://127.0.0.1:{port}/upload"

    def upload(self, file: Path) -> float:
        form = ["--form", f"file[]=@{file};filename=file.bin", "--form", "text="]
        seconds, status = curl(*form, "--output", os.devnull, "--write-out", "%{http_code}", self._address)
        if status not in ("200", "302"):
            raise Failed(f"OnionShare answered {status}.")
        return seconds


@contextmanager
def onionshare(program: Path, folder: Path) -> Iterator[OnionShare]:
    """Run OnionShare until the block ends."""
    received, home, log = folder / "received", folder / "home", folder / "onionshare.log"
    for each in (received, home):
        each.mkdir()
    command = [str(program), "--receive", "--local-only", "--public", "--data-dir", str(received)]
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as said:  # Not a pipe: once that were full, OnionShare would wait for ever.
        peer = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
    try:
        yield OnionShare(_port(peer, log))
    finally:
        peer.kill()
        peer.wait()


def _port(peer: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + LISTENING_SECONDS
    while time.monotonic() < deadline and peer.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text("utf-8", "replace"))
        if found is not None:
            curl("--retry", "20", "--retry-connrefused", "--output", os.devnull, found[0])
            return found[1]
        time.sleep(0.1)
    raise Failed("OnionShare did not start.")


def write_new(file: Path, target: Path) -> float:
    """Write a file's bytes to a new file and fsync it: no client, no server, no seal. Returns seconds."""
    target.unlink(missing_ok=True)
    os.sync()
    return _write(file, os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def write_over(file: Path, target: Path) -> float:
    """The same over a file that is there, as the drop box's cells lie over noise."""
    return _write(file, os.open(target, os.O_WRONLY))


def _write(file: Path, descriptor: int) -> float:
    with file.open("rb", buffering=0) as source:
        started = time.perf_counter()
        piece = bytearray(PIECE_BYTES)
        while count := source.readinto(piece):
            os.write(descriptor, memoryview(piece)[:count])
        os.fsync(descriptor)
        seconds = time.perf_counter() - started
    os.close(descriptor)
    return seconds


def measure(folder: Path, rounds: int, peer: Path | None, say: Callable[[str], None]) -> Section:
    """Measure in rounds, each contestant once a round, and compare within each round.

    Args:
        peer: OnionShare's command; None when it couldn't be installed.
    """
    gib = -(-rounds * (LARGE + PEER_LARGE) * 26 // 25 // GIB)
    say(f"filling {gib} GiB of room with noise")
    home = founded(folder, gib)
    large, peer_large = folder / "large.bin", folder / "peer-large.bin"
    sums = {large: noise_file(large, LARGE), peer_large: noise_file(peer_large, PEER_LARGE)}
    with serving(home) as box:
        if peer is None:
            taken = _rounds(_contest(box, None, sums, folder), rounds, say)
        else:
            with onionshare(peer, folder) as share:
                taken = _rounds(_contest(box, share, sums, folder), rounds, say)
    return _section(taken)


Contest = dict[str, tuple[int, Callable[[], float]]]
"""For each contestant, bytes and what takes them."""


def _contest(box: Serving, share: OnionShare | None, sums: dict[Path, str], folder: Path) -> Contest:
    large, peer_large = sums
    plain = folder / "plain.bin"
    contest: Contest = {
        "plain": (LARGE, lambda: write_new(large, plain)),
        "sealed": (LARGE, lambda: box.upload(large, sums[large])),
        "over": (LARGE, lambda: write_over(large, plain)),
        "sealed, peer's size": (PEER_LARGE, lambda: box.upload(peer_large, sums[peer_large])),
    }
    if share is not None:
        contest["onionshare"] = (PEER_LARGE, lambda: _upload_and_erase(share, peer_large, folder / "received"))
    return contest


def _upload_and_erase(share: OnionShare, file: Path, received: Path) -> float:
    seconds = share.upload(file)
    for each in received.rglob("*"):
        if each.is_file():
            each.unlink()
    return seconds


def _rounds(contest: Contest, rounds: int, say: Callable[[str], None]) -> dict[str, list[float]]:
    """Return bytes a second of each contestant, round by round."""
    speeds: dict[str, list[float]] = {name: [] for name in contest}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name, (size, run) in contest.items():
            os.sync()
            speeds[name].append(size / run())
    return speeds


def _section(taken: dict[str, list[float]]) -> Section:
    section = Section(
        "upload",
        "Uploads",
        ["one file, MB/s", "median", "best", "beside", "its median", "ratio", "goal"],
    )

    def row(title: str, name: str, beside: str, peer: str, least: float | None) -> None:
        ratio = median([one / other for one, other in zip(taken[name], taken[peer], strict=True)])
        goal = "" if least is None else verdict(ratio, least)
        own, its_median = taken[name], _speed(median(taken[peer]))
        section.rows.append([title, _speed(median(own)), _speed(max(own)), beside, its_median, times(ratio), goal])

    row("1 GiB, sealed", "sealed", "plain write + fsync, a new file", "plain", LEAST_OF_DISK)
    row("1 GiB, sealed", "sealed", "the same over a file that is there", "over", None)
    if "onionshare" in taken:
        beside = "OnionShare 2.7, plaintext, no fsync"
        row("1,000 MiB, sealed", "sealed, peer's size", beside, "onionshare", LEAST_OF_PEER)
    else:
        section.notes.append("OnionShare could not be installed, so it was not measured.")
    section.notes.append(
        f"{len(taken['sealed'])} rounds, each contestant once a round and the disk at rest before each; a ratio is "
        "the median of the rounds' ratios. Sealed: curl through a Unix socket into `dropbox-server serve` (its real "
        "processes, Argon2id included), four desks chosen, six post-quantum stanzas a cell, the receipt after fsync."
    )
    return section


def _speed(bytes_a_second: float) -> str:
    return f"{bytes_a_second / 1e6:,.0f}"
