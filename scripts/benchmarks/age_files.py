"""How fast age files are sealed and opened, beside pyrage and Debian's age."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyrage  # type: ignore[import-untyped]

from keys import age
from keys.age.recipients import HybridIdentity, X25519Identity
from keys.primitives import KEY_BYTES, system_randomness
from scripts.benchmarks.dropbox_server import MIB, noise_file
from scripts.benchmarks.report import Section, median, times

SIZE = 256 * MIB
MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Contestant:
    """Something that seals one file into another, and opens it again."""

    name: str
    seal: Callable[[Path, Path], None]
    open: Callable[[Path, Path], None]


def _ours(name: str, identity: X25519Identity | HybridIdentity) -> Contestant:
    recipient = identity.recipient()

    def seal(source: Path, target: Path) -> None:
        with source.open("rb") as reader, target.open("wb") as writer:
            age.seal(reader, writer, [recipient], system_randomness)

    def open_(source: Path, target: Path) -> None:
        with source.open("rb") as reader, target.open("wb") as writer:
            age.open_(reader, writer, [identity])

    return Contestant(name, seal, open_)


def _pyrage() -> Contestant:
    identity = pyrage.x25519.Identity.generate()
    recipient = identity.to_public()

    def seal(source: Path, target: Path) -> None:
        pyrage.encrypt_file(str(source), str(target), [recipient])

    def open_(source: Path, target: Path) -> None:
        pyrage.decrypt_file(str(source), str(target), [identity])

    return Contestant("pyrage, X25519", seal, open_)


def _debian(key: Path) -> Contestant:
    identity = X25519Identity(system_randomness(KEY_BYTES))
    key.write_text(identity.secret_text() + "\n")
    key.chmod(0o600)

    def seal(source: Path, target: Path) -> None:
        subprocess.run(["age", "-r", str(identity.recipient()), "-o", target, source], check=True)

    def open_(source: Path, target: Path) -> None:
        subprocess.run(["age", "-d", "-i", key, "-o", target, source], check=True)

    return Contestant("Debian's age, X25519", seal, open_)


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> Section:
    """Seal and open the same file with each contestant, once a round."""
    with _memory(folder) as place:
        plain, sealed, opened = place / "plain", place / "sealed", place / "opened"
        noise_file(plain, SIZE)
        contestants = [
            _ours("keys.age, X25519", X25519Identity(system_randomness(KEY_BYTES))),
            _ours("keys.age, post-quantum", HybridIdentity.from_seed(system_randomness(KEY_BYTES))),
            _pyrage(),
            _debian(place / "key"),
        ]
        speeds: dict[str, tuple[list[float], list[float]]] = {each.name: ([], []) for each in contestants}
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for each in contestants:
                sealing, opening = speeds[each.name]
                sealing.append(_timed(each.seal, plain, sealed))
                opening.append(_timed(each.open, sealed, opened))
        if opened.read_bytes() != plain.read_bytes():
            raise RuntimeError("what was opened isn't what was sealed")
    return _section(speeds, rounds)


def _timed(run: Callable[[Path, Path], None], source: Path, target: Path) -> float:
    target.unlink(missing_ok=True)
    started = time.perf_counter()
    run(source, target)
    return SIZE / (time.perf_counter() - started)


def _section(speeds: dict[str, tuple[list[float], list[float]]], rounds: int) -> Section:
    peers = [name for name in speeds if not name.startswith("keys.age")]
    columns = ["256 MiB, one recipient, MB/s", "seal", *(f"beside {_short(peer)}" for peer in peers)]
    columns += ["open", *(f"beside {_short(peer)}" for peer in peers)]
    section = Section("age", "age files", columns)
    for name, both in speeds.items():
        row = [name]
        for direction, values in enumerate(both):
            row.append(f"{median(values) / 1e6:,.0f}")
            for peer in peers:
                others = speeds[peer][direction]
                ratio = median([own / other for own, other in zip(values, others, strict=True)])
                row.append("" if name in peers else times(ratio))
        section.rows.append(row)
    section.notes.append(
        f"{rounds} rounds, each once a round, from file to file in memory, starting Debian's `age` included; neither "
        "peer has the post-quantum type `mlkem768x25519`."
    )
    return section


def _short(peer: str) -> str:
    return peer.removesuffix(", X25519")


@contextmanager
def _memory(folder: Path) -> Iterator[Path]:
    """A folder in memory where there is one."""
    base = MEMORY if os.access(MEMORY, os.W_OK) else folder
    with TemporaryDirectory(dir=base) as name:
        yield Path(name)
