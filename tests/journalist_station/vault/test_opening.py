"""Workers that open cells die with their import, and one that dies alone is stood in for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from journalist_station.vault.opening import BATCH_CELLS, Batch, Outcome, Wanted, sort_cells
from journalist_station.vault.stick import RECORD_BYTES, Stick
from tests.simulators.dropbox import DropBox, Source
from tests.simulators.station import PASSPHRASE, Station

CHILD = """
import sys
from pathlib import Path
from journalist_station.vault import importing
from journalist_station.vault.stick import Stick
from journalist_station.vault.vault import Vault
from keys.primitives import system_randomness
vault, stick, now, passphrase = sys.argv[1:]
if __name__ == "__main__":
    with Vault.open(Path(vault), passphrase, system_randomness) as opened:
        importing.import_sticks(opened, [Stick(Path(stick))], int(now), workers=2)
"""


def children(process: int) -> list[int]:
    """Return the processes that another one started and that are no zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_import_leaves_no_process_behind_that_holds_keys(station: Station, box: DropBox) -> None:
    sealed = box.cells[box.foreign()]
    for _ in range(12 * BATCH_CELLS):
        box.store(sealed)
    box.fill(station.stick())
    station.vault.close()
    words = [str(station.folder / "vault"), str(station.stick()), str(station.newsroom.now), PASSPHRASE]
    importing = subprocess.Popen([sys.executable, "-c", CHILD, *words])
    try:
        wait_until(lambda: len(children(importing.pid)) >= 2 or importing.poll() is not None)
        workers = children(importing.pid)
        assert workers and importing.poll() is None
    finally:
        importing.kill()
        importing.wait()
    wait_until(lambda: not any(is_running(worker) for worker in workers))


def test_a_worker_that_dies_is_stood_in_for(station: Station, box: DropBox) -> None:
    """When the machine runs out of memory, the kernel takes a worker; the import goes on in one process."""
    for number in range(3 * BATCH_CELLS):
        box.send(Source(box.newsroom, number), f"{number}")
    box.fill(station.stick())
    [part], _ = Stick(station.stick()).parts("alpha", box.newsroom.network)
    wanted = [Wanted(each, box.digest(each), part.at(record)) for record, each in enumerate(sorted(box.cells))]
    batches = [Batch(part.path, tuple(wanted[at : at + BATCH_CELLS])) for at in range(0, len(wanted), BATCH_CELLS)]
    sorted_ = sort_cells(batches, [b"\1" * 32], box.geometry, 2)
    first = next(sorted_)
    for worker in children(os.getpid()):
        if b"spawn_main" in Path(f"/proc/{worker}/cmdline").read_bytes():
            os.kill(worker, signal.SIGKILL)
    rest = list(sorted_)
    found = [each for some in [first, *rest] for each in some]
    assert [each.cell for each in found] == sorted(box.cells)
    assert {each.outcome for each in found} == {Outcome.FOREIGN}
    assert part.records * RECORD_BYTES + part.first == part.path.stat().st_size
