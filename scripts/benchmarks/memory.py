"""How much memory the server's processes take for a small upload and for a large one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scripts.benchmarks.dropbox_server import GIB, MIB, Process, Serving, founded, noise_file, serving
from scripts.benchmarks.report import Section

MOST_MIB = 150.0
SMALL = 10 * MIB
SAME_MIB = 10.0


def measure(folder: Path, large: int, say: Callable[[str], None]) -> Section:
    """Send a small and a large file, each to a server just started, and see the most memory of each process."""
    gib = large // GIB + 1
    say(f"filling {gib} GiB of room with noise")
    home = founded(folder, gib)
    section = Section(
        "memory",
        "Memory of the server",
        ["upload, peak MiB resident", "the worker that took it", "its workshop", "any other process"],
    )
    peaks = []
    for size in (SMALL, large):
        file = folder / "upload.bin"
        say(f"an upload of {_size(size)}")
        sha256 = noise_file(file, size)
        with serving(home) as box:
            box.upload(file, sha256)
            worker, workshop, others = _peaks(box)
        file.unlink()
        section.rows.append([_size(size), f"{worker:.0f}", f"{workshop:.0f}", f"{others:.0f}"])
        peaks.append(worker)
    reached = max(peaks) < MOST_MIB and abs(peaks[1] - peaks[0]) < SAME_MIB
    section.notes.append(
        f"Goal: the same for both, below {MOST_MIB:.0f} MiB a worker: {'reached' if reached else '**missed**'}. "
        "64 MiB of a worker's are Argon2id's, once for each sending; shared pages count in every process."
    )
    return section


def _peaks(box: Serving) -> tuple[float, float, float]:
    """Return the peak of the worker that took the upload, of the process beside it, and of the largest other."""
    processes = box.processes()
    workers = {each.pid: each for each in processes}
    helpers = [each for each in processes if each.parent in workers]
    helper = max(helpers, key=lambda each: workers[each.parent].peak_mib)
    taker: Process = workers[helper.parent]
    others = [each.peak_mib for each in processes if each not in (helper, taker)]
    return taker.peak_mib, helper.peak_mib, max(others)


def _size(size: int) -> str:
    return f"{size // GIB} GiB" if size >= GIB else f"{size // MIB} MiB"
