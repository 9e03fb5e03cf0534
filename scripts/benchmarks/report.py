"""What a benchmark found: tables for the terminal and for docs/BENCHMARKS.md, with the machine and its other work."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

BUSY_SHARE = 0.1
_PR_SET_CHILD_SUBREAPER = 36
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Section:
    """One table, and what must be said below it. `busy` is filled in by whoever ran it."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    busy: str = ""

    def markdown(self) -> str:
        """The section as it stands in the document."""
        lines = [f"### {self.title}", "", f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. {self.busy}", ""]
        lines += [_row(self.columns), _row(["---", *["--:"] * (len(self.columns) - 1)])]
        lines += [_row(row) for row in self.rows]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"

    def show(self, console: Console) -> None:
        table = Table(title=f"{self.title}", title_justify="left", caption=self.busy, caption_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}", style="dim")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def place(document: Path, section: Section) -> None:
    """Put a section between its markers; the markers must be there. Raises: ValueError: they aren't."""
    text = document.read_text("utf-8")
    begin, end = f"<!-- bench: {section.name} -->\n", f"<!-- end: {section.name} -->\n"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the document has no place for the section {section.name}")
    document.write_text(before + begin + section.markdown() + end + after, "utf-8")


def machine() -> str:
    """The machine in words that name nobody's: cores, memory, Python."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {memory_gib:.0f} GiB, Linux, Python {platform.python_version()}"


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def times(value: float) -> str:
    return f"{value:.2f} ×" if value < 10 else f"{value:.1f} ×"


def verdict(value: float, least: float) -> str:
    """Say whether a goal was reached."""
    return f"{times(least)}: {'reached' if value >= least else '**missed**'}"


class Watch:
    """Tells what else the machine did meanwhile: a busy machine makes every figure worse, and not all alike.

    Counts the processors' time that neither this program nor any it started has used. For that, orphans of programs
    it started come to this process, and are counted when `stop` is called.
    """

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._own = _own_seconds()
        self._all = _all_seconds()
        self._since = time.monotonic()

    def stop(self) -> str:
        """Return a sentence."""
        _bury_orphans()
        elapsed = (time.monotonic() - self._since) * os.sysconf("SC_NPROCESSORS_ONLN")
        share = max(0.0, (_all_seconds() - self._all) - (_own_seconds() - self._own)) / elapsed
        if share < BUSY_SHARE:
            return "The machine did little else."
        return f"**The machine was busy**: other programs used {share:.0%} of its processors meanwhile."


def _own_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _all_seconds() -> float:
    """Seconds of all processors together, but for idling and waiting for disks."""
    fields = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _CLOCK_TICKS


def _bury_orphans() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return
