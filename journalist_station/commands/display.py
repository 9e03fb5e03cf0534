"""How the station shows things: times, sizes, states, a bar for what takes long."""

from __future__ import annotations

import contextlib
import datetime
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from journalist_station.vault.importing import Step
from journalist_station.vault.names import ThreadName
from journalist_station.vault.threads import TipState
from keys.terminal import note, printable

STATES = {
    TipState.COMPLETE: "complete",
    TipState.INTERRUPTED: "interrupted",
    TipState.NOT_CLOSED: "not closed",
    TipState.MISSING: "cells missing",
    TipState.DIFFERS: "differs from the source's list",
}
"""Worst last: a thread shows its worst."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def day(unix_seconds: int) -> str:
    """Write a day as people here write it, in UTC: the station's clock and the servers' agree on that."""
    try:
        return datetime.datetime.fromtimestamp(unix_seconds, datetime.UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return "?"


def size(count: int) -> str:
    """Write a number of bytes as people read it."""
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{count} B" if not unit else f"{amount:.1f} {_UNITS[unit]}"


def worst(states: frozenset[str]) -> TipState:
    """Return the state that a journalist must know of."""
    order = list(STATES)
    return max((TipState(state) for state in states), key=order.index)


def called(name: ThreadName) -> str:
    """Write a thread's name in both languages."""
    return f"{name.th} / {name.en}"


def warn(message: str) -> None:
    """Say on standard error what a person must know, whether or not somebody is looking just now."""
    print(f"warning: {printable(message)}", file=sys.stderr)


def typed(what: str, max_bytes: int, *, line: bool = False) -> bytes:
    """Return what is typed, or comes on standard input: all of it, or one line. It is told what is wanted."""
    if sys.stdin.isatty():
        note(f"{what} End it with {'Enter' if line else 'Ctrl-D on a line of its own'}.")
    read = sys.stdin.buffer.readline if line else sys.stdin.buffer.read
    return read(max_bytes + 1)


def show_text(text: str, indent: str = "    ") -> None:
    """Print what somebody wrote, every line indented, so that none of it can pass for the station's own words."""
    for line in printable(text, lines=True).split("\n"):
        print(f"{indent}{line}".rstrip())


@contextlib.contextmanager
def bar(what: str) -> Iterator[Callable[[Step], object]]:
    """Show a bar on standard error while somebody is looking, and nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda step: progress.update(task, completed=step.done, total=step.total or None)
