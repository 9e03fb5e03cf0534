"""Large files: in memory that doesn't depend on their length."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from journalist_station.vault.database import tips as rows
from tests.simulators.dropbox import DropBox
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import PASSPHRASE, Station

MIB = 1 << 20

CHILD = """
import json, sys
from pathlib import Path
from journalist_station.vault import importing
from journalist_station.vault.stick import Stick
from journalist_station.vault.vault import Vault
from keys.primitives import system_randomness
vault, stick, now, passphrase = sys.argv[1:]
with Vault.open(Path(vault), passphrase, system_randomness) as opened:
    report = importing.import_sticks(opened, [Stick(Path(stick))], int(now), workers=1)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0])  # Not ru_maxrss: that counts what the tests' own process once had, too.
print(json.dumps({"files": report.files, "damaged": report.damaged, "peak_mib": peak // 1024}))
"""


def imported(newsroom: Newsroom, folder: Path, size: int) -> tuple[int, Station]:
    """Import one file of so many bytes in a process of its own; return its peak memory in MiB."""
    folder.mkdir()
    station, box = Station(newsroom, folder), DropBox(newsroom)
    digest = box.fill_with_one_file(station.stick(), size)
    words = [str(station.folder / "vault"), str(station.stick()), str(newsroom.now), PASSPHRASE]
    done = subprocess.run([sys.executable, "-c", CHILD, *words], capture_output=True, check=True, timeout=3_600)
    told = json.loads(done.stdout)
    assert (told["files"], told["damaged"]) == (1, 0)
    [run] = station.vault.database.rows("SELECT size, sha256 FROM runs")
    assert run == (size, digest)
    return int(told["peak_mib"]), station


def test_memory_is_flat(tmp_path: Path) -> None:
    small, one = imported(Newsroom("small"), tmp_path / "small", 4 * MIB)
    large, other = imported(Newsroom("large"), tmp_path / "large", 100 * MIB)
    one.vault.close()
    other.vault.close()
    assert large < small + 16


def peak_kib() -> int:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0])


@pytest.mark.long
def test_ten_gibibytes(tmp_path: Path) -> None:
    peak, station = imported(Newsroom(), tmp_path / "x", 10 << 30)
    assert peak < 150
    [item] = station.vault.database.rows("SELECT file, secret FROM runs JOIN items ON items.number = runs.item")
    Path("/proc/self/clear_refs").write_text("5")  # The peak begins anew. proc(5).
    before = peak_kib()
    with station.vault.files.read(*item) as pieces:
        size = sum(len(piece) for piece in pieces)
    assert size == 10 << 30
    assert peak_kib() < before + 32 * 1024
    assert rows.all_files(station.vault.database) == {item[0]}
    station.vault.close()
